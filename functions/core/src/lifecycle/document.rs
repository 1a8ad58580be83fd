//! The lifecycle policies that ECR takes, with the place of each mistake.
//!
//! Source: ECR User Guide, "Lifecycle policy properties in Amazon ECR", "Lifecycle policy evaluation rules" and "Amazon ECR service
//! quotas".

use std::collections::BTreeSet;

use crate::text::one_line;
use crate::yaml::document::{Content, Node, Place, Problem};
use crate::yaml::unknown;

/// 1 to 50 rules.
const MOST_RULES: usize = 50;
/// Days for which an archived image is kept at least (ECR User Guide, "Archiving an image").
const LEAST_ARCHIVED: i64 = 90;
/// Of one pattern.
const MOST_WILDCARDS: usize = 4;

const DOCUMENT: [&str; 1] = ["rules"];
const RULE: [&str; 4] = ["rulePriority", "description", "selection", "action"];
const SELECTION: [&str; 7] = [
    "tagStatus",
    "tagPatternList",
    "tagPrefixList",
    "storageClass",
    "countType",
    "countUnit",
    "countNumber",
];
const ACTION: [&str; 2] = ["type", "targetStorageClass"];

/// All that ECR would refuse in a document.
pub(crate) fn problems(document: &Node) -> Vec<Problem> {
    let mut found = Found::default();
    found.keys(document, &DOCUMENT, "a lifecycle policy");
    let rules = match document.get("rules") {
        Some(rules) if matches!(rules.content, Content::List(_)) => rules,
        Some(other) => {
            found.say(other.place, "`rules` must be a list");
            return found.problems;
        }
        None => {
            found.say(document.place, "a lifecycle policy has `rules`");
            return found.problems;
        }
    };
    let count = rules.items().len();
    if !(1..=MOST_RULES).contains(&count) {
        found.say(
            rules.place,
            &format!("{count} rules; ECR takes 1 to {MOST_RULES}"),
        );
    }
    let rules: Vec<LifecycleRule<'_>> = rules.items().iter().map(|node| found.rule(node)).collect();
    found.together(&rules);
    found.problems.sort();
    found.problems
}

/// A rule, as far as it was understood.
struct LifecycleRule<'n> {
    node: &'n Node,
    priority: Option<i64>,
    /// `standard` where it is not given.
    class: &'n str,
    status: &'n str,
    /// Its prefixes or patterns, with their place.
    tags: Option<(Place, BTreeSet<&'n str>)>,
}

#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn say(&mut self, place: Place, message: &str) {
        self.problems.push(Problem {
            place,
            message: message.to_owned(),
        });
    }

    /// That it is a mapping, and has these keys only.
    fn keys(&mut self, node: &Node, known: &[&str], what: &str) {
        if !matches!(node.content, Content::Mapping(_)) {
            self.say(
                node.place,
                &format!("{what} is written as settings, `key: value`"),
            );
        }
        for (place, key, _) in node.entries() {
            if !known.contains(&key.as_str()) {
                self.say(*place, &unknown("key", key, known));
            }
        }
    }

    fn rule<'n>(&mut self, node: &'n Node) -> LifecycleRule<'n> {
        self.keys(node, &RULE, "a rule");
        let priority = match node.get("rulePriority").map(|of| (of.place, &of.content)) {
            Some((_, Content::Integer(priority))) if *priority > 0 => Some(*priority),
            Some((place, _)) => {
                self.say(place, "`rulePriority` must be a whole number from 1");
                None
            }
            None => {
                self.say(
                    node.place,
                    "a rule needs `rulePriority`, a whole number from 1",
                );
                None
            }
        };
        if let Some(description) = node.get("description")
            && text(Some(description)).is_none()
        {
            self.say(description.place, "`description` must be text");
        }
        let expires = self.action(node);
        let Some(selection) = node.get("selection") else {
            self.say(node.place, "a rule needs `selection`");
            return LifecycleRule {
                node,
                priority,
                class: "standard",
                status: "",
                tags: None,
            };
        };
        self.keys(selection, &SELECTION, "`selection`");
        let class = self.class(selection);
        self.count(selection, class, expires);
        let (status, tags) = self.tags(selection);
        LifecycleRule {
            node,
            priority,
            class,
            status,
            tags,
        }
    }

    /// Whether it expires; `None`: that is not known.
    fn action(&mut self, rule: &Node) -> Option<bool> {
        let Some(action) = rule.get("action") else {
            self.say(rule.place, "a rule needs `action`");
            return None;
        };
        self.keys(action, &ACTION, "`action`");
        let target = action.get("targetStorageClass");
        match text(action.get("type")) {
            Some("expire") => {
                if let Some(target) = target {
                    self.say(
                        target.place,
                        "`targetStorageClass` is for `type: transition`",
                    );
                }
                Some(true)
            }
            Some("transition") => {
                if text(target) != Some("archive") {
                    let place = target.map_or(action.place, |target| target.place);
                    self.say(
                        place,
                        "`type: transition` needs `targetStorageClass: archive`",
                    );
                }
                Some(false)
            }
            _ => {
                let place = action.get("type").map_or(action.place, |of| of.place);
                self.say(place, "`type` must be `expire` or `transition`");
                None
            }
        }
    }

    fn class<'n>(&mut self, selection: &'n Node) -> &'n str {
        match text(selection.get("storageClass")) {
            Some(class @ ("standard" | "archive")) => class,
            Some(_) => {
                let place = selection
                    .get("storageClass")
                    .map_or(selection.place, |of| of.place);
                self.say(place, "`storageClass` must be `standard` or `archive`");
                "standard"
            }
            None => "standard",
        }
    }

    fn count(&mut self, selection: &Node, class: &str, expires: Option<bool>) {
        let kind = selection.get("countType");
        let place = kind.map_or(selection.place, |of| of.place);
        let in_days = match text(kind) {
            Some("imageCountMoreThan") => false,
            Some("sinceImagePushed") => true,
            Some("sinceImagePulled") => {
                if expires == Some(true) {
                    self.say(place, "`sinceImagePulled` is for `type: transition`");
                }
                true
            }
            Some("sinceImageTransitioned") => {
                if class != "archive" {
                    self.say(
                        place,
                        "`sinceImageTransitioned` needs `storageClass: archive`",
                    );
                }
                if expires == Some(false) {
                    self.say(place, "`sinceImageTransitioned` is for `type: expire`");
                }
                true
            }
            _ => {
                self.say(
                    place,
                    "`countType` must be `imageCountMoreThan`, `sinceImagePushed`, `sinceImagePulled` or `sinceImageTransitioned`",
                );
                return;
            }
        };
        if class == "archive" && text(kind) != Some("sinceImageTransitioned") {
            self.say(
                place,
                "of `storageClass: archive`, `countType` must be `sinceImageTransitioned`",
            );
        }
        let unit = selection.get("countUnit");
        match (in_days, text(unit)) {
            (true, Some("days")) => {}
            (true, _) => {
                let place = unit.map_or(place, |unit| unit.place);
                self.say(place, "`countUnit` must be `days`");
            }
            (false, _) => {
                if let Some(unit) = unit {
                    self.say(
                        unit.place,
                        "`countUnit` is for a `countType` that begins with `since`",
                    );
                }
            }
        }
        let number = selection.get("countNumber");
        if !number.is_some_and(|of| matches!(of.content, Content::Integer(count) if count > 0)) {
            let place = number.map_or(selection.place, |number| number.place);
            self.say(place, "`countNumber` must be a whole number from 1");
        }
        let is_short = |of: &Node| matches!(of.content, Content::Integer(days) if (1..LEAST_ARCHIVED).contains(&days));
        if text(kind) == Some("sinceImageTransitioned") && number.is_some_and(is_short) {
            self.say(
                place,
                "ECR keeps archived images for at least 90 days: `countNumber` must be 90 or more",
            );
        }
    }

    fn tags<'n>(&mut self, selection: &'n Node) -> (&'n str, Option<(Place, BTreeSet<&'n str>)>) {
        let status = selection.get("tagStatus");
        let place = status.map_or(selection.place, |status| status.place);
        let lists: Vec<(Place, &str, &Node)> = selection
            .entries()
            .iter()
            .filter(|(_, key, _)| key == "tagPrefixList" || key == "tagPatternList")
            .map(|(place, key, list)| (*place, key.as_str(), list))
            .collect();
        let mut tags = None;
        for (place, key, list) in &lists {
            let listed: Vec<&str> = list
                .items()
                .iter()
                .filter_map(|one| text(Some(one)))
                .collect();
            if listed.is_empty() || listed.len() < list.items().len() {
                self.say(
                    *place,
                    &format!("`{key}` must be a list of texts, and not empty"),
                );
            }
            for pattern in listed.iter().filter(|_| *key == "tagPatternList") {
                if pattern.bytes().filter(|byte| *byte == b'*').count() > MOST_WILDCARDS {
                    let pattern = one_line(pattern, 80);
                    self.say(
                        *place,
                        &format!("`{pattern}` has more than {MOST_WILDCARDS} `*`"),
                    );
                }
            }
            tags = Some((*place, listed.into_iter().collect()));
        }
        if let [_, (place, key, _), ..] = lists.as_slice() {
            self.say(*place, &format!("`{key}` beside the other list: a rule has one of `tagPrefixList` and `tagPatternList`"));
        }
        let status = text(status).unwrap_or_default();
        match (status, lists.first()) {
            ("tagged", None) => {
                self.say(
                    place,
                    "`tagStatus: tagged` needs `tagPrefixList` or `tagPatternList`",
                );
            }
            ("tagged", Some(_)) | ("untagged" | "any", None) => {}
            ("untagged" | "any", Some((place, key, _))) => {
                self.say(*place, &format!("`{key}` is for `tagStatus: tagged`"));
            }
            _ => self.say(place, "`tagStatus` must be `tagged`, `untagged` or `any`"),
        }
        (status, tags)
    }

    /// What ECR asks of all rules together: priorities once, and of each storage class one rule for untagged images, one for any, which
    /// comes last, and the same tags once.
    fn together(&mut self, rules: &[LifecycleRule<'_>]) {
        for (n, rule) in rules.iter().enumerate() {
            let before = rules.get(..n).unwrap_or_default();
            if before
                .iter()
                .any(|other| rule.priority.is_some() && other.priority == rule.priority)
            {
                let place = rule
                    .node
                    .get("rulePriority")
                    .map_or(rule.node.place, |of| of.place);
                self.say(place, "this `rulePriority` is there twice");
            }
            let of_class = || {
                let before = before.iter().enumerate();
                before.filter(|(_, other)| other.class == rule.class)
            };
            let key_place = |key: &str| {
                let selection = rule.node.get("selection");
                let entries = selection.map(Node::entries).unwrap_or_default().iter();
                let mut places = entries
                    .filter(|(_, name, _)| name == key)
                    .map(|(place, ..)| *place);
                places.next().unwrap_or(rule.node.place)
            };
            if matches!(rule.status, "untagged" | "any")
                && let Some((first, _)) = of_class().find(|(_, other)| other.status == rule.status)
            {
                let first = first.saturating_add(1);
                self.say(
                    key_place("tagStatus"),
                    &format!(
                        "rule {first} is for `{}` images of the storage class `{}` already: ECR takes one such rule",
                        rule.status, rule.class
                    ),
                );
            }
            if let Some((place, tags)) = &rule.tags
                && let Some((first, _)) = of_class().find(|(_, other)| {
                    other
                        .tags
                        .as_ref()
                        .is_some_and(|(_, others)| others == tags)
                })
            {
                let first = first.saturating_add(1);
                let listed: Vec<String> = tags
                    .iter()
                    .take(5)
                    .map(|tag| format!("`{}`", one_line(tag, 40)))
                    .collect();
                self.say(
                    *place,
                    &format!(
                        "these are the tags of rule {first} again ({}): ECR takes each once",
                        listed.join(", ")
                    ),
                );
            }
            let highest = rules
                .iter()
                .filter(|other| other.class == rule.class)
                .filter_map(|other| other.priority)
                .max();
            if rule.status == "any" && rule.priority < highest {
                self.say(
                    key_place("tagStatus"),
                    "the rule with `tagStatus: any` must have the highest `rulePriority` of its storage class",
                );
            }
        }
    }
}

fn text(node: Option<&Node>) -> Option<&str> {
    match node.map(|node| &node.content) {
        Some(Content::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::document::parse;

    const EXPIRE: &str = "{ type: expire }";
    const ARCHIVE: &str = "{ type: transition, targetStorageClass: archive }";
    const OLD: &str = "countType: sinceImagePushed, countUnit: days, countNumber: 14";
    const MANY: &str = "countType: imageCountMoreThan, countNumber: 5";
    const LONG_ARCHIVED: &str = "storageClass: archive, countType: sinceImageTransitioned, countUnit: days, countNumber: 365";

    fn rule(priority: &str, selection: &str, action: &str) -> String {
        format!("- {{ rulePriority: {priority}, selection: {{ {selection} }}, action: {action} }}")
    }

    fn found(rules: &[String]) -> Vec<String> {
        let text = format!("rules:\n{}\n", rules.join("\n"));
        let node = parse(&text).unwrap();
        problems(&node).iter().map(ToString::to_string).collect()
    }

    fn of_one(selection: &str, action: &str) -> String {
        found(&[rule("1", selection, action)]).join("; ")
    }

    #[test]
    fn what_ecr_takes() {
        let tagged = |rest: &str| format!("tagStatus: tagged, tagPrefixList: [v], {rest}");
        for rules in [
            vec![rule("1", &format!("tagStatus: untagged, {OLD}"), EXPIRE)],
            vec![
                rule("1", &format!("tagStatus: untagged, {OLD}"), EXPIRE),
                rule("3", &format!("tagStatus: any, {MANY}"), EXPIRE),
                rule("2", &tagged(OLD), EXPIRE),
            ],
            // One of each storage class.
            vec![
                rule(
                    "1",
                    "tagStatus: any, countType: sinceImagePulled, countUnit: days, countNumber: 90",
                    ARCHIVE,
                ),
                rule("2", &format!("tagStatus: any, {LONG_ARCHIVED}"), EXPIRE),
            ],
            vec![
                rule("1", &tagged(OLD), ARCHIVE),
                rule("2", &tagged(LONG_ARCHIVED), EXPIRE),
            ],
            vec![rule(
                "1",
                "tagStatus: tagged, tagPatternList: ['a*b*c*d*'], countType: imageCountMoreThan, countNumber: 1",
                EXPIRE,
            )],
        ] {
            assert_eq!(found(&rules), Vec::<String>::new(), "{rules:?}");
        }
    }

    #[test]
    fn each_mistake_in_a_rule_is_named() {
        let old = |status: &str| format!("tagStatus: {status}, {OLD}");
        for (selection, action, said) in [
            (old("untagged"), "{ type: delete }", "`expire` or `transition`"),
            (old("untagged"), "{ type: transition }", "`targetStorageClass: archive`"),
            (old("untagged"), "{ type: expire, targetStorageClass: archive }", "is for `type: transition`"),
            (old("untagged"), "{ tipe: expire }", "did you mean `type`?"),
            (old("tagged"), EXPIRE, "needs `tagPrefixList` or `tagPatternList`"),
            (old("sometimes"), EXPIRE, "`tagStatus` must be"),
            (old("untagged, tagPrefixList: [v]"), EXPIRE, "is for `tagStatus: tagged`"),
            (old("tagged, tagPrefixList: []"), EXPIRE, "not empty"),
            (old("tagged, tagPatternList: ['*a*b*c*d*']"), EXPIRE, "more than 4 `*`"),
            (old("untagged, storageClass: cold"), EXPIRE, "`standard` or `archive`"),
            (old("untagged, storageClass: archive"), EXPIRE, "`countType` must be `sinceImageTransitioned`"),
            (
                format!("tagStatus: any, {}", LONG_ARCHIVED.replace("365", "89")),
                EXPIRE,
                "`countNumber` must be 90 or more",
            ),
            ("tagStatus: untagged, countType: sinceImageTransitioned, countUnit: days, countNumber: 1".to_owned(), EXPIRE, "needs `storageClass: archive`"),
            (format!("tagStatus: any, {LONG_ARCHIVED}"), ARCHIVE, "is for `type: expire`"),
            ("tagStatus: any, countType: sinceImagePulled, countUnit: days, countNumber: 1".to_owned(), EXPIRE, "is for `type: transition`"),
            ("tagStatus: any, countType: sinceImagePushed, countUnit: weeks, countNumber: 1".to_owned(), EXPIRE, "must be `days`"),
            (format!("tagStatus: any, {MANY}, countUnit: days"), EXPIRE, "begins with `since`"),
            ("tagStatus: any, countType: imageCountMoreThan, countNumber: '5'".to_owned(), EXPIRE, "whole number from 1"),
            ("tagStatus: any, countType: never".to_owned(), EXPIRE, "`countType` must be"),
        ] {
            let problems = of_one(&selection, action);
            assert!(problems.contains(said), "{selection} {action}: {problems}");
        }
        assert!(found(&[rule("0", &old("untagged"), EXPIRE)])[0].contains("rulePriority"));
        assert!(
            found(&["- 7".to_owned()])
                .join("; ")
                .contains("a rule is written as settings")
        );
        assert_eq!(found(&[]).len(), 1, "no rule");
        for text in ["{}", "rules: 7", "rule: []"] {
            assert!(!problems(&parse(text).unwrap()).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_rules_may_not_be_together() {
        let untagged = |rest: &str| format!("tagStatus: untagged, {rest}");
        let tagged = |rest: &str| format!("tagStatus: tagged, tagPatternList: [b, a], {rest}");
        let same = "tagStatus: tagged, tagPatternList: [a, b], countType: imageCountMoreThan, countNumber: 5";
        for (rules, said) in [
            (
                vec![
                    rule("1", &untagged(OLD), EXPIRE),
                    rule("1", &tagged(OLD), EXPIRE),
                ],
                "twice",
            ),
            (
                vec![
                    rule("1", &untagged(OLD), EXPIRE),
                    rule("2", &untagged(MANY), EXPIRE),
                ],
                "line 3, column 35: rule 1 is for `untagged` images",
            ),
            (
                vec![rule("1", &tagged(OLD), EXPIRE), rule("2", same, EXPIRE)],
                "tags of rule 1 again (`a`, `b`)",
            ),
            (
                vec![
                    rule("1", &format!("tagStatus: any, {OLD}"), EXPIRE),
                    rule("2", &untagged(OLD), EXPIRE),
                ],
                "highest `rulePriority`",
            ),
        ] {
            let problems = found(&rules).join("; ");
            assert!(problems.contains(said), "{rules:?}: {problems}");
        }
    }
}
