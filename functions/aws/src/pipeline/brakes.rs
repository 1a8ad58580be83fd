//! Asks the brakes before a change, and sends the one alert about a brake that is open.

use ecr_warden_core::alert::Alert;
use ecr_warden_core::brakes::Braked;
use ecr_warden_core::outcome::{Results, verdicts};
use ecr_warden_core::plan::Plan;
use ecr_warden_core::policy::Resolved;
use ecr_warden_core::reconcile::Clearance;
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::Origin;
use time::OffsetDateTime;

use super::Pipeline;
use super::reconcile::Driver;
use crate::connect::error::Failure;
use crate::deliver::alerts::AlertTopic;
use crate::state::State;

/// What the alert about a brake is sent with.
pub(crate) struct BrakeAlarm<'a> {
    pub(crate) state: &'a State,
    pub(crate) topic: &'a AlertTopic,
    /// The invocation's id.
    pub(crate) invocation: &'a str,
    pub(crate) origin: &'a Origin,
}

impl Driver<'_> {
    /// # Errors
    /// The record cannot be read or written at the moment, or the alert cannot be published.
    pub(super) async fn clearance(&self, counts: bool) -> Result<Clearance, String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let limit = self.reconciler.policy.changes_per_hour();
        let id = self.id();
        let asked = match limit.filter(|_| counts) {
            Some(limit) => self.state.count_change(id, limit, now).await,
            None => {
                let record = self.state.brakes().await;
                record.map(|record| record.stopped().map(Braked::Stopped))
            }
        };
        let braked = match asked {
            Ok(None) => return Ok(Clearance::Granted { counted: counts }),
            Ok(Some(braked)) => braked,
            Err(Failure::Unavailable(why)) => return Err(why),
            Err(other) => Braked::Unknown(other.to_string()),
        };
        tracing::warn!(repository = %id, why = %braked.reason(), "not changed");
        let alarm = BrakeAlarm {
            state: self.state,
            topic: self.topic,
            invocation: &self.reconciler.invocation.id,
            origin: &self.reconciler.trigger.origin,
        };
        alarm.send_once(&id.registry(), &braked, now).await?;
        Ok(Clearance::Refused(braked.reason()))
    }

    /// Reads the switch beside the first reads, so that asking for a change is no round trip of its own. Only a limit must be asked for at the
    /// time of the change: what it has answered stays. What stops changes, or cannot be read, is read again when a change is wanted.
    pub(super) async fn foresee_clearance(
        &self,
        answered: &Option<Clearance>,
    ) -> Option<Clearance> {
        if self.reconciler.policy.changes_per_hour().is_some() {
            return answered.clone();
        }
        let record = self.state.brakes().await.ok()?;
        match record.stopped() {
            None => Some(Clearance::Granted { counted: true }),
            Some(_) => None,
        }
    }
}

impl BrakeAlarm<'_> {
    /// Sends the alert, unless it was sent.
    ///
    /// # Errors
    /// It cannot be published.
    pub(crate) async fn send_once(
        &self,
        registry: &RepositoryId,
        braked: &Braked,
        now: i64,
    ) -> Result<(), String> {
        let Some(plan) = braked.alarm() else {
            return Ok(());
        };
        match self.state.claim_alarm(registry, braked, now).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // An alert too many is better than none.
            Err(why) => {
                tracing::warn!(%why, "whether the alert about the brake was sent is unknown")
            }
        }
        self.publish(registry, &plan, now).await?;
        if self.topic.is_heard().await
            && let Err(why) = self.state.commit_alarm(registry, braked, now).await
        {
            tracing::warn!(%why, "the alert about the brake may come again");
        }
        Ok(())
    }

    async fn publish(&self, registry: &RepositoryId, plan: &Plan, now: i64) -> Result<(), String> {
        let (policy, known, none) = (Resolved::nothing(), Known::default(), Results::new());
        let mut verdicts = verdicts(&policy, registry, plan, &known, &[], &none, now);
        for verdict in &mut verdicts {
            verdict.news = true;
        }
        match Alert::of(registry, self.invocation, self.origin, &verdicts) {
            Some(alert) => self.topic.publish(&alert).await,
            None => Ok(()),
        }
    }
}

impl Pipeline {
    /// What stops all changes in a registry at present, one line each.
    ///
    /// # Errors
    /// One line: the state table cannot be read.
    pub async fn brakes(&self, registry: &RepositoryId) -> Result<Vec<String>, String> {
        let record = self.state.brakes().await;
        let record = record.map_err(|failure| failure.to_string())?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let braked = record.braked(registry, now);
        Ok(braked.iter().map(Braked::line).collect())
    }
}
