//! Repositories that were there before: whether the policy enforces there, too.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Policy, Resolved};
use crate::policy::Mode;

const SPARED: &str = "the policy does not change existing repositories (`existing: monitor`)";

/// What becomes of repositories that existed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// They are repaired like all others.
    #[default]
    Enforce,
    /// They are reported, and not changed.
    Monitor,
}

/// The time before which a repository is an existing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingBefore {
    /// Seconds since the epoch.
    Time(i64),
    /// The creation of the state table, which survives each deployment.
    Deployment,
}

impl Policy {
    /// The time before which repositories are reported and not changed; `None`: all are repaired.
    #[must_use]
    pub fn existing_before(&self) -> Option<ExistingBefore> {
        let monitors = self.existing == Existing::Monitor && self.mode == Mode::Enforce;
        monitors.then(|| match self.existing_before {
            Some(day) => ExistingBefore::Time(day.start()),
            None => ExistingBefore::Deployment,
        })
    }
}

impl Resolved {
    /// The same for a repository created at a time (milliseconds since the epoch): one that existed before `since` (seconds) is not
    /// repaired, nor is one of which that is not known. `since` may be why it cannot be read.
    #[must_use]
    pub fn since(self, since: Result<i64, &str>, created_at: Option<i64>) -> Self {
        let existed = |since: i64| created_at.is_none_or(|at| at.div_euclid(1000) < since);
        let existing = match since {
            Ok(since) if existed(since) => SPARED.to_owned(),
            Ok(_) => return self,
            Err(why) => format!("{SPARED}, and when ecr-warden was deployed cannot be read: {why}"),
        };
        if !self.enforce {
            return self;
        }
        Self {
            existing: Some(existing),
            ..self.monitored()
        }
    }
}
