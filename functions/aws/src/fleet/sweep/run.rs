//! One run of a sweep: for whom, until when, and what it comes to.

use std::collections::BTreeMap;

use ecr_warden_core::audit::Request;
use ecr_warden_core::outcome::Verdict;
use ecr_warden_core::policy::{MOST_CHANGES, Policy};
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::RepositoryId;
use tokio::time::Instant;

use crate::deliver::reports::Reports;
use crate::fleet::audit::{AuditError, Home};

/// Records that are read or written side by side.
pub(super) const READ_AT_ONCE: usize = 16;

/// What is on record about each registry that is swept.
pub(super) type Registries = BTreeMap<RepositoryId, Known>;

/// What became of a repository in a sweep.
#[derive(Clone, Copy, Debug)]
pub enum Swept<'v> {
    Judged(&'v [Verdict]),
    /// It was deleted since it was listed.
    Gone,
    /// This time it could not be, for this reason.
    Unjudged(&'v str),
}

/// When and for whom a sweep runs.
#[derive(Clone, Debug)]
pub struct Sweep<'s> {
    pub request: &'s Request,
    pub home: &'s Home,
    /// Where its changes are listed.
    pub reports: &'s Reports,
    /// The invocation's; a retry has the same.
    pub request_id: &'s str,
    /// When to stop reading, so that there is time to repair and to report.
    pub stop_looking: Instant,
    /// When to begin no more repairs, so that there is time to report.
    pub stop_acting: Instant,
    /// Seconds since the epoch at which the invocation is ended.
    pub ends_at: i64,
}

impl Sweep<'_> {
    /// How many repositories it changes at most.
    pub(super) fn limit(&self, policy: &Policy) -> Result<usize, AuditError> {
        match self.request.changes {
            None => Ok(policy.changes_per_sweep()),
            Some(changes) if changes <= MOST_CHANGES => Ok(changes),
            Some(changes) => Err(AuditError::Request(format!(
                "`changes` is {changes}: ask for at most {MOST_CHANGES}, and name some of the `repositories`"
            ))),
        }
    }
}
