//! Whether what was planned may be made now: it is asked last, and at once before the change.

use std::ops::ControlFlow;

use super::decide::Decided;
use super::{Clearance, Next, Observation, Reconciler, Report, Wanted};
use crate::plan::STALE_QUARANTINE;
use crate::reason::Reason;

impl Observation {
    /// Why the brakes refuse changes, if they do.
    pub(super) fn refusal(&self) -> Option<Reason> {
        match &self.clearance {
            Some(Clearance::Refused(why)) => Some(why.clone()),
            Some(Clearance::Granted { .. }) | None => None,
        }
    }
}

impl Reconciler<'_> {
    /// Asks whether the repairs of a report may be made, if there are any.
    pub(super) fn cleared(&self, seen: &Observation, report: &Report) -> Decided<()> {
        let mut repairs = report.claims.iter().filter(|claim| claim.repair.is_some());
        let Some(first) = repairs.next() else {
            return ControlFlow::Continue(());
        };
        // The removal of a quarantine unblocks pushes: it is none of the hour's changes.
        let counts =
            first.rule != STALE_QUARANTINE || repairs.any(|claim| claim.rule != STALE_QUARANTINE);
        self.clear(seen, counts)
    }

    /// Asks whether a change may be made. What is left of a plan after a refusal is not what was refused.
    pub(super) fn clear(&self, seen: &Observation, counts: bool) -> Decided<()> {
        match seen.clearance {
            Some(Clearance::Refused(_)) => ControlFlow::Continue(()),
            Some(Clearance::Granted { counted }) if counted || !counts => ControlFlow::Continue(()),
            Some(Clearance::Granted { .. }) | None => {
                ControlFlow::Break(Next::Observe(Wanted::Clearance { counts }))
            }
        }
    }
}
