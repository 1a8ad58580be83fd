//! What the real AWS does and the local AWS does not: one file a behaviour, each with its source.
//!
//! Every behaviour is on by default and sees each call that a function makes, before and after the local AWS acts on it. A new one is
//! its file, a field of [`RealAws`] and a line in [`RealAws::behaviours`].

mod cloudformation;
mod message_attributes;
mod pull_through_caches;
mod recursion;
mod subscriptions;
mod visibility;

use hyper::body::Bytes;
use serde_json::Value;

use super::Call;
pub use cloudformation::CloudFormation;
pub use message_attributes::MessageAttributes;
pub use pull_through_caches::PullThroughCaches;
pub use recursion::Recursion;
pub use subscriptions::Subscriptions;
pub use visibility::Visibility;

/// An answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    pub body: Bytes,
}

impl Reply {
    /// An error as the services with a JSON protocol (ECR, DynamoDB, KMS, SQS, SSM) answer it.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message });
        Self {
            status,
            body: Bytes::from(body.to_string()),
        }
    }

    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self {
            status: 200,
            body: Bytes::from(body.to_string()),
        }
    }

    #[must_use]
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One behaviour of the real AWS. Each method has a default that changes nothing.
pub(super) trait Behaviour {
    /// What AWS answers without acting; `None`: it acts.
    fn instead(&mut self, _call: &Call) -> Option<Reply> {
        None
    }

    /// What AWS answers to an operation that the local AWS lacks. It is asked when the local AWS has not refused the caller.
    fn supplied(&mut self, _call: &Call) -> Option<Reply> {
        None
    }

    /// The body of a request as AWS takes it.
    fn request(&mut self, _call: &Call, body: Bytes) -> Bytes {
        body
    }

    /// The answer as AWS gives it.
    fn reply(&mut self, _call: &Call, reply: Reply) -> Reply {
        reply
    }
}

/// All behaviours, with what a test may set of each.
#[derive(Debug, Default)]
pub struct RealAws {
    pub recursion: Recursion,
    pub message_attributes: MessageAttributes,
    pub subscriptions: Subscriptions,
    pub visibility: Visibility,
    pub cloudformation: CloudFormation,
    pub pull_through_caches: PullThroughCaches,
}

impl RealAws {
    fn behaviours(&mut self) -> Vec<&mut dyn Behaviour> {
        vec![
            &mut self.recursion,
            &mut self.message_attributes,
            &mut self.subscriptions,
            &mut self.visibility,
            &mut self.cloudformation,
            &mut self.pull_through_caches,
        ]
    }

    /// What AWS answers while it does not show yet what was done. It is nothing that a test plans or counts: it happens at any time.
    pub(super) fn not_shown_yet(&mut self, call: &Call) -> Option<Reply> {
        self.visibility.not_shown_yet(call)
    }

    pub(super) fn instead(&mut self, call: &Call) -> Option<Reply> {
        let mut behaviours = self.behaviours().into_iter();
        behaviours.find_map(|behaviour| behaviour.instead(call))
    }

    pub(super) fn supplied(&mut self, call: &Call) -> Option<Reply> {
        let mut behaviours = self.behaviours().into_iter();
        behaviours.find_map(|behaviour| behaviour.supplied(call))
    }

    pub(super) fn request(&mut self, call: &Call, body: Bytes) -> Bytes {
        let behaviours = self.behaviours().into_iter();
        behaviours.fold(body, |body, behaviour| behaviour.request(call, body))
    }

    pub(super) fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        let behaviours = self.behaviours().into_iter();
        behaviours.fold(reply, |reply, behaviour| behaviour.reply(call, reply))
    }
}
