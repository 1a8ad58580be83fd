//! Conventions that nearly all repositories follow, guessed from names, resource tags and image tags.

use std::collections::{BTreeMap, BTreeSet};

use super::comment::{listed, shown};
use super::moving::{is_habit, is_signature};
use super::settings::RuleSettings;
use crate::repository::Repository;
use crate::rules::nonconforming_name::whole;
use crate::text::counted;
use crate::yaml::in_quotes;

/// A convention of fewer repositories is chance.
const FEWEST: usize = 5;
/// A convention of fewer image tags is chance.
const FEWEST_TAGS: usize = 20;
/// Of a hundred, how many follow what is taken for a convention.
const NEARLY_ALL: usize = 90;
/// Required keys at most.
const MOST_KEYS: usize = 10;
/// Image tags of one repository that count: a repository with many is not the registry's convention.
const TAGS_EACH: usize = 50;
/// More namespaces are no list that an operator keeps.
const MOST_NAMESPACES: usize = 12;

fn nearly_all(of: usize, all: usize) -> bool {
    of.saturating_mul(100) >= all.saturating_mul(NEARLY_ALL)
}

struct Convention {
    pattern: &'static str,
    words: &'static str,
}

/// The narrowest first.
const NAMES: [Convention; 7] = [
    Convention {
        pattern: "[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*",
        words: "namespace/name, of lower-case letters, digits and hyphens",
    },
    Convention {
        pattern: "[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*){2}",
        words: "three parts, of lower-case letters, digits and hyphens",
    },
    Convention {
        pattern: "[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)+",
        words: "at least two parts, of lower-case letters, digits and hyphens",
    },
    Convention {
        pattern: "[^/]+/[^/]+",
        words: "namespace/name",
    },
    Convention {
        pattern: "[^/]+/[^/]+/[^/]+",
        words: "three parts",
    },
    Convention {
        pattern: "[^/]+(/[^/]+)+",
        words: "namespace/name",
    },
    Convention {
        pattern: "[a-z0-9]+(-[a-z0-9]+)*",
        words: "one part, of lower-case letters, digits and hyphens",
    },
];

/// The narrowest first.
const IMAGE_TAGS: [Convention; 7] = [
    Convention {
        pattern: r"v?\d+\.\d+\.\d+-[0-9a-f]{7,40}",
        words: "semantic version and short commit, v1.0.0-abc1234",
    },
    Convention {
        pattern: r"v?\d+\.\d+\.\d+",
        words: "semantic version, v1.0.0",
    },
    Convention {
        pattern: r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?",
        words: "semantic version, v1.0.0 or v1.0.0-rc.1",
    },
    Convention {
        pattern: r"\d+",
        words: "number of the build",
    },
    Convention {
        pattern: "[0-9a-f]{7,40}",
        words: "commit",
    },
    Convention {
        pattern: "[0-9A-Za-z._]+(-[0-9A-Za-z._]+)*-[0-9a-f]{7,40}",
        words: "something and short commit, main-abc1234",
    },
    Convention {
        pattern: r"\d{4}[-.]?\d{2}[-.]?\d{2}([-.T_][0-9A-Za-z.-]+)?",
        words: "date, 2027-01-31 or 20270131-1",
    },
];

/// The first convention that nearly all follow, and how many do.
fn guess<'t>(
    conventions: &'static [Convention],
    texts: &BTreeSet<(&'t str, &'t str)>,
) -> Option<(&'static Convention, usize)> {
    conventions.iter().find_map(|convention| {
        let pattern = whole(convention.pattern).ok()?;
        let follow = texts.iter().filter(|(_, text)| pattern.is_match(text));
        let follow = follow.count();
        nearly_all(follow, texts.len()).then_some((convention, follow))
    })
}

/// The settings of `nonconforming-name`; `None`: the names show no convention.
pub(super) fn names(repositories: &[Repository]) -> Option<RuleSettings> {
    let names = repositories
        .iter()
        .map(|one| (one.id.region.as_str(), one.id.name.as_str()));
    let names: BTreeSet<(&str, &str)> = names.collect();
    if names.len() < FEWEST {
        return None;
    }
    let (convention, follow) = guess(&NAMES, &names)?;
    let mut settings = RuleSettings::of("nonconforming-name");
    settings.note(format!(
        "Guessed: {follow} of {} names follow it.",
        names.len()
    ));
    settings.note(namespaces(&names));
    settings.set("pattern", &in_quotes(convention.pattern));
    settings.set("convention", &in_quotes(convention.words));
    Some(settings)
}

/// What the pattern would be if no other namespace were right.
fn namespaces(names: &BTreeSet<(&str, &str)>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, _) in names.iter().filter_map(|(_, name)| name.split_once('/')) {
        let count = counts.entry(namespace).or_default();
        *count = count.saturating_add(1);
    }
    if !(2..=MOST_NAMESPACES).contains(&counts.len()) {
        return String::new();
    }
    let alternatives: Vec<String> = counts.keys().map(|name| name.replace('.', r"\.")).collect();
    let pattern = in_quotes(&format!("({})/.+", alternatives.join("|")));
    format!(
        "Its namespaces are {}; `pattern: {pattern}` admits no others.",
        listed(counts.keys().copied(), MOST_NAMESPACES)
    )
}

/// The settings of `missing-tags`: the keys that nearly all repositories have; `None`: there are none.
pub(super) fn required_tags(repositories: &[Repository]) -> Option<RuleSettings> {
    let mut read = 0_usize;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for tags in repositories.iter().filter_map(|one| one.tags.known()) {
        read = read.saturating_add(1);
        for (key, value) in tags {
            let own = key.starts_with("aws:") || key.starts_with("ecr-warden");
            if !own && !value.is_empty() {
                let count = counts.entry(key).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    if read < FEWEST {
        return None;
    }
    let mut keys: Vec<(&str, usize)> = counts
        .into_iter()
        .filter(|(key, count)| is_key(key) && nearly_all(*count, read))
        .collect();
    keys.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    keys.truncate(MOST_KEYS);
    if keys.is_empty() {
        return None;
    }
    let of: Vec<String> = keys
        .iter()
        .map(|(key, count)| format!("{} {count}", shown(key)))
        .collect();
    let mut settings = RuleSettings::of("missing-tags");
    settings.note(format!(
        "Guessed: nearly all of {read} repositories have these tags: {}.",
        of.join(", ")
    ));
    let required = keys
        .iter()
        .map(|(key, _)| format!("  {}: {{}}", in_quotes(key)));
    settings.lines.push("require:".to_owned());
    settings.lines.extend(required);
    Some(settings)
}

/// What the rule takes: AWS has no other keys.
fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.chars().count())
}

/// The settings of `nonconforming-image-tag`; `None`: the tags show no convention. `moving`: the tags that may stay mutable.
pub(super) fn image_tags(repositories: &[Repository], moving: &[String]) -> Option<RuleSettings> {
    let mut tags: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut of = 0_usize;
    for repository in repositories {
        let recent = repository.recent_tags.known().into_iter().flatten();
        let versions = recent.filter(|tag| !is_habit(tag)).take(TAGS_EACH);
        let before = tags.len();
        tags.extend(versions.map(|tag| (repository.id.name.as_str(), tag.as_str())));
        of = of.saturating_add(usize::from(tags.len() > before));
    }
    if of < FEWEST || tags.len() < FEWEST_TAGS {
        return None;
    }
    let (convention, follow) = guess(&IMAGE_TAGS, &tags)?;
    let mut settings = RuleSettings::of("nonconforming-image-tag");
    settings.note(format!(
        "Guessed: {follow} of {} tags in {} follow it, beside those that move. An audit does not see pushes: each new one is evaluated.",
        tags.len(),
        counted(of, "repository", "repositories")
    ));
    let mut allow: Vec<String> = moving.iter().map(|glob| in_quotes(glob)).collect();
    if !moving.iter().any(|glob| is_signature(glob)) {
        allow.push(in_quotes("sha256-*"));
    }
    settings.set("pattern", &in_quotes(convention.pattern));
    settings.set("convention", &in_quotes(convention.words));
    settings.set("allow", &format!("[{}]", allow.join(", ")));
    Some(settings)
}
