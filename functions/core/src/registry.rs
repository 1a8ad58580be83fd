//! A registry as it was read: what holds for all repositories of an account in a region.

mod signing;
mod template;

use std::collections::{BTreeMap, BTreeSet};

pub use self::signing::{SigningFilter, SigningRule};
pub use self::template::{Creation, ROOT, Template};
use crate::repository::{Key, Read, RegistryScanning, RepositoryId};

/// The account setting that says for which actions ECR enforces the registry policy (API reference, GetAccountSetting).
pub const POLICY_SCOPE: &str = "REGISTRY_POLICY_SCOPE";
/// The account setting that says whether repositories may share layers.
pub const BLOB_MOUNTING: &str = "BLOB_MOUNTING";

/// The snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    pub id: RepositoryId,
    /// The registry policy's text, as ECR keeps it. By default ECR evaluates it with each repository policy (ECR User Guide, "Private
    /// registry permissions").
    pub policy: Read<Option<String>>,
    /// Where replication copies images to.
    pub destinations: Read<Vec<ReplicationDestination>>,
    /// The repository creation templates.
    pub templates: Read<Vec<Template>>,
    /// Prefixes of the pull-through cache rules.
    pub caches: Read<Vec<String>>,
    /// How the registry scans.
    pub scanning: Read<RegistryScanning>,
    /// The value of [`POLICY_SCOPE`]: `V1` or `V2`.
    pub policy_scope: Read<String>,
    /// The value of [`BLOB_MOUNTING`]: `ENABLED` or `DISABLED`.
    pub blob_mounting: Read<String>,
    /// Which pushed images ECR signs.
    pub signing: Read<Vec<SigningRule>>,
    /// What KMS answers about the keys in [`RegistryReads::keys`], by the name they were asked by; `None`: no such key.
    pub keys: BTreeMap<String, Read<Option<Key>>>,
}

/// A registry that receives copies of images (API reference, ReplicationDestination).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicationDestination {
    pub account: String,
    pub region: String,
}

/// What the rules need to know of a registry. Each is a call for each registry, and each key one more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryReads {
    pub policy: bool,
    pub destinations: bool,
    /// The creation templates.
    pub templates: bool,
    /// The pull-through cache rules.
    pub caches: bool,
    pub scanning: bool,
    pub policy_scope: bool,
    pub blob_mounting: bool,
    pub signing: bool,
    /// KMS keys by alias, id or ARN.
    pub keys: BTreeSet<String>,
}

impl RegistryReads {
    pub fn add(&mut self, other: Self) {
        let Self {
            policy,
            destinations,
            templates,
            caches,
            scanning,
            policy_scope,
            blob_mounting,
            signing,
            keys,
        } = other;
        self.policy |= policy;
        self.destinations |= destinations;
        self.templates |= templates;
        self.caches |= caches;
        self.scanning |= scanning;
        self.policy_scope |= policy_scope;
        self.blob_mounting |= blob_mounting;
        self.signing |= signing;
        self.keys.extend(keys);
    }
}

impl Registry {
    /// One that was not read.
    #[must_use]
    pub fn unread(id: &RepositoryId) -> Self {
        Self {
            id: id.clone(),
            policy: Read::NotAsked,
            destinations: Read::NotAsked,
            templates: Read::NotAsked,
            caches: Read::NotAsked,
            scanning: Read::NotAsked,
            policy_scope: Read::NotAsked,
            blob_mounting: Read::NotAsked,
            signing: Read::NotAsked,
            keys: BTreeMap::new(),
        }
    }
}
