//! Reads what the core wants to know, after taking the permits that the rate limit asks for.

use std::time::Duration;

use ecr_warden_core::defer::Turn;
use ecr_warden_core::policy::ExistingBefore;
use ecr_warden_core::reconcile::{Observation, Seen, Wanted};
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::{Read, Reads, Repository, RepositoryId};

use super::reconcile::Driver;
use crate::connect::error::Failure;
use crate::ecr::load::{
    IfUnavailable, LoadError, Surroundings, calls, calls_of_registry, calls_of_rest, described,
    load, registry, rest,
};
use crate::ecr::stacks;

/// How long an event waits for permits. Less than a call that is made on the way: what was begun goes first.
const PATIENCE: Duration = Duration::from_secs(3);

impl Driver<'_> {
    /// # Errors
    /// The record, or the stack, cannot be read at the moment.
    pub(super) async fn observe(
        &self,
        wanted: Wanted,
        seen: &mut Observation,
    ) -> Result<(), String> {
        if !self.has_permits(&wanted).await {
            seen.rate_limited = true;
            return Ok(());
        }
        let id = self.id();
        let young = self.reconciler.trigger.just_created();
        match wanted {
            Wanted::Turn => seen.turn = Some(self.turn().await),
            Wanted::Record => {
                seen.record_reread = seen.record != Read::NotAsked;
                seen.record = self.record(id).await?;
            }
            Wanted::Registry => seen.registry = self.record(&id.registry()).await?,
            Wanted::Stack => seen.stack = self.stack().await?,
            Wanted::Clearance { counts } => seen.clearance = Some(self.clearance(counts).await?),
            Wanted::Deployment => {
                seen.deployed_at = match self.state.deployed_at().await {
                    Ok(time) => Read::Known(time),
                    Err(Failure::Unavailable(why)) => return Err(why),
                    Err(other) => Read::Unreadable(other.to_string()),
                };
            }
            Wanted::Description => {
                seen.repository = keep_described(described(&self.aws, id, young).await);
            }
            Wanted::Rest(reads) => {
                if let Seen::Described(described) = std::mem::take(&mut seen.repository) {
                    let all_tags = self.all_tags();
                    let read = rest(&self.aws, &described, &reads, young, &all_tags);
                    let read = if reads.is_nothing() {
                        read.await
                    } else {
                        let clearance = self.foresee_clearance(&seen.clearance);
                        let (read, clearance, ()) =
                            tokio::join!(read, clearance, self.foresee_deployment());
                        seen.clearance = clearance;
                        read
                    };
                    keep(read, reads, seen);
                }
            }
            Wanted::RecordAndRepository(reads) => {
                let all_tags = self.all_tags();
                let load = load(&self.aws, id, &reads, young, &all_tags);
                let (read, record, clearance, ()) = tokio::join!(
                    load,
                    self.record(id),
                    self.foresee_clearance(&seen.clearance),
                    self.foresee_deployment()
                );
                seen.record = record?;
                seen.clearance = clearance;
                keep(read, reads, seen);
            }
            Wanted::RecordAndDescription => {
                let read = described(&self.aws, id, young);
                let (read, record) = tokio::join!(read, self.record(id));
                seen.record = record?;
                seen.repository = keep_described(read);
            }
            Wanted::RecordAndSettings(reads) => {
                let mut around = Surroundings::default();
                let read = registry(&self.aws, id, &reads, &mut around, IfUnavailable::ReadAgain);
                let (read, record) = tokio::join!(read, self.record(id));
                seen.record = record?;
                seen.repository = match read {
                    Ok(registry) => Seen::Registry(Box::new(registry)),
                    Err(error) => unread(error),
                };
            }
            Wanted::Repository(reads) => {
                let read = load(&self.aws, id, &reads, young, &|_| true).await;
                seen.reads_all = true;
                keep(read, reads, seen);
            }
        }
        Ok(())
    }

    /// Takes permits for the calls to ECR; `false`: not now. It is a round trip of its own, and only with a rate limit. An event comes
    /// back through the queue; a sweep has no event, and waits.
    async fn has_permits(&self, wanted: &Wanted) -> bool {
        let calls = match wanted {
            Wanted::Turn
            | Wanted::Record
            | Wanted::Registry
            | Wanted::Stack
            | Wanted::Clearance { .. }
            | Wanted::Deployment => 0,
            Wanted::RecordAndSettings(reads) => calls_of_registry(reads),
            Wanted::Description | Wanted::RecordAndDescription => 1,
            Wanted::Rest(reads) => calls_of_rest(reads),
            Wanted::RecordAndRepository(reads) | Wanted::Repository(reads) => calls(reads),
        };
        let has_event = self.reconciler.invocation.event.is_some();
        let patience = Some(PATIENCE).filter(|_| has_event);
        self.aws.turns.take(calls, patience).await.is_ok()
    }

    fn all_tags(&self) -> impl Fn(&Repository) -> bool + Sync {
        |described| self.reconciler.needs_all_tags(described)
    }

    async fn record(&self, id: &RepositoryId) -> Result<Read<Known>, String> {
        match self.state.load(id).await {
            Ok(known) => Ok(Read::Known(known)),
            Err(Failure::Unavailable(why)) => Err(why),
            Err(other) => Ok(Read::Unreadable(other.to_string())),
        }
    }

    async fn stack(&self) -> Result<Read<Option<String>>, String> {
        match stacks::owner(&self.aws, self.id()).await {
            Ok(owner) => Ok(Read::Known(owner)),
            Err(Failure::Unavailable(why)) => Err(why),
            Err(other) => Ok(Read::Unreadable(other.to_string())),
        }
    }

    /// Reads the time of the deployment beside other reads, where it may be wanted later, so that it is no round trip of its own.
    async fn foresee_deployment(&self) {
        if self.reconciler.policy.existing_before() == Some(ExistingBefore::Deployment) {
            // What fails now is read again when it is wanted.
            let _ = self.state.deployed_at().await;
        }
    }

    async fn turn(&self) -> Turn {
        let spacing = self.state.spacing();
        let entered = spacing.enter(self.id(), &self.reconciler.invocation.id);
        entered.await.unwrap_or_else(|why| {
            // Fairness is not worth a lost event.
            tracing::warn!(repository = %self.id(), %why, "evaluated without waiting for its other events");
            Turn::Evaluate
        })
    }

    /// Records that replication fills the repository, for pushes and sweeps to come.
    pub(super) async fn mark_replica(
        &self,
        seen: &mut Observation,
        now: i64,
    ) -> Result<(), String> {
        let marked = self.state.is_replica(self.id(), now).await;
        marked.map_err(|why| format!("that replication fills it cannot be recorded: {why}"))?;
        if let Read::Known(known) = &mut seen.record {
            known.replica = true;
        }
        Ok(())
    }
}

fn keep(read: Result<Repository, LoadError>, reads: Reads, seen: &mut Observation) {
    seen.reads = reads;
    seen.repository = match read {
        Ok(repository) => Seen::Read(Box::new(repository)),
        Err(error) => unread(error),
    };
}

fn keep_described(read: Result<Repository, LoadError>) -> Seen {
    match read {
        Ok(described) => Seen::Described(Box::new(described)),
        Err(error) => unread(error),
    }
}

fn unread(error: LoadError) -> Seen {
    match error {
        LoadError::Gone => Seen::Gone,
        LoadError::Unreadable(why) => Seen::Unreadable(why),
        LoadError::Unavailable(why) => Seen::Unavailable(why),
    }
}
