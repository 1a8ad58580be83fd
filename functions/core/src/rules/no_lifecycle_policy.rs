//! `no-lifecycle-policy`: nothing ever removes old images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::lifecycle::{document, matches_nothing, selects_tagged};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject, heredoc, shell_word};
use crate::yaml::document::{Node, Problem};

/// ECR: 100 to 30,720 characters.
const SIZE: std::ops::RangeInclusive<usize> = 100..=30_720;

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
}

impl Settings for NoLifecyclePolicy {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "no-lifecycle-policy",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "The repository has no lifecycle policy, or one that matches no image",
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
archived images can be restored. Pulls of archived images fail, so archiving counts like expiry \
when the default is set on a repository with images.",
        example: r#"no-lifecycle-policy:
  default:
    rules:
      - rulePriority: 1
        description: untagged images go after two weeks
        selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
        action: { type: expire }"#,
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
            Ok(Some(text)) => {
                let why = matches_nothing(text)?;
                Ok(format!("no image can match its lifecycle policy: {why}"))
            }
            Ok(None) => Ok("it has no lifecycle policy, so images are never removed".to_owned()),
            Err(why) => Err(why),
        };
        match missing {
            Ok(detail) => Some(Violation {
                detail,
                fix: match self.document() {
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
        let Some(document) = &self.default else {
            return Vec::new();
        };
        let mut problems = Vec::new();
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
        };
        assert_eq!(rule.contradictions(), Vec::<String>::new());
    }
}
