//! `mutable-tags`: a tag can be moved to another image after it was pushed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId, TagMutability};

/// A filter may be 1 to 128 characters with at most two wildcards, and a repository has at most five
/// (API reference, ImageTagMutabilityExclusionFilter).
const LONGEST_FILTER: usize = 128;
const MOST_WILDCARDS: usize = 2;
const MOST_FILTERS: usize = 5;

/// Tag mutability weaker than the policy asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MutableTags {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// What a repository must be.
    pub require: Required,
    /// Tags that may stay mutable, as ECR's wildcard filters: `latest`, `dev-*`. A repository keeps the exclusion
    /// filters it has as far as they are within these.
    pub allow_exclusions: Vec<String>,
}

/// The mutability that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Required {
    #[default]
    Immutable,
}

impl Settings for MutableTags {
    const META: Meta = Meta {
        id: "mutable-tags",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "Image tags can be overwritten",
        explanation: "\
A tag that can be moved names one image today and another tomorrow: what was tested is not what is deployed, and \
whoever may push can replace what runs in production. `MUTABLE_WITH_EXCLUSION` counts as mutable. \
`IMMUTABLE_WITH_EXCLUSION` passes where every exclusion filter is within `allow-exclusions`.

The repair sets the repository to `IMMUTABLE`, or to `IMMUTABLE_WITH_EXCLUSION` with those of its own exclusion \
filters that the policy allows. A pipeline that pushes the same tag twice fails from then on; images and tags that \
are there stay as they are.",
        controls: &[
            "AWS Security Hub ECR.2",
            "AWS Config ECR_PRIVATE_TAG_IMMUTABILITY_ENABLED",
            "Prowler ecr_repositories_tag_immutability",
        ],
    };
}

impl MutableTags {
    /// Whether every tag that `filter` matches is matched by an allowed exclusion too.
    fn allows(&self, filter: &str) -> bool {
        // A wildcard of `filter` is matched as a plain character here, which only a wildcard of `allowed` can
        // match: so whatever it stands for is matched as well.
        self.allow_exclusions
            .iter()
            .any(|allowed| fast_glob::glob_match(allowed, filter))
    }

    /// What the repository must become, keeping those of its filters that are allowed.
    fn wanted(&self, now: &TagMutability) -> TagMutability {
        let kept: BTreeSet<String> = match now {
            TagMutability::ImmutableWithExclusion(filters) => {
                filters.iter().filter(|f| self.allows(f)).cloned().collect()
            }
            // The filters of MUTABLE_WITH_EXCLUSION name what is immutable: nothing to keep.
            TagMutability::MutableWithExclusion(_)
            | TagMutability::Mutable
            | TagMutability::Immutable
            | TagMutability::Unknown(_) => BTreeSet::new(),
        };
        if kept.is_empty() {
            TagMutability::Immutable
        } else {
            TagMutability::ImmutableWithExclusion(kept)
        }
    }
}

impl Rule for MutableTags {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let now = &repository.mutability;
        let detail = match now {
            TagMutability::Immutable => return None,
            TagMutability::ImmutableWithExclusion(filters) => {
                let forbidden: Vec<String> = filters
                    .iter()
                    .filter(|filter| !self.allows(filter))
                    .map(|filter| format!("`{filter}`"))
                    .collect();
                if forbidden.is_empty() {
                    return None;
                }
                format!(
                    "tags that match {} can be overwritten, which the policy does not allow",
                    forbidden.join(", ")
                )
            }
            TagMutability::Mutable => "tags can be overwritten (MUTABLE)".to_owned(),
            TagMutability::MutableWithExclusion(_) => {
                format!("all but some tags can be overwritten ({now})")
            }
            TagMutability::Unknown(value) => {
                return Some(Violation {
                    detail: format!("tag mutability `{value}` is not known to this version"),
                    fix: Fix::Manual(
                        "check the repository's tag mutability by hand, and update ecr-warden"
                            .to_owned(),
                    ),
                });
            }
        };
        Some(Violation {
            detail,
            fix: Fix::Safe(Action::SetTagMutability {
                from: now.clone(),
                to: self.wanted(now),
            }),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for filter in &self.allow_exclusions {
            let fits = (1..=LONGEST_FILTER).contains(&filter.len())
                && filter
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'*' | b'-'))
                && filter.bytes().filter(|b| *b == b'*').count() <= MOST_WILDCARDS;
            if !fits {
                problems.push(format!(
                    "allow-exclusions: `{}` is not a filter of ECR's: 1 to {LONGEST_FILTER} letters, digits, `.`, `_`, \
                     `-` and at most {MOST_WILDCARDS} `*`",
                    crate::text::one_line(filter, 80)
                ));
            }
        }
        problems
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        let filters: Vec<&String> = self.allow_exclusions.iter().take(MOST_FILTERS).collect();
        let text = if filters.is_empty() {
            "Set the tag mutability where the repository is defined, or the next deployment sets it back."
                .to_owned()
        } else {
            format!(
                "Set the tag mutability where the repository is defined, or the next deployment sets it back; \
                 tags like {} may be excluded from it.",
                filters
                    .iter()
                    .map(|f| format!("`{f}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        Advice {
            text,
            terraform: "image_tag_mutability = \"IMMUTABLE\"".to_owned(),
            cloudformation: "ImageTagMutability: IMMUTABLE".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;

    fn rule(allowed: &[&str]) -> MutableTags {
        MutableTags {
            allow_exclusions: allowed.iter().map(|f| (*f).to_owned()).collect(),
            ..MutableTags::default()
        }
    }

    fn filters(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|f| (*f).to_owned()).collect()
    }

    /// What the rule would set, `None` where it is content.
    fn repaired(rule: &MutableTags, now: TagMutability) -> Option<TagMutability> {
        let mut repository = repository();
        repository.mutability = now;
        match rule.check(&repository)?.fix {
            Fix::Safe(Action::SetTagMutability { to, .. }) => Some(to),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn immutable_passes() {
        assert_eq!(repaired(&rule(&[]), TagMutability::Immutable), None);
    }

    #[test]
    fn mutable_becomes_immutable_with_or_without_filters() {
        for now in [
            TagMutability::Mutable,
            TagMutability::MutableWithExclusion(filters(&["v*"])),
        ] {
            assert_eq!(
                repaired(&rule(&["latest"]), now),
                Some(TagMutability::Immutable)
            );
        }
    }

    #[test]
    fn allowed_exclusions_pass_and_stay() {
        let rule = rule(&["latest", "dev-*"]);
        let of = |f| TagMutability::ImmutableWithExclusion(filters(f));
        assert_eq!(repaired(&rule, of(&["latest", "dev-*", "dev-1*"])), None);
        assert_eq!(
            repaired(&rule, of(&["latest", "v*"])),
            Some(of(&["latest"]))
        );
        assert_eq!(repaired(&rule, of(&["*"])), Some(TagMutability::Immutable));
        assert_eq!(
            repaired(&rule, of(&["dev*"])),
            Some(TagMutability::Immutable),
            "wider than what is allowed"
        );
    }

    #[test]
    fn an_unknown_value_is_for_people() {
        let mut repository = repository();
        repository.mutability = TagMutability::Unknown("IMMUTABLE_LATER".to_owned());
        let violation = rule(&[]).check(&repository).unwrap();
        assert!(matches!(violation.fix, Fix::Manual(_)), "{violation:?}");
    }

    #[test]
    fn filters_that_ecr_would_refuse_are_named() {
        let problems = rule(&["latest", "a b", "*a*b*"]).contradictions();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("`a b`"), "{problems:?}");
    }
}
