//! Tags that move, and the exclusions from immutability that they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::comment::shown;
use super::settings::RuleSettings;
use crate::repository::{Repository, TagMutability};
use crate::rules::mutable_tags::{MOST_FILTERS, MovingTags, is_floating_version};
use crate::text::counted;
use crate::yaml::in_quotes;

static HABITS: LazyLock<Vec<String>> = LazyLock::new(|| MovingTags::default().0);

/// Exclusion filters of repositories that a comment names.
const MOST_SHOWN: usize = 5;

fn habit(tag: &str) -> Option<&'static str> {
    let habits = HABITS.iter().map(String::as_str);
    let mut matching = habits.filter(|glob| fast_glob::glob_match(*glob, tag));
    matching.next()
}

/// Whether pipelines move such tags by habit.
pub(super) fn is_habit(tag: &str) -> bool {
    habit(tag).is_some()
}

/// Whether a glob is for the tags that cosign adds.
pub(super) fn is_signature(glob: &str) -> bool {
    glob == "sha256-*"
}

/// The settings of `mutable-tags`, and the globs that it excludes, those of most repositories first.
pub(super) fn mutable_tags(repositories: &[Repository]) -> (RuleSettings, Vec<String>) {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let (mut read, mut floating) = (0_usize, BTreeSet::new());
    let mut filters: BTreeMap<&str, usize> = BTreeMap::new();
    let one_more = |counts: &mut BTreeMap<&'static str, usize>, key: &'static str| {
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    };
    for repository in repositories {
        let Some(tags) = repository.recent_tags.known() else {
            continue;
        };
        read = read.saturating_add(1);
        let habits: BTreeSet<&'static str> = tags.iter().filter_map(|tag| habit(tag)).collect();
        for habit in habits {
            one_more(&mut counts, habit);
        }
        if tags.iter().any(|tag| is_floating_version(tag)) {
            floating.insert(&repository.id);
        }
    }
    for repository in repositories {
        if let TagMutability::ImmutableWithExclusion(of) = &repository.mutability {
            for filter in of {
                let count = filters.entry(filter).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    let mut moving: Vec<(&str, usize)> = counts.into_iter().collect();
    moving.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let globs: Vec<String> = moving.iter().map(|(glob, _)| (*glob).to_owned()).collect();

    let mut settings = RuleSettings::of("mutable-tags");
    let of: Vec<String> = moving
        .iter()
        .map(|(glob, count)| format!("{} in {count}", shown(glob)))
        .collect();
    let tags_of = counted(read, "repository", "repositories");
    settings.note(match of.as_slice() {
        [] => format!("No tag of {tags_of} whose tags can be overwritten is one that usually moves."),
        of => format!(
            "Guessed: of {tags_of} whose tags can be overwritten, some have tags that usually move: {}. These may stay mutable; remove those that \
             should not.",
            of.join(", ")
        ),
    });
    if !floating.is_empty() {
        settings.note(format!(
            "{} versions such as `v1` or `1.2`, which move with each release: add those that may, in full.",
            counted(floating.len(), "repository has", "repositories have")
        ));
    }
    let mut own: Vec<(&str, usize)> = filters
        .into_iter()
        .filter(|(filter, _)| !globs.iter().any(|glob| glob == filter))
        .collect();
    own.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if !own.is_empty() {
        let named: Vec<String> = own
            .iter()
            .take(MOST_SHOWN)
            .map(|(filter, count)| format!("{} in {count}", shown(filter)))
            .collect();
        settings.note(format!(
            "Exclusion filters that repositories have now and that are not listed here: {}.",
            named.join(", ")
        ));
    }
    if !globs.is_empty() {
        let quoted: Vec<String> = globs.iter().map(|glob| in_quotes(glob)).collect();
        settings.set("allow-exclusions", &format!("[{}]", quoted.join(", ")));
    }
    if globs.len() > MOST_FILTERS {
        settings.note(format!(
            "ECR takes {MOST_FILTERS} filters for a repository, so a repair grants those that its tags match (`exclusions: in-use`)."
        ));
        settings.set("exclusions", "in-use");
    }
    (settings, globs)
}
