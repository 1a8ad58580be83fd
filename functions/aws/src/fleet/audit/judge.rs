//! One repository of an audit, once it is listed.

use std::sync::Arc;

use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::Finding;
use ecr_warden_core::plan;
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::reason::Reason;
use ecr_warden_core::repository::{Reads, Repository, RepositoryId};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::connect::clients::Regional;
use crate::ecr::load::{
    LoadError, Surroundings, calls, calls_of_details, details, load_once, tags_now,
};

/// A repository, or the registry, looked at.
#[derive(Debug)]
pub enum Scanned {
    Judged(Box<Judged>),
    /// It could not be read, or what the policy asks of it is unknown.
    Unjudged {
        id: RepositoryId,
        why: String,
    },
}

/// What was found in a repository.
#[derive(Clone, Debug)]
pub struct Judged {
    pub repository: Repository,
    pub policy: Resolved,
    pub findings: Vec<Finding>,
}

/// The time before which a repository is an existing one, in seconds since the epoch, or why it cannot be read.
pub(crate) type Since = Result<i64, String>;

impl Judged {
    /// The same where a repository that existed before is not changed.
    pub(crate) fn since(self, since: Option<&Since>) -> Self {
        match since {
            Some(since) => Self {
                policy: self.policy.since(
                    since.as_ref().copied().map_err(String::as_str),
                    self.repository.created_at,
                ),
                ..self
            },
            None => self,
        }
    }

    /// The same where nothing is changed, for this reason.
    pub(crate) fn held(self, hold: Option<&Reason>) -> Self {
        Self {
            policy: self.policy.held(hold.cloned()),
            ..self
        }
    }
}

/// A repository that is still to be judged.
pub(super) struct Waiting {
    pub(super) described: Repository,
    pub(super) reads: Reads,
    pub(super) around: Arc<Surroundings>,
    pub(super) tries: usize,
    pub(super) not_before: Option<Instant>,
}

/// Reads what the rules still need of a repository, and asks them.
pub(super) async fn judge(
    aws: &Regional,
    policy: &Policy,
    one: &Waiting,
) -> Result<Scanned, LoadError> {
    let Waiting {
        described,
        reads,
        around,
        ..
    } = one;
    let id = described.id.clone();
    let is_indexed = described.tags.known().is_some();
    let mut unread = reads.clone();
    unread.tags &= !is_indexed;
    let _ = aws.turns.take(calls_of_details(&unread), None).await;
    let mut repository = details(aws, &id, &unread)
        .await
        .snapshot(aws, described.clone(), around, true)
        .await?;
    let mut found = evaluated(policy, &repository);
    if is_indexed && rests_on_tags(policy, &found, &id) {
        let _ = aws.turns.take(1, None).await;
        repository.tags = tags_now(aws, &id).await?;
        found = evaluated(policy, &repository);
    }
    if let Ok((resolved, _)) = &found {
        // Settings that depend on its tags ask for more, and so does a default lifecycle policy: rarely.
        let mut needed = resolved.reads_to_judge(&repository);
        needed.add(plan::reads(resolved, &repository));
        if !reads.cover(&needed) {
            needed.add(reads.clone());
            let _ = aws.turns.take(calls(&needed), None).await;
            repository = load_once(aws, &id, &needed).await?;
            found = evaluated(policy, &repository);
        }
    }
    Ok(match found {
        Err(why) => Scanned::Unjudged { id, why },
        Ok((resolved, findings)) => Scanned::Judged(Box::new(Judged {
            findings,
            policy: resolved.held(policy.hold(&id, OffsetDateTime::now_utc().unix_timestamp())),
            repository,
        })),
    })
}

/// What the policy asks of a repository, and what is wrong with it; or why that is unknown.
type Evaluated = Result<(Resolved, Vec<Finding>), String>;

fn evaluated(policy: &Policy, repository: &Repository) -> Evaluated {
    let resolved = policy.for_repository(&repository.id, &repository.tags)?;
    let findings = evaluate(&resolved, repository);
    Ok((resolved, findings))
}

/// Whether what was found comes from tags, which the index may have as they were some time ago.
fn rests_on_tags(policy: &Policy, found: &Evaluated, id: &RepositoryId) -> bool {
    let Ok((resolved, findings)) = found else {
        return true;
    };
    resolved.finds_fault_with_tags(findings) || (!findings.is_empty() && policy.depends_on_tags(id))
}
