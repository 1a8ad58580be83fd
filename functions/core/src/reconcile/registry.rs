//! The decision on a registry: what its settings let others do is reported and never changed.

use std::ops::ControlFlow;

use super::decide::{Decided, Record, UNDECIDED};
use super::{Reconciler, Report};
use crate::evaluate::evaluate_registry;
use crate::plan::{self, Plan};
use crate::registry::Registry;
use crate::repository::Repository;

impl Reconciler<'_> {
    pub(super) fn registry(
        &self,
        registry: &Registry,
        record: Record<'_>,
        now: i64,
    ) -> Decided<Report> {
        let policy = match self.policy.for_registry(self.id()) {
            Ok(policy) => policy,
            Err(why) => {
                let plan = Plan::for_people("undecided-policy", UNDECIDED, why);
                return ControlFlow::Break(self.unevaluated(plan, record, None, now));
            }
        };
        let findings = evaluate_registry(self.policy, &policy, registry, now);
        let lease = self.lease();
        let context = self.context(&lease, None, now);
        // Nothing of a repository is known, so nothing else is planned.
        let nothing = Repository::unread(self.id(), None, None);
        let plan = plan::plan(&policy, &nothing, findings, record, &context);
        let record = record.cloned().map_err(str::to_owned);
        ControlFlow::Continue(self.report(policy, plan, record, None, now))
    }
}
