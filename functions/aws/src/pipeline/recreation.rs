//! Carries out a recreation that the core has decided on, and reports what an operator must know of it at once.

use std::time::Duration;

use ecr_warden_core::plan::Plan;
use ecr_warden_core::policy::Resolved;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::reconcile::{LEASE_GRACE, Observation};
use ecr_warden_core::record::Lease;
use ecr_warden_core::recreate::{Finished, Intent, Withdrawn};

use super::reconcile::Driver;
use crate::connect::error::Failure;
use crate::ecr::recreate::{Attempt, End, Interruption};

/// Seconds after which an unfinished recreation is reported, though a later attempt may finish it.
const RECREATION_IS_LATE: i64 = 5 * 60;

impl Driver<'_> {
    /// Puts the intent on record or takes it over, and works on it. Returns why the recreation is given up in this invocation.
    pub(super) async fn recreate(
        &self,
        intent: Intent,
        lease: &Lease,
        begin: bool,
        seen: &Observation,
        now: i64,
    ) -> Result<Option<Reason>, String> {
        let held = if begin {
            self.state.begin(&intent, lease).await
        } else {
            self.state.take(&intent, lease, now).await
        };
        match held {
            Ok(true) => self.work_on(intent, lease, begin, seen, now).await,
            // Others were faster.
            Ok(false) => Ok(None),
            Err(Failure::Unavailable(why)) => Err(why),
            Err(other) if begin => {
                let why = format!("not recreated, because it cannot be recorded: {other}");
                Ok(Some(Reason::new(Code::NotRecorded, why)))
            }
            Err(other) => Err(other.to_string()),
        }
    }

    /// `first`: this attempt has just put the intent on record.
    async fn work_on(
        &self,
        intent: Intent,
        lease: &Lease,
        first: bool,
        seen: &Observation,
        now: i64,
    ) -> Result<Option<Reason>, String> {
        let known = seen.record.known();
        let rule = intent.rule.clone();
        let begun = intent.clone();
        if !begun.unknown.is_empty() {
            // First: the record goes with the end of the recreation.
            let detail = "a newer version of ecr-warden began its recreation and recorded settings that this version does not know";
            let settings: Vec<String> = begun
                .unknown
                .iter()
                .map(|(place, value)| format!("`{place}`: {value}"))
                .collect();
            let what = format!(
                "it is restored without {}; set them again, and deploy the newer version",
                settings.join(", ")
            );
            self.announce(Plan::critical("unknown-settings", detail, what), now)
                .await?;
        }
        let claimant = self.reconciler.lease();
        let attempt = Attempt {
            aws: &self.aws,
            state: self.state,
            lease,
            claimant: &claimant,
            said_version: known
                .and_then(|known| known.said.get(&rule))
                .map_or(0, |said| said.version),
            repairs: known
                .and_then(|known| known.repairs.get(&rule).cloned())
                .unwrap_or_default(),
            now,
            intent,
        };
        let seconds = lease.until.saturating_sub(now).saturating_sub(LEASE_GRACE);
        let time = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let is_late = now.saturating_sub(begun.started_at) >= RECREATION_IS_LATE;
        match attempt.run(first, time).await {
            End::Finished(Finished::Recreated) => {}
            End::Finished(Finished::FellBack(why)) => {
                tracing::error!(repository = %begun.before.id, rule, repair_failed = true, why, "recreated with the old encryption");
            }
            End::Finished(Finished::Superseded) => {
                let before = serde_json::to_string(&begun.before).unwrap_or_default();
                tracing::error!(repository = %begun.before.id, rule, before, "another caller created it \
                    again; the new repository was left unchanged");
                let what = format!(
                    "the new repository was left unchanged. The old one had {}; the log has all of \
                     it: restore what you need",
                    begun.outline()
                );
                let detail = "another caller created it while ecr-warden was recreating it";
                self.announce(Plan::critical("superseded-recreation", detail, what), now)
                    .await?;
                // Last: with it goes the record of what was there.
                let forgotten = self.state.finish(&begun, lease, None, None, now);
                forgotten.await.map_err(|failure| failure.to_string())?;
            }
            End::Withdrawn(why) => {
                return Ok(Some(match why {
                    Withdrawn::HoldsImages => Reason::new(
                        Code::HoldsImages,
                        "an image was pushed just before the deletion, so the repository was not \
                         recreated and nothing is lost; create a repository with the required \
                         encryption and copy the images to it",
                    ),
                    Withdrawn::Changed => Reason::new(
                        Code::ChangedMeanwhile,
                        "it was changed at the same time, so it was not recreated; the next event \
                         tries again",
                    ),
                    Withdrawn::Refused(why) => Reason::new(
                        Code::RehearsalRefused,
                        format!(
                            "not recreated, because its settings could not have been restored: {why}"
                        ),
                    ),
                }));
            }
            End::Interrupted(Interruption::Transient(why)) if !is_late => return Err(why),
            End::Interrupted(Interruption::Transient(why) | Interruption::Stuck(why)) => {
                tracing::error!(repository = %begun.before.id, rule, repair_failed = true, why, "recreation is stuck");
                let detail = "a recreation can't be finished";
                let plan = Plan::critical("interrupted-recreation", detail, why.clone());
                let record = known.cloned().ok_or_else(|| why.clone());
                let report = self
                    .reconciler
                    .report(Resolved::nothing(), plan, record, None, now);
                self.execute(report).await?;
                return Err(why);
            }
        }
        Ok(None)
    }
}
