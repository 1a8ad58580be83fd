//! `missing-statements`: the repository policy lacks a statement that the policy requires.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::access::{Grant, Removal, To, Trust, judge};
use crate::action::Action;
use crate::document::same_statement;
use crate::finding::{Fix, Severity, Violation};
use crate::quarantine;
use crate::repository::{Reads, Repository, RepositoryId};
use crate::repository_policy::{LONGEST, statements, with, wrong};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject, heredoc, shell_word};
use crate::text::one_line;
use crate::yaml::document::{Node, Problem};
use crate::yaml::unknown;

/// IAM User Guide, "IAM JSON policy elements reference". Statements of repository policies name no resource.
const ELEMENTS: [&str; 7] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Condition",
];
/// The longest name of a statement that is shown.
const LONGEST_NAME: usize = 128;

const NOT_MERGED: &str = "add them to its repository policy where the repository is defined; ecr-warden adds no statement to a policy \
                          that is there";

/// A repository policy without statements that it must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MissingStatements {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The statements that every repository policy must have, as AWS writes them: `Sid`, `Effect`, `Principal`, `Action`, `Condition`.
    pub required_statements: Vec<Map<String, Value>>,
}

impl Settings for MissingStatements {
    const META: Meta = Meta {
        id: "missing-statements",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "The repository policy lacks a statement that the policy requires",
        repair: "puts the statements where there is no repository policy",
        explanation: "\
A statement that each repository must have, such as a Deny for callers without TLS or from outside \
the organization, protects only the repositories whose policy has it.

Statements are compared by what they say: the order of lists, a single value with or without \
brackets, the form of an account (number or root user), the case of actions and condition keys, and \
the `Sid` make no difference. A statement that says more or less than the required one is another \
statement.

The repair puts the required statements where there is no repository policy (or only ecr-warden's \
own quarantine). A policy that is there is never changed: what it lacks is reported, because only \
its owner knows what its statements mean together. A Deny refuses its callers at once.",
        example: r#"missing-statements:
  required-statements:
    - Sid: DenyPlainHttp
      Effect: Deny
      Principal: "*"
      Action: "ecr:*"
      Condition: { Bool: { "aws:SecureTransport": "false" } }"#,
        controls: &[],
    };

    fn problems_inside(block: &Node) -> Vec<Problem> {
        let required = block.get("required-statements");
        let statements = required.map_or(&[][..], Node::items);
        let elements = statements.iter().flat_map(Node::entries);
        elements
            .filter(|(_, name, _)| !ELEMENTS.contains(&name.as_str()))
            .map(|(place, name, _)| Problem {
                place: *place,
                message: unknown("element of a statement", name, &ELEMENTS),
            })
            .collect()
    }
}

impl MissingStatements {
    /// A repository policy of the required statements alone.
    fn document(&self) -> String {
        json!({ "Version": "2012-10-17", "Statement": self.required_statements }).to_string()
    }

    /// The required statements that a policy lacks.
    ///
    /// # Errors
    /// One line: the policy can't be understood.
    fn lacking(&self, policy: Option<&str>) -> Result<Vec<usize>, String> {
        let texts = policy.map_or_else(|| Ok(Vec::new()), statements)?;
        let present: Result<Vec<Value>, _> = texts.into_iter().map(serde_json::from_str).collect();
        let present = present.map_err(|error| wrong(&error))?;
        let numbered = self.required_statements.iter().enumerate();
        let lacking = numbered.filter(|(_, required)| {
            let required = Value::Object((*required).clone());
            !present.iter().any(|one| same_statement(one, &required))
        });
        Ok(lacking.map(|(number, _)| number).collect())
    }

    /// The policy with the required statements, where there is none of the repository's own.
    fn put_into(&self, policy: Option<&str>) -> Fix {
        let added = match policy {
            None => Ok(self.document()),
            Some(text) if is_of_ecr_warden(text) => {
                let mut required = self.required_statements.iter().cloned();
                required.try_fold(text.to_owned(), |text, statement| {
                    with(&text, &Value::Object(statement).to_string())
                })
            }
            Some(_) => return Fix::Manual(NOT_MERGED.to_owned()),
        };
        match added {
            Ok(to) if to.chars().count() <= LONGEST => Fix::Safe(Action::SetRepositoryPolicy {
                from: policy.map(str::to_owned),
                to: Some(to),
            }),
            _ => Fix::Manual(format!(
                "not added: with the quarantine, its repository policy would be longer than ECR's limit of {LONGEST} characters"
            )),
        }
    }

    /// Its `Sid` in backticks, or its number from 1.
    fn label(&self, number: usize) -> String {
        let statement = self.required_statements.get(number);
        let sid = statement.and_then(|statement| statement.get("Sid")?.as_str());
        sid.map_or_else(
            || format!("number {}", number.saturating_add(1)),
            |sid| format!("`{}`", one_line(sid, LONGEST_NAME)),
        )
    }
}

/// Whether every statement is ecr-warden's own quarantine.
fn is_of_ecr_warden(policy: &str) -> bool {
    let all = statements(policy).unwrap_or_default();
    !all.is_empty() && all.into_iter().all(quarantine::is_ours)
}

impl Rule for MissingStatements {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            policy: !self.required_statements.is_empty(),
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        if self.required_statements.is_empty() {
            return None;
        }
        let unknown = |what: &str, why: &str| Violation {
            detail: format!("its repository policy cannot be {what}: {why}"),
            fix: Fix::Manual(
                "fix that, or check manually whether it has the required statements".to_owned(),
            ),
        };
        let policy = match repository.policy.required() {
            Ok(policy) => policy.as_deref(),
            Err(why) => return Some(unknown("read", &why)),
        };
        let lacking = match self.lacking(policy) {
            Ok(lacking) => lacking,
            Err(why) => return Some(unknown("understood", &why)),
        };
        if lacking.is_empty() {
            return None;
        }
        let named: Vec<String> = lacking.iter().map(|number| self.label(*number)).collect();
        let named = named.join(", ");
        Some(Violation {
            detail: match policy {
                None => format!(
                    "it has no repository policy, and these statements are required: {named}"
                ),
                Some(_) => format!("its repository policy lacks required statements: {named}"),
            },
            fix: self.put_into(policy),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        if self.required_statements.is_empty() {
            return Vec::new();
        }
        let document = self.document();
        let size = document.chars().count();
        let mut problems = Vec::new();
        if size > LONGEST {
            problems.push(format!(
                "required-statements: together they have {size} characters, and ECR takes {LONGEST} for a repository policy"
            ));
        }
        match judge(&document, &Trust::default()) {
            Err(why) => problems.push(format!("required-statements: ECR would refuse them: {why}")),
            Ok(judged) => {
                let is_open = |grant: &&Grant<'_>| {
                    grant.to == To::Everyone && grant.removal == Removal::Whole
                };
                let everyone = judged.grants.iter().find(is_open);
                problems.extend(everyone.map(|grant| {
                    format!(
                        "required-statements: the statement {} admits everyone, and `public-access` would remove it: name its callers",
                        grant.label
                    )
                }));
            }
        }
        problems
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        self.advice_on(id, None)
    }

    fn advice_on(&self, _id: &RepositoryId, repair: Option<&Action>) -> Advice {
        let document = match repair {
            Some(Action::SetRepositoryPolicy { to: Some(to), .. }) => to.clone(),
            _ => self.document(),
        };
        let statements = Value::from(
            self.required_statements
                .iter()
                .cloned()
                .map(Value::Object)
                .collect::<Vec<_>>(),
        );
        Advice {
            text: "Add the required statements to the repository policy where the repository is defined; keep its other statements."
                .to_owned(),
            terraform: format!(
                "resource \"aws_ecr_repository_policy\" \"this\" {{\n  repository = aws_ecr_repository.this.name\n  policy     = {}\n}}",
                heredoc(&document)
            ),
            cli: format!(
                "# adds the statements to those that are there; needs jq\n\
                 policy=$(aws ecr get-repository-policy --repository-name \"$REPOSITORY\" --query policyText --output text 2>&1) || case \
                 $policy in *RepositoryPolicyNotFoundException*) policy='{{\"Version\":\"2012-10-17\",\"Statement\":[]}}';; esac\n\
                 aws ecr set-repository-policy --repository-name \"$REPOSITORY\" --policy-text \"$(printf '%s' \"$policy\" | jq -c \
                 --argjson required {} '.Statement = ([.Statement] | flatten) + $required')\"",
                shell_word(&statements.to_string())
            ),
            // JSON is YAML.
            cloudformation: format!("RepositoryPolicyText:\n  {document}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    const PLAIN_HTTP: &str = r#"{"Sid":"DenyPlainHttp","Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#;
    const OUTSIDERS: &str = r#"{"Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Condition":{"StringNotEquals":{"aws:PrincipalOrgID":["o-1","o-2"]}}}"#;
    const PULL: &str = r#"{"Effect":"Allow","Principal":{"AWS":["111122223333","444455556666"]},"Action":"ecr:BatchGetImage"}"#;

    const OTHER: &str =
        r#"{"Effect":"Allow","Principal":{"AWS":"777788889999"},"Action":"ecr:PutImage"}"#;

    fn rule(required: &[&str]) -> MissingStatements {
        let required = required
            .iter()
            .map(|text| serde_json::from_str(text).unwrap());
        MissingStatements {
            mode: None,
            required_statements: required.collect(),
        }
    }

    fn with_policy(statements: &[&str]) -> Repository {
        let mut repository = repository();
        let all = statements.join(",");
        repository.policy = Read::Known(Some(format!(
            r#"{{"Version":"2012-10-17","Statement":[{all}]}}"#
        )));
        repository
    }

    #[test]
    fn statements_are_compared_by_what_they_say() {
        for (required, present, passes) in [
            (PLAIN_HTTP, PLAIN_HTTP, true),
            (
                PLAIN_HTTP,
                r#"{"Condition":{"Bool":{"AWS:securetransport":[false]}},"Action":["ECR:*"],"Principal":{"AWS":["*"]},"Effect":"Deny","Sid":"other"}"#,
                true,
            ),
            (
                OUTSIDERS,
                r#"{"Effect":"Deny","Principal":{"AWS":"*"},"Action":["ecr:getdownloadurlforlayer","ecr:BatchGetImage"],"Condition":{"StringNotEquals":{"aws:principalorgid":["o-2","o-1"]}}}"#,
                true,
            ),
            (
                PULL,
                r#"{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::444455556666:root","111122223333"]},"Action":["ecr:BatchGetImage"]}"#,
                true,
            ),
            // All actions of a repository policy are ECR's.
            (
                PLAIN_HTTP,
                r#"{"Effect":"Deny","Principal":"*","Action":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
                true,
            ),
            (PLAIN_HTTP, OUTSIDERS, false),
            // The other way round, for fewer actions, without its condition, and under another one.
            (
                PLAIN_HTTP,
                r#"{"Effect":"Allow","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
                false,
            ),
            (
                PLAIN_HTTP,
                r#"{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage","Condition":{"Bool":{"aws:SecureTransport":"false"}}}"#,
                false,
            ),
            (
                PLAIN_HTTP,
                r#"{"Effect":"Deny","Principal":"*","Action":"ecr:*"}"#,
                false,
            ),
            (
                PLAIN_HTTP,
                r#"{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#,
                false,
            ),
            // A value's case says something, and so does a second key that differs from the first by its case alone.
            (
                OUTSIDERS,
                r#"{"Effect":"Deny","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Condition":{"StringNotEquals":{"aws:PrincipalOrgID":["O-1","o-2"]}}}"#,
                false,
            ),
            (
                PLAIN_HTTP,
                r#"{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"Bool":{"aws:securetransport":"true","aws:SecureTransport":"false"}}}"#,
                false,
            ),
        ] {
            for all in [&[present][..], &[OTHER, present], &[present, OTHER]] {
                let found = rule(&[required]).check(&with_policy(all));
                assert_eq!(found.is_none(), passes, "{all:?}: {found:?}");
            }
        }
    }

    #[test]
    fn they_are_put_where_there_is_no_policy() {
        let rule = rule(&[PLAIN_HTTP, OUTSIDERS]);
        let mut repository = repository();
        let violation = rule.check(&repository).unwrap();
        assert_eq!(
            violation.detail,
            "it has no repository policy, and these statements are required: `DenyPlainHttp`, number 2"
        );
        let Fix::Safe(action) = violation.fix else {
            panic!("{violation:?}")
        };
        action.apply_to(&mut repository);
        assert_eq!(rule.check(&repository), None);
        assert_eq!(MissingStatements::default().check(&repository), None);
    }

    #[test]
    fn a_policy_that_is_there_is_not_changed() {
        let rule = rule(&[PLAIN_HTTP, OUTSIDERS]);
        for (present, lacking) in [
            (&[PULL][..], "`DenyPlainHttp`, number 2"),
            (&[PULL, OUTSIDERS], "`DenyPlainHttp`"),
            (&[], "`DenyPlainHttp`, number 2"),
        ] {
            let violation = rule.check(&with_policy(present)).unwrap();
            let said = format!("its repository policy lacks required statements: {lacking}");
            assert_eq!(violation.detail, said);
            assert_eq!(violation.fix, Fix::Manual(NOT_MERGED.to_owned()));
        }
    }

    #[test]
    fn a_quarantine_is_no_policy_of_the_repository() {
        let rule = rule(&[PLAIN_HTTP]);
        let mut repository = repository();
        let quarantined = quarantine::impose(None).unwrap();
        repository.policy = Read::Known(Some(quarantined.clone()));
        let violation = rule.check(&repository).unwrap();
        let Fix::Safe(action) = violation.fix else {
            panic!("{violation:?}")
        };
        action.apply_to(&mut repository);
        assert_eq!(rule.check(&repository), None);
        let text = repository.policy.known().cloned().flatten().unwrap();
        assert!(quarantine::is_in(&text), "{text}");
        // Lifted, the required statement stays.
        repository.policy = Read::Known(quarantine::lift(&text));
        assert_eq!(rule.check(&repository), None);
    }

    #[test]
    fn what_cannot_be_read_or_understood_is_for_people() {
        let rule = rule(&[PLAIN_HTTP]);
        let mut repository = repository();
        for (policy, said) in [
            (
                Read::Unreadable("denied".to_owned()),
                "cannot be read: denied",
            ),
            (
                Read::Known(Some("nonsense".to_owned())),
                "cannot be understood",
            ),
            (Read::Known(Some(r#"{"Statement":7}"#.to_owned())), "lacks"),
        ] {
            repository.policy = policy;
            let violation = rule.check(&repository).unwrap();
            assert!(violation.detail.contains(said), "{violation:?}");
            assert!(matches!(violation.fix, Fix::Manual(_)), "{violation:?}");
        }
    }

    #[test]
    fn statements_that_ecr_or_another_rule_would_refuse() {
        for (statement, said) in [
            (
                r#"{"Effect":"deny","Principal":"*","Action":"ecr:*"}"#,
                "neither `Allow` nor `Deny`",
            ),
            (r#"{"Effect":"Deny","Action":"ecr:*"}"#, "`Principal`"),
            (
                r#"{"Sid":"Open","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#,
                "`Open` admits everyone",
            ),
        ] {
            let problems = rule(&[statement]).contradictions().join("; ");
            assert!(problems.contains(said), "{statement}: {problems}");
        }
        let long = format!(
            r#"{{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{{"StringLike":{{"aws:PrincipalArn":"{}"}}}}}}"#,
            "x".repeat(LONGEST)
        );
        let problems = rule(&[&long]).contradictions().join("; ");
        assert!(problems.contains("and ECR takes 10240"), "{problems}");
        for right in [PLAIN_HTTP, OUTSIDERS, PULL] {
            assert_eq!(rule(&[right]).contradictions(), Vec::<String>::new());
        }
    }

    #[test]
    fn a_mistake_in_a_statement_has_its_place() {
        let policy = "version: 1\nmode: monitor\nrules:\n  missing-statements:\n    required-statements:\n      - Effect: Deny\n        principal: \"*\"\n        Action: \"ecr:*\"\n";
        let why = crate::policy::Policy::parse(policy)
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("line 7") && why.contains("`principal`"),
            "{why}"
        );
        assert!(why.contains("Principal"), "{why}");
    }

    #[test]
    fn the_advice_keeps_what_is_there() {
        let advice = rule(&[PLAIN_HTTP]).advice(&repository().id);
        assert!(
            advice.cli.contains(r#"--argjson required '[{"#),
            "{}",
            advice.cli
        );
        assert!(advice.terraform.contains("aws:SecureTransport"));
    }
}
