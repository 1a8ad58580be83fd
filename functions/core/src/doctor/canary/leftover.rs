//! What a canary's run created and could not remove.

use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::NoAnswer;

/// What a run creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverKind {
    /// By its name.
    Repository,
    /// By its URL.
    Queue,
    /// By its ARN.
    Subscription,
}

/// What a run created and could not remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    pub kind: LeftoverKind,
    /// As AWS names it.
    pub id: String,
    pub why: NoAnswer,
}

impl Leftover {
    pub(super) fn named(&self) -> String {
        let kind = match self.kind {
            LeftoverKind::Repository => "repository",
            LeftoverKind::Queue => "queue",
            LeftoverKind::Subscription => "subscription",
        };
        format!("the {kind} `{}` may be left: {}", self.id, self.why)
    }

    pub(super) fn command(&self, aws: &AwsCli) -> String {
        let words = match self.kind {
            LeftoverKind::Repository => ["ecr", "delete-repository", "--repository-name"],
            LeftoverKind::Queue => ["sqs", "delete-queue", "--queue-url"],
            LeftoverKind::Subscription => ["sns", "unsubscribe", "--subscription-arn"],
        };
        aws.command(&[&words[..], &[self.id.as_str()]].concat())
    }
}
