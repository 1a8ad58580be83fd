//! What a lifecycle policy would expire and archive.
//!
//! The rules of ECR's guide, "Examples of lifecycle policies" and "How the lifecycle policy works": each image is expired by
//! at most one rule, and one that matches the tags of a rule is not expired by a rule of lower priority.

pub(crate) mod document;

use serde_json::{Map, Value};
use wildmatch::WildMatch;

use crate::storage::Image;

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
}

impl Impact {
    /// Of this lifecycle policy now, in seconds since the epoch.
    #[must_use]
    pub fn of(document: &Value, images: &[Image], now: i64) -> Self {
        let fates = fates(document, images, now);
        let count = |of: Fate| fates.iter().filter(|fate| **fate == of).count();
        let gone = images
            .iter()
            .zip(&fates)
            .filter(|(_, fate)| **fate != Fate::Stays);
        Self {
            images: images.len(),
            expired: count(Fate::Expired),
            archived: count(Fate::Archived),
            tagged: gone.filter(|(image, _)| !image.tags.is_empty()).count(),
        }
    }

    /// Whether the lifecycle policy may be put without a decision by an operator: no tagged image goes, and at most a fifth of all.
    #[must_use]
    pub fn is_small(self) -> bool {
        let gone = self.expired.saturating_add(self.archived);
        self.tagged == 0 && gone.saturating_mul(5) <= self.images
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
        )
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
        let pulled = Image {
            pulled_at: Some(NOW - DAY),
            ..image(400, &["v1"])
        };
        let images = [pulled, image(400, &["v2"]), image(1, &[])];
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
