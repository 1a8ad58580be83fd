//! The values of the settings of `weak-encryption`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ladder. Each rung includes the ones above it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Rung {
    /// Keys of the service itself.
    #[default]
    #[serde(rename = "AES256")]
    Aes256,
    /// Any KMS key, AWS's `aws/ecr` included.
    Kms,
    /// A KMS key that a customer manages.
    CustomerKey,
    /// One of the keys that the policy lists.
    AllowedKeys,
}

impl Rung {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::Kms => "KMS",
            Self::CustomerKey => "KMS with a customer key",
            Self::AllowedKeys => "KMS with one of the allowed keys",
        }
    }
}

/// What is done about an empty repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenEmpty {
    /// Report it.
    #[default]
    Alert,
    /// Delete and create it again, with every setting it had.
    Recreate,
}

/// What is done about a repository with images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenNotEmpty {
    /// Report it.
    #[default]
    Alert,
    /// Refuse pushes to it by a statement in its repository policy, until it conforms. Pulls go on.
    Quarantine,
}
