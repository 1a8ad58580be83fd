//! What a lifecycle policy would expire and archive.
//!
//! The rules of ECR's guide, "Examples of lifecycle policies" and "How the lifecycle policy works": each image is expired by
//! at most one rule, and one that matches the tags of a rule is not expired by a rule of lower priority.

pub(crate) mod document;
pub(crate) mod promises;

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use wildmatch::WildMatch;

use crate::image::Image;
use crate::text::{LONGEST, one_line};

/// Characters of a pattern that a message shows.
const SHOWN: usize = 80;

const DAY: i64 = 24 * 60 * 60;

/// What becomes of an image by a lifecycle policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Stays,
    /// It can't be pulled until it is restored.
    Archived,
    Expired,
}

/// What becomes of images of the standard storage class by a lifecycle policy's document at a time (seconds since the epoch), in their
/// order. A rule that this version does not understand does nothing.
#[must_use]
pub fn fates(document: &Value, images: &[Image], now: i64) -> Vec<Fate> {
    let mut rules: Vec<&Value> = document
        .get("rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    rules.sort_by_key(|rule| rule.get("rulePriority").and_then(Value::as_u64));
    // Newest first: what a count keeps.
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(images.get(*n).map(|image| image.pushed_at)));
    let mut taken = vec![false; images.len()];
    let mut fates = vec![Fate::Stays; images.len()];
    for rule in rules {
        let Some(selection) = Selection::of(rule) else {
            continue;
        };
        let mut seen: u64 = 0;
        for n in &order {
            let (Some(image), Some(taken), Some(fate)) =
                (images.get(*n), taken.get_mut(*n), fates.get_mut(*n))
            else {
                continue;
            };
            if !selection.selects(image) {
                continue;
            }
            // What a rule of higher priority has is counted as if it were not expired.
            seen = seen.saturating_add(1);
            let older = |than: i64, days: i64| now.saturating_sub(than) > days.saturating_mul(DAY);
            let goes = match selection.limit {
                Limit::Count(most) => seen > most,
                Limit::Age(days) => older(image.pushed_at, days),
                Limit::Unused(days) => older(image.pulled_at.unwrap_or(image.pushed_at), days),
            };
            if goes && !*taken {
                *fate = selection.fate;
            }
            *taken = true;
        }
    }
    fates
}

/// How many of a repository's images a lifecycle policy would expire or archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    pub images: usize,
    pub expired: usize,
    pub archived: usize,
    /// Of the expired and archived ones, those with a tag.
    pub tagged: usize,
    /// Of the expired and archived ones, those pulled in the last 30 days: a deployment may need them.
    pub pulled_lately: usize,
    /// Images that a rule selects and that stay, as parts of an index that stays.
    pub parts: usize,
}

/// The seconds a build takes from the push of an index's first part to that of the index.
const BUILD: i64 = 60 * 60;

/// Which images are parts of an index that stays: ECR does not expire these. Which images an index names is in its manifest alone, which is
/// not read. Parts are pushed without a tag and before their index, so an image without a tag that was pushed up to an hour before an index
/// that stays counts as its part.
fn kept_parts(images: &[Image], fates: &[Fate]) -> Vec<bool> {
    let all = images.iter().zip(fates);
    let kept = all.filter(|(image, fate)| image.index && **fate == Fate::Stays);
    let mut kept: Vec<i64> = kept.map(|(image, _)| image.pushed_at).collect();
    kept.sort_unstable();
    let is_part = |image: &Image| {
        let next = kept.partition_point(|pushed_at| *pushed_at < image.pushed_at);
        let next = kept.get(next);
        image.may_be_part(true)
            && next.is_some_and(|index| index.saturating_sub(image.pushed_at) <= BUILD)
    };
    images.iter().map(is_part).collect()
}

/// Days. ECR records a pull of an image at most once in 24 hours (ECR API reference, ImageDetail, `lastRecordedPullTime`).
const LATELY: i64 = 30;

impl Impact {
    /// Of this lifecycle policy now, in seconds since the epoch.
    #[must_use]
    pub fn of(document: &Value, images: &[Image], now: i64) -> Self {
        let mut fates = fates(document, images, now);
        let mut parts = 0_usize;
        let kept = kept_parts(images, &fates);
        for (fate, is_part) in fates.iter_mut().zip(kept) {
            if is_part && *fate != Fate::Stays {
                *fate = Fate::Stays;
                parts = parts.saturating_add(1);
            }
        }
        let count = |of: Fate| fates.iter().filter(|fate| **fate == of).count();
        let gone = || {
            let all = images.iter().zip(&fates);
            all.filter(|(_, fate)| **fate != Fate::Stays)
        };
        let since = now.saturating_sub(LATELY.saturating_mul(DAY));
        let lately = |image: &Image| image.pulled_at.is_some_and(|at| at > since);
        Self {
            images: images.len(),
            expired: count(Fate::Expired),
            archived: count(Fate::Archived),
            tagged: gone().filter(|(image, _)| !image.tags.is_empty()).count(),
            pulled_lately: gone().filter(|(image, _)| lately(image)).count(),
            parts,
        }
    }

    /// Whether the lifecycle policy may be put without a decision by an operator: it takes no image that is tagged or was pulled lately, and
    /// at most a fifth of all.
    #[must_use]
    pub fn is_small(self) -> bool {
        let gone = self.expired.saturating_add(self.archived);
        self.tagged == 0 && self.pulled_lately == 0 && gone.saturating_mul(5) <= self.images
    }
}

impl std::fmt::Display for Impact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it would expire {}", self.expired)?;
        if self.archived > 0 {
            write!(f, " and archive {}", self.archived)?;
        }
        write!(
            f,
            " of {} images, {} of them tagged",
            self.images, self.tagged
        )?;
        if self.pulled_lately > 0 {
            let pulled = self.pulled_lately;
            write!(f, " and {pulled} pulled in the last {LATELY} days")?;
        }
        match self.parts {
            0 => Ok(()),
            parts => write!(f, "; {parts} are taken for parts of images that stay"),
        }
    }
}

/// Whether a rule of this lifecycle policy may expire tagged images that are not archived: what is archived was given up before.
#[must_use]
pub fn selects_tagged(document: &Map<String, Value>) -> bool {
    let rules = document.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().any(|rule| {
        let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str);
        text("/selection/tagStatus") != Some("untagged")
            && text("/action/type") != Some("transition")
            && text("/selection/storageClass") != Some("archive")
    })
}

/// Why no image can ever match a rule of this lifecycle policy, in one line; `None`: one may, or the document is not understood.
#[must_use]
pub fn matches_nothing(text: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    let rules = document.get("rules")?.as_array()?;
    let why: Option<BTreeSet<String>> = rules.iter().map(matches_no_tag).collect();
    let why: Vec<String> = why?.into_iter().collect();
    Some(match why.as_slice() {
        [] => "it has no rules".to_owned(),
        why => one_line(&why.join("; "), LONGEST),
    })
}

fn matches_no_tag(rule: &Value) -> Option<String> {
    let selection = rule.get("selection")?;
    if selection.get("tagStatus")?.as_str()? != "tagged" {
        return None;
    }
    let mut all = tag_patterns(selection).peekable();
    if all.peek().is_none() {
        return Some("a rule for tagged images names no tags".to_owned());
    }
    // All of them must match.
    let impossible = all.find(|(_, pattern)| !may_match_tag(pattern));
    impossible.map(|(written, _)| format!("no tag can match `{}`", one_line(written, SHOWN)))
}

/// The tags of a selection: each as it is written, and as a pattern with `*`.
fn tag_patterns(selection: &Value) -> impl Iterator<Item = (&str, String)> {
    let list = |key: &str| {
        let items = selection.get(key).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str)
    };
    let prefixes = list("tagPrefixList").map(|prefix| (prefix, format!("{prefix}*")));
    let patterns = list("tagPatternList").map(|pattern| (pattern, pattern.to_owned()));
    prefixes.chain(patterns)
}

/// Whether a tag can match a pattern, in which `*` stands for any characters and nothing else does. A tag is
/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI Distribution Specification, "Pulling manifests").
pub(crate) fn may_match_tag(pattern: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut literal = pattern.chars().filter(|c| *c != '*');
    let length = literal.clone().count();
    literal.all(|c| word(c) || c == '.' || c == '-')
        && pattern.chars().next().is_some_and(|c| c == '*' || word(c))
        && length <= 128
}

struct Selection {
    tags: Tags,
    limit: Limit,
    fate: Fate,
}

enum Tags {
    Any,
    Untagged,
    /// All of these must match one of its tags.
    Matching(Vec<WildMatch>),
}

enum Limit {
    Count(u64),
    /// In days since it was pushed.
    Age(i64),
    /// In days since it was pulled.
    Unused(i64),
}

impl Selection {
    fn of(rule: &Value) -> Option<Self> {
        let selection = rule.get("selection")?;
        let text = |key: &str| selection.get(key).and_then(Value::as_str);
        let tags = match text("tagStatus")? {
            "any" => Tags::Any,
            "untagged" => Tags::Untagged,
            "tagged" => {
                let all: Vec<WildMatch> = tag_patterns(selection)
                    .map(|(_, pattern)| WildMatch::new(&pattern))
                    .collect();
                if all.is_empty() {
                    return None;
                }
                Tags::Matching(all)
            }
            _ => return None,
        };
        // The images at hand are not archived.
        if text("storageClass") == Some("archive") {
            return None;
        }
        let fate = match rule.pointer("/action/type").and_then(Value::as_str)? {
            "expire" => Fate::Expired,
            "transition" => Fate::Archived,
            _ => return None,
        };
        let number = selection.get("countNumber").and_then(Value::as_u64)?;
        let limit = match text("countType")? {
            "imageCountMoreThan" => Limit::Count(number),
            "sinceImagePushed" => Limit::Age(i64::try_from(number).ok()?),
            "sinceImagePulled" => Limit::Unused(i64::try_from(number).ok()?),
            _ => return None,
        };
        Some(Self { tags, limit, fate })
    }

    fn selects(&self, image: &Image) -> bool {
        match &self.tags {
            Tags::Any => true,
            Tags::Untagged => image.tags.is_empty(),
            Tags::Matching(all) => all
                .iter()
                .all(|pattern| image.tags.iter().any(|tag| pattern.matches(tag))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_000 * DAY;

    fn image(days: i64, tags: &[&str]) -> Image {
        Image {
            pushed_at: NOW - days * DAY,
            pulled_at: None,
            bytes: 1,
            index: false,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    fn rule(priority: u64, selection: Value) -> Value {
        json!({ "rulePriority": priority, "selection": selection, "action": { "type": "expire" } })
    }

    fn of(rules: &[Value], images: &[Image]) -> Vec<bool> {
        let fates = fates(&json!({ "rules": rules }), images, NOW);
        fates.iter().map(|fate| *fate == Fate::Expired).collect()
    }

    /// A multi-platform image is an index with a tag and parts without. As long as the index stays, its parts do.
    #[test]
    fn parts_of_an_index_stay_with_it() {
        let untagged = rule(
            1,
            json!({ "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 }),
        );
        let document = json!({ "rules": [untagged] });
        let index = |days: i64, tags: &[&str]| Image {
            index: true,
            ..image(days, tags)
        };
        let before = |seconds: i64, image: Image| Image {
            pushed_at: image.pushed_at - seconds,
            ..image
        };
        let (minute, hour) = (60, 60 * 60);
        for (images, expired, parts) in [
            // Two platforms and an attestation for each, pushed before.
            (
                vec![
                    before(minute, image(40, &[])),
                    before(minute, image(40, &[])),
                    image(40, &[]),
                    index(40, &["v1"]),
                ],
                0,
                3,
            ),
            // Pushed much earlier, or later than every index.
            (
                vec![before(2 * hour, image(40, &[])), index(40, &["v1"])],
                1,
                0,
            ),
            (vec![image(30, &[]), index(40, &["v1"])], 1, 0),
            // The index goes: so do its parts.
            (vec![image(40, &[]), index(40, &[])], 2, 0),
            // Of two indexes one goes; the other keeps what was pushed before it.
            (
                vec![
                    image(40, &[]),
                    index(40, &[]),
                    image(30, &[]),
                    index(30, &["v2"]),
                ],
                2,
                1,
            ),
            // An image of its own.
            (vec![image(40, &[])], 1, 0),
        ] {
            let impact = Impact::of(&document, &images, NOW);
            assert_eq!(
                (impact.expired, impact.parts),
                (expired, parts),
                "{images:?}"
            );
        }
        // So a default for untagged images can be put.
        let images: Vec<Image> = (15..40)
            .flat_map(|days| [image(days, &[]), image(days, &[]), index(days, &["v"])])
            .collect();
        let impact = Impact::of(&document, &images, NOW);
        assert!(impact.is_small(), "{impact}");
        assert!(
            impact
                .to_string()
                .ends_with("; 50 are taken for parts of images that stay")
        );
    }

    /// What is archived can't be pulled: it counts like what goes, where a lifecycle policy is put, and is not saved.
    #[test]
    fn archiving_is_told_from_expiry() {
        let unused = json!({ "tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 90 });
        let long_archived = json!({
            "tagStatus": "any", "storageClass": "archive", "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 1,
        });
        let document = json!({ "rules": [
            { "rulePriority": 1, "selection": unused, "action": { "type": "transition", "targetStorageClass": "archive" } },
            { "rulePriority": 2, "selection": long_archived, "action": { "type": "expire" } },
        ] });
        let pulled = |days: i64, image: Image| Image {
            pulled_at: Some(NOW - days * DAY),
            ..image
        };
        let images = [
            pulled(1, image(400, &["v1"])),
            image(400, &["v2"]),
            image(1, &[]),
        ];
        assert_eq!(
            fates(&document, &images, NOW),
            [Fate::Stays, Fate::Archived, Fate::Stays]
        );
        let impact = Impact::of(&document, &images, NOW);
        assert_eq!((impact.expired, impact.archived, impact.tagged), (0, 1, 1));
        assert!(!impact.is_small());
        assert_eq!(
            impact.to_string(),
            "it would expire 0 and archive 1 of 3 images, 1 of them tagged"
        );
        assert!(!selects_tagged(document.as_object().unwrap()));

        let old = rule(
            1,
            json!({ "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 }),
        );
        let document = json!({ "rules": [old] });
        for (days, pulled_lately) in [(29, 1), (30, 0)] {
            let mut images = vec![image(1, &[]); 9];
            images.push(pulled(days, image(60, &[])));
            let impact = Impact::of(&document, &images, NOW);
            assert_eq!((impact.expired, impact.pulled_lately), (1, pulled_lately));
            assert_eq!(impact.is_small(), pulled_lately == 0);
            let says = impact
                .to_string()
                .contains("and 1 pulled in the last 30 days");
            assert_eq!(says, pulled_lately == 1, "{impact}");
        }
    }

    #[test]
    fn by_age() {
        let old = rule(
            1,
            json!({ "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 }),
        );
        let images = [image(13, &[]), image(15, &[]), image(15, &["v1"])];
        assert_eq!(of(&[old], &images), [false, true, false]);
    }

    #[test]
    fn by_count_the_newest_stay() {
        let two = rule(
            1,
            json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2 }),
        );
        let images = [image(3, &[]), image(1, &["a"]), image(2, &["b"])];
        assert_eq!(of(&[two], &images), [true, false, false]);
    }

    #[test]
    fn what_a_rule_of_higher_priority_keeps_is_kept() {
        let keep_releases = rule(
            1,
            json!({ "tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 9 }),
        );
        let none_else = rule(
            2,
            json!({ "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1 }),
        );
        let images = [image(1, &["v2"]), image(2, &["v1"]), image(3, &["dev"])];
        // Whatever the order they are written in.
        assert_eq!(
            of(&[none_else, keep_releases], &images),
            [false, false, true]
        );
    }

    #[test]
    fn all_patterns_must_match() {
        let both = rule(
            1,
            json!({ "tagStatus": "tagged", "tagPatternList": ["a*", "*-dev"], "countType": "sinceImagePushed",
                    "countUnit": "days", "countNumber": 1 }),
        );
        let images = [
            image(2, &["a1", "x-dev"]),
            image(2, &["a1"]),
            image(2, &["a-dev"]),
        ];
        assert_eq!(of(&[both], &images), [true, false, true]);
    }

    #[test]
    fn a_policy_that_can_never_match_is_known() {
        let tagged = |key: &str, list: &[&str]| {
            rule(
                1,
                json!({ "tagStatus": "tagged", key: list, "countType": "imageCountMoreThan", "countNumber": 1 }),
            )
        };
        let untagged = || {
            rule(
                1,
                json!({ "tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1 }),
            )
        };
        let long = "x".repeat(129);
        for (rules, why) in [
            (vec![], "it has no rules"),
            (
                vec![tagged("tagPrefixList", &["feature/"])],
                "no tag can match `feature/`",
            ),
            (
                vec![tagged("tagPatternList", &["v*", "release-?"])],
                "no tag can match `release-?`",
            ),
            (
                vec![tagged("tagPatternList", &["-x*"])],
                "no tag can match `-x*`",
            ),
            (
                vec![tagged("tagPrefixList", &[long.as_str()])],
                "no tag can match `xxx",
            ),
            (vec![tagged("tagPrefixList", &[])], "names no tags"),
            (
                vec![
                    tagged("tagPrefixList", &["a b"]),
                    tagged("tagPrefixList", &["c:"]),
                ],
                "no tag can match `a b`; no tag can match `c:`",
            ),
        ] {
            let found = matches_nothing(&json!({ "rules": rules }).to_string()).unwrap();
            assert!(found.contains(why), "{found}");
        }
        for rules in [
            vec![untagged()],
            vec![tagged("tagPrefixList", &["feature/"]), untagged()],
            vec![tagged("tagPrefixList", &[""])],
            vec![tagged("tagPatternList", &["*"]), untagged()],
            vec![tagged("tagPatternList", &["*-dev", "v1.*"])],
            vec![json!({ "selection": { "tagStatus": "of-a-later-version" } })],
            vec![json!(7)],
        ] {
            assert_eq!(
                matches_nothing(&json!({ "rules": rules }).to_string()),
                None
            );
        }
        for other in ["{}", r#"{ "rules": 7 }"#, "[]", "nonsense"] {
            assert_eq!(matches_nothing(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_understood_expires_nothing() {
        let images = [image(900, &[])];
        for selection in [
            json!({ "tagStatus": "any", "countType": "sinceImageDreamt", "countNumber": 1 }),
            json!({ "tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 1 }),
            json!(7),
        ] {
            assert_eq!(of(&[rule(1, selection)], &images), [false]);
        }
        let archives = json!({ "rulePriority": 1, "action": { "type": "transition" },
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0 } });
        assert_eq!(of(&[archives], &images), [false]);
    }
}
