//! An alert names the owner, so the tags are read where there is something to report.

use std::ops::ControlFlow;

use super::decide::{Decided, Record};
use super::{Next, Observation, Reconciler, Wanted};
use crate::finding::Finding;
use crate::repository::{Read, Repository};

impl Reconciler<'_> {
    /// Reads the tags, if they name the owner and were not read.
    pub(super) fn read_owner(
        &self,
        seen: &Observation,
        record: Record<'_>,
        repository: &Repository,
        findings: &[Finding],
    ) -> Decided<()> {
        let reports = !findings.is_empty() || record.is_ok_and(|known| !known.said.is_empty());
        let unread = repository.tags == Read::NotAsked && !seen.reads.tags;
        if !(self.policy.names_owners() && reports && unread) {
            return ControlFlow::Continue(());
        }
        let mut reads = seen.reads.clone();
        reads.tags = true;
        ControlFlow::Break(Next::Observe(Wanted::Repository(reads)))
    }
}
