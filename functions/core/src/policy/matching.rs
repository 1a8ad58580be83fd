//! Which repositories something is for: globs, accounts, regions, tags.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::glob::{Glob, TagGlob};
use crate::repository::{Read, RepositoryId};

/// Which repositories an override is for: all that is given must match, and in each list one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Globs over names: `*` stays within a part of the name, `**` stands for whole parts.
    pub repositories: Vec<Glob>,
    /// Account ids, quoted.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    /// Resource tags by key, all of which must be there; values may contain `*`.
    pub tags: BTreeMap<String, TagGlob>,
}

impl Match {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            repositories,
            accounts,
            regions,
            tags,
        } = self;
        repositories.is_empty() && accounts.is_empty() && regions.is_empty() && tags.is_empty()
    }

    /// Whether it matches as far as the name tells. A registry has none: no glob is for it.
    pub(super) fn covers_name(&self, id: &RepositoryId) -> bool {
        let mut globs = self.repositories.iter();
        (self.repositories.is_empty()
            || (!id.is_registry() && globs.any(|glob| glob.matches(&id.name))))
            && (self.accounts.is_empty() || self.accounts.contains(&id.account))
            && (self.regions.is_empty() || self.regions.contains(&id.region))
    }

    /// Whether it may match a repository of the registry.
    pub(super) fn covers_some(&self, registry: &RepositoryId) -> bool {
        (self.accounts.is_empty() || self.accounts.contains(&registry.account))
            && (self.regions.is_empty() || self.regions.contains(&registry.region))
    }

    pub(super) fn covers(
        &self,
        id: &RepositoryId,
        tags: &Read<BTreeMap<String, String>>,
    ) -> Result<bool, String> {
        if !self.covers_name(id) || self.tags.is_empty() {
            return Ok(self.covers_name(id));
        }
        let tags = tags.required().map_err(unread_tags)?;
        Ok(self
            .tags
            .iter()
            .all(|(key, glob)| tags.get(key).is_some_and(|value| glob.matches(value))))
    }
}

pub(super) fn unread_tags(why: String) -> String {
    format!("the policy depends on its tags, which could not be read: {why}")
}
