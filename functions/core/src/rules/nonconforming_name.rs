//! `nonconforming-name`: a repository's name does not follow the convention.

use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::finding::{Fix, Severity, Violation};
use crate::policy::Glob;
use crate::repository::{Reads, Repository, RepositoryId};

/// A name outside the convention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NonconformingName {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// A regular expression that the whole name must match. Without it: `namespace/name`.
    pub pattern: String,
    /// The convention in words, for those who have to follow it.
    pub convention: String,
    /// Names that are right whatever they look like.
    pub allow: Vec<Glob>,
}

impl Default for NonconformingName {
    fn default() -> Self {
        Self {
            mode: None,
            pattern: "[^/]+(/[^/]+)+".to_owned(),
            convention: "namespace/name".to_owned(),
            allow: Vec::new(),
        }
    }
}

impl Settings for NonconformingName {
    const META: Meta = Meta {
        id: "nonconforming-name",
        severity: Severity::Low,
        subject: Subject::Repository,
        summary: "The repository's name does not follow the convention",
        explanation: "\
Namespaces say whose a repository is, and permissions, policies and overrides are written for them. A repository \
outside of them is nobody's.

A repository can't be renamed, so there is no repair: people create one with the right name and move.",
        controls: &[],
    };
}

impl Rule for NonconformingName {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let name = &repository.id.name;
        if self.allow.iter().any(|glob| glob.matches(name)) {
            return None;
        }
        let conforms = whole(&self.pattern).is_ok_and(|pattern| pattern.is_match(name));
        (!conforms).then(|| Violation {
            detail: format!("the name `{name}` does not follow the convention `{}`", self.convention),
            fix: Fix::Manual(format!(
                "create a repository named by the convention (`{}`), move its images and users there, and delete this one",
                self.convention
            )),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        whole(&self.pattern)
            .err()
            .map(|error| format!("pattern: not a regular expression: {error}"))
            .into_iter()
            .collect()
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        Advice {
            text: format!("Name repositories `{}`.", self.convention),
            terraform: format!("name = \"{}\"", example(&self.convention)),
            cli: "aws ecr create-repository --repository-name \"$NAMESPACE/$NAME\"   # ECR can't rename: copy the images".to_owned(),
            cloudformation: format!("RepositoryName: {}", example(&self.convention)),
        }
    }
}

/// A pattern for the whole of a text, not for a part of it.
pub(super) fn whole(pattern: &str) -> Result<Regex, regex_lite::Error> {
    // Refuses `a)(b`, which would be right inside of other brackets.
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$"))
}

fn example(convention: &str) -> String {
    crate::text::one_line(convention, 128).replace(['"', '\\'], "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;

    fn found(rule: &NonconformingName, name: &str) -> bool {
        let mut repository = repository();
        repository.id.name = name.to_owned();
        rule.check(&repository).is_some()
    }

    #[test]
    fn the_default_asks_for_a_namespace() {
        let rule = NonconformingName::default();
        assert!(!found(&rule, "payments/api"));
        assert!(!found(&rule, "payments/api/base"));
        assert!(found(&rule, "api"));
    }

    #[test]
    fn a_pattern_is_for_the_whole_name() {
        let rule = NonconformingName {
            pattern: "team-[a-z]+/.*|shared".to_owned(),
            allow: vec![Glob::try_from("legacy/**".to_owned()).unwrap()],
            ..NonconformingName::default()
        };
        assert!(!found(&rule, "team-a/x"));
        assert!(!found(&rule, "shared"));
        assert!(found(&rule, "not-shared"));
        assert!(found(&rule, "xteam-a/x"));
        assert!(!found(&rule, "legacy/old"));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        for pattern in ["(", "a)(b"] {
            let rule = NonconformingName {
                pattern: pattern.to_owned(),
                ..NonconformingName::default()
            };
            assert_eq!(rule.contradictions().len(), 1, "{pattern}");
        }
    }
}
