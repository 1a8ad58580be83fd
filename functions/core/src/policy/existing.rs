//! Repositories that were there before: whether the policy changes them, too.

use schemars::JsonSchema;
use serde::Deserialize;

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
