//! A repository as it was read: a snapshot in our own words, with no type of the SDK.

mod id;
mod read;
mod scanning;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::id::is_account;
pub use self::id::{InvalidId, RepositoryId, check_region, domain, partition};
pub use self::read::{DENIED_BY_POLICY, Read, Reads};
pub use self::scanning::{RegistryScanning, ScanFrequency, ScanRule, scan_filter_matches};
pub use self::settings::{Encryption, EncryptionType, Key, TagMutability};
use crate::image::Image;

/// The tag that a recreated repository carries until all its settings are back. Its value is the intent's id.
pub const MARKER_TAG: &str = "ecr-warden:recreate";

/// The tag that a rehearsal sets and removes again: whoever may do both may put the repository's own tags back.
pub const REHEARSAL_TAG: &str = "ecr-warden:rehearsal";

/// Tags a repository may have (ECR service quota); the marker takes one while a recreation is under way.
pub const MOST_TAGS: usize = 50;

/// The snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Repository {
    pub id: RepositoryId,
    /// Milliseconds since the epoch. Tells a repository from one made again under its name.
    pub created_at: Option<i64>,
    pub mutability: TagMutability,
    pub encryption: Encryption,
    /// The repository's own setting, whatever the registry's says.
    pub scan_on_push: bool,
    #[serde(default)]
    pub tags: Read<BTreeMap<String, String>>,
    /// The repository policy's text, as ECR keeps it.
    #[serde(default)]
    pub policy: Read<Option<String>>,
    /// The lifecycle policy's text.
    #[serde(default)]
    pub lifecycle: Read<Option<String>>,
    /// Whether it holds any image, archived ones included.
    #[serde(default)]
    pub has_images: Read<bool>,
    /// Tags of the images that were pushed last: what a pipeline may want to push again.
    #[serde(default)]
    pub recent_tags: Read<BTreeSet<String>>,
    /// How the registry scans.
    #[serde(default)]
    pub scanning: Read<RegistryScanning>,
    /// When ECR says that it scans the repository's images (API reference, BatchGetRepositoryScanningConfiguration).
    #[serde(default)]
    pub scan_frequency: Read<ScanFrequency>,
    /// Whether a pull-through cache fills it from another registry.
    #[serde(default)]
    pub pull_through: Read<bool>,
    /// Whether that is by a pull-through cache rule with the prefix `ROOT`, which covers every repository. It is never stored.
    #[serde(skip)]
    pub root_cache: bool,
    /// The ARN of who created it, where the event of its creation is the occasion to look. It is never stored.
    #[serde(skip)]
    pub creator: Option<String>,
    /// All images that are not archived.
    #[serde(default)]
    pub images: Read<Arc<[Image]>>,
    /// Whether ECR's replication fills it, as far as an event has said so.
    #[serde(default)]
    pub replicated: bool,
    /// The push that is the occasion to look, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Push>,
    /// What KMS says of the keys in [`Reads::keys`], by the name they were asked by; `None`: no such key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, Read<Option<Key>>>,
}

impl Repository {
    /// Reads one that a user has described.
    ///
    /// # Errors
    /// A setting is missing, does not exist, or has a value that it cannot have.
    pub fn described(settings: Value) -> Result<Self, String> {
        let mut unknown = None;
        let repository = serde_ignored::deserialize(settings, |place| {
            unknown.get_or_insert_with(|| place.to_string());
        });
        let repository = repository.map_err(|error: serde_json::Error| error.to_string())?;
        match unknown {
            Some(place) => Err(format!("a repository has no setting `{place}`")),
            None => Ok(repository),
        }
    }

    /// One that was not read: nothing is known of it but what a push and the last look say.
    #[must_use]
    pub fn unread(id: &RepositoryId, created_at: Option<i64>, pushed: Option<Push>) -> Self {
        Self {
            id: id.clone(),
            created_at,
            mutability: TagMutability::Unknown("not read".to_owned()),
            encryption: Encryption {
                kind: EncryptionType::Unknown("not read".to_owned()),
                kms_key: None,
            },
            scan_on_push: false,
            tags: Read::NotAsked,
            policy: Read::NotAsked,
            lifecycle: Read::NotAsked,
            has_images: Read::NotAsked,
            recent_tags: Read::NotAsked,
            scanning: Read::NotAsked,
            scan_frequency: Read::NotAsked,
            pull_through: Read::NotAsked,
            root_cache: false,
            creator: None,
            images: Read::NotAsked,
            replicated: false,
            pushed,
            keys: BTreeMap::new(),
        }
    }

    /// The tags that `aws:` owns mark a repository of a stack (CloudFormation, "Resource tags").
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        self.tags
            .known()?
            .get("aws:cloudformation:stack-name")
            .map(String::as_str)
    }

    /// The value of the marker tag: this repository was made by the recreation of that id.
    #[must_use]
    pub fn marker(&self) -> Option<&str> {
        self.tags.known()?.get(MARKER_TAG).map(String::as_str)
    }
}

/// A push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Push {
    /// `None`: by digest only.
    pub tag: Option<String>,
    pub digest: Option<String>,
    /// Immutability refused it, because the tag is taken.
    #[serde(default)]
    pub refused: bool,
}
