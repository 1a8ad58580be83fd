//! Which repositories something is for: globs, accounts, regions, tags.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

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

    /// Whether it matches as far as the name tells.
    pub(super) fn covers_name(&self, id: &RepositoryId) -> bool {
        (self.repositories.is_empty()
            || self.repositories.iter().any(|glob| glob.matches(&id.name)))
            && (self.accounts.is_empty() || self.accounts.contains(&id.account))
            && (self.regions.is_empty() || self.regions.contains(&id.region))
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

/// A tag's value, in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TagGlob(String);

impl TagGlob {
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.0 == value || (self.0.contains('*') && WildMatch::new(&self.0).matches(value))
    }
}

/// A glob over repository names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(glob: String) -> Result<Self, String> {
        let fits = (1..=256).contains(&glob.len())
            && glob.bytes().all(|b| {
                matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'*' | b'?')
            });
        let shown = crate::text::one_line(&glob, 80);
        if !fits {
            return Err(format!(
                "`{shown}` matches no repository: names have lower-case letters, digits, `.`, `_`, `-`, `/`; wildcards are \
                 `*`, `**` and `?`"
            ));
        }
        // Elsewhere it would be no more than a `*`, and whoever wrote it meant more.
        if glob
            .split('/')
            .any(|part| part != "**" && part.contains("**"))
        {
            return Err(format!(
                "`{shown}`: `**` matches whole parts of a name; write a `/` on each side of it, \
                 for example `team-*/**`"
            ));
        }
        Ok(Self(glob))
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        fast_glob::glob_match(&self.0, name)
    }
}
