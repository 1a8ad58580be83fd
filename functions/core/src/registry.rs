//! A registry as it was read: what holds for all repositories of an account in a region.

use crate::repository::{Read, RepositoryId};

/// The snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub id: RepositoryId,
    /// The registry policy's text, as ECR keeps it. By default ECR evaluates it with each repository policy (ECR User Guide, "Private
    /// registry permissions").
    pub policy: Read<Option<String>>,
    /// Where replication copies images to.
    pub destinations: Read<Vec<ReplicationDestination>>,
}

/// A registry that receives copies of images (API reference, ReplicationDestination).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicationDestination {
    pub account: String,
    pub region: String,
}

impl Registry {
    /// One that was not read.
    #[must_use]
    pub fn unread(id: &RepositoryId) -> Self {
        Self {
            id: id.clone(),
            policy: Read::NotAsked,
            destinations: Read::NotAsked,
        }
    }
}
