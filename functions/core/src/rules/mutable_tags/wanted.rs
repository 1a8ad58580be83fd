//! What a repository's tag mutability must become, and what of it the policy lets stay.

use std::collections::BTreeSet;

use super::{
    Exclusions, MOST_FILTERS, MutableTags, NO_TAGS, PullThroughCaches, Replicas,
    is_floating_version,
};
use crate::repository::{Read, Repository, TagMutability};
use crate::rule::Rule;

impl MutableTags {
    /// Whether every tag that `filter` matches is matched by an allowed exclusion too.
    pub(super) fn allows(&self, filter: &str) -> bool {
        // A wildcard of `filter` is matched as a plain character here, which only a wildcard of `allowed` can
        // match: so all that it stands for is matched as well.
        self.allow_exclusions
            .iter()
            .any(|allowed| fast_glob::glob_match(allowed, filter))
    }

    pub(super) fn is_cache(&self, name: &str) -> bool {
        self.cache_repositories
            .0
            .iter()
            .any(|glob| glob.matches(name))
    }

    /// The filters that every repository must have and this one lacks.
    pub(super) fn lacking(&self, filters: &BTreeSet<String>) -> Vec<String> {
        let asked = self.exclusions == Some(Exclusions::All);
        let lacks = |allowed: &&String| asked && !filters.contains(*allowed);
        self.allow_exclusions
            .iter()
            .filter(lacks)
            .cloned()
            .collect()
    }

    /// What the repository must become, and which of its tags can't be pushed again then although they look as if they
    /// would be.
    pub(super) fn wanted<'t>(
        &self,
        now: &TagMutability,
        tags: &'t BTreeSet<String>,
    ) -> (TagMutability, Vec<&'t str>) {
        let mut filters: BTreeSet<String> = match now {
            TagMutability::ImmutableWithExclusion(filters) => {
                filters.iter().filter(|f| self.allows(f)).cloned().collect()
            }
            // The filters of MUTABLE_WITH_EXCLUSION name what is immutable: nothing to keep.
            TagMutability::MutableWithExclusion(_)
            | TagMutability::Mutable
            | TagMutability::Immutable
            | TagMutability::Unknown(_) => BTreeSet::new(),
        };
        match self.exclusions {
            Some(Exclusions::InUse) => {
                for allowed in &self.allow_exclusions {
                    let used = tags.iter().any(|tag| fast_glob::glob_match(allowed, tag));
                    if used && filters.len() < MOST_FILTERS {
                        filters.insert(allowed.clone());
                    }
                }
            }
            // What the policy allows is granted before it is needed. The repository's own filters are within these.
            Some(Exclusions::All) | None => {
                filters.extend(self.allow_exclusions.iter().cloned());
                if filters.len() > MOST_FILTERS {
                    filters = self.allow_exclusions.iter().cloned().collect();
                }
            }
        }
        let stuck = tags
            .iter()
            .filter(|tag| {
                let moves = |glob: &String| fast_glob::glob_match(glob, tag.as_str());
                (self.moving_tags.0.iter().any(moves) || is_floating_version(tag))
                    && !filters.iter().any(moves)
            })
            .map(String::as_str)
            .collect();
        let wanted = if filters.is_empty() {
            TagMutability::Immutable
        } else {
            TagMutability::ImmutableWithExclusion(filters)
        };
        (wanted, stuck)
    }

    /// Why the repair is out of the question, and what its team does instead; else what must be known for it.
    pub(super) fn known<'r>(
        &self,
        repository: &'r Repository,
    ) -> Result<&'r BTreeSet<String>, String> {
        let cached = repository.pull_through.required().map_err(|why| {
            format!("not changed: whether a pull-through cache fills it could not be read: {why}")
        })?;
        if *cached && self.pull_through_caches != PullThroughCaches::Repair {
            if repository.root_cache {
                return Err(
                    "the registry has a pull-through cache rule with the prefix `ROOT`, so every repository counts as a cache \
                     and none is repaired; give the rule a prefix of its own, or set `pull-through-caches: repair` in the policy"
                        .to_owned(),
                );
            }
            return Err(
                "a pull-through cache fills it and could not refresh its tags any more, so it was \
                 not changed; exempt it, or set `pull-through-caches` in the policy"
                    .to_owned(),
            );
        }
        if repository.replicated && self.replicas == Replicas::Report {
            return Err(
                "replication fills it: once it is immutable, an image whose tag is taken is replicated without the tag, and no push fails. Make the \
                 source immutable, exempt it, or set `replicas` in the policy; new replicas get their settings from a creation template \
                 (`aws_ecr_repository_creation_template`)"
                    .to_owned(),
            );
        }
        if self.is_cache(&repository.id.name) {
            return Err(
                "its name says that builds use it as a cache: they push a tag again when its entry has expired, and immutability would \
                 make them slow without an error; exempt it, or set `cache-repositories: []` in the policy to have it repaired"
                    .to_owned(),
            );
        }
        if repository.recent_tags == Read::NotAsked && !self.explained_by(repository).is_nothing() {
            return Ok(&NO_TAGS);
        }
        repository.recent_tags.required().map_err(|why| {
            format!("not changed: which of its tags would break could not be read: {why}")
        })
    }
}
