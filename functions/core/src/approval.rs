//! What someone has approved, and what waits for that: one change of one repository.

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::repository::RepositoryId;
use crate::text::{LONGEST, one_line, rfc3339};

/// Seconds for which an approval holds: a change that no one waits for any more is not made.
pub const APPROVED_FOR: i64 = 24 * 60 * 60;
/// Seconds by which the clock of an operator's machine may be ahead.
const CLOCK_SKEW: i64 = 10 * 60;

/// A change that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub id: RepositoryId,
    pub rule: String,
    pub action: Action,
    /// Seconds since the epoch at which the finding was first seen.
    pub since: i64,
}

/// Someone has approved a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// This change, and no other one.
    pub action: Action,
    /// An ARN.
    pub by: String,
    /// Seconds since the epoch.
    pub at: i64,
    /// Of the repository, in milliseconds since the epoch: another one of the same name is not approved. `None` for a change of the registry.
    pub created_at: Option<i64>,
}

impl Approval {
    #[must_use]
    pub fn new(action: Action, by: &str, at: i64, created_at: Option<i64>) -> Self {
        Self {
            action,
            by: one_line(by, LONGEST),
            at,
            created_at,
        }
    }

    /// Why it does not let this change be made; `None`: it does. `of_another`: the repository is another one of the name.
    #[must_use]
    pub fn refuses(&self, action: &Action, of_another: bool, now: i64) -> Option<String> {
        let by = format!(
            "{} approved on {}",
            self.by,
            rfc3339(self.at).unwrap_or_default()
        );
        if !(-CLOCK_SKEW..APPROVED_FOR).contains(&now.saturating_sub(self.at)) {
            return Some(format!("what {by} holds for only 24 hours"));
        }
        if of_another {
            return Some(format!("what {by} was another repository of this name"));
        }
        (!self.action.same(action)).then(|| {
            let (from, to) = (self.action.from(), self.action.to());
            format!("what {by} is another change: {from} to {to}")
        })
    }
}
