//! The changes ecr-warden can make to a repository. An action is data: what it changes, from what to what.

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
            Self::Recreate { .. } => "recreate",
        }
    }

    /// The IAM permissions that this change takes; the function's role holds these and no others for changes.
    #[must_use]
    pub fn permissions(&self) -> &'static [&'static str] {
        match self {
            Self::SetTagMutability { .. } => &["ecr:PutImageTagMutability"],
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
            Self::Recreate { from, .. } => from.to_string(),
        }
    }

    /// What is there after.
    #[must_use]
    pub fn to(&self) -> String {
        match self {
            Self::SetTagMutability { to, .. } => to.to_string(),
            Self::Recreate { to, .. } => to.to_string(),
        }
    }

    /// The same change, made to a snapshot.
    pub fn apply_to(&self, repository: &mut Repository) {
        match self {
            Self::SetTagMutability { to, .. } => repository.mutability = to.clone(),
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
