//! An image of a repository, as far as its storage goes.

use serde::{Deserialize, Serialize};

/// An image that is not archived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// Seconds since the epoch.
    pub pushed_at: i64,
    /// Seconds since the epoch. ECR keeps it to the day; `None`: not since it keeps it.
    #[serde(default)]
    pub pulled_at: Option<i64>,
    /// Compressed. A layer that images share is counted with each of them, and stored once.
    pub bytes: u64,
    #[serde(default)]
    pub tags: Vec<String>,
}
