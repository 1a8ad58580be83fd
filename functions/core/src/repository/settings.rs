//! Tag mutability, encryption and its key.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

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

/// ECR's four settings, and those that it may add.
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

impl TagMutability {
    /// The setting that ECR calls this. Repositories that are older than the setting have none.
    #[must_use]
    pub fn named(name: Option<&str>, filters: BTreeSet<String>) -> Self {
        match name {
            None | Some("MUTABLE") => Self::Mutable,
            Some("IMMUTABLE") => Self::Immutable,
            Some("IMMUTABLE_WITH_EXCLUSION") => Self::ImmutableWithExclusion(filters),
            Some("MUTABLE_WITH_EXCLUSION") => Self::MutableWithExclusion(filters),
            Some(other) => Self::Unknown(other.to_owned()),
        }
    }
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

    /// The type that ECR calls this. Without a configuration a repository has AES256 (API reference, EncryptionConfiguration).
    #[must_use]
    pub fn named(kind: Option<&str>, kms_key: Option<&str>) -> Self {
        Self {
            kind: match kind {
                None | Some("AES256") => EncryptionType::Aes256,
                Some("KMS") => EncryptionType::Kms,
                Some("KMS_DSSE") => EncryptionType::KmsDsse,
                Some(other) => EncryptionType::Unknown(other.to_owned()),
            },
            kms_key: kms_key.map(str::to_owned),
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
