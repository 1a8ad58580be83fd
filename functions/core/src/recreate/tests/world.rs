//! A small world: one repository, the intent's record with its lease, attempts, and actors who do as they please.
//!
//! What is modelled is what ECR, the state table and the executor do at each call; what to call is asked of [`next`]. The same event can
//! be delivered twice at once: whether both deliveries work at the same time is decided by the lease, as in the state table.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

mod moves;

use super::super::*;
use crate::repository::{MARKER_TAG, RepositoryId, TagMutability};

/// What is the same in all of one exploration.
pub(super) struct Given {
    /// The snapshot's repository policy is there; it may have none.
    pub(super) policy: bool,
    pub(super) key: Key,
    /// Repositories that are made soon after another have the same time of creation.
    pub(super) coarse_clock: bool,
    /// People may delete the repository as well.
    pub(super) deletions: bool,
    intent: Intent,
    decisions: RefCell<HashMap<Question, Step>>,
}

/// What [`next`] is asked: what is on record, what was done, and what is seen.
type Question = (Record, RecreationProgress, Option<View>);

/// What the intent on record says beyond what was intended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Record {
    fallback: bool,
    /// [`Intent::refused`].
    refused: bool,
    /// [`Intent::made`].
    made: Option<i64>,
}

/// What ECR says to the asked key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Accepted,
    RefusedAtOnce,
    /// Once the repository is gone: the key was disabled after the rehearsal.
    RefusedWhenItMatters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Maker {
    /// It is the one of the snapshot.
    Original,
    Ours,
    Somebody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Setting {
    None,
    Snapshot,
    /// Somebody put another one.
    Newer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tags {
    Snapshot,
    /// The snapshot's and the marker.
    Marked,
    /// The snapshot's and another one, which somebody has added.
    More,
    MarkedMore,
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repo {
    pub(super) maker: Maker,
    /// Encrypted as asked; otherwise as originally.
    pub(super) asked_encryption: bool,
    pub(super) image: bool,
    pub(super) policy: Setting,
    pub(super) lifecycle: Setting,
    tags: Tags,
}

impl Repo {
    pub(super) fn marked(self) -> bool {
        matches!(self.tags, Tags::Marked | Tags::MarkedMore)
    }

    /// When it was created.
    fn time(self, given: &Given) -> i64 {
        match self.maker {
            _ if given.coarse_clock => 1000,
            Maker::Original => 1000,
            Maker::Ours => 2000,
            Maker::Somebody => 3000,
        }
    }
}

/// What one round of reads shows; each call answers for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct View {
    created_at: i64,
    asked_encryption: bool,
    tags: Tags,
    policy: Setting,
    lifecycle: Setting,
    image: bool,
}

/// The executor's next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Look,
    Wait,
    Rehearse(Rehearsal),
    Delete,
    Create,
    /// The key was refused for good: write that down.
    SaveFallback,
    /// The deletion was answered with an error: write that down.
    SaveRefusal,
    Restore {
        policy: bool,
        lifecycle: bool,
    },
    Remember {
        made: i64,
        accepted: bool,
    },
    RemoveMarker,
    End(End),
}

/// The calls of the rehearsal go out together: what is still to come, and what the others said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rehearsal {
    create: bool,
    policy: bool,
    lifecycle: bool,
    unmark: bool,
    refused: bool,
    gone: bool,
}

impl Rehearsal {
    const BEGUN: Self = Self {
        create: true,
        policy: true,
        lifecycle: true,
        unmark: true,
        refused: false,
        gone: false,
    };
}

/// What is said when the intent is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Recreated,
    FellBack,
    Superseded,
    HoldsImages,
    Changed,
    Refused,
}

impl End {
    pub(super) fn withdrawn(self) -> bool {
        matches!(self, Self::HoldsImages | Self::Changed | Self::Refused)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Attempt {
    progress: RecreationProgress,
    record: Record,
    step: Step,
    /// Which delivery of the event it is.
    delivery: u8,
    /// The step that ECR answered with an error, after which it looks again: if it is still to do, the attempt ends.
    refused_step: Option<Refused>,
}

/// A write that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Refused {
    Restore,
    RemoveMarker,
}

/// How often things may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) crashes: u8,
    /// Calls that act, and whose answer is lost, so that the SDK sends them again.
    pub(super) lost_answers: u8,
    /// Calls that act, and are answered with an error that the SDK does not try again.
    pub(super) wrong_answers: u8,
    /// Deliveries of the same event beside the first.
    pub(super) duplicates: u8,
    /// What people do.
    pub(super) deeds: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) repo: Option<Repo>,
    /// Before the last write: what a read may still show.
    older: Option<Repo>,
    last_write_ours: bool,
    /// The intent on record.
    record: Option<Record>,
    attempt: Option<Attempt>,
    /// Another delivery of the same event that the lease has let in.
    duplicate: Option<Attempt>,
    pub(super) said: Option<End>,
    /// It is gone because we deleted it.
    pub(super) gone_by_us: bool,
    /// Deletions that this attempt sent while it held an image; ECR refuses them.
    pub(super) refused_deletions: u8,
    /// ECR has answered an error to a creation for no reason.
    pub(super) wrong_answers_given: bool,
    pub(super) left: Left,
}

impl Given {
    pub(super) fn new(policy: bool, key: Key, coarse_clock: bool, deletions: bool) -> Self {
        let id = RepositoryId::new("123456789012", "eu-central-1", "payments/api").unwrap();
        let before = Repository {
            mutability: TagMutability::Immutable,
            encryption: Encryption::aes256(),
            scan_on_push: true,
            tags: Read::Known(tags(Tags::Snapshot)),
            policy: Read::Known(policy.then(|| "snapshot".to_owned())),
            lifecycle: Read::Known(Some("snapshot".to_owned())),
            has_images: Read::Known(false),
            ..Repository::unread(&id, Some(1000), None)
        };
        Self {
            policy,
            key,
            coarse_clock,
            deletions,
            intent: Intent {
                unknown: [].into(),
                id: "r-1".to_owned(),
                rule: "weak-encryption".to_owned(),
                before,
                to: Encryption::kms(None),
                fallback: None,
                refused: None,
                made: None,
                cause: "CreateRepository".to_owned(),
                actor: None,
                started_at: 1,
            },
            decisions: RefCell::default(),
        }
    }

    pub(super) fn intent(&self) -> Intent {
        self.intent.clone()
    }

    pub(super) fn snapshot_policy(&self) -> Setting {
        if self.policy {
            Setting::Snapshot
        } else {
            Setting::None
        }
    }

    /// The snapshot was taken and the intent is on record.
    pub(super) fn start(&self, left: Left) -> World {
        let repo = Some(Repo {
            maker: Maker::Original,
            asked_encryption: false,
            image: false,
            policy: self.snapshot_policy(),
            lifecycle: Setting::Snapshot,
            tags: Tags::Snapshot,
        });
        World {
            repo,
            older: repo,
            last_write_ours: false,
            record: Some(Record::default()),
            attempt: Some(Attempt {
                progress: RecreationProgress {
                    first: true,
                    ..RecreationProgress::default()
                },
                record: Record::default(),
                step: Step::Look,
                delivery: 0,
                refused_step: None,
            }),
            duplicate: None,
            said: None,
            gone_by_us: false,
            refused_deletions: 0,
            wrong_answers_given: false,
            left,
        }
    }

    /// What [`next`] says, in the model's words. It is pure, so each question is asked once.
    fn decide(&self, attempt: &Attempt, view: Option<View>) -> Step {
        *self
            .decisions
            .borrow_mut()
            .entry((attempt.record, attempt.progress, view))
            .or_insert_with(|| {
                let intent = Intent {
                    fallback: attempt
                        .record
                        .fallback
                        .then(|| "the key is disabled".to_owned()),
                    refused: attempt
                        .record
                        .refused
                        .then(|| "the grants are not retired".to_owned()),
                    made: attempt.record.made,
                    ..self.intent.clone()
                };
                let seen = view.map(|view| self.seen(view));
                let decided = next(&intent, attempt.progress, seen.as_ref()).unwrap();
                match decided {
                    RecreationStep::Withdraw(Withdrawn::HoldsImages) => Step::End(End::HoldsImages),
                    RecreationStep::Withdraw(Withdrawn::Changed) => Step::End(End::Changed),
                    RecreationStep::Withdraw(Withdrawn::Refused(_)) => Step::End(End::Refused),
                    RecreationStep::Rehearse => Step::Rehearse(Rehearsal::BEGUN),
                    RecreationStep::Delete => Step::Delete,
                    RecreationStep::Create(encryption) => {
                        assert_eq!(&encryption, intent.encryption());
                        Step::Create
                    }
                    RecreationStep::Restore { policy, lifecycle } => Step::Restore {
                        policy: policy.is_some(),
                        lifecycle: lifecycle.is_some(),
                    },
                    RecreationStep::Remember { made, accepted } => {
                        Step::Remember { made, accepted }
                    }
                    RecreationStep::RemoveMarker => Step::RemoveMarker,
                    RecreationStep::Finish(Finished::Recreated) => Step::End(End::Recreated),
                    RecreationStep::Finish(Finished::FellBack(_)) => Step::End(End::FellBack),
                    RecreationStep::Finish(Finished::Superseded) => Step::End(End::Superseded),
                    RecreationStep::Wait => Step::Wait,
                }
            })
    }

    fn seen(&self, view: View) -> Repository {
        let text = |setting| match setting {
            Setting::None => Read::Known(None),
            Setting::Snapshot => Read::Known(Some("snapshot".to_owned())),
            Setting::Newer => Read::Known(Some("newer".to_owned())),
        };
        Repository {
            created_at: Some(view.created_at),
            // ECR answers with the key's ARN.
            encryption: if view.asked_encryption {
                Encryption::kms(Some("arn:aws:kms:eu-central-1:123456789012:key/m"))
            } else {
                Encryption::aes256()
            },
            tags: Read::Known(tags(view.tags)),
            policy: text(view.policy),
            lifecycle: text(view.lifecycle),
            has_images: Read::Known(view.image),
            ..self.intent.before.clone()
        }
    }
}

fn tags(which: Tags) -> BTreeMap<String, String> {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    match which {
        Tags::Snapshot => [tag("team", "payments")].into(),
        Tags::Marked => [tag("team", "payments"), tag(MARKER_TAG, "r-1")].into(),
        Tags::More => [tag("team", "payments"), tag("data", "none")].into(),
        Tags::MarkedMore => [
            tag("team", "payments"),
            tag("data", "none"),
            tag(MARKER_TAG, "r-1"),
        ]
        .into(),
        Tags::Others => [tag("team", "shop")].into(),
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.repo {
            None => f.write_str("nothing there"),
            Some(repo) => write!(f, "{repo:?}"),
        }?;
        match (self.record, self.attempt, self.said) {
            (None, _, said) => write!(f, "; the end: {said:?}"),
            (Some(record), None, _) => write!(f, "; on record: {record:?}"),
            (Some(_), Some(attempt), _) => write!(f, "; {attempt:?}"),
        }
    }
}

impl Repo {
    fn unmark(&mut self) {
        self.tags = match self.tags {
            Tags::Marked => Tags::Snapshot,
            Tags::MarkedMore => Tags::More,
            other => other,
        };
    }
}
