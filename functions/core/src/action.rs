//! The changes ecr-warden can make to a repository. An action is data: what it changes, from what to what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document;
use crate::quarantine;
use crate::repository::{
    Encryption, Key, Read, Reads, RegistryScanning, Repository, ScanFrequency, TagMutability,
};
use crate::text::one_line;

/// The name of the change of the registry.
pub(crate) const SET_REGISTRY_SCANNING: &str = "set-registry-scanning";

/// One idempotent change. Printing, the request to ECR, the IAM permissions and the snapshot must each handle
/// every one, so this is an enum and each of them matches without a wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// PutImageTagMutability.
    SetTagMutability {
        from: TagMutability,
        to: TagMutability,
    },
    /// PutImageScanningConfiguration.
    SetScanOnPush { from: bool, to: bool },
    /// PutRegistryScanningConfiguration: it is the whole registry's, and so every repository's of the region.
    SetRegistryScanning {
        from: RegistryScanning,
        to: RegistryScanning,
    },
    /// PutLifecyclePolicy, or DeleteLifecyclePolicy; `None` is no policy.
    SetLifecyclePolicy {
        from: Option<String>,
        to: Option<String>,
    },
    /// TagResource and UntagResource; `None` is no such tag. Both sides have the same keys.
    SetTags {
        from: BTreeMap<String, Option<String>>,
        to: BTreeMap<String, Option<String>>,
    },
    /// SetRepositoryPolicy, or DeleteRepositoryPolicy; `None` is no policy.
    SetRepositoryPolicy {
        from: Option<String>,
        to: Option<String>,
    },
    /// Delete the empty repository and create it again, with everything it had and other encryption.
    Recreate { from: Encryption, to: Encryption },
}

/// The part of a repository, or of its surroundings, that an action changes: two of the same part would undo each
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Everything,
    TagMutability,
    ScanOnPush,
    RegistryScanning,
    LifecyclePolicy,
    Tags,
    RepositoryPolicy,
}

impl Action {
    /// One of each that repairs make, for whatever must cover all of them. What only a rollback does, which people do with
    /// permissions of their own, is not among them.
    #[must_use]
    pub fn samples() -> Vec<Self> {
        vec![
            Self::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            },
            Self::SetScanOnPush {
                from: false,
                to: true,
            },
            Self::SetRegistryScanning {
                from: RegistryScanning::default(),
                to: RegistryScanning::default(),
            },
            Self::SetLifecyclePolicy {
                from: None,
                to: Some(String::new()),
            },
            Self::SetTags {
                from: [(String::new(), None)].into(),
                to: [(String::new(), Some(String::new()))].into(),
            },
            Self::SetRepositoryPolicy {
                from: None,
                to: Some(String::new()),
            },
            Self::SetRepositoryPolicy {
                from: Some(String::new()),
                to: None,
            },
            Self::Recreate {
                from: Encryption::aes256(),
                to: Encryption::kms(None),
            },
        ]
    }

    /// As outcomes and alerts call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetTagMutability { .. } => "set-tag-mutability",
            Self::SetScanOnPush { .. } => "set-scan-on-push",
            Self::SetRegistryScanning { .. } => SET_REGISTRY_SCANNING,
            Self::SetLifecyclePolicy { .. } => "set-lifecycle-policy",
            Self::SetTags { .. } => "set-tags",
            Self::SetRepositoryPolicy { .. } => "set-repository-policy",
            Self::Recreate { .. } => "recreate",
        }
    }

    /// Whether it changes the registry, and so every repository of the region.
    #[must_use]
    pub fn is_of_registry(&self) -> bool {
        matches!(self, Self::SetRegistryScanning { .. })
    }

    #[must_use]
    pub fn part(&self) -> Part {
        match self {
            Self::SetTagMutability { .. } => Part::TagMutability,
            Self::SetScanOnPush { .. } => Part::ScanOnPush,
            Self::SetRegistryScanning { .. } => Part::RegistryScanning,
            Self::SetLifecyclePolicy { .. } => Part::LifecyclePolicy,
            Self::SetTags { .. } => Part::Tags,
            Self::SetRepositoryPolicy { .. } => Part::RepositoryPolicy,
            Self::Recreate { .. } => Part::Everything,
        }
    }

    /// The IAM permissions that this change takes; the function's role holds these and no others for changes.
    #[must_use]
    pub fn permissions(&self) -> &'static [&'static str] {
        match self {
            Self::SetTagMutability { .. } => &["ecr:PutImageTagMutability"],
            Self::SetScanOnPush { .. } => &["ecr:PutImageScanningConfiguration"],
            Self::SetRegistryScanning { .. } => &["ecr:PutRegistryScanningConfiguration"],
            Self::SetLifecyclePolicy { to: Some(_), .. } => &["ecr:PutLifecyclePolicy"],
            Self::SetLifecyclePolicy { to: None, .. } => &["ecr:DeleteLifecyclePolicy"],
            Self::SetTags { to, .. } if to.values().all(Option::is_some) => &["ecr:TagResource"],
            Self::SetTags { .. } => &["ecr:TagResource", "ecr:UntagResource"],
            Self::SetRepositoryPolicy { to: Some(_), .. } => &["ecr:SetRepositoryPolicy"],
            Self::SetRepositoryPolicy { to: None, .. } => &["ecr:DeleteRepositoryPolicy"],
            Self::Recreate { .. } => &[
                "ecr:CreateRepository",
                "ecr:DeleteRepository",
                "ecr:PutLifecyclePolicy",
                "ecr:SetRepositoryPolicy",
                "ecr:TagResource",
                "ecr:UntagResource",
                "kms:CreateGrant",
                "kms:DescribeKey",
                "kms:RetireGrant",
            ],
        }
    }

    /// What is there before.
    #[must_use]
    pub fn from(&self) -> String {
        match self {
            Self::SetTagMutability { from, .. } => from.to_string(),
            Self::SetScanOnPush { from, .. } => scan(*from),
            Self::SetRegistryScanning { from, .. } => from.to_string(),
            Self::SetLifecyclePolicy { from, .. } => lifecycle_policy(from.as_deref()),
            Self::SetTags { from, .. } => tags(from),
            Self::SetRepositoryPolicy { from, .. } => repository_policy(from.as_deref()),
            Self::Recreate { from, .. } => from.to_string(),
        }
    }

    /// What is there after.
    #[must_use]
    pub fn to(&self) -> String {
        match self {
            Self::SetTagMutability { to, .. } => to.to_string(),
            Self::SetScanOnPush { to, .. } => scan(*to),
            Self::SetRegistryScanning { to, .. } => to.to_string(),
            Self::SetLifecyclePolicy { to, .. } => lifecycle_policy(to.as_deref()),
            Self::SetTags { to, .. } => tags(to),
            Self::SetRepositoryPolicy { to, .. } => repository_policy(to.as_deref()),
            Self::Recreate { to, .. } => to.to_string(),
        }
    }

    /// The change that undoes this one; `None` where there is none: encryption can't be set back.
    #[must_use]
    pub fn reverse(&self) -> Option<Self> {
        Some(match self.clone() {
            Self::SetTagMutability { from, to } => Self::SetTagMutability { from: to, to: from },
            Self::SetScanOnPush { from, to } => Self::SetScanOnPush { from: to, to: from },
            Self::SetRegistryScanning { from, to } => {
                Self::SetRegistryScanning { from: to, to: from }
            }
            Self::SetLifecyclePolicy { from, to } => {
                Self::SetLifecyclePolicy { from: to, to: from }
            }
            Self::SetTags { from, to } => Self::SetTags { from: to, to: from },
            Self::SetRepositoryPolicy { from, to } => {
                Self::SetRepositoryPolicy { from: to, to: from }
            }
            Self::Recreate { .. } => return None,
        })
    }

    /// Whether it is the same change: ECR may write the same document differently at each reading.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::SetLifecyclePolicy { from, to },
                Self::SetLifecyclePolicy {
                    from: other_from,
                    to: other_to,
                },
            )
            | (
                Self::SetRepositoryPolicy { from, to },
                Self::SetRepositoryPolicy {
                    from: other_from,
                    to: other_to,
                },
            ) => {
                document::same(from.as_deref(), other_from.as_deref())
                    && document::same(to.as_deref(), other_to.as_deref())
            }
            (one, other) => one == other,
        }
    }

    /// What must be read to know where a repository stands to this change.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        match self {
            Self::SetTagMutability { .. } | Self::SetScanOnPush { .. } => {}
            Self::SetRegistryScanning { .. } => reads.scanning = true,
            Self::SetLifecyclePolicy { .. } => reads.lifecycle = true,
            Self::SetTags { .. } => reads.tags = true,
            Self::SetRepositoryPolicy { .. } => reads.policy = true,
            Self::Recreate { .. } => reads = Reads::of_recreation(),
        }
        reads
    }

    /// Whether this is what the change was decided on.
    ///
    /// # Errors
    /// One line, where that could not be read.
    pub fn stands_on(&self, repository: &Repository) -> Result<bool, String> {
        match self.reverse() {
            Some(reverse) => reverse.is_done(repository),
            None => match self {
                Self::Recreate { from, .. } => Ok(repository.encryption == *from),
                _ => Ok(false),
            },
        }
    }

    /// Whether the repository is as this change makes it.
    ///
    /// # Errors
    /// One line, where that could not be read.
    pub fn is_done(&self, repository: &Repository) -> Result<bool, String> {
        Ok(match self {
            Self::SetTagMutability { to, .. } => repository.mutability == *to,
            Self::SetScanOnPush { to, .. } => repository.scan_on_push == *to,
            Self::SetRegistryScanning { to, .. } => repository.scanning.required()? == to,
            Self::SetLifecyclePolicy { to, .. } => {
                document::same(repository.lifecycle.required()?.as_deref(), to.as_deref())
            }
            Self::SetTags { to, .. } => {
                let tags = repository.tags.required()?;
                to.iter()
                    .all(|(key, value)| tags.get(key) == value.as_ref())
            }
            Self::SetRepositoryPolicy { to, .. } => {
                document::same(repository.policy.required()?.as_deref(), to.as_deref())
            }
            Self::Recreate { to, .. } => repository.encryption == as_ecr_answers(to, repository),
        })
    }

    /// The same change, made to a snapshot.
    pub fn apply_to(&self, repository: &mut Repository) {
        match self {
            Self::SetTagMutability { to, .. } => repository.mutability = to.clone(),
            Self::SetScanOnPush { to, .. } => {
                repository.scan_on_push = *to;
                is_scanned_on_push(repository, *to);
            }
            Self::SetRegistryScanning { to, .. } => {
                repository.scanning = Read::Known(to.clone());
                let covered = to.covers(&repository.id.name);
                is_scanned_on_push(repository, covered);
            }
            Self::SetLifecyclePolicy { to, .. } => repository.lifecycle = Read::Known(to.clone()),
            Self::SetTags { to, .. } => {
                if let Read::Known(tags) = &mut repository.tags {
                    for (key, value) in to {
                        match value {
                            Some(value) => tags.insert(key.clone(), value.clone()),
                            None => tags.remove(key),
                        };
                    }
                }
            }
            Self::SetRepositoryPolicy { to, .. } => repository.policy = Read::Known(to.clone()),
            Self::Recreate { to, .. } => repository.encryption = as_ecr_answers(to, repository),
        }
    }
}

/// What ECR should answer from now on, where it was asked.
fn is_scanned_on_push(repository: &mut Repository, on_push: bool) {
    if let Read::Known(frequency) = &mut repository.scan_frequency {
        *frequency = if on_push {
            ScanFrequency::ScanOnPush
        } else {
            ScanFrequency::Manual
        };
    }
}

/// ECR answers with the key's ARN, whatever name it was asked by.
fn as_ecr_answers(asked: &Encryption, repository: &Repository) -> Encryption {
    let arn = |name: &String| match repository.keys.get(name) {
        Some(Read::Known(Some(Key { arn, .. }))) => arn.clone(),
        _ => name.clone(),
    };
    Encryption {
        kind: asked.kind.clone(),
        kms_key: asked.kms_key.as_ref().map(arn),
    }
}

/// As much of a policy document as a message shows.
const POLICY_SHOWN: usize = 1000;

pub(crate) fn scan(on_push: bool) -> String {
    if on_push {
        "scan on push"
    } else {
        "no scan on push"
    }
    .to_owned()
}

fn lifecycle_policy(text: Option<&str>) -> String {
    text.map_or_else(
        || "no lifecycle policy".to_owned(),
        |text| one_line(text, POLICY_SHOWN),
    )
}

fn repository_policy(text: Option<&str>) -> String {
    match text {
        None => "no repository policy".to_owned(),
        Some(text) if quarantine::is_in(text) => {
            format!("quarantined, {}", one_line(text, POLICY_SHOWN))
        }
        Some(text) => one_line(text, POLICY_SHOWN),
    }
}

fn tags(tags: &BTreeMap<String, Option<String>>) -> String {
    tags.iter()
        .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("none")))
        .collect::<Vec<_>>()
        .join(", ")
}
