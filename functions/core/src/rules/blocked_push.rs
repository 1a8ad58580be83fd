//! `blocked-push`: immutability refused a push; a team's build has just failed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mutable_tags::{self, MOST_FILTERS};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId, TagMutability};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::text::one_line;

/// A push that immutability refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BlockedPush {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// Tags that may move, as ECR's wildcard filters: the repair grants the filter that the refused tag matches. Where it is absent, those of
    /// `mutable-tags` count.
    pub allow_exclusions: Option<Vec<String>>,
}

impl Settings for BlockedPush {
    const META: Meta = Meta {
        id: "blocked-push",
        severity: Severity::Informational,
        subject: Subject::Push,
        summary: "A push was refused because its tag exists",
        repair: "grants an allowed tag its exclusion filter",
        explanation: "\
The repository's tags are immutable, and ECR refused a push under a tag that exists: a build ran \
twice, or a pipeline moves a tag. The image under that tag is unchanged.

Where the policy lets the tag move (`allow-exclusions` here or of `mutable-tags`), the repair adds \
the exclusion filter that the tag matches to those of the repository, and the build can push \
again. Otherwise the message says what to change in the build: a tag for each build, an option of \
the tool that pushed, or an exclusion filter.",
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
        let written = push.tag.as_deref().unwrap_or("unknown");
        let tag = one_line(written, 128);
        let matches = |filter: &&String| fast_glob::glob_match(filter.as_str(), written);
        let filters = match &repository.mutability {
            TagMutability::ImmutableWithExclusion(filters) => filters.clone(),
            _ => BTreeSet::new(),
        };
        // It can be pushed by now: the event is a late one.
        if filters.iter().any(|filter| matches(&filter)) {
            return None;
        }
        let detail = format!(
            "the push of `{tag}` was refused, because that tag is taken and tags can't be overwritten"
        );
        let allowed = self.allow_exclusions.iter().flatten().find(matches);
        let Some(allowed) = allowed else {
            return Some(Violation {
                detail,
                fix: Fix::Manual(cause(&tag)),
            });
        };
        let detail = format!(
            "{detail}; the policy lets `{tag}` move by the filter `{allowed}`, so push it again when the repository has that filter"
        );
        let immutable = matches!(
            repository.mutability,
            TagMutability::Immutable | TagMutability::ImmutableWithExclusion(_)
        );
        if !immutable {
            let holds = match &repository.mutability {
                TagMutability::MutableWithExclusion(filters) => filters.iter().find(matches),
                _ => None,
            };
            let fix = match holds {
                Some(filter) => format!(
                    "remove the filter `{filter}` from the repository, which is {}: there it makes the tags that it matches immutable",
                    repository.mutability
                ),
                None => format!(
                    "push `{tag}` again: the repository is {}",
                    repository.mutability
                ),
            };
            return Some(Violation {
                detail,
                fix: Fix::Manual(fix),
            });
        }
        if filters.len() >= MOST_FILTERS {
            return Some(Violation {
                detail,
                fix: Fix::Manual(format!(
                    "the repository has {MOST_FILTERS} exclusion filters, which is all that ECR takes: remove one that is not needed, and add \
                     `{allowed}`"
                )),
            });
        }
        let mut to = filters;
        to.insert(allowed.clone());
        Some(Violation {
            detail,
            fix: Fix::Safe(Action::SetTagMutability {
                from: repository.mutability.clone(),
                to: TagMutability::ImmutableWithExclusion(to),
            }),
        })
    }

    fn contradictions(&self) -> Vec<String> {
        mutable_tags::no_filters(self.allow_exclusions.iter().flatten())
    }

    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        match repair {
            Some(Action::SetTagMutability {
                to: TagMutability::ImmutableWithExclusion(filters),
                ..
            }) => mutable_tags::advise(filters),
            _ => self.advice(id),
        }
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

/// Platforms as tags name them.
const PLATFORMS: [&str; 11] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armv6", "armv7", "ppc64le", "riscv64", "s390x",
    "x86_64",
];

/// What to change in the build, by what the tag says of the tool that pushed it.
fn cause(tag: &str) -> String {
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    // `v1-linux-arm64-v8`
    let platform = tag.split('-').skip(1).any(|part| PLATFORMS.contains(&part));
    if tag.starts_with("sha256-") {
        "signatures and attestations of an image are pushed under one tag again and again: list `sha256-*` in `allow-exclusions`".to_owned()
    } else if is_hex(tag) {
        "this is an entry of kaniko's cache: keep the repository of the cache mutable, or build with `--push-ignore-immutable-tag-errors`".to_owned()
    } else if tag.contains("cache") {
        format!(
            "`{tag}` names a build cache, which is pushed again and again: keep caches in a repository that stays mutable, or list the tag in `allow-exclusions`"
        )
    } else if platform {
        format!(
            "`{tag}` names a platform, as buildx before 0.22 pushes each platform under a tag: upgrade buildx, or skip what is there"
        )
    } else {
        format!(
            "if the same build ran again, skip what is there; otherwise push under a tag of its own, such as version and commit. If `{tag}` must \
             move, list it in `allow-exclusions` of `mutable-tags`"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::Push;

    fn refused(tag: &str, mutability: TagMutability, allowed: &[&str]) -> Option<Violation> {
        let mut repository = repository();
        repository.mutability = mutability;
        repository.pushed = Some(Push {
            tag: Some(tag.to_owned()),
            digest: None,
            refused: true,
        });
        BlockedPush {
            mode: None,
            allow_exclusions: Some(allowed.iter().map(|one| (*one).to_owned()).collect()),
        }
        .check(&repository)
    }

    fn excluding(filters: &[&str]) -> TagMutability {
        TagMutability::ImmutableWithExclusion(filters.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn a_tag_that_may_move_is_granted_its_filter() {
        for (now, to) in [
            (TagMutability::Immutable, excluding(&["cache*"])),
            (excluding(&["latest"]), excluding(&["cache*", "latest"])),
        ] {
            let violation = refused("cache-main", now.clone(), &["latest", "cache*"]).unwrap();
            assert_eq!(
                violation.fix,
                Fix::Safe(Action::SetTagMutability { from: now, to })
            );
            assert!(
                violation.detail.contains("`cache-main`")
                    && violation.detail.contains("push it again"),
                "{violation:?}"
            );
        }
        let full = excluding(&["a", "b", "c", "d", "e"]);
        let violation = refused("latest", full, &["latest"]).unwrap();
        assert!(matches!(violation.fix, Fix::Manual(_)), "{violation:?}");
        assert_eq!(
            refused("latest", excluding(&["latest"]), &["latest"]),
            None,
            "it can be pushed by now"
        );
        let mutable = refused("latest", TagMutability::Mutable, &["latest"]).unwrap();
        assert!(matches!(mutable.fix, Fix::Manual(_)), "{mutable:?}");
    }

    #[test]
    fn what_to_change_is_said_by_the_cause() {
        for (tag, said) in [
            ("v1.0.0", "under a tag of its own"),
            ("sha256-77.att", "`sha256-*`"),
            ("v1-arm64", "buildx"),
            ("v1.2.3-linux-arm64-v8", "buildx"),
            ("v1.2.3-armv7", "buildx"),
            ("buildcache", "build cache"),
            (&"c0ffee00".repeat(8), "--push-ignore-immutable-tag-errors"),
        ] {
            let violation = refused(tag, TagMutability::Immutable, &[]).unwrap();
            assert!(violation.for_people().contains(said), "{violation:?}");
        }
    }

    /// There the filters make tags immutable.
    #[test]
    fn a_filter_of_a_mutable_repository_is_to_be_removed() {
        let filters: BTreeSet<String> = ["latest".to_owned(), "v*".to_owned()].into();
        let mutable = TagMutability::MutableWithExclusion(filters);
        let violation = refused("latest", mutable, &["latest"]).unwrap();
        let said = violation.for_people();
        assert!(said.starts_with("remove the filter `latest`"), "{said}");
    }

    #[test]
    fn what_ecr_takes_as_no_filter_is_a_mistake() {
        for (filter, wrong) in [
            ("latest", 0),
            ("a*b*", 0),
            ("*a*b*", 1),
            ("a b", 1),
            ("", 1),
        ] {
            let rule = BlockedPush {
                allow_exclusions: Some([filter.to_owned()].into()),
                ..BlockedPush::default()
            };
            assert_eq!(rule.contradictions().len(), wrong, "{filter}");
        }
    }

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
