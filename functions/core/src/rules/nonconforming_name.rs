//! `nonconforming-name`: a repository's name does not follow the convention.

use regex_lite::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::finding::{Fix, Severity, Violation};
use crate::glob::Glob;
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

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
    /// Names that always conform.
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
        repair: "none",
        explanation: "\
A namespace names the team that owns a repository, and permissions, policies and overrides refer \
to it. A repository outside of all namespaces has no owner.

A repository cannot be renamed, so there is no repair: create one with a conforming name and move \
the images.",
        example: r#"nonconforming-name:
  pattern: "(payments|shop)/[a-z0-9-]+"
  convention: team/service
  allow: ["mirror/**"]"#,
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
        let wrong = whole(&self.pattern).err();
        wrong
            .map(|why| format!("pattern: {why}"))
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

/// A longer pattern is no convention that people can follow. Its size in bytes is what it takes with all repetitions written
/// out: `(a{99}){99}` is short, and matching costs time by its size and the text's length.
const LONGEST_PATTERN: usize = 500;
const LARGEST_PATTERN: usize = 32 * 1024;

/// A pattern for the whole of a text, not for a part of it.
///
/// # Errors
/// One line: it is none, or takes too much.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    let length = pattern.chars().count();
    if length > LONGEST_PATTERN {
        return Err(format!(
            "it has {length} characters; the most is {LONGEST_PATTERN}"
        ));
    }
    let read = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| {
                format!("not a regular expression, or one that repeats too much: {error}")
            })
    };
    // Refuses `a)(b`, which would be right inside of other brackets.
    read(pattern)?;
    read(&format!("^(?:{pattern})$"))
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
    fn a_long_convention_is_no_repetition_of_repetitions() {
        let rule = NonconformingName {
            pattern: "(team|unit)-[a-z][a-z0-9-]{1,62}(/[a-z0-9]+([._-][a-z0-9]+){0,4}){1,3}"
                .to_owned(),
            ..NonconformingName::default()
        };
        assert_eq!(rule.contradictions(), [""; 0]);
        assert!(!found(&rule, "team-payments/api/base-image.v2"));
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        let long = "a".repeat(501);
        for pattern in ["(", "a)(b", "a{1000}{1000}", "((a?){300}){9}", &long] {
            let rule = NonconformingName {
                pattern: pattern.to_owned(),
                ..NonconformingName::default()
            };
            assert_eq!(rule.contradictions().len(), 1, "{pattern}");
        }
    }
}
