//! The changes ecr-warden can make to a repository. An action is data: what it changes, from what to what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::repository::{Encryption, Read, Repository, TagMutability};

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
    /// PutLifecyclePolicy, where there is none.
    PutLifecyclePolicy { to: String },
    /// TagResource; `from` holds the values that are replaced.
    PutTags {
        from: BTreeMap<String, String>,
        to: BTreeMap<String, String>,
    },
    /// SetRepositoryPolicy, or DeleteRepositoryPolicy where nothing is left.
    SetRepositoryPolicy { from: String, to: Option<String> },
    /// Delete the empty repository and create it again, with everything it had and other encryption.
    Recreate { from: Encryption, to: Encryption },
}

impl Action {
    /// One of each, for whatever must cover all of them.
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
            Self::PutLifecyclePolicy { to: String::new() },
            Self::PutTags {
                from: BTreeMap::new(),
                to: BTreeMap::new(),
            },
            Self::SetRepositoryPolicy {
                from: String::new(),
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
            Self::PutLifecyclePolicy { .. } => "put-lifecycle-policy",
            Self::PutTags { .. } => "put-tags",
            Self::SetRepositoryPolicy { .. } => "set-repository-policy",
            Self::Recreate { .. } => "recreate",
        }
    }

    /// The IAM permissions that this change takes; the function's role holds these and no others for changes.
    #[must_use]
    pub fn permissions(&self) -> &'static [&'static str] {
        match self {
            Self::SetTagMutability { .. } => &["ecr:PutImageTagMutability"],
            Self::SetScanOnPush { .. } => &["ecr:PutImageScanningConfiguration"],
            Self::PutLifecyclePolicy { .. } => &["ecr:PutLifecyclePolicy"],
            Self::PutTags { .. } => &["ecr:TagResource"],
            Self::SetRepositoryPolicy { .. } => {
                &["ecr:DeleteRepositoryPolicy", "ecr:SetRepositoryPolicy"]
            }
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
            Self::PutLifecyclePolicy { .. } => "no lifecycle policy".to_owned(),
            Self::PutTags { from, to } => tags(to.keys().map(|key| {
                let before = from.get(key).map_or("none", String::as_str);
                (key.as_str(), before)
            })),
            Self::SetRepositoryPolicy { from, .. } => crate::text::one_line(from, POLICY_SHOWN),
            Self::Recreate { from, .. } => from.to_string(),
        }
    }

    /// What is there after.
    #[must_use]
    pub fn to(&self) -> String {
        match self {
            Self::SetTagMutability { to, .. } => to.to_string(),
            Self::SetScanOnPush { to, .. } => scan(*to),
            Self::PutLifecyclePolicy { to } => crate::text::one_line(to, POLICY_SHOWN),
            Self::PutTags { to, .. } => {
                tags(to.iter().map(|(key, value)| (key.as_str(), value.as_str())))
            }
            Self::SetRepositoryPolicy { to, .. } => to.as_deref().map_or_else(
                || "no repository policy".to_owned(),
                |to| crate::text::one_line(to, POLICY_SHOWN),
            ),
            Self::Recreate { to, .. } => to.to_string(),
        }
    }

    /// The same change, made to a snapshot.
    pub fn apply_to(&self, repository: &mut Repository) {
        match self {
            Self::SetTagMutability { to, .. } => repository.mutability = to.clone(),
            Self::SetScanOnPush { to, .. } => repository.scan_on_push = *to,
            Self::PutLifecyclePolicy { to } => repository.lifecycle = Read::Known(Some(to.clone())),
            Self::PutTags { to, .. } => {
                if let Read::Known(tags) = &mut repository.tags {
                    tags.extend(to.clone());
                }
            }
            Self::SetRepositoryPolicy { to, .. } => repository.policy = Read::Known(to.clone()),
            Self::Recreate { to, .. } => {
                // ECR answers with the key's ARN, whatever name it was asked by.
                repository.encryption = Encryption {
                    kind: to.kind.clone(),
                    kms_key: to
                        .kms_key
                        .as_ref()
                        .map(|asked| match repository.keys.get(asked) {
                            Some(Read::Known(Some(key))) => key.arn.clone(),
                            _ => asked.clone(),
                        }),
                };
            }
        }
    }
}

/// As much of a policy document as a message shows.
const POLICY_SHOWN: usize = 1000;

fn scan(on_push: bool) -> String {
    if on_push {
        "scan on push"
    } else {
        "no scan on push"
    }
    .to_owned()
}

fn tags<'t>(tags: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    tags.map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(", ")
}
