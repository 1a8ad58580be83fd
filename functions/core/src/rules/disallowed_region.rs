//! `disallowed-region`: a repository lies outside the regions that the policy allows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId, check_region};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

/// A repository outside the allowed regions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DisallowedRegion {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The regions that repositories may be in.
    pub allow: Vec<String>,
}

impl Settings for DisallowedRegion {
    const META: Meta = Meta {
        id: "disallowed-region",
        severity: Severity::High,
        subject: Subject::Repository,
        summary: "The repository is in a region that the policy does not allow",
        repair: "none",
        explanation: "\
Contracts and laws often limit where data may be stored, and regions that are not in use are \
rarely monitored.

A repository cannot be moved to another region, so there is no repair. A service control policy on \
`ecr:CreateRepository` prevents new ones.",
        example: r#"disallowed-region:
  allow: [eu-central-1, eu-west-1]"#,
        controls: &[],
    };
}

impl Rule for DisallowedRegion {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let region = &repository.id.region;
        (!self.allow.contains(region)).then(|| Violation {
            detail: format!(
                "it is in {region}, and only {} are allowed",
                self.allow.join(", ")
            ),
            fix: Fix::Manual(format!(
                "create it in {}, move its images and users there, and delete this one",
                self.allow.join(" or ")
            )),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.allow.is_empty() {
            problems.push("allow: name at least one region, or switch the rule off".to_owned());
        }
        for region in &self.allow {
            if check_region(region).is_err() {
                problems.push(format!(
                    "allow: `{}` is not a region",
                    crate::text::one_line(region, 40)
                ));
            }
        }
        problems
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        let region = self.allow.first().map_or("", String::as_str);
        Advice {
            text: "Deploy to an allowed region.".to_owned(),
            terraform: format!("provider \"aws\" {{\n  region = \"{region}\"\n}}"),
            cli: format!(
                "aws ecr create-repository --region {region} --repository-name \"$REPOSITORY\"   # copy the images"
            ),
            cloudformation: format!("# deploy the stack to {region}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;

    #[test]
    fn only_the_allowed_regions_pass() {
        let rule = |allow: &[&str]| DisallowedRegion {
            mode: None,
            allow: allow.iter().map(|r| (*r).to_owned()).collect(),
        };
        assert_eq!(
            rule(&["us-east-1", "eu-central-1"]).check(&repository()),
            None
        );
        let violation = rule(&["us-east-1"]).check(&repository()).unwrap();
        assert!(violation.detail.contains("eu-central-1"), "{violation:?}");
        assert_eq!(rule(&[]).contradictions().len(), 1);
        assert_eq!(rule(&["us east"]).contradictions().len(), 1);
    }
}
