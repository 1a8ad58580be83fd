//! Carries out the core's recreation protocol: look, ask the core for the next step, do it, look again.

mod writes;

use std::time::Duration;

use ecr_warden_core::record::{Lease, Newer, Repair, Repairs, Result as RepairResult, Said};
use ecr_warden_core::recreate::{
    Deletion, Finished, Intent, RecreationProgress, RecreationStep, Withdrawn, next,
};
use ecr_warden_core::repository::{Encryption, MARKER_TAG, Reads, Repository};
use ecr_warden_core::{action::Action, finding::Status};

use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::ecr::load::{LoadError, load_once};
use crate::state::State;

/// Steps of one attempt at most, and the pause before what ECR does not show yet is read again.
const LOOKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);
/// How often one attempt asks for the creation while ECR's answers do not say that it is refused for good: nothing is there meanwhile.
const CREATION_TRIES: u32 = 4;

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished(Finished),
    Withdrawn(Withdrawn),
    /// The intent stays on record, and another attempt goes on from here.
    Interrupted(Interruption),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Throttled, timed out or out of time: it may work in a minute.
    Transient(String),
    /// It will not work until somebody does something, and the repository may be gone until then.
    Stuck(String),
}

/// One attempt at one intent.
pub(crate) struct Attempt<'a> {
    pub(crate) aws: &'a Regional,
    pub(crate) state: &'a State,
    pub(crate) intent: Intent,
    /// Of the intent: this delivery's alone.
    pub(crate) lease: &'a Lease,
    /// Of the alert: the event's, so that its retry reports what this attempt could not.
    pub(crate) claimant: &'a Lease,
    /// What was said of the rule before: its version goes on.
    pub(crate) said_version: u64,
    /// What the rule has repaired before.
    pub(crate) repairs: Repairs,
    /// Seconds since the epoch.
    pub(crate) now: i64,
}

enum StepResult {
    Go,
    End(End),
}

/// What an attempt has met so far.
#[derive(Default)]
struct Met {
    progress: RecreationProgress,
    /// A deletion was sent, and whether ECR deletes, has deleted or will delete is not known.
    deletion_in_doubt: bool,
    creations_refused: u32,
    /// The step that AWS answered with an error: it may have been done all the same.
    refused: Option<(RecreationStep, String)>,
}

impl Attempt<'_> {
    /// Runs to an end, within the time that the lease is held for. `first`: this attempt has just written the intent.
    pub(crate) async fn run(mut self, first: bool, time: Duration) -> End {
        let mut met = Met {
            progress: RecreationProgress {
                first,
                ..RecreationProgress::default()
            },
            ..Met::default()
        };
        let end = tokio::time::timeout(time, self.steps(&mut met))
            .await
            .unwrap_or_else(|_| interrupted("the recreation takes longer than its lease"));
        // A deletion that may still be under way must not meet what another attempt has made meanwhile.
        if matches!(end, End::Interrupted(_)) && !met.deletion_in_doubt {
            self.release().await;
        }
        end
    }

    async fn steps(&mut self, met: &mut Met) -> End {
        for _ in 0..LOOKS {
            let next = match self.next_step(met.progress).await {
                Ok(next) => next,
                Err(Failure::Unavailable(why)) => return interrupted(&why),
                Err(other) => return End::Interrupted(Interruption::Stuck(other.to_string())),
            };
            if let Some((_, why)) = met.refused.take_if(|(refused, _)| *refused == next) {
                return End::Interrupted(Interruption::Stuck(why));
            }
            match self.take(&next, met).await {
                Ok(StepResult::Go) => {}
                Ok(StepResult::End(end)) => return end,
                Err(Failure::Unavailable(why)) => return interrupted(&why),
                // The answer may be wrong: what is there decides whether the step is still to be taken.
                Err(other) => {
                    tracing::warn!(repository = %self.intent.before.id, step = ?next, why = %other, "answered with an error");
                    met.refused = Some((next, other.to_string()));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        match &self.intent.refused {
            Some(why) => interrupted(&format!(
                "the deletion of the repository was answered with an error, and a later attempt decides whether it happened: {why}"
            )),
            None => interrupted("ECR does not show what was changed yet"),
        }
    }

    /// Lets another attempt go on at once. Without it, the lease runs out.
    async fn release(&self) {
        if let Err(why) = self.state.release(&self.intent, self.lease).await {
            tracing::warn!(repository = %self.intent.before.id, %why, "the lease of the recreation is not released");
        }
    }

    async fn look(&self) -> Result<Option<Repository>, Failure> {
        match load_once(self.aws, &self.intent.before.id, &Reads::of_recreation()).await {
            Ok(repository) => Ok(Some(repository)),
            Err(LoadError::Gone) => Ok(None),
            Err(LoadError::Unavailable(why)) => Err(Failure::Unavailable(why)),
            Err(LoadError::Unreadable(why)) => Err(Failure::stuck(why)),
        }
    }

    async fn next_step(&self, progress: RecreationProgress) -> Result<RecreationStep, Failure> {
        let seen = self.look().await?;
        let next = next(&self.intent, progress, seen.as_ref()).map_err(Failure::stuck)?;
        tracing::info!(repository = %self.intent.before.id, intent = self.intent.id, step = ?next, "recreation");
        Ok(next)
    }

    async fn take(&mut self, next: &RecreationStep, met: &mut Met) -> Result<StepResult, Failure> {
        let progress = &mut met.progress;
        match next {
            RecreationStep::Wait => {
                tokio::time::sleep(PAUSE).await;
                Ok(StepResult::Go)
            }
            RecreationStep::Withdraw(why) => self.withdraw(why.clone()).await,
            RecreationStep::Rehearse => self.rehearse(progress).await,
            RecreationStep::Delete => self.delete(met).await,
            RecreationStep::Create(encryption) => self.create(met, encryption).await,
            RecreationStep::Restore { policy, lifecycle } => {
                let restored = tokio::try_join!(
                    self.put_policy(policy.as_deref()),
                    self.put_lifecycle(lifecycle.as_deref())
                );
                progress.restored = restored.is_ok();
                shown(restored).await
            }
            RecreationStep::Remember { made, accepted } => {
                self.intent.made = Some(*made);
                if *accepted {
                    self.intent.fallback = None;
                }
                self.save().await
            }
            RecreationStep::RemoveMarker => {
                let removed = self.untag(MARKER_TAG).await;
                progress.unmarked = removed.is_ok();
                shown(removed).await
            }
            RecreationStep::Finish(how) => self.finish(how.clone()).await,
        }
    }

    /// Writes the intent as it is now.
    async fn save(&self) -> Result<StepResult, Failure> {
        if self.state.save(&self.intent, self.lease).await? {
            Ok(StepResult::Go)
        } else {
            Ok(StepResult::End(lost_lease()))
        }
    }

    /// Every write of the protocol, in a form that leaves the repository as it is: creation of what exists is
    /// refused after permissions were checked, and the policies are those that are there.
    async fn rehearse(&self, progress: &mut RecreationProgress) -> Result<StepResult, Failure> {
        let before = &self.intent.before;
        // Each comes to its end, whatever becomes of the others.
        let (created, policy, lifecycle, tags, new_key, old_key) = tokio::join!(
            self.send_create(self.intent.encryption()),
            self.put_policy(before.policy.known().and_then(Option::as_deref)),
            self.put_lifecycle(before.lifecycle.known().and_then(Option::as_deref)),
            self.rehearse_tags(),
            self.rehearse_key(self.intent.encryption()),
            self.rehearse_key(&before.encryption),
        );
        let rest = policy.and(lifecycle).and(tags).and(new_key).and(old_key);
        match created {
            // Somebody deleted it a moment ago, and now ours is there.
            Ok(()) => {
                progress.deletion = Deletion::Done;
                progress.created = true;
                return Ok(StepResult::Go);
            }
            Err(failure) if failure.is("RepositoryAlreadyExistsException") => {}
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            Err(other) => return self.refused(&other).await,
        }
        match rest {
            Ok(()) => {
                progress.rehearsed = true;
                Ok(StepResult::Go)
            }
            Err(Failure::Unavailable(why)) => Err(Failure::Unavailable(why)),
            Err(failure) if failure.is("RepositoryNotFoundException") => Ok(StepResult::Go),
            Err(other) => self.refused(&other).await,
        }
    }

    async fn delete(&mut self, met: &mut Met) -> Result<StepResult, Failure> {
        let before = serde_json::to_string(&self.intent.before).unwrap_or_default();
        tracing::info!(repository = %self.intent.before.id, before, "deleting the repository to create it again");
        met.deletion_in_doubt = true;
        let result = self
            .aws
            .ecr
            .delete_repository()
            .repository_name(&self.intent.before.id.name)
            .force(false)
            .send()
            .await
            .map_err(|error| Failure::of("ecr:DeleteRepository", &error));
        met.progress.deletion = match result {
            Ok(_) => Deletion::Done,
            Err(failure) if failure.is("RepositoryNotFoundException") => Deletion::Done,
            Err(failure) if failure.is("RepositoryNotEmptyException") => Deletion::HoldsImages,
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            // It may be gone all the same. The attempt goes on where that is seen; where it is not, a later attempt decides.
            Err(other) => {
                tracing::warn!(repository = %self.intent.before.id, why = %other, "the deletion was answered with an error");
                self.intent.refused = Some(other.to_string());
                met.progress.deletion = Deletion::InDoubt;
                return self.save().await;
            }
        };
        met.deletion_in_doubt = false;
        Ok(StepResult::Go)
    }

    async fn create(
        &mut self,
        met: &mut Met,
        encryption: &Encryption,
    ) -> Result<StepResult, Failure> {
        let why = match self.send_create(encryption).await {
            Ok(()) => {
                met.progress.created = true;
                return Ok(StepResult::Go);
            }
            // By an earlier try of ours, by somebody else, or the name of what was deleted is not free yet: the next look tells.
            Err(failure) if failure.is("RepositoryAlreadyExistsException") => {
                tokio::time::sleep(PAUSE).await;
                return Ok(StepResult::Go);
            }
            Err(why) => why,
        };
        met.creations_refused = met.creations_refused.saturating_add(1);
        let tried_enough = met.creations_refused >= CREATION_TRIES;
        let temporary = matches!(why, Failure::Unavailable(_));
        if self.intent.fallback.is_none()
            && (why.is_for_good() || (tried_enough && !temporary && !met.progress.first))
        {
            self.intent.fallback = Some(why.to_string());
            return self.save().await;
        }
        if why.is_for_good() {
            return Err(Failure::stuck(format!(
                "the repository was deleted and can't be created again: {why}. Its settings are on record, and \
                 every event of it and every sweep tries again: repair this now"
            )));
        }
        if tried_enough {
            return Err(Failure::Unavailable(why.to_string()));
        }
        tokio::time::sleep(PAUSE.saturating_mul(met.creations_refused)).await;
        Ok(StepResult::Go)
    }

    /// Nothing was changed yet, so the intent can go.
    async fn refused(&self, why: &Failure) -> Result<StepResult, Failure> {
        self.withdraw(Withdrawn::Refused(why.to_string())).await
    }

    async fn withdraw(&self, why: Withdrawn) -> Result<StepResult, Failure> {
        // A deletion that was refused is not tried again at each event: see `plan`.
        let record = self.intent.refused.clone().map(|why| {
            let result = RepairResult::Failed(why);
            self.repairs.with(self.repair(result))
        });
        let cleared = self
            .state
            .finish(&self.intent, self.lease, record.as_ref(), None, self.now)
            .await?;
        Ok(StepResult::End(if cleared {
            End::Withdrawn(why)
        } else {
            lost_lease()
        }))
    }

    fn repair(&self, result: RepairResult) -> Repair {
        Repair {
            action: self.action(),
            result,
            at: self.now,
            cause: self.intent.cause.clone(),
            actor: self.intent.actor.clone(),
            approved_by: self.repairs.approver(&self.action()).map(str::to_owned),
            newer: Newer::default(),
        }
    }

    fn action(&self) -> Action {
        Action::Recreate {
            from: self.intent.before.encryption.clone(),
            to: self.intent.to.clone(),
        }
    }

    async fn finish(&self, how: Finished) -> Result<StepResult, Failure> {
        let intent = &self.intent;
        let result = match &how {
            Finished::Recreated => RepairResult::Done,
            Finished::FellBack(why) => RepairResult::FellBack(why.clone()),
            // The intent is all that is known of what was there: it stays until people were told.
            Finished::Superseded => return Ok(StepResult::End(End::Finished(how))),
        };
        let record = self.repairs.with(self.repair(result));
        // Whoever looks next finds a repair that nobody has been told of, and tells.
        let said = (how == Finished::Recreated).then(|| Said {
            status: Status::Fixed,
            about: String::new(),
            since: intent.started_at,
            version: self.said_version.saturating_add(1),
            action: Some(self.action()),
            pending: Some(self.claimant.clone()),
            reported: None,
            pushes: None,
            newer: Newer::default(),
        });
        let cleared = self
            .state
            .finish(intent, self.lease, Some(&record), said.as_ref(), self.now)
            .await?;
        Ok(StepResult::End(if cleared {
            End::Finished(how)
        } else {
            lost_lease()
        }))
    }
}

fn interrupted(why: &str) -> End {
    End::Interrupted(Interruption::Transient(why.to_owned()))
}

fn lost_lease() -> End {
    interrupted("another invocation has taken this recreation over")
}

/// A write to what was created a moment ago can be answered as if there were nothing.
async fn shown<T>(written: Result<T, Failure>) -> Result<StepResult, Failure> {
    match written {
        Ok(_) => Ok(StepResult::Go),
        Err(failure) if failure.is("RepositoryNotFoundException") => {
            tokio::time::sleep(PAUSE).await;
            Ok(StepResult::Go)
        }
        Err(failure) => Err(failure),
    }
}
