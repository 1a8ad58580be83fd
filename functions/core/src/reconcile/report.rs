//! What is claimed and reported of a plan.

use super::decide::Record;
use super::{LEASE_GRACE, Next, Reconciler, Report};
use crate::claim::{claims, held_by_others};
use crate::plan::Plan;
use crate::policy::Resolved;
use crate::record::{Known, LastConforming, Lease, is_of_a_push};

impl Reconciler<'_> {
    /// Of this invocation's claims.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease {
            owner: self.invocation.id.clone(),
            until: self.invocation.deadline.saturating_add(LEASE_GRACE),
        }
    }

    /// The report of a plan. `record`: what is on record, or why it cannot be read; `created_at` in milliseconds, `now` in
    /// seconds since the epoch.
    #[must_use]
    pub fn report(
        &self,
        policy: Resolved,
        plan: Plan,
        record: Result<Known, String>,
        created_at: Option<i64>,
        now: i64,
    ) -> Report {
        let lease = self.lease();
        let context = self.context(&lease, created_at, now);
        let recorded = record.is_ok();
        let record = record.unwrap_or_default();
        let claims = claims(&record, &plan, &context);
        let held = held_by_others(&record, &plan, &claims);
        Report {
            policy,
            plan,
            recorded,
            record,
            claims,
            created_at,
            now,
            look_again_in: held.map(|until| until.saturating_sub(now)),
            conforms: None,
        }
    }

    /// A push to a repository that conforms: the next ones need not read it.
    pub(super) fn conforms(&self, report: &Report) -> Option<LastConforming> {
        let conforms = self.trigger.pushed.is_some()
            && report.recorded
            && report.plan.complete
            && report
                .plan
                .steps
                .iter()
                .all(|step| is_of_a_push(step.finding.rule));
        conforms.then(|| LastConforming {
            at: report.now,
            policy: self.policy.fingerprint(),
            created_at: report.created_at,
        })
    }

    /// One finding about a repository that was not evaluated.
    pub(super) fn unevaluated(
        &self,
        plan: Plan,
        record: Record<'_>,
        created_at: Option<i64>,
        now: i64,
    ) -> Next {
        let record = record.cloned().map_err(str::to_owned);
        let report = self.report(Resolved::nothing(), plan, record, created_at, now);
        Next::Report(Box::new(report))
    }
}
