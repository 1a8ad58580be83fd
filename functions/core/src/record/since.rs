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
                && (said.about.starts_with(&context.repository()) || self.recreated_around(created))
        };
        let open = self.said.get(rule).filter(open);
        open.map_or(context.now, |said| said.since)
    }
}

impl Context<'_> {
    /// How what is recorded of this repository begins, and of no other one that had its name.
    pub(crate) fn repository(&self) -> String {
        format!("{} ", self.created_at.unwrap_or_default())
    }
}
