//! `blocked-push`: immutability refused a push; a team's build has just failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};

/// A push that immutability refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BlockedPush {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
}

impl Settings for BlockedPush {
    const META: Meta = Meta {
        id: "blocked-push",
        severity: Severity::Informational,
        subject: Subject::Push,
        summary: "A push was refused because its tag is taken",
        explanation: "\
Tags are immutable, and somebody pushed one that is there: a build that runs twice, or a pipeline that still moves a tag. \
The push has failed and the image under that tag is what it was.

Nothing is wrong with the repository. The team is told, with what to push instead.",
        example: r#"blocked-push:
  mode: monitor"#,
        controls: &[],
    };
}

impl Rule for BlockedPush {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let push = repository.pushed.as_ref().filter(|push| push.refused)?;
        let tag = crate::text::one_line(push.tag.as_deref().unwrap_or("unknown"), 128);
        Some(Violation {
            detail: format!(
                "the push of `{tag}` was refused, because that tag is taken and tags can't be overwritten"
            ),
            fix: Fix::Manual(format!(
                "push under a tag of its own, such as version and commit; if `{tag}` must move, ask for an exclusion filter"
            )),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        Vec::new()
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        let line =
            "# in the build: docker tag ... $REPOSITORY:v1.0.0-$(git rev-parse --short HEAD)"
                .to_owned();
        Advice {
            text: "Give each build a tag of its own.".to_owned(),
            terraform: line.clone(),
            cli: "docker push \"$REGISTRY/$REPOSITORY:$NEW_TAG\"".to_owned(),
            cloudformation: line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Push;

    #[test]
    fn only_a_refused_push_is_told() {
        let mut repository = repository();
        assert_eq!(BlockedPush::default().check(&repository), None);
        for refused in [false, true] {
            repository.pushed = Some(Push {
                tag: Some("latest".to_owned()),
                digest: None,
                refused,
            });
            let violation = BlockedPush::default().check(&repository);
            assert_eq!(violation.is_some(), refused, "{violation:?}");
        }
    }
}
