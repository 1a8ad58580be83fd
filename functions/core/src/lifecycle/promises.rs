//! What a lifecycle policy does in any case, judged by what it would do to images that are made up.

use std::collections::BTreeSet;

use serde_json::Value;
use wildmatch::WildMatch;

use super::{DAY, Fate, fates, tag_patterns};
use crate::image::Image;

/// When the made-up images are looked at, in seconds since the epoch.
const NOW: i64 = 50_000 * DAY;
/// Older than any age in a lifecycle policy.
const LONG_AGO: i64 = 0;
/// ECR takes 50 rules; images that also match are tried for this number of their patterns.
const MOST_PATTERNS: usize = 20;
/// The number of images that are tried of each.
const MOST_OF_EACH: u64 = 10;
/// The newer images beside those that are to stay, at most. No count of a rule is known to be larger than what a repository holds.
const MOST_OTHERS: u64 = 10_000;

/// Whether an image without a tag is expired when it is older than this number of days, beside any other images. An image that is pulled may stay.
pub(crate) fn expires_untagged(document: &Value, days: u32) -> bool {
    let old = image(
        NOW.saturating_sub(i64::from(days).saturating_add(1).saturating_mul(DAY)),
        &[],
    );
    // Alone: what only a count expires may stay for good.
    fates(document, &[old], NOW) == [Fate::Expired]
}

/// Whether, of the images with a tag that matches, at least this number stays, or all if there are fewer; else an example of what does not.
///
/// The images are as old as can be, were never pulled and have no other tag. Some are tried that also match a pattern of a rule, and all
/// beside as many newer images as the rules count.
pub(crate) fn loses(document: &Value, pattern: &str, least: u64) -> Option<String> {
    let mut names: Vec<String> = vec![pattern.to_owned()];
    let own = WildMatch::new(pattern);
    let rules = document.get("rules").and_then(Value::as_array);
    let rules: Vec<&Value> = rules.into_iter().flatten().collect();
    let selections = rules.iter().filter_map(|rule| rule.get("selection"));
    let mut patterns: BTreeSet<String> = BTreeSet::new();
    for selection in selections.clone() {
        let of_rule = tag_patterns(selection).map(|(_, pattern)| pattern);
        patterns.extend(of_rule.take(MOST_PATTERNS));
    }
    for other in patterns.iter().take(MOST_PATTERNS) {
        // In the place of the asterisk: `v*` and `*-rc*` are both matched by `v-rc`.
        let both = [other.clone(), pattern.replacen('*', other, 1)];
        let fits = |name: &String| own.matches(&numbered(name, 0));
        names.extend(both.into_iter().filter(fits));
    }
    let counted = selections.filter_map(|selection| selection.get("countNumber")?.as_u64());
    let others = counted.max().unwrap_or_default().min(MOST_OTHERS);
    let newer = (0..others).map(|_| image(NOW, &[]));
    let newer: Vec<Image> = newer.collect();
    let archive = of_archive(document);
    for (n, name) in names.iter().enumerate() {
        // A tag without an asterisk is that of one image.
        let count = match (name.contains('*'), n) {
            (false, _) => 1,
            (true, 0) => least,
            (true, _) => least.min(MOST_OF_EACH),
        };
        let tagged = (0..count).map(|n| image(LONG_AGO, &[numbered(name, n)]));
        let mut images: Vec<Image> = tagged.collect();
        if n == 0 {
            images.extend(newer.iter().cloned());
        }
        let all = fates(document, &images, NOW);
        let kept = usize::try_from(count).unwrap_or(usize::MAX);
        // What is archived may be expired there.
        let is_lost = |(n, fate): (usize, &Fate)| match fate {
            Fate::Expired => true,
            Fate::Stays => false,
            Fate::Archived => images.get(n).is_some_and(|image| {
                fates(&archive, std::slice::from_ref(image), NOW) == [Fate::Expired]
            }),
        };
        let goes = all.iter().enumerate().take(kept).position(is_lost);
        if let Some(goes) = goes {
            return images.get(goes)?.tags.first().cloned();
        }
    }
    None
}

/// The rules for archived images, as rules for images that are as old as can be.
fn of_archive(document: &Value) -> Value {
    let rules = document.get("rules").and_then(Value::as_array);
    let rules = rules.into_iter().flatten().filter_map(|rule| {
        let mut rule = rule.clone();
        let selection = rule.get_mut("selection")?.as_object_mut()?;
        (selection.remove("storageClass")? == "archive").then_some(())?;
        selection.insert("countType".to_owned(), "sinceImagePushed".into());
        Some(rule)
    });
    serde_json::json!({ "rules": rules.collect::<Vec<_>>() })
}

fn numbered(pattern: &str, n: u64) -> String {
    pattern.replace('*', &n.to_string())
}

fn image(pushed_at: i64, tags: &[String]) -> Image {
    Image {
        pushed_at,
        pulled_at: None,
        bytes: 0,
        tags: tags.to_vec(),
        index: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A rule by `tagStatus`, patterns, kind of count and count.
    fn rule(priority: u64, status: &str, tags: &[&str], by: &str, count: u64) -> Value {
        let mut selection = json!({ "tagStatus": status, "countType": by, "countNumber": count });
        if by != "imageCountMoreThan" {
            selection["countUnit"] = json!("days");
        }
        if !tags.is_empty() {
            selection["tagPatternList"] = json!(tags);
        }
        json!({ "rulePriority": priority, "selection": selection, "action": { "type": "expire" } })
    }

    fn document(rules: &[Value]) -> Value {
        json!({ "rules": rules })
    }

    const AGE: &str = "sinceImagePushed";
    const COUNT: &str = "imageCountMoreThan";

    #[test]
    fn untagged_images_expire_in_time_or_not() {
        let mut archive = rule(1, "untagged", &[], "sinceImagePulled", 7);
        archive["action"] = json!({ "type": "transition", "targetStorageClass": "archive" });
        for (rules, days, expires) in [
            (vec![rule(1, "untagged", &[], AGE, 30)], 30, true),
            (vec![rule(1, "untagged", &[], AGE, 31)], 30, false),
            (vec![rule(1, "any", &[], AGE, 14)], 30, true),
            // What is counted may stay for good.
            (vec![rule(1, "untagged", &[], COUNT, 1)], 30, false),
            (vec![rule(1, "tagged", &["*"], AGE, 1)], 30, false),
            // A rule of higher priority has it.
            (
                vec![
                    rule(1, "untagged", &[], COUNT, 5),
                    rule(2, "any", &[], AGE, 1),
                ],
                30,
                false,
            ),
            (vec![archive], 30, false),
            (vec![], 30, false),
            (vec![rule(1, "untagged", &[], AGE, 30)], u32::MAX, true),
        ] {
            let document = document(&rules);
            assert_eq!(expires_untagged(&document, days), expires, "{document}");
        }
    }

    #[test]
    fn enough_stay_or_not() {
        for (rules, pattern, least, loses_one) in [
            (vec![], "v*", 10, false),
            (vec![rule(1, "tagged", &["v*"], COUNT, 10)], "v*", 10, false),
            (vec![rule(1, "tagged", &["v*"], COUNT, 9)], "v*", 10, true),
            (vec![rule(1, "tagged", &["v*"], AGE, 3650)], "v*", 10, true),
            (vec![rule(1, "untagged", &[], AGE, 1)], "v*", 10, false),
            (vec![rule(1, "tagged", &["dev*"], AGE, 1)], "v*", 10, false),
            // Newer images of another kind push them out.
            (vec![rule(1, "any", &[], COUNT, 100)], "v*", 10, true),
            // Not where a rule of higher priority has them.
            (
                vec![
                    rule(1, "tagged", &["v*"], COUNT, 10),
                    rule(2, "any", &[], COUNT, 100),
                ],
                "v*",
                10,
                false,
            ),
            // Some of them match another rule, in whichever place.
            (vec![rule(1, "tagged", &["v1.*"], COUNT, 3)], "v*", 10, true),
            (vec![rule(1, "tagged", &["*-rc*"], AGE, 7)], "v*", 10, true),
            (
                vec![rule(1, "tagged", &["latest"], AGE, 7)],
                "latest",
                1,
                true,
            ),
            (
                vec![rule(1, "tagged", &["late"], AGE, 7)],
                "latest",
                1,
                false,
            ),
        ] {
            let document = document(&rules);
            let lost = loses(&document, pattern, least);
            assert_eq!(lost.is_some(), loses_one, "{document}: {lost:?}");
            let fits = |tag: String| WildMatch::new(pattern).matches(&tag);
            assert!(lost.is_none_or(fits));
        }
    }

    /// What is archived first is lost as well when it is expired there.
    #[test]
    fn what_expires_in_the_archive_does_not_stay() {
        let mut archives = rule(1, "tagged", &["v*"], AGE, 90);
        archives["action"] = json!({ "type": "transition", "targetStorageClass": "archive" });
        let in_archive = |patterns: &[&str]| {
            let mut expires = rule(2, "tagged", patterns, "sinceImageTransitioned", 365);
            expires["selection"]["storageClass"] = json!("archive");
            expires
        };
        for (rules, lost) in [
            (vec![archives.clone()], false),
            (vec![archives.clone(), in_archive(&["v*"])], true),
            (vec![archives, in_archive(&["other-*"])], false),
        ] {
            let loses = loses(&document(&rules), "v*", 10);
            assert_eq!(loses.is_some(), lost, "{rules:?}: {loses:?}");
        }
    }

    #[test]
    fn hostile_documents_are_judged() {
        let many: Vec<String> = (0..400).map(|n| format!("*a*{n}*b*")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let rules = (0..50).map(|n| rule(n, "tagged", &many, COUNT, u64::MAX));
        let rules: Vec<Value> = rules.collect();
        assert_eq!(loses(&document(&rules), "v*", 1000), None);
        for nonsense in [json!(null), json!({ "rules": 7 }), json!({ "rules": [{}] })] {
            assert!(!expires_untagged(&nonsense, 30));
            assert_eq!(loses(&nonsense, "v*", 10), None);
        }
    }
}
