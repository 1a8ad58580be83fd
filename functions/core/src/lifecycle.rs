//! What a lifecycle policy would expire.
//!
//! The rules of ECR's guide, "Examples of lifecycle policies" and "How the lifecycle policy works": each image is expired by
//! at most one rule, and one that matches the tags of a rule is not expired by a rule of lower priority.

use serde_json::{Map, Value};
use wildmatch::WildMatch;

use crate::storage::Image;

const DAY: i64 = 24 * 60 * 60;

/// Which of the images a lifecycle policy's document would expire at a time (seconds since the epoch), in their order. A rule
/// that this version does not understand expires nothing.
#[must_use]
pub fn expired(document: &Value, images: &[Image], now: i64) -> Vec<bool> {
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
    let mut expired = vec![false; images.len()];
    for rule in rules {
        let Some(selection) = Selection::of(rule) else {
            continue;
        };
        let mut seen: u64 = 0;
        for n in &order {
            let (Some(image), Some(taken), Some(expired)) =
                (images.get(*n), taken.get_mut(*n), expired.get_mut(*n))
            else {
                continue;
            };
            if !selection.selects(image) {
                continue;
            }
            // What a rule of higher priority has is counted as if it were not expired.
            seen = seen.saturating_add(1);
            let goes = match selection.limit {
                Limit::Count(most) => seen > most,
                Limit::Age(days) => now.saturating_sub(image.pushed_at) > days.saturating_mul(DAY),
            };
            *expired |= goes && !*taken;
            *taken = true;
        }
    }
    expired
}

/// How many of a repository's images a lifecycle policy would expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impact {
    pub images: usize,
    pub expired: usize,
    /// Of the expired ones, those with a tag.
    pub tagged: usize,
}

impl Impact {
    /// Of this lifecycle policy now, in seconds since the epoch.
    #[must_use]
    pub fn of(document: &Value, images: &[Image], now: i64) -> Self {
        let goes = expired(document, images, now);
        let expired = || {
            images
                .iter()
                .zip(&goes)
                .filter_map(|(image, goes)| goes.then_some(image))
        };
        Self {
            images: images.len(),
            expired: expired().count(),
            tagged: expired().filter(|image| !image.tags.is_empty()).count(),
        }
    }

    /// Whether the lifecycle policy may be put without a decision by an operator: no tagged image goes, and at most a fifth of all.
    #[must_use]
    pub fn is_small(self) -> bool {
        self.tagged == 0 && self.expired.saturating_mul(5) <= self.images
    }
}

impl std::fmt::Display for Impact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "it would expire {} of {} images, {} of them tagged",
            self.expired, self.images, self.tagged
        )
    }
}

/// Whether a rule of this lifecycle policy may expire tagged images.
#[must_use]
pub fn selects_tagged(document: &Map<String, Value>) -> bool {
    let rules = document.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().any(|rule| {
        let status = rule.pointer("/selection/tagStatus").and_then(Value::as_str);
        status != Some("untagged")
    })
}

struct Selection {
    tags: Tags,
    limit: Limit,
}

enum Tags {
    Any,
    Untagged,
    /// All of these must match one of its tags.
    Matching(Vec<WildMatch>),
}

enum Limit {
    Count(u64),
    /// In days.
    Age(i64),
}

impl Selection {
    fn of(rule: &Value) -> Option<Self> {
        let selection = rule.get("selection")?;
        let text = |key: &str| selection.get(key).and_then(Value::as_str);
        let list = |key: &str| {
            let items = selection.get(key).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(Value::as_str)
        };
        let tags = match text("tagStatus")? {
            "any" => Tags::Any,
            "untagged" => Tags::Untagged,
            "tagged" => {
                let prefixes = list("tagPrefixList").map(|prefix| format!("{prefix}*"));
                let patterns = list("tagPatternList").map(str::to_owned);
                let all: Vec<WildMatch> = prefixes
                    .chain(patterns)
                    .map(|p| WildMatch::new(&p))
                    .collect();
                if all.is_empty() {
                    return None;
                }
                Tags::Matching(all)
            }
            _ => return None,
        };
        let number = selection.get("countNumber").and_then(Value::as_u64)?;
        let limit = match text("countType")? {
            "imageCountMoreThan" => Limit::Count(number),
            "sinceImagePushed" => Limit::Age(i64::try_from(number).ok()?),
            _ => return None,
        };
        (rule.pointer("/action/type").and_then(Value::as_str) == Some("expire"))
            .then_some(Self { tags, limit })
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
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        }
    }

    fn rule(priority: u64, selection: Value) -> Value {
        json!({ "rulePriority": priority, "selection": selection, "action": { "type": "expire" } })
    }

    fn of(rules: &[Value], images: &[Image]) -> Vec<bool> {
        expired(&json!({ "rules": rules }), images, NOW)
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
