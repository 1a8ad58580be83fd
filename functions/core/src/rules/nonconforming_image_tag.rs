//! `nonconforming-image-tag`: an image was pushed under a tag outside the convention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::nonconforming_name::whole;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

/// A pushed tag outside the convention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NonconformingImageTag {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// A regular expression that the whole tag must match. Without it: semantic version and short commit.
    pub pattern: String,
    /// The convention in words, for those who have to follow it.
    pub convention: String,
    /// Tags that always conform, with `*`: `latest`, `cache*`, `sha256-*`.
    pub allow: Vec<String>,
    /// Whether a push by digest alone, without a tag, is right.
    pub allow_untagged: bool,
}

impl Default for NonconformingImageTag {
    fn default() -> Self {
        Self {
            mode: None,
            pattern: r"v?\d+\.\d+\.\d+-[0-9a-f]{7,40}".to_owned(),
            convention: "semantic version and short commit, v1.0.0-abc1234".to_owned(),
            allow: Vec::new(),
            allow_untagged: true,
        }
    }
}

impl Settings for NonconformingImageTag {
    const META: Meta = Meta {
        id: "nonconforming-image-tag",
        severity: Severity::Low,
        subject: Subject::Push,
        summary: "An image was pushed under a tag outside the convention",
        repair: "none",
        explanation: "\
A tag with version and commit leads from a running container to its source. Signatures \
(`sha256-*`), caches and moving tags can be allowed. An image that replication or a pull-through \
cache brings is not evaluated: its tag was chosen elsewhere.

With `allow-untagged: false`, each platform and attestation of a multi-platform build is reported, \
because builds push them by digest and tag the index alone.

The image may be in use, so there is no repair: push it again under a conforming tag.",
        example: r#"nonconforming-image-tag:
  pattern: "v\\d+\\.\\d+\\.\\d+"
  convention: semantic version, v1.0.0
  allow: [latest, "sha256-*"]
  allow-untagged: false"#,
        controls: &[],
    };
}

impl Rule for NonconformingImageTag {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let push = repository.pushed.as_ref().filter(|push| !push.refused)?;
        let detail = match &push.tag {
            None if self.allow_untagged => return None,
            None => {
                // An event that has no digest does not say the tag either.
                let digest = push.digest.as_deref()?;
                format!("an image was pushed without a tag ({digest})")
            }
            Some(tag) => {
                let conforms = whole(&self.pattern).is_ok_and(|pattern| pattern.is_match(tag))
                    || self
                        .allow
                        .iter()
                        .any(|allowed| WildMatch::new(allowed).matches(tag));
                if conforms {
                    return None;
                }
                format!(
                    "an image was pushed as `{}`",
                    crate::text::one_line(tag, 128)
                )
            }
        };
        let what = if push.tag.is_some() {
            "push it again under a tag of the convention, and deploy that one"
        } else {
            "if it is a whole build, push it again under a tag of the convention; the platforms and attestations of a multi-platform build are \
             pushed by digest and need no tag: set `allow-untagged: true` where builds have several platforms"
        };
        Some(Violation {
            detail: format!("{detail}, and the convention is: {}", self.convention),
            fix: Fix::Manual(what.to_owned()),
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
            text: format!("Tag images by the convention: {}.", self.convention),
            terraform: "# in the build: docker tag ... $REPOSITORY:v1.0.0-$(git rev-parse --short HEAD)".to_owned(),
            cli: "aws ecr batch-delete-image --repository-name \"$REPOSITORY\" --image-ids \"imageTag=${OLD_TAG:?name the tag}\"   # after pushing it under a conforming tag".to_owned(),
            cloudformation: "# in the build: docker tag ... $REPOSITORY:v1.0.0-$(git rev-parse --short HEAD)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Push;

    fn found(rule: &NonconformingImageTag, tag: Option<&str>) -> bool {
        let mut repository = repository();
        repository.pushed = Some(Push {
            tag: tag.map(str::to_owned),
            digest: Some("sha256:0".to_owned()),
            refused: false,
        });
        rule.check(&repository).is_some()
    }

    #[test]
    fn version_and_commit_pass() {
        let rule = NonconformingImageTag::default();
        for tag in ["v1.0.0-abc1234", "1.22.333-0123456789abcdef"] {
            assert!(!found(&rule, Some(tag)), "{tag}");
        }
        for tag in [
            "latest",
            "v1.0.0",
            "v1.0.0-ABC1234",
            "xv1.0.0-abc1234",
            "v1.0.0-abc123",
        ] {
            assert!(found(&rule, Some(tag)), "{tag}");
        }
    }

    #[test]
    fn caches_signatures_and_digests_can_be_allowed() {
        let rule = NonconformingImageTag {
            allow: vec!["cache*".to_owned(), "sha256-*".to_owned()],
            ..NonconformingImageTag::default()
        };
        assert!(!found(&rule, Some("cache-main")));
        assert!(!found(&rule, Some("sha256-0abc.sig")));
        assert!(!found(&rule, None));
        let strict = NonconformingImageTag {
            allow_untagged: false,
            ..NonconformingImageTag::default()
        };
        assert!(found(&strict, None));
    }

    /// A record whose parameters CloudTrail omits; replication; a pull-through cache.
    #[test]
    fn an_image_of_unknown_tag_is_not_taken_for_untagged() {
        let rule = NonconformingImageTag {
            allow_untagged: false,
            ..NonconformingImageTag::default()
        };
        let mut repository = repository();
        repository.pushed = Some(Push {
            tag: None,
            digest: None,
            refused: false,
        });
        assert_eq!(rule.check(&repository), None);
    }

    #[test]
    fn without_a_push_there_is_nothing_to_say() {
        assert_eq!(NonconformingImageTag::default().check(&repository()), None);
    }
}
