//! Since when a finding has been open.

use super::{Context, Known, Said};
use crate::finding::Status;

impl Known {
    /// Since when a finding has been open, in seconds since the epoch: since now, if it was resolved, or if another repository of the same
    /// name had it.
    #[must_use]
    pub fn since(&self, rule: &str, context: &Context<'_>) -> i64 {
        let created = context.created_at.unwrap_or_default().div_euclid(1000);
        let open = |said: &&Said| {
            !matches!(said.status, Status::Fixed | Status::Resolved)
                && (said.is_of(context.created_at) || self.recreated_around(created))
        };
        let open = self.said.get(rule).filter(open);
        open.map_or(context.now, |said| said.since)
    }
}

impl Said {
    /// Whether it is about the repository that was created then, in milliseconds since the epoch, and not about an earlier one of its name.
    #[must_use]
    pub fn is_of(&self, created_at: Option<i64>) -> bool {
        self.about.starts_with(&repository_prefix(created_at))
    }
}

/// How what is recorded of a repository begins, and of no other one that had its name.
fn repository_prefix(created_at: Option<i64>) -> String {
    format!("{} ", created_at.unwrap_or_default())
}

impl Context<'_> {
    /// See [`repository_prefix`].
    pub(crate) fn repository(&self) -> String {
        repository_prefix(self.created_at)
    }
}
