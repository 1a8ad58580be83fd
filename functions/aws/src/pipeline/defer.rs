//! Ends an invocation whose event comes back from the delay queue.

use ecr_warden_core::outcome::Outcome;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::reconcile::Deferral;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Invocation, Trigger};
use serde_json::Value;

use super::reconcile::{Done, Driver};
use crate::connect::clock::millis;
use crate::pipeline::delay_queue::Revisits;
use crate::state::State;

/// No event, or no queue: neither is asked to wait by the core.
const NOTHING_WAITS: &str = "the event has no delay queue to wait in";

impl Driver<'_> {
    pub(super) async fn defer(&self, deferral: Deferral) -> Result<Done, String> {
        let (trigger, invocation) = (self.reconciler.trigger, self.reconciler.invocation);
        let (queue, event) = self.waits_in().ok_or(NOTHING_WAITS)?;
        let (reason, deferred) = match deferral {
            Deferral::RateLimited => {
                let outcome = until_permitted(self.state, queue, trigger, invocation).await?;
                return Ok((outcome, Vec::new()));
            }
            Deferral::EvaluatedLately { seconds } => {
                let at = millis();
                // The last evaluation is younger than this event's first deferral, so it waits from now on.
                let (seconds, deferred) = queue.defer(event, None, Some(seconds)).await?;
                record_wait(self.state, self.id(), at, seconds, true).await;
                let why = format!(
                    "the repository was evaluated a moment ago; the event was deferred for {seconds} s"
                );
                (Reason::new(Code::RateLimited, why), deferred)
            }
            Deferral::For { seconds, reason } => {
                let before = invocation.deferred;
                let (_, deferred) = queue.defer(event, before, Some(seconds)).await?;
                (reason, deferred)
            }
        };
        let (outcome, verdicts) = self.ignored(reason);
        Ok((outcome.deferred(Some(deferred)), verdicts))
    }

    /// The queue, and the event that can wait in it.
    pub(super) fn waits_in(&self) -> Option<(&Revisits, &Value)> {
        self.queue.zip(self.reconciler.invocation.event.as_ref())
    }
}

/// Records when a deferred event comes back: see [`Spacing::wait`](crate::state::spacing::Spacing::wait).
async fn record_wait(state: &State, id: &RepositoryId, at: i64, seconds: i64, evaluated: bool) {
    if let Err(why) = state.spacing().wait(id, at, seconds, evaluated).await {
        tracing::warn!(repository = %id, %why, "deferred, but not recorded");
    }
}

/// Defers an event until the rate limit may have room for it, and records when it comes back: until then further events of the repository
/// need not come, except pushes.
pub(super) async fn until_permitted(
    state: &State,
    queue: &Revisits,
    trigger: &Trigger,
    invocation: &Invocation,
) -> Result<Outcome, String> {
    let event = invocation.event.as_ref().ok_or(NOTHING_WAITS)?;
    let at = millis();
    let (seconds, deferred) = queue.defer(event, invocation.deferred, None).await?;
    let id = &trigger.repository;
    if trigger.pushed.is_none() {
        record_wait(state, id, at, seconds, false).await;
    }
    let reason =
        format!("the rate limit `ecr-calls-per-second` is used up; retrying in {seconds} s");
    let reason = Reason::new(Code::RateLimited, reason);
    let outcome = Outcome::ignored(Some(id), Some(trigger.origin.cause), reason);
    Ok(outcome.deferred(Some(deferred)))
}
