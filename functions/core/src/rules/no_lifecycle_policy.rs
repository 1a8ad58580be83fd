//! `no-lifecycle-policy`: nothing ever removes old images.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::lifecycle::promises::{expires_untagged, loses};
use crate::lifecycle::{document, matches_nothing, may_match_tag, selects_tagged};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject, heredoc, shell_word};
use crate::text::one_line;
use crate::yaml::document::{Node, Problem};

/// ECR: 100 to 30,720 characters.
const SIZE: std::ops::RangeInclusive<usize> = 100..=30_720;
/// OCI Distribution Specification, "Pulling manifests".
const LONGEST_TAG: usize = 128;
/// Of one pattern, and patterns: each is tried.
const MOST_KEPT: u64 = 1000;
const MOST_PATTERNS: usize = 20;

/// A repository without a lifecycle policy that can match an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NoLifecyclePolicy {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The lifecycle policy of a repository without one, as ECR's document: `{ rules: [...] }`. Without it, findings are only reported.
    pub default: Option<Map<String, Value>>,
    /// Required beside a `default` with a rule whose `tagStatus` is `any` or `tagged`: such a rule deletes tagged images.
    pub deletes_tagged_images: bool,
    /// Days within which every lifecycle policy must expire an image without a tag, counted from its push. An image that is pulled may stay.
    pub untagged_expire_within: Option<u32>,
    /// The images with a matching tag that every lifecycle policy must keep, at least this number of each pattern: `{ "v*": 10 }`.
    pub keep_at_least: BTreeMap<String, u64>,
}

impl Settings for NoLifecyclePolicy {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "no-lifecycle-policy",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "The repository has no lifecycle policy, or one that matches no image",
        repair: "sets the policy's default",
        explanation: "\
Without a lifecycle policy no image ever expires: images cost storage every month, and old ones \
with known vulnerabilities can still be deployed.

The repair sets the policy's default on a repository without images. **ECR expires the images that \
a lifecycle policy selects within a day**, so for a repository with images, all images are read \
first and the number that the default would expire now is computed. The repair is withheld if that \
includes an image that is tagged or was pulled in the last 30 days, if it is more than 20 % of the \
images, or if the images could not be read; the alert gives the numbers. If a lifecycle policy was deleted, the one that ecr-warden had \
set is restored under the same condition; one that is not on record is not replaced by the default \
while the repository holds images. A lifecycle policy is replaced only if no image can \
ever match it: it has no rules, or each names tags that no image can have, such as `feature/`.

A `default` that expires tagged images, with a rule whose `tagStatus` is `any` or `tagged`, is \
refused without `deletes-tagged-images: true` beside it. Archiving them is allowed, because \
archived images can be restored. A repository that ECR's replication fills is only reported: images that lost their tag to a newer one \
are still there without it. Pulls of archived images fail, so archiving counts like expiry \
when the default is set on a repository with images. Images without a tag that were pushed up to an hour before \
an image index that stays are taken for its parts: ECR keeps them with it.

With `untagged-expire-within` and `keep-at-least` a lifecycle policy must also do that. It is judged by what it would do to \
made-up images: one without a tag, and old images with matching tags that were never pulled, also beside many \
newer ones and with tags that match its other rules. A lifecycle policy that fails is reported and never changed.",
        example: r#"no-lifecycle-policy:
  default:
    rules:
      - rulePriority: 1
        description: untagged images go after two weeks
        selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
        action: { type: expire }
  untagged-expire-within: 30
  keep-at-least: { "v*": 10 }"#,
        controls: &[
            "AWS Security Hub ECR.3",
            "AWS Config ECR_PRIVATE_LIFECYCLE_POLICY_CONFIGURED",
            "Prowler ecr_repositories_lifecycle_policy_enabled",
        ],
    };

    fn problems_inside(block: &Node) -> Vec<Problem> {
        block
            .get("default")
            .map(document::problems)
            .unwrap_or_default()
    }
}

impl NoLifecyclePolicy {
    /// What the policy requires of a lifecycle policy and this one does not do, in one line.
    fn broken(&self, text: &str) -> Option<String> {
        if self.untagged_expire_within.is_none() && self.keep_at_least.is_empty() {
            return None;
        }
        let Ok(document) = serde_json::from_str::<Value>(text) else {
            return Some("is no JSON".to_owned());
        };
        let late = self.untagged_expire_within;
        let late = late.filter(|days| !expires_untagged(&document, *days));
        let late = late.map(|days| format!("does not expire untagged images within {days} days"));
        let lost = self.keep_at_least.iter().filter_map(|(pattern, least)| {
            let tag = loses(&document, pattern, *least)?;
            let tag = one_line(&tag, LONGEST_TAG);
            Some(format!(
                "may keep fewer than {least} images tagged `{pattern}`: it expires `{tag}`"
            ))
        });
        let all: Vec<String> = late.into_iter().chain(lost).collect();
        (!all.is_empty()).then(|| all.join(", and "))
    }

    fn document(&self) -> Option<String> {
        self.default
            .as_ref()
            .map(|document| Value::Object(document.clone()).to_string())
    }
}

impl Rule for NoLifecyclePolicy {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            lifecycle: true,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let missing = match repository.lifecycle.required() {
            Ok(Some(text)) => match matches_nothing(text) {
                Some(why) => Ok(format!("no image can match its lifecycle policy: {why}")),
                None => {
                    let broken = self.broken(text)?;
                    return Some(Violation {
                        detail: format!("its lifecycle policy {broken}"),
                        fix: Fix::Manual(
                            "change its lifecycle policy where it is defined; ecr-warden replaces none that an image can match"
                                .to_owned(),
                        ),
                    });
                }
            },
            Ok(None) => Ok("it has no lifecycle policy, so images are never removed".to_owned()),
            Err(why) => Err(why),
        };
        match missing {
            Ok(detail) => Some(Violation {
                detail,
                fix: match self.document() {
                    _ if repository.replicated => Fix::Manual(
                        "ECR's replication fills it, and images whose tag moved at the source have none here: decide which of them may go, and put a lifecycle \
                         policy with `aws ecr put-lifecycle-policy` or into the creation template of its prefix"
                            .to_owned(),
                    ),
                    Some(to) => Fix::Disruptive(Action::SetLifecyclePolicy {
                        from: repository.lifecycle.known().cloned().flatten(),
                        to: Some(to),
                    }),
                    None => Fix::Manual(
                        "add a lifecycle policy, for example one that expires untagged images \
                         after 14 days"
                            .to_owned(),
                    ),
                },
            }),
            Err(why) => Some(Violation {
                detail: format!("cannot read its lifecycle policy: {why}"),
                fix: Fix::Manual(
                    "fix the read error above, or check its lifecycle policy manually".to_owned(),
                ),
            }),
        }
    }

    fn at_creation(&self, new: &Repository, _violation: &Violation) -> Result<Action, String> {
        let document = self.document();
        Ok(Action::SetLifecyclePolicy {
            from: new.lifecycle.known().cloned().flatten(),
            to: Some(document.unwrap_or_else(|| UNTAGGED_EXPIRE.to_owned())),
        })
    }

    fn default_lifecycle(&self) -> Option<&Map<String, Value>> {
        self.default.as_ref()
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (pattern, least) in &self.keep_at_least {
            let shown = one_line(pattern, LONGEST_TAG);
            if !may_match_tag(pattern) {
                problems.push(format!("keep-at-least: no tag can match `{shown}`"));
            } else if !(1..=MOST_KEPT).contains(least) {
                problems.push(format!(
                    "keep-at-least: `{shown}` is {least}: write 1 to {MOST_KEPT}"
                ));
            } else if *least > 1 && !pattern.contains('*') {
                problems.push(format!(
                    "keep-at-least: only one image can have the tag `{shown}`: write 1, or a pattern with `*`"
                ));
            }
        }
        if self.keep_at_least.len() > MOST_PATTERNS {
            problems.push(format!("keep-at-least: at most {MOST_PATTERNS} patterns"));
        }
        if self.untagged_expire_within == Some(0) {
            problems.push("untagged-expire-within: at least 1 day".to_owned());
        }
        let Some(document) = &self.default else {
            return problems;
        };
        if let Some(broken) = self.document().and_then(|text| self.broken(&text)) {
            problems.push(format!("default: it {broken}"));
        }
        let size = self.document().map_or(0, |text| text.chars().count());
        if !SIZE.contains(&size) {
            problems.push(format!(
                "default: the document has {size} characters; ECR takes {} to {}",
                SIZE.start(),
                SIZE.end()
            ));
        }
        if let Some(why) = self.document().as_deref().and_then(matches_nothing) {
            problems.push(format!("default: no image can match it: {why}"));
        }
        if selects_tagged(document) && !self.deletes_tagged_images {
            problems.push(
                "default: a rule with `tagStatus: any` or `tagged` deletes tagged images; use `tagStatus: untagged`, or add \
                 `deletes-tagged-images: true` beside `default`"
                    .to_owned(),
            );
        }
        problems
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        let document = self.document();
        let document = document.as_deref().unwrap_or(UNTAGGED_EXPIRE);
        Advice {
            text: "Add a lifecycle policy where the repository is defined.".to_owned(),
            terraform: lifecycle_terraform(document),
            cli: format!(
                "aws ecr put-lifecycle-policy --repository-name \"$REPOSITORY\" --lifecycle-policy-text {}",
                shell_word(document)
            ),
            cloudformation: lifecycle_cloudformation(document),
        }
    }
}

/// A careful lifecycle policy, where the policy names none: untagged images go after two weeks.
pub(super) const UNTAGGED_EXPIRE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}"#;

pub(super) fn lifecycle_terraform(document: &str) -> String {
    format!(
        "resource \"aws_ecr_lifecycle_policy\" \"this\" {{\n  repository = aws_ecr_repository.this.name\n  policy     = {}\n}}",
        heredoc(document)
    )
}

pub(super) fn lifecycle_cloudformation(document: &str) -> String {
    format!("LifecyclePolicy:\n  LifecyclePolicyText: |\n    {document}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    fn expire(priority: u64, status: &str) -> Value {
        json!({
            "rulePriority": priority,
            "selection": { "tagStatus": status, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 },
            "action": { "type": "expire" },
        })
    }

    fn rule(rules: &Value) -> NoLifecyclePolicy {
        NoLifecyclePolicy {
            mode: None,
            default: json!({ "rules": rules }).as_object().cloned(),
            deletes_tagged_images: true,
            ..NoLifecyclePolicy::default()
        }
    }

    #[test]
    fn a_default_that_deletes_tagged_images_requires_consent() {
        let mut tagged = expire(1, "tagged");
        tagged["selection"]["tagPrefixList"] = json!(["v"]);
        for (rules, refused) in [
            (json!([expire(1, "untagged"), expire(2, "any")]), true),
            (json!([tagged]), true),
            (json!([expire(1, "untagged")]), false),
        ] {
            let mut rule = rule(&rules);
            assert_eq!(rule.contradictions(), Vec::<String>::new(), "{rules}");
            rule.deletes_tagged_images = false;
            let problems = rule.contradictions().join("; ");
            let named = problems.contains("add `deletes-tagged-images: true`");
            assert_eq!(named, refused, "{rules}: {problems}");
        }
    }

    #[test]
    fn the_example_is_right() {
        let rule = rule(&json!([expire(1, "untagged"), expire(2, "any")]));
        assert_eq!(rule.contradictions(), Vec::<String>::new());
        let short = NoLifecyclePolicy {
            default: json!({ "rules": [] }).as_object().cloned(),
            ..NoLifecyclePolicy::default()
        };
        assert!(short.contradictions()[0].contains("ECR takes 100 to 30720"));
    }

    #[test]
    fn a_replica_is_reported_only() {
        let repository = Repository {
            replicated: true,
            ..repository()
        };
        let found = rule(&json!([expire(1, "untagged")]))
            .check(&repository)
            .unwrap();
        assert!(
            found.for_people().contains("replication fills it"),
            "{found:?}"
        );
    }

    #[test]
    fn one_that_is_there_stays() {
        let mut repository = repository();
        repository.lifecycle = Read::Known(Some("{}".to_owned()));
        assert_eq!(rule(&json!([expire(1, "any")])).check(&repository), None);
    }

    #[test]
    fn one_that_matches_no_image_is_replaced() {
        let mut repository = repository();
        let rule = rule(&json!([expire(1, "untagged")]));
        let written = r#"{"rules":[]}"#;
        repository.lifecycle = Read::Known(Some(written.to_owned()));
        let violation = rule.check(&repository).unwrap();
        assert!(
            violation.detail.contains("it has no rules"),
            "{violation:?}"
        );
        let Fix::Disruptive(action) = violation.fix else {
            panic!("no repair");
        };
        assert!(
            matches!(&action, Action::SetLifecyclePolicy { from: Some(from), .. } if from == written),
            "a rollback restores it"
        );
        action.apply_to(&mut repository);
        assert_eq!(rule.check(&repository), None);
    }

    #[test]
    fn a_lifecycle_policy_does_what_is_required_or_is_reported() {
        let mut repository = repository();
        let rule = NoLifecyclePolicy {
            untagged_expire_within: Some(30),
            keep_at_least: [("v*".to_owned(), 10)].into(),
            ..rule(&json!([expire(1, "untagged")]))
        };
        assert_eq!(rule.contradictions(), Vec::<String>::new());
        let mut slow = expire(1, "untagged");
        slow["selection"]["countNumber"] = json!(31);
        for (rules, said) in [
            (json!([expire(1, "untagged")]), None),
            (
                json!([slow]),
                Some("its lifecycle policy does not expire untagged images within 30 days"),
            ),
            (
                json!([expire(1, "any")]),
                Some(
                    "its lifecycle policy may keep fewer than 10 images tagged `v*`: it expires `v0`",
                ),
            ),
        ] {
            repository.lifecycle = Read::Known(Some(json!({ "rules": rules }).to_string()));
            let found = rule.check(&repository);
            let detail = found.as_ref().map(|violation| violation.detail.as_str());
            assert_eq!(detail, said, "{rules}");
            assert!(found.is_none_or(|violation| matches!(violation.fix, Fix::Manual(_))));
        }
        // The default must do it, too.
        let refusing = NoLifecyclePolicy {
            default: json!({ "rules": [expire(1, "any")] }).as_object().cloned(),
            ..rule
        };
        let problems = refusing.contradictions().join("; ");
        assert!(
            problems.contains("default: it may keep fewer than 10"),
            "{problems}"
        );
    }

    #[test]
    fn what_no_lifecycle_policy_can_keep() {
        for (pattern, least, said) in [
            ("v/*", 10, "no tag can match"),
            ("v*", 0, "write 1 to 1000"),
            ("v*", 1001, "write 1 to 1000"),
            ("latest", 2, "only one image can have the tag"),
        ] {
            let rule = NoLifecyclePolicy {
                keep_at_least: [(pattern.to_owned(), least)].into(),
                ..NoLifecyclePolicy::default()
            };
            let problems = rule.contradictions().join("; ");
            assert!(problems.contains(said), "{pattern}: {problems}");
        }
    }

    #[test]
    fn the_default_is_put_where_there_is_none() {
        let mut repository = repository();
        let rule = rule(&json!([expire(1, "untagged")]));
        let Some(Fix::Disruptive(action)) = rule.check(&repository).map(|violation| violation.fix)
        else {
            panic!("no repair");
        };
        action.apply_to(&mut repository);
        assert_eq!(rule.check(&repository), None);
        repository.lifecycle = Read::Known(None);
        let without = NoLifecyclePolicy::default().check(&repository).unwrap();
        assert!(matches!(without.fix, Fix::Manual(_)));
    }

    #[test]
    fn advice_has_the_document() {
        let id = repository().id;
        let none = NoLifecyclePolicy::default().advice(&id);
        assert!(
            none.cli
                .ends_with(&format!("--lifecycle-policy-text '{UNTAGGED_EXPIRE}'"))
        );
        let own: Map<String, Value> =
            serde_json::from_str(r#"{"rules":[{"description":"it's ours"}]}"#).unwrap();
        let rule = NoLifecyclePolicy {
            mode: None,
            default: Some(own),
            deletes_tagged_images: false,
            ..NoLifecyclePolicy::default()
        };
        let advice = rule.advice(&id);
        assert!(
            advice
                .cli
                .contains(r#"'{"rules":[{"description":"it'\''s ours"}]}'"#),
            "{}",
            advice.cli
        );
        assert!(
            advice.terraform.contains("it's ours") && advice.cloudformation.contains("it's ours")
        );
    }

    #[test]
    fn the_careful_policy_is_one_that_ecr_takes() {
        let rule = NoLifecyclePolicy {
            mode: None,
            default: Some(serde_json::from_str(UNTAGGED_EXPIRE).unwrap()),
            deletes_tagged_images: false,
            ..NoLifecyclePolicy::default()
        };
        assert_eq!(rule.contradictions(), Vec::<String>::new());
    }
}
