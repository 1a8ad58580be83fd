//! Drives one repository through the pipeline: asks the core what happens next, does it, and asks again.

use std::time::Duration;

use ecr_warden_core::outcome::{Outcome, Verdict};
use ecr_warden_core::reason::Reason;
use ecr_warden_core::reconcile::{Earlier, Next, Observation, Reconciler};
use ecr_warden_core::repository::RepositoryId;
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::commit::News;
use crate::connect::clients::Regional;
use crate::deliver::alerts::AlertTopic;
use crate::pipeline::delay_queue::Revisits;
use crate::state::State;

/// Others can change a repository at the same time a few times; then another event or the sweep continues.
const MAX_ATTEMPTS: usize = 4;

/// What became of the event, and of each finding.
pub(crate) type Done = (Outcome, Vec<Verdict>);

/// What the core's decisions are carried out with.
pub(crate) struct Driver<'p> {
    pub(crate) reconciler: Reconciler<'p>,
    pub(crate) aws: Regional,
    pub(crate) state: &'p State,
    pub(crate) topic: &'p AlertTopic,
    /// Where the event can wait.
    pub(crate) queue: Option<&'p Revisits>,
    /// Collects what a sweep reports in one message.
    pub(crate) collected: Option<&'p Mutex<Vec<News>>>,
}

impl Driver<'_> {
    /// # Errors
    /// What a retry of the invocation may solve.
    pub(crate) async fn run(&self) -> Result<Done, String> {
        let (mut seen, mut earlier) = (Observation::default(), Earlier::default());
        for _ in 0..MAX_ATTEMPTS {
            seen = seen.next_attempt();
            if let Some(done) = self.attempt(&mut seen, &mut earlier).await? {
                return Ok(done);
            }
        }
        Err("others keep changing it at the same time".to_owned())
    }

    /// `None`: another attempt follows.
    pub(super) async fn attempt(
        &self,
        seen: &mut Observation,
        earlier: &mut Earlier,
    ) -> Result<Option<Done>, String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        loop {
            match self.reconciler.next(seen, earlier, now) {
                Next::Observe(wanted) => self.observe(wanted, seen).await?,
                Next::MarkReplica => self.mark_replica(seen, now).await?,
                Next::Ignore(why) => return Ok(Some(self.ignored(why))),
                Next::Defer(deferral) => return self.defer(deferral).await.map(Some),
                Next::Fail { why, alarm } => {
                    if let Some(plan) = alarm {
                        self.announce(*plan, now).await?;
                    }
                    return Err(why);
                }
                Next::StartOver {
                    earlier: by_now,
                    seconds,
                } => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    *earlier = by_now;
                    return Ok(None);
                }
                Next::Recreate {
                    intent,
                    lease,
                    begin,
                } => {
                    let gave_up = self.recreate(*intent, &lease, begin, seen, now).await?;
                    earlier.gave_up = gave_up.or_else(|| earlier.gave_up.take());
                    return Ok(None);
                }
                Next::Report(report) => return self.execute(*report).await,
            }
        }
    }

    pub(super) fn id(&self) -> &RepositoryId {
        &self.reconciler.trigger.repository
    }

    pub(super) fn ignored(&self, why: Reason) -> Done {
        let trigger = self.reconciler.trigger;
        let cause = Some(trigger.origin.cause);
        let outcome = Outcome::ignored(Some(&trigger.repository), cause, why);
        (outcome, Vec::new())
    }
}
