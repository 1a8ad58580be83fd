//! The values of the settings of `mutable-tags`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::glob::Glob;

/// Which of the allowed exclusion filters a repository has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exclusions {
    /// All of them: one without is a finding of severity low.
    All,
    /// Those that one of its tags matches when it is repaired.
    InUse,
}

/// Globs over the names of repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CacheRepositories(pub(super) Vec<Glob>);

impl Default for CacheRepositories {
    fn default() -> Self {
        Self(Glob::try_from("**/cache".to_owned()).into_iter().collect())
    }
}

/// Globs of tags that move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MovingTags(pub(crate) Vec<String>);

impl Default for MovingTags {
    fn default() -> Self {
        let whole = [
            // Environments and channels.
            "beta",
            "canary",
            "dev",
            "edge",
            "integration",
            "latest",
            "live",
            "nightly",
            "pre-prod",
            "preprod",
            "preview",
            "prd",
            "prod",
            "production",
            "qa",
            "rc",
            "release",
            "sandbox",
            "snapshot",
            "stable",
            "stage",
            "staging",
            "stg",
            "test",
            "uat",
            // Branches.
            "develop",
            "development",
            "main",
            "master",
            "trunk",
        ];
        // `latest-arm64`, `stable-alpine`, `main-amd64`.
        let begin = [
            "canary", "edge", "latest", "main", "master", "nightly", "release", "stable",
        ];
        let others = [
            "*-latest",
            "*-SNAPSHOT",
            "*cache*",
            "feature-*",
            "hotfix-*",
            "mr-*",
            "pr-*",
            "pull-*",
            "sha256-*",
        ];
        let begin = begin.map(|begin| format!("{begin}-*"));
        Self(
            whole
                .iter()
                .chain(&others)
                .map(|one| (*one).to_owned())
                .chain(begin)
                .collect(),
        )
    }
}

/// A pull-through cache brings a tag up to date by moving it, which immutability forbids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PullThroughCaches {
    /// Report them.
    #[default]
    Report,
    /// They may be mutable.
    Ignore,
    /// Treat them like others. The cache can no longer update their tags.
    Repair,
}

/// Replication brings an image whose tag is taken in an immutable repository without the tag, and no push fails (ECR User Guide, "Private
/// image replication", considerations).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Replicas {
    /// Report them: an operator decides.
    #[default]
    Report,
    /// They may be mutable.
    Ignore,
    /// Treat them like others.
    Repair,
}

/// The mutability that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Required {
    #[default]
    Immutable,
}
