//! What is read of a repository at first, and what is read once more is known of it.

use std::ops::ControlFlow;

use super::decide::{Decided, Record};
use super::{Next, Observation, Reconciler, Wanted};
use crate::plan;
use crate::policy::Resolved;
use crate::record::Known;
use crate::repository::{Reads, Repository};

impl Reconciler<'_> {
    /// Whether the rules would ask nothing more about the repository if it is what the event of its creation says.
    pub(super) fn created_conforming(&self) -> bool {
        let created = self.trigger.created_as.as_deref();
        created.is_some_and(|created| self.policy.reads_after(created).is_nothing())
    }

    /// Whether all image tags of a repository matter, now that it is described: one that conforms may hold very many.
    #[must_use]
    pub fn needs_all_tags(&self, described: &Repository) -> bool {
        self.policy.reads_after(described).recent_tags
    }

    /// What its tags or the record ask for beyond what its name does: a round trip more, and rarely.
    pub(super) fn read_all(
        &self,
        seen: &Observation,
        record: Record<'_>,
        repository: &Repository,
        policy: Option<&Resolved>,
    ) -> Decided<()> {
        let mut needed = Reads::default();
        if let Some(policy) = policy {
            needed.add(policy.reads_after(repository));
            needed.add(plan::reads(policy, repository));
        }
        needed.policy |= record.is_ok_and(Known::quarantined);
        let has_tags = !needed.recent_tags || self.needs_all_tags(repository);
        if seen.reads_all || (seen.reads.cover(&needed) && has_tags) {
            return ControlFlow::Continue(());
        }
        needed.add(seen.reads.clone());
        ControlFlow::Break(Next::Observe(Wanted::Repository(needed)))
    }
}
