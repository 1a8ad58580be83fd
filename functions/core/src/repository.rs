//! A repository as it was read: a snapshot in our own words, with no type of the SDK.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wildmatch::WildMatch;

use crate::storage::Image;

/// The tag that a recreated repository carries until all its settings are back. Its value is the intent's id.
pub const MARKER_TAG: &str = "ecr-warden:recreate";

/// The tag that a rehearsal sets and removes again: whoever may do both may put the repository's own tags back.
pub const REHEARSAL_TAG: &str = "ecr-warden:rehearsal";

/// Tags a repository may have (ECR service quota); the marker takes one while a recreation is under way.
pub const MOST_TAGS: usize = 50;

/// Which repository: enough to name it and to choose the clients that reach it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepositoryId {
    /// Twelve digits.
    pub account: String,
    pub region: String,
    /// With its namespace: `payments/api`.
    pub name: String,
}

/// Why a name, account or region cannot be one of ECR's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    #[error("`{0}` is not a repository name")]
    Name(String),
    #[error("`{0}` is not an account id")]
    Account(String),
    #[error("`{0}` is not a region")]
    Region(String),
}

impl RepositoryId {
    /// What is on record about the registry that the repository is in has this id: no repository is without a name.
    #[must_use]
    pub fn registry(&self) -> Self {
        Self::of_registry(&self.account, &self.region)
    }

    /// The same by account and region.
    #[must_use]
    pub fn of_registry(account: &str, region: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            name: String::new(),
        }
    }

    /// Whose record of repairs it is: the registry's, or the repository's own.
    #[must_use]
    pub fn subject(&self, of_registry: bool) -> Self {
        if of_registry {
            self.registry()
        } else {
            self.clone()
        }
    }

    /// Checks what comes from outside: the parts end up in ARNs, requests and messages.
    ///
    /// # Errors
    /// The first part that ECR would not accept (API reference, CreateRepository: 2 to 256 characters of
    /// lower-case letters, digits, `.`, `_`, `-` and `/`).
    pub fn new(account: &str, region: &str, name: &str) -> Result<Self, InvalidId> {
        let shown = |text: &str| crate::text::one_line(text, 80);
        let name_fits = (2..=256).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/'));
        if !name_fits {
            return Err(InvalidId::Name(shown(name)));
        }
        if !is_account(account) {
            return Err(InvalidId::Account(shown(account)));
        }
        check_region(region)?;
        Ok(Self {
            account: account.to_owned(),
            region: region.to_owned(),
            name: name.to_owned(),
        })
    }

    /// From `arn:<partition>:ecr:<region>:<account>:repository/<name>`.
    #[must_use]
    pub fn from_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (_, _, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account) = (parts.next()?, parts.next()?);
        let name = parts.next()?.strip_prefix("repository/")?;
        (service == "ecr")
            .then(|| Self::new(account, region, name).ok())
            .flatten()
    }

    /// The repository's ARN, in the partition that the region belongs to.
    #[must_use]
    pub fn arn(&self) -> String {
        format!(
            "arn:{}:ecr:{}:{}:repository/{}",
            partition(&self.region),
            self.region,
            self.account,
            self.name
        )
    }

    /// The first part of the name, where it has more than one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.name.split_once('/').map(|(namespace, _)| namespace)
    }
}

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

/// Whether a region can be one; AWS is not asked whether it is. It ends up in names of hosts.
///
/// # Errors
/// It has other characters than lower-case letters, digits and `-`, or is too short or too long.
pub fn check_region(region: &str) -> Result<(), InvalidId> {
    let fits = (4..=32).contains(&region.len())
        && region
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if fits {
        Ok(())
    } else {
        Err(InvalidId::Region(crate::text::one_line(region, 80)))
    }
}

/// Whether a text is an account's id: twelve digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// AWS's partitions but for `aws`: how the names of their regions begin, and the domain of their services (botocore, `partitions.json`).
const PARTITIONS: [(&str, &str, &str); 7] = [
    ("cn-", "aws-cn", "amazonaws.com.cn"),
    ("us-gov-", "aws-us-gov", "amazonaws.com"),
    ("us-iso-", "aws-iso", "c2s.ic.gov"),
    ("us-isob-", "aws-iso-b", "sc2s.sgov.gov"),
    ("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"),
    ("us-isof-", "aws-iso-f", "csp.hci.ic.gov"),
    ("eusc-", "aws-eusc", "amazonaws.eu"),
];

/// The partition of a region (AWS General Reference, ARN format).
#[must_use]
pub fn partition(region: &str) -> &'static str {
    let of = PARTITIONS
        .iter()
        .find(|(begin, ..)| region.starts_with(begin));
    of.map_or("aws", |(_, partition, _)| *partition)
}

/// The domain of the services in a region.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    let of = PARTITIONS
        .iter()
        .find(|(begin, ..)| region.starts_with(begin));
    of.map_or("amazonaws.com", |(.., domain)| *domain)
}

/// What a read brought back. A rule that needs what could not be had reports, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read<T> {
    /// No enabled rule needs it.
    #[default]
    NotAsked,
    Known(T),
    /// It could not be read, and why, in one line; a missing permission is named.
    Unreadable(String),
}

/// How the reason begins where AWS names a statement of the repository policy as what denies a call; the permission follows.
pub const DENIED_BY_POLICY: &str = "the repository policy denies ecr-warden ";

impl<T> Read<T> {
    /// Why it could not be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) => Some(why),
            Self::NotAsked | Self::Known(_) => None,
        }
    }

    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Unreadable(_) => None,
        }
    }

    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        match self {
            Self::Known(value) => Read::Known(change(value)),
            Self::NotAsked => Read::NotAsked,
            Self::Unreadable(why) => Read::Unreadable(why),
        }
    }

    /// The value, or the reason why there is none.
    ///
    /// # Errors
    /// One line for people.
    pub fn required(&self) -> Result<&T, String> {
        match self {
            Self::Known(value) => Ok(value),
            Self::NotAsked => Err("it was not read".to_owned()),
            Self::Unreadable(why) => Err(why.clone()),
        }
    }
}

/// What an enabled rule needs to know of a repository beside DescribeRepositories' answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub tags: bool,
    pub policy: bool,
    pub lifecycle: bool,
    /// Whether there is any image.
    pub images: bool,
    /// The tags of the images that were pushed last.
    pub recent_tags: bool,
    /// The registry's scanning configuration, and when ECR scans the repository by it.
    pub scanning: bool,
    /// Whether a pull-through cache fills it.
    pub pull_through: bool,
    /// What each image weighs.
    pub storage: bool,
    /// KMS keys by alias, id or ARN whose description is needed.
    pub keys: BTreeSet<String>,
}

impl Reads {
    /// Everything that a recreation has to put back, and whether there is anything that it must not touch.
    #[must_use]
    pub fn of_recreation() -> Self {
        Self {
            tags: true,
            policy: true,
            lifecycle: true,
            images: true,
            ..Self::default()
        }
    }

    pub fn add(&mut self, other: Self) {
        let Self {
            tags,
            policy,
            lifecycle,
            images,
            recent_tags,
            scanning,
            pull_through,
            storage,
            keys,
        } = other;
        self.tags |= tags;
        self.policy |= policy;
        self.lifecycle |= lifecycle;
        self.images |= images;
        self.recent_tags |= recent_tags;
        self.scanning |= scanning;
        self.pull_through |= pull_through;
        self.storage |= storage;
        self.keys.extend(keys);
    }

    /// Whether these bring all that those would.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        let mut together = self.clone();
        together.add(others.clone());
        together == *self
    }
}

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
    /// All images that are not archived.
    #[serde(default)]
    pub images: Read<Arc<[Image]>>,
    /// The push that is the occasion to look, where it is one.
    /// Whether ECR's replication fills it, as far as an event has said so.
    #[serde(default)]
    pub replicated: bool,
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

/// The registry's scanning configuration (GetRegistryScanningConfiguration).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegistryScanning {
    /// Amazon Inspector's scanning instead of ECR's own.
    pub enhanced: bool,
    pub rules: Vec<ScanRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScanRule {
    pub frequency: ScanFrequency,
    pub filters: BTreeSet<String>,
}

/// When a repository's images are scanned (API reference, RegistryScanningRule).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScanFrequency {
    ScanOnPush,
    /// On push too, and again whenever a new vulnerability is known. Enhanced scanning only.
    ContinuousScan,
    Manual,
    Unknown(String),
}

impl ScanFrequency {
    /// Whether a pushed image is scanned.
    #[must_use]
    pub fn on_push(&self) -> bool {
        match self {
            Self::ScanOnPush | Self::ContinuousScan => true,
            Self::Manual | Self::Unknown(_) => false,
        }
    }

    /// As ECR calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::ScanOnPush => "SCAN_ON_PUSH",
            Self::ContinuousScan => "CONTINUOUS_SCAN",
            Self::Manual => "MANUAL",
            Self::Unknown(value) => value,
        }
    }
}

impl RegistryScanning {
    /// Whether the registry scans what is pushed to this repository.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| {
            rule.frequency.on_push()
                && rule
                    .filters
                    .iter()
                    .any(|filter| scan_filter_matches(filter, name))
        })
    }
}

/// A filter without `*` matches any name that contains it (API reference, ScanningRepositoryFilter).
#[must_use]
pub fn scan_filter_matches(filter: &str, name: &str) -> bool {
    if filter.contains('*') {
        // `*` stands for `/` too.
        WildMatch::new(filter).matches(name)
    } else {
        name.contains(filter)
    }
}

impl fmt::Display for RegistryScanning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.enhanced { "ENHANCED" } else { "BASIC" })?;
        for rule in &self.rules {
            write!(f, "; {}", rule.frequency.name())?;
            for filter in &rule.filters {
                write!(f, " {filter}")?;
            }
        }
        Ok(())
    }
}

/// A KMS key, as DescribeKey shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    pub arn: String,
    /// `KeyState` is `Enabled`.
    pub enabled: bool,
    /// What kind of key it is, where ECR can't encrypt with that kind: ECR takes symmetric encryption keys alone (ECR User Guide,
    /// encryption at rest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
}

impl Key {
    /// Why ECR can't encrypt a repository of the region with it, for the end of a sentence; `None`: it can.
    #[must_use]
    pub fn obstacle(&self, region: &str) -> Option<String> {
        if !self.enabled {
            return Some("is not enabled: enable it".to_owned());
        }
        if let Some(kind) = &self.unfit {
            return Some(format!(
                "is {kind}, and ECR takes symmetric encryption keys alone: name another key"
            ));
        }
        let its_region = self.arn.split(':').nth(3).unwrap_or_default();
        (its_region != region).then(|| {
            format!("is in the region {its_region}, and the repository in {region}: name a key of {region}")
        })
    }
}

/// ECR's four settings, and whatever it may add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TagMutability {
    Mutable,
    Immutable,
    /// Immutable but for tags that match one of the filters.
    ImmutableWithExclusion(BTreeSet<String>),
    /// Mutable but for tags that match one of the filters.
    MutableWithExclusion(BTreeSet<String>),
    /// A value or kind of filter that this version does not know: never written, never judged to be safe.
    Unknown(String),
}

impl fmt::Display for TagMutability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, name: &str, filters: &BTreeSet<String>| {
            let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
            write!(f, "{name} ({})", filters.join(", "))
        };
        match self {
            Self::Mutable => f.write_str("MUTABLE"),
            Self::Immutable => f.write_str("IMMUTABLE"),
            Self::ImmutableWithExclusion(filters) => with(f, "IMMUTABLE_WITH_EXCLUSION", filters),
            Self::MutableWithExclusion(filters) => with(f, "MUTABLE_WITH_EXCLUSION", filters),
            Self::Unknown(value) => f.write_str(value),
        }
    }
}

/// How a repository's layers are encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Encryption {
    pub kind: EncryptionType,
    /// A key's ARN as ECR shows it; in a request also its id or alias. KMS without one is `aws/ecr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

impl Encryption {
    #[must_use]
    pub fn aes256() -> Self {
        Self {
            kind: EncryptionType::Aes256,
            kms_key: None,
        }
    }

    #[must_use]
    pub fn kms(key: Option<&str>) -> Self {
        Self {
            kind: EncryptionType::Kms,
            kms_key: key.map(str::to_owned),
        }
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.kms_key) {
            (EncryptionType::Aes256, _) => f.write_str("AES256"),
            (EncryptionType::Kms, None) => f.write_str("KMS (aws/ecr)"),
            (EncryptionType::Kms, Some(key)) => write!(f, "KMS ({key})"),
            (EncryptionType::KmsDsse, None) => f.write_str("KMS_DSSE (aws/ecr)"),
            (EncryptionType::KmsDsse, Some(key)) => write!(f, "KMS_DSSE ({key})"),
            (EncryptionType::Unknown(value), _) => f.write_str(value),
        }
    }
}

/// ECR's encryption types (API reference, EncryptionConfiguration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncryptionType {
    Aes256,
    Kms,
    /// Dual-layer, GovCloud only.
    KmsDsse,
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_belongs_to_a_partition() {
        for (region, partition_of, domain_of) in [
            ("eu-central-1", "aws", "amazonaws.com"),
            ("mx-central-1", "aws", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
        ] {
            assert_eq!(
                (partition(region), domain(region)),
                (partition_of, domain_of),
                "{region}"
            );
        }
    }

    #[test]
    fn an_arn_reads_back_as_the_id_it_was_made_from() {
        for region in ["eu-central-1", "us-gov-west-1", "cn-north-1"] {
            let id = RepositoryId::new("123456789012", region, "payments/api").unwrap();
            assert_eq!(RepositoryId::from_arn(&id.arn()), Some(id));
        }
        assert_eq!(RepositoryId::from_arn("arn:aws:s3:::bucket"), None);
    }

    #[test]
    fn hostile_parts_are_refused() {
        let of = RepositoryId::new;
        assert!(matches!(
            of("123456789012", "us-east-1", "A b"),
            Err(InvalidId::Name(_))
        ));
        assert!(matches!(
            of("123456789012", "us-east-1", &"x".repeat(257)),
            Err(InvalidId::Name(_))
        ));
        assert!(matches!(
            of("12345678901x", "us-east-1", "ab"),
            Err(InvalidId::Account(_))
        ));
        assert!(matches!(
            of("123456789012", "us:east", "ab"),
            Err(InvalidId::Region(_))
        ));
    }
}
