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
    /// It is an image index or a manifest list: other images of the repository are its parts.
    #[serde(default)]
    pub index: bool,
}

impl Image {
    /// Whether it may be a part of one of these indexes: which images an index names is in its manifest alone, and parts are pushed
    /// without a tag. ECR does not expire what an index names (ECR User Guide, "How the lifecycle policy works").
    #[must_use]
    pub fn may_be_part(&self, has_index: bool) -> bool {
        has_index && !self.index && self.tags.is_empty()
    }
}

/// Whether an image of this media type has other images as its parts.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}
