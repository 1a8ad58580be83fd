//! `unsigned-images`: ECR does not sign what is pushed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::finding::{Fix, Severity, Violation};
use crate::glob::not_a_filter;
use crate::registry::{Registry, RegistryReads, SigningFilter, SigningRule};
use crate::repository::RepositoryId;
use crate::rule::{
    Advice, Meta, NewRepositories, RegistryViolation, Rule, RuleMode, Settings, Subject,
    make_readable, quoted, shell_word,
};
use crate::text::{LONGEST, one_line};

/// API reference, SigningRule: filters of one rule.
const MOST_FILTERS: usize = 100;

/// Stands for the profile of the rule that is missing: the operator chooses it.
const NEW_PROFILE: &str = "SIGNING_PROFILE_ARN";

/// Repositories whose pushed images no signing rule of the registry covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UnsignedImages {
    /// Overrides the policy's mode for this rule.
    #[serde(default)]
    pub mode: Option<RuleMode>,
    /// The repositories whose images are to be signed, as ECR's filters: `*` stands for any characters, `/` too.
    pub repositories: Vec<String>,
}

impl Settings for UnsignedImages {
    const JUDGES_REGISTRY: bool = true;

    const META: Meta = Meta {
        id: "unsigned-images",
        severity: Severity::Low,
        subject: Subject::Repository,
        summary: "The registry does not sign pushed images",
        repair: "none",
        explanation: "\
With a signing rule in the registry, ECR has AWS Signer sign each pushed image of the repositories \
that the rule's filters match (managed signing), so that a cluster can refuse images from \
elsewhere. Each pattern in `repositories` (`*`: all of them) must be covered by one rule: a \
rule without filters, or a filter that matches all that the pattern matches.

Each account and region is one finding, and it is never repaired: a signing profile is the \
operator's to choose, and those who push need `signer:SignPayload` for it, without which images \
are pushed and stay unsigned. Whether an image that is there is signed is not looked at, nor are \
signatures that pipelines push themselves. `aws ecr put-signing-configuration` replaces all rules: \
the command in the finding keeps those that are there. A registry has at most ten.",
        example: r#"unsigned-images:
  repositories: ["prod/*"]"#,
        controls: &[],
    };
}

impl Rule for UnsignedImages {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn registry_reads(&self) -> RegistryReads {
        RegistryReads {
            signing: true,
            ..RegistryReads::default()
        }
    }

    fn check_registry(
        &self,
        registry: &Registry,
        _policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        if let Some(why) = registry.signing.unreadable() {
            return Some(RegistryViolation::from(Violation {
                detail: format!(
                    "whether ECR signs pushed images is unknown, because the signing configuration cannot be read: {why}"
                ),
                fix: Fix::Manual(make_readable("ecr:GetSigningConfiguration")),
            }));
        }
        let rules = registry.signing.known()?;
        let unsigned: Vec<&str> = self
            .repositories
            .iter()
            .filter(|pattern| !rules.iter().any(|rule| rule.covers(pattern)))
            .map(String::as_str)
            .collect();
        if unsigned.is_empty() {
            return None;
        }
        let detail = if rules.is_empty() {
            "ECR signs no pushed image: the registry has no signing rule".to_owned()
        } else {
            format!(
                "ECR does not sign all that is pushed to `{}`: no signing rule of the registry covers it",
                unsigned.join("`, `")
            )
        };
        let advice = advise(&registry.id, rules, &unsigned);
        let change = if advice.cli.chars().count() > LONGEST {
            "define the signing configuration as the lines with this finding say"
        } else {
            &advice.cli
        };
        Some(RegistryViolation {
            violation: Violation {
                detail: one_line(&detail, LONGEST),
                fix: Fix::Manual(format!(
                    "let those who push use a signing profile (signer:SignPayload), and sign with it: {change}"
                )),
            },
            severity: None,
            advice: Some(advice),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        let filters = self.repositories.iter();
        let mut problems: Vec<String> = filters
            .filter_map(|filter| not_a_filter("repositories", filter))
            .collect();
        if !(1..=MOST_FILTERS).contains(&self.repositories.len()) {
            problems.push(format!(
                "repositories: there are {}, and a signing rule has between 1 and {MOST_FILTERS} filters; [\"*\"] is for every \
                 repository",
                self.repositories.len()
            ));
        }
        problems
    }

    fn advice(&self, id: &RepositoryId) -> Advice {
        let all: Vec<&str> = self.repositories.iter().map(String::as_str).collect();
        advise(id, &[], &all)
    }
}

/// The configuration with the rules that are there, of which none is for all repositories, and one for what they do not sign.
fn advise(id: &RepositoryId, rules: &[SigningRule], unsigned: &[&str]) -> Advice {
    let added = SigningRule {
        profile: NEW_PROFILE.to_owned(),
        filters: unsigned
            .iter()
            .map(|pattern| SigningFilter {
                kind: SigningFilter::WILDCARD.to_owned(),
                pattern: (*pattern).to_owned(),
            })
            .collect(),
    };
    let all: Vec<&SigningRule> = rules.iter().chain([&added]).collect();
    let terraform = all.iter().map(|rule| {
        let filters = rule.filters.iter().map(|it| {
            let (filter, kind) = (quoted(&it.pattern), quoted(&it.kind));
            format!("        {{ filter = {filter}, filter_type = {kind} }},\n")
        });
        format!(
            "    {{\n      signing_profile_arn = {}\n      repository_filters  = [\n{}      ]\n    }},\n",
            profile(rule, "var.signing_profile_arn"),
            filters.collect::<String>()
        )
    });
    let cloudformation = all.iter().map(|rule| {
        let filters = rule.filters.iter().map(|it| {
            let (filter, kind) = (quoted(&it.pattern), quoted(&it.kind));
            format!("\n        - Filter: {filter}\n          FilterType: {kind}")
        });
        format!(
            "\n    - SigningProfileArn: {}\n      RepositoryFilters:{}",
            profile(rule, "!Ref SigningProfileArn"),
            filters.collect::<String>()
        )
    });
    Advice {
        text: "Set this where the registry is defined. It replaces all its signing rules, of which ECR takes ten."
            .to_owned(),
        terraform: format!(
            "resource \"awscc_ecr_signing_configuration\" \"registry\" {{\n  rules = [\n{}  ]\n}}",
            terraform.collect::<String>()
        ),
        cloudformation: format!(
            "Type: AWS::ECR::SigningConfiguration\nProperties:\n  Rules:{}",
            cloudformation.collect::<String>()
        ),
        cli: command(&id.region, &all),
    }
}

/// What stands for a rule's profile in a definition; `new`: where the operator chooses it.
fn profile(rule: &SigningRule, new: &str) -> String {
    if rule.profile == NEW_PROFILE {
        new.to_owned()
    } else {
        quoted(&rule.profile)
    }
}

fn command(region: &str, rules: &[&SigningRule]) -> String {
    let rules = rules.iter().map(|rule| {
        let filters = rule.filters.iter();
        let filters = filters.map(|it| json!({ "filter": it.pattern, "filterType": it.kind }));
        json!({ "signingProfileArn": rule.profile, "repositoryFilters": filters.collect::<Vec<_>>() })
    });
    let document = json!({ "rules": rules.collect::<Vec<_>>() }).to_string();
    // The shell puts it between the two quoted parts.
    let document = shell_word(&document).replace(
        &format!("\"{NEW_PROFILE}\""),
        &format!("\"'\"${{{NEW_PROFILE}:?set it to the ARN of the signing profile}}\"'\""),
    );
    format!(
        "aws ecr put-signing-configuration --region {region} --signing-configuration {document}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Read;

    const PROFILE: &str = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/prod";

    fn signing(filters: &[&str]) -> SigningRule {
        let filters = filters.iter().map(|pattern| SigningFilter {
            kind: SigningFilter::WILDCARD.to_owned(),
            pattern: (*pattern).to_owned(),
        });
        SigningRule {
            profile: PROFILE.to_owned(),
            filters: filters.collect(),
        }
    }

    fn found(repositories: &[&str], rules: Read<Vec<SigningRule>>) -> Option<RegistryViolation> {
        let rule = UnsignedImages {
            mode: None,
            repositories: repositories.iter().map(|it| (*it).to_owned()).collect(),
        };
        assert!(rule.contradictions().is_empty());
        let registry = Registry {
            signing: rules,
            ..Registry::unread(&repository().id.registry())
        };
        rule.check_registry(&registry, &|_| Err(String::new()))
    }

    #[test]
    fn each_pattern_needs_one_rule_that_covers_it() {
        let cases: [(&[&str], Vec<SigningRule>, bool); 7] = [
            (&["*"], vec![], true),
            (&["*"], vec![signing(&[])], false),
            (&["*"], vec![signing(&["prod/*"])], true),
            (&["prod/*"], vec![signing(&["prod/*"])], false),
            (&["prod/*"], vec![signing(&["*"])], false),
            (&["prod/*", "base"], vec![signing(&["prod/*"])], true),
            (
                &["prod/*", "base"],
                vec![signing(&["prod/*"]), signing(&["base"])],
                false,
            ),
        ];
        for (repositories, rules, expected) in cases {
            let found = found(repositories, Read::Known(rules.clone()));
            assert_eq!(found.is_some(), expected, "{repositories:?} {rules:?}");
        }
    }

    /// The command replaces the whole configuration.
    #[test]
    fn the_command_keeps_the_rules_that_are_there() {
        let rules = Read::Known(vec![signing(&["base"]), signing(&["tools/*"])]);
        let found = found(&["prod/*", "base"], rules).unwrap();
        let detail = &found.violation.detail;
        assert!(
            detail.contains("`prod/*`") && !detail.contains("base"),
            "{detail}"
        );
        let advice = found.advice.unwrap();
        let to_do = found.violation.for_people();
        assert!(to_do.ends_with(&advice.cli), "{to_do}");
        // As a shell gives it to the command.
        let asked = r#"'"${SIGNING_PROFILE_ARN:?set it to the ARN of the signing profile}"'"#;
        let document = advice.cli.replace(asked, "NEW");
        let document = document
            .strip_prefix(
                "aws ecr put-signing-configuration --region eu-central-1 --signing-configuration '",
            )
            .and_then(|rest| rest.strip_suffix('\''))
            .unwrap();
        let rule = |profile: &str, pattern: &str| {
            let filter = json!({ "filter": pattern, "filterType": "WILDCARD_MATCH" });
            json!({ "signingProfileArn": profile, "repositoryFilters": [filter] })
        };
        let expected = json!({ "rules": [rule(PROFILE, "base"), rule(PROFILE, "tools/*"), rule("NEW", "prod/*")] });
        assert_eq!(serde_json::from_str::<Value>(document).unwrap(), expected);
        for text in [&advice.terraform, &advice.cloudformation] {
            for part in ["base", "tools/*", "prod/*", PROFILE] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_the_permission() {
        let found = found(&["*"], Read::Unreadable("AccessDeniedException".to_owned())).unwrap();
        let to_do = found.violation.for_people();
        assert!(to_do.contains("ecr:GetSigningConfiguration"), "{to_do}");
        let detail = found.violation.detail;
        assert!(detail.contains("AccessDeniedException"), "{detail}");
    }

    #[test]
    fn patterns_are_filters_of_ecrs() {
        for wrong in [vec!["Prod/*".to_owned()], vec![String::new()], vec![]] {
            let rule = UnsignedImages {
                mode: None,
                repositories: wrong.clone(),
            };
            assert_eq!(rule.contradictions().len(), 1, "{wrong:?}");
        }
    }
}
