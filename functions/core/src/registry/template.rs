//! A repository creation template: the settings of the repositories that ECR creates by itself.
//!
//! Source: ECR API reference, RepositoryCreationTemplate.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::{Encryption, TagMutability};

/// The prefix of the template, or of the pull-through cache rule, that is for every repository without a closer one.
pub const ROOT: &str = "ROOT";

/// The template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// It is for the repositories whose names begin with this and `/`.
    pub prefix: String,
    pub applied_for: BTreeSet<Creation>,
    pub mutability: TagMutability,
    pub encryption: Encryption,
    pub tags: BTreeMap<String, String>,
    /// The repository policy's text.
    pub policy: Option<String>,
    /// The lifecycle policy's text.
    pub lifecycle: Option<String>,
    /// Whether it names the role with which ECR uses a KMS key and sets tags.
    pub has_role: bool,
}

/// On which occasion ECR creates a repository by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Creation {
    /// The first pull through a cache.
    PullThroughCache,
    /// The first image that another registry replicates.
    Replication,
    /// The first push. ECR creates a repository for it only where a template says so.
    Push,
    /// One that this version does not know.
    Other(String),
}

impl Creation {
    /// As ECR calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::PullThroughCache => "PULL_THROUGH_CACHE",
            Self::Replication => "REPLICATION",
            Self::Push => "CREATE_ON_PUSH",
            Self::Other(name) => name,
        }
    }

    /// Reads ECR's name of it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "PULL_THROUGH_CACHE" => Self::PullThroughCache,
            "REPLICATION" => Self::Replication,
            "CREATE_ON_PUSH" => Self::Push,
            other => Self::Other(crate::text::one_line(other, 40)),
        }
    }
}

impl Template {
    /// What ECR gives a repository where there is no template (ECR User Guide, "Repository creation templates").
    #[must_use]
    pub fn without_one(prefix: &str, creation: Creation) -> Self {
        Self {
            prefix: prefix.to_owned(),
            applied_for: [creation].into(),
            mutability: TagMutability::Mutable,
            encryption: Encryption::aes256(),
            tags: BTreeMap::new(),
            policy: None,
            lifecycle: None,
            has_role: false,
        }
    }

    /// Whether it is for every repository that this prefix is for, on this occasion. A closer template comes first.
    #[must_use]
    pub fn covers(&self, prefix: &str, creation: &Creation) -> bool {
        let rest = prefix.strip_prefix(&self.prefix);
        self.applied_for.contains(creation)
            && (self.prefix == ROOT
                || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_covers_its_prefix_and_what_is_below() {
        let template = |prefix: &str| Template::without_one(prefix, Creation::PullThroughCache);
        for (of, prefix, covered) in [
            ("ROOT", "docker-hub", true),
            ("ROOT", "ROOT", true),
            ("docker-hub", "docker-hub", true),
            ("docker-hub", "docker-hub/library", true),
            ("docker-hub", "docker-hub-two", false),
            ("docker-hub/library", "docker-hub", false),
            ("docker-hub", "ROOT", false),
        ] {
            let creation = Creation::PullThroughCache;
            assert_eq!(
                template(of).covers(prefix, &creation),
                covered,
                "{of} {prefix}"
            );
        }
        assert!(!template("ROOT").covers("prod", &Creation::Replication));
    }

    #[test]
    fn names_are_those_of_ecr() {
        for name in ["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH", "NEW"] {
            assert_eq!(Creation::named(name).name(), name);
        }
    }
}
