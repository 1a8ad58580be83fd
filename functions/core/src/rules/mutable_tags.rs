//! `mutable-tags`: a tag can be moved to another image after it was pushed.

mod settings;
mod text;
mod wanted;

use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::settings::{
    CacheRepositories, Exclusions, MovingTags, PullThroughCaches, Replicas, Required,
};
pub(super) use self::text::advise;
pub(crate) use self::text::is_floating_version;
use self::text::{fits_filter, lacks, listed, with_impact};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Read, Reads, Repository, RepositoryId, TagMutability};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

/// A filter may be 1 to 128 characters with at most two wildcards, and a repository has at most five
/// (API reference, ImageTagMutabilityExclusionFilter).
const LONGEST_FILTER: usize = 128;
const MOST_WILDCARDS: usize = 2;
pub(crate) const MOST_FILTERS: usize = 5;

/// Of a repository whose tags were not read.
static NO_TAGS: BTreeSet<String> = BTreeSet::new();
const TAGS_NOT_READ: &str = "; which of its tags move was not read: an audit of this repository alone names those whose pushes will fail";

/// Tag mutability weaker than the policy asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MutableTags {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// What a repository must be.
    pub require: Required,
    /// Tags that may stay mutable, as ECR's wildcard filters: `latest`, `dev-*`. At most five, unless `exclusions` is `in-use`. A repository
    /// keeps the exclusion filters it has as far as they are within these.
    pub allow_exclusions: Vec<String>,
    /// Which of `allow-exclusions` a repository has. Absent: a repair grants all of them, and a repository without them passes.
    pub exclusions: Option<Exclusions>,
    /// Tags that pipelines move by habit, as globs. Where a repository has such a tag and the policy does not let it stay
    /// mutable, the alert says that it can't be pushed again.
    pub moving_tags: MovingTags,
    /// What is done about repositories that a pull-through cache fills.
    pub pull_through_caches: PullThroughCaches,
    /// What is done about repositories that ECR's replication fills.
    pub replicas: Replicas,
    /// Repositories that builds use as a cache, by globs over their names: they are reported and left mutable. An empty list has them
    /// repaired.
    pub cache_repositories: CacheRepositories,
}

impl Settings for MutableTags {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "mutable-tags",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "Image tags can be overwritten",
        repair: "sets `IMMUTABLE`, with exclusion filters for allowed tags",
        explanation: "\
A tag that can be overwritten names one image today and another tomorrow: the image that was \
tested is not the one that is deployed, and each caller with the right to push can replace what \
runs in production. `MUTABLE_WITH_EXCLUSION` counts as mutable. `IMMUTABLE_WITH_EXCLUSION` passes \
where every exclusion filter is within `allow-exclusions`.

The repair sets `IMMUTABLE_WITH_EXCLUSION` with all filters of `allow-exclusions` (`latest`, build \
caches, cosign's `sha256-*`), so that those tags can be pushed more than once; without \
`allow-exclusions`, it sets `IMMUTABLE`. The alert names tags that usually move and match no \
filter, before a push to them fails: environments, branches, snapshots, versions such as `v1` and \
`1.2`. From then on, a pipeline that pushes any other tag twice fails. Existing images and tags do \
not change. With exclusion filters, Security Hub's ECR.2, whose text passes `IMMUTABLE` alone, and \
static scanners may still fail.

A pull-through cache cannot refresh an immutable repository, so a repository that one fills is \
reported and not changed, unless `pull-through-caches` says otherwise. A repository that \
replication fills (known by the events of replication) is reported and not changed either, unless \
`replicas` says otherwise: once it is immutable, an image whose tag exists is replicated without \
its tag, and no push fails.",
        example: r#"mutable-tags:
  allow-exclusions: [latest, "cache*"]
  pull-through-caches: ignore"#,
        controls: &[
            "AWS Security Hub ECR.2",
            "AWS Config ECR_PRIVATE_TAG_IMMUTABILITY_ENABLED",
            "Prowler ecr_repositories_tag_immutability",
        ],
    };
}

impl Rule for MutableTags {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            recent_tags: true,
            pull_through: true,
            ..Reads::default()
        }
    }

    fn reads_after(&self, described: &Repository) -> Reads {
        let passes = match &described.mutability {
            TagMutability::Immutable => self.lacking(&BTreeSet::new()).is_empty(),
            TagMutability::ImmutableWithExclusion(filters) => {
                filters.iter().all(|filter| self.allows(filter)) && self.lacking(filters).is_empty()
            }
            TagMutability::Mutable
            | TagMutability::MutableWithExclusion(_)
            | TagMutability::Unknown(_) => false,
        };
        if passes {
            Reads::default()
        } else {
            self.reads()
        }
    }

    /// Which tags can't be pushed again. Where filters are granted to the tags in use, these decide more than words.
    fn explained_by(&self, described: &Repository) -> Reads {
        Reads {
            recent_tags: self.exclusions != Some(Exclusions::InUse)
                && self.reads_after(described).recent_tags,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let now = &repository.mutability;
        let detail = match now {
            TagMutability::Immutable => lacks(&self.lacking(&BTreeSet::new()))?,
            TagMutability::ImmutableWithExclusion(filters)
                if filters.iter().all(|filter| self.allows(filter)) =>
            {
                lacks(&self.lacking(filters))?
            }
            TagMutability::ImmutableWithExclusion(filters) => {
                let forbidden: Vec<String> = filters
                    .iter()
                    .filter(|filter| !self.allows(filter))
                    .map(|filter| format!("`{filter}`"))
                    .collect();
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
                        "check the repository's tag mutability manually, and update ecr-warden"
                            .to_owned(),
                    ),
                });
            }
        };
        let cached = repository.pull_through.known() == Some(&true);
        // A rule for every repository would keep every one from being reported.
        if cached && !repository.root_cache && self.pull_through_caches == PullThroughCaches::Ignore
        {
            return None;
        }
        if repository.replicated && self.replicas == Replicas::Ignore {
            return None;
        }
        Some(match self.known(repository) {
            Err(why) => Violation {
                detail,
                fix: Fix::Manual(why),
            },
            Ok(tags) => {
                let (to, stuck) = self.wanted(now, tags);
                let detail = match repository.recent_tags {
                    Read::NotAsked => format!("{detail}{TAGS_NOT_READ}"),
                    _ => with_impact(detail, &stuck),
                };
                Violation {
                    detail,
                    fix: Fix::Safe(Action::SetTagMutability {
                        from: now.clone(),
                        to,
                    }),
                }
            }
        })
    }

    fn at_creation(&self, new: &Repository, violation: &Violation) -> Result<Action, String> {
        let cached = new.pull_through.known() == Some(&true);
        if cached && self.pull_through_caches != PullThroughCaches::Repair {
            return Err(
                "the cache could not refresh the tags of an immutable repository: exempt these repositories, or set \
                 `pull-through-caches` in the policy"
                    .to_owned(),
            );
        }
        let unknown = matches!(new.mutability, TagMutability::Unknown(_));
        if unknown || self.is_cache(&new.id.name) {
            return Err(violation.for_people().to_owned());
        }
        Ok(Action::SetTagMutability {
            from: new.mutability.clone(),
            to: self.wanted(&new.mutability, &BTreeSet::new()).0,
        })
    }

    /// What is immutable and only lacks filters is safe, and inconvenient.
    fn severity(&self, repository: &Repository) -> Option<Severity> {
        let forbids = |filter: &String| !self.allows(filter);
        match &repository.mutability {
            TagMutability::Immutable => Some(Severity::Low),
            TagMutability::ImmutableWithExclusion(filters) if !filters.iter().any(forbids) => {
                Some(Severity::Low)
            }
            _ => None,
        }
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let many = self.allow_exclusions.len();
        if many > MOST_FILTERS && self.exclusions != Some(Exclusions::InUse) {
            problems.push(format!(
                "allow-exclusions: {many} filters, and ECR takes {MOST_FILTERS} for a repository: list at most {MOST_FILTERS}, or set \
                 `exclusions: in-use` to grant each repository those that its tags match"
            ));
        }
        for glob in &self.moving_tags.0 {
            let fits = (1..=LONGEST_FILTER).contains(&glob.len()) && glob.bytes().all(fits_filter);
            if !fits {
                problems.push(format!(
                    "moving-tags: `{}` matches no tag: 1 to {LONGEST_FILTER} letters, digits, `.`, `_`, `-` and `*`",
                    crate::text::one_line(glob, 80)
                ));
            }
        }
        problems.extend(no_filters(&self.allow_exclusions));
        problems
    }

    /// Without the repair at hand, all that the policy allows: whoever pastes it loses none of these.
    fn advice(&self, _id: &RepositoryId) -> Advice {
        let filters = self.allow_exclusions.iter().take(MOST_FILTERS).cloned();
        let mut advice = advise(&filters.collect());
        let more = self
            .allow_exclusions
            .get(MOST_FILTERS..)
            .unwrap_or_default();
        if !more.is_empty() {
            let _ = write!(
                advice.text,
                " The policy allows {} too, and a repository has at most {MOST_FILTERS}: choose those whose tags move.",
                listed(more)
            );
        }
        advice
    }

    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        match repair {
            Some(Action::SetTagMutability {
                to: TagMutability::Immutable,
                ..
            }) => advise(&BTreeSet::new()),
            Some(Action::SetTagMutability {
                to: TagMutability::ImmutableWithExclusion(filters),
                ..
            }) => advise(filters),
            _ => self.advice(id),
        }
    }
}

/// What is no exclusion filter that ECR takes, each in one line.
pub(super) fn no_filters<'f>(filters: impl IntoIterator<Item = &'f String>) -> Vec<String> {
    let fits = |filter: &&String| {
        (1..=LONGEST_FILTER).contains(&filter.len())
            && filter.bytes().all(fits_filter)
            && filter.bytes().filter(|b| *b == b'*').count() <= MOST_WILDCARDS
    };
    let wrong = filters.into_iter().filter(|filter| !fits(filter));
    wrong
        .map(|filter| {
            format!(
                "allow-exclusions: `{}` is not a filter of ECR's: 1 to {LONGEST_FILTER} letters, digits, `.`, `_`, \
                 `-` and at most {MOST_WILDCARDS} `*`",
                crate::text::one_line(filter, 80)
            )
        })
        .collect()
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
                repaired(&rule(&[]), now.clone()),
                Some(TagMutability::Immutable)
            );
            // Although it has no such tag yet.
            assert_eq!(
                repaired(&rule(&["latest"]), now),
                Some(TagMutability::ImmutableWithExclusion(filters(&["latest"])))
            );
        }
    }

    #[test]
    fn allowed_exclusions_pass_and_stay() {
        let rule = rule(&["latest", "dev-*"]);
        let of = |f| TagMutability::ImmutableWithExclusion(filters(f));
        assert_eq!(repaired(&rule, of(&["latest", "dev-*", "dev-1*"])), None);
        let all = Some(of(&["latest", "dev-*"]));
        for wider in [&["latest", "v*"][..], &["*"], &["dev*"]] {
            assert_eq!(repaired(&rule, of(wider)), all, "{wider:?}");
        }
        assert_eq!(
            repaired(&rule, of(&["dev-1*", "v*"])),
            Some(of(&["latest", "dev-*", "dev-1*"])),
            "its own stay"
        );
        assert_eq!(
            repaired(&rule, of(&["latest"])),
            None,
            "not all are asked for"
        );
    }

    /// Only where the policy asks for all filters is one without them a finding, and a small one.
    #[test]
    fn all_exclusions_can_be_asked_for() {
        let rule = MutableTags {
            exclusions: Some(Exclusions::All),
            ..rule(&["latest", "cache*"])
        };
        let of = |f| TagMutability::ImmutableWithExclusion(filters(f));
        let all = of(&["latest", "cache*"]);
        let mut repository = repository();
        for now in [TagMutability::Immutable, of(&["latest"])] {
            assert_eq!(repaired(&rule, now.clone()), Some(all.clone()));
            repository.mutability = now;
            assert_eq!(rule.severity(&repository), Some(Severity::Low));
            assert_ne!(rule.reads_after(&repository), Reads::default());
        }
        assert_eq!(repaired(&rule, all), None);
        repository.mutability = TagMutability::Mutable;
        assert_eq!(rule.severity(&repository), None);
    }

    #[test]
    fn tags_that_move_by_habit_are_named() {
        let move_ = [
            "prod",
            "production",
            "staging",
            "release",
            "v1",
            "v1.2",
            "1",
            "1.2",
            "1.0.0-SNAPSHOT",
            "canary",
            "stable-alpine",
            "main-amd64",
            "latest-arm64",
            "pr-12",
            "buildcache",
        ];
        let detail = rule(&["latest"]).check(&with_tags(&move_)).unwrap().detail;
        for tag in move_ {
            assert!(detail.contains(&format!("`{tag}`")), "{tag}: {detail}");
        }
        for stays in [
            "v1.2.3",
            "1.0.0-abc1234",
            "20261125",
            "abc1234",
            "productive",
        ] {
            let detail = rule(&[]).check(&with_tags(&[stays])).unwrap().detail;
            assert!(!detail.contains(stays), "{detail}");
        }
    }

    #[test]
    fn a_replica_is_told_apart() {
        let mut repository = with_tags(&["v1"]);
        repository.replicated = true;
        let check = |replicas| {
            let rule = MutableTags {
                replicas,
                ..rule(&["latest"])
            };
            rule.check(&repository).map(|violation| violation.fix)
        };
        assert_eq!(check(Replicas::Ignore), None);
        assert!(
            matches!(check(Replicas::Report), Some(Fix::Manual(why)) if why.contains("without the tag"))
        );
        assert!(matches!(check(Replicas::Repair), Some(Fix::Safe(_))));
    }

    /// A build cache by its name is not made immutable, whatever its tags look like.
    #[test]
    fn a_cache_repository_is_for_people() {
        let mut repository = with_tags(&["c0ffee"]);
        repository.id.name = "shop/api/cache".to_owned();
        let violation = rule(&[]).check(&repository).unwrap();
        assert!(
            matches!(&violation.fix, Fix::Manual(why) if why.contains("`cache-repositories: []`")),
            "{violation:?}"
        );
        let repaired = MutableTags {
            cache_repositories: CacheRepositories(Vec::new()),
            ..rule(&[])
        };
        assert!(matches!(
            repaired.check(&repository).unwrap().fix,
            Fix::Safe(_)
        ));
    }

    fn with_tags(tags: &[&str]) -> Repository {
        let mut repository = repository();
        repository.mutability = TagMutability::Mutable;
        repository.recent_tags = crate::repository::Read::Known(filters(tags));
        repository
    }

    #[test]
    fn tags_in_use_stay_mutable_as_far_as_the_policy_allows() {
        let rule = MutableTags {
            exclusions: Some(Exclusions::InUse),
            ..rule(&["latest", "cache*", "unused-*"])
        };
        let violation = rule
            .check(&with_tags(&["v1.0.0", "latest", "cache-main", "nightly"]))
            .unwrap();
        assert!(
            violation.detail.ends_with(": `nightly`"),
            "{}",
            violation.detail
        );
        assert_eq!(
            violation.fix,
            Fix::Safe(Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::ImmutableWithExclusion(filters(&["latest", "cache*"])),
            })
        );
        let harmless = rule.check(&with_tags(&["v1.0.0"])).unwrap();
        assert_eq!(harmless.detail, "tags can be overwritten (MUTABLE)");
    }

    #[test]
    fn no_more_filters_than_ecr_takes() {
        let allowed = ["a*", "b*", "c*", "d*", "e*", "f*", "latest"];
        assert!(rule(&allowed).contradictions()[0].contains("`exclusions: in-use`"));
        let in_use = MutableTags {
            exclusions: Some(Exclusions::InUse),
            ..rule(&allowed)
        };
        assert_eq!(in_use.contradictions(), Vec::<String>::new());
        let violation = in_use
            .check(&with_tags(&["a1", "b1", "c1", "d1", "e1", "f1", "latest"]))
            .unwrap();
        let Fix::Safe(Action::SetTagMutability { to, .. }) = &violation.fix else {
            panic!("{violation:?}");
        };
        assert_eq!(
            *to,
            TagMutability::ImmutableWithExclusion(filters(&allowed[..5]))
        );
        assert!(
            violation.detail.ends_with("`latest`"),
            "{}",
            violation.detail
        );
    }

    #[test]
    fn a_pull_through_cache_is_told_apart() {
        let mut repository = with_tags(&["latest"]);
        repository.pull_through = crate::repository::Read::Known(true);
        let check = |how| {
            MutableTags {
                pull_through_caches: how,
                ..rule(&[])
            }
            .check(&repository)
        };
        assert_eq!(check(PullThroughCaches::Ignore), None);
        assert!(matches!(
            check(PullThroughCaches::Report).unwrap().fix,
            Fix::Manual(_)
        ));
        assert!(matches!(
            check(PullThroughCaches::Repair).unwrap().fix,
            Fix::Safe(_)
        ));
    }

    #[test]
    fn a_cache_rule_for_every_repository_is_named() {
        let mut repository = with_tags(&["latest"]);
        repository.pull_through = crate::repository::Read::Known(true);
        repository.root_cache = true;
        for how in [PullThroughCaches::Ignore, PullThroughCaches::Report] {
            let rule = MutableTags {
                pull_through_caches: how,
                ..rule(&[])
            };
            let violation = rule.check(&repository).unwrap();
            let named = violation.for_people().contains("prefix `ROOT`");
            assert!(
                named && matches!(violation.fix, Fix::Manual(_)),
                "{violation:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_for_people() {
        use crate::repository::Read;
        for change in [
            |r: &mut Repository| r.recent_tags = Read::Unreadable("denied".to_owned()),
            |r: &mut Repository| r.pull_through = Read::Unreadable("denied".to_owned()),
        ] {
            let mut repository = with_tags(&[]);
            change(&mut repository);
            let violation = rule(&[]).check(&repository).unwrap();
            assert!(matches!(violation.fix, Fix::Manual(_)), "{violation:?}");
        }
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

    #[test]
    fn advice_is_what_the_repair_sets() {
        let rule = rule(&["latest", "cache*"]);
        let repository = with_tags(&["latest", "cache-main"]);
        let Some(Fix::Safe(action)) = rule.check(&repository).map(|found| found.fix) else {
            panic!("no repair");
        };
        let advice = rule.advice_on(&repository.id, Some(&action));
        assert_eq!(
            advice.terraform,
            "image_tag_mutability = \"IMMUTABLE_WITH_EXCLUSION\"\n\n\
             image_tag_mutability_exclusion_filter {\n  filter      = \"cache*\"\n  filter_type = \"WILDCARD\"\n}\n\n\
             image_tag_mutability_exclusion_filter {\n  filter      = \"latest\"\n  filter_type = \"WILDCARD\"\n}"
        );
        assert_eq!(
            advice.cloudformation,
            "ImageTagMutability: IMMUTABLE_WITH_EXCLUSION\nImageTagMutabilityExclusionFilters:\n  \
             - ImageTagMutabilityExclusionFilterType: WILDCARD\n    ImageTagMutabilityExclusionFilterValue: \"cache*\"\n  \
             - ImageTagMutabilityExclusionFilterType: WILDCARD\n    ImageTagMutabilityExclusionFilterValue: \"latest\""
        );
        assert!(advice.cli.ends_with(
            "--image-tag-mutability IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters \
             'filterType=WILDCARD,filter=cache*' 'filterType=WILDCARD,filter=latest'"
        ));
        let plain = Action::SetTagMutability {
            from: TagMutability::Mutable,
            to: TagMutability::Immutable,
        };
        let plain = rule.advice_on(&repository.id, Some(&plain));
        assert_eq!(plain.terraform, "image_tag_mutability = \"IMMUTABLE\"");
    }

    #[test]
    fn advice_without_a_repair_keeps_what_the_policy_allows() {
        let id = repository().id;
        let advice = rule(&["latest"]).advice(&id);
        for text in [&advice.terraform, &advice.cloudformation, &advice.cli] {
            assert!(
                text.contains("IMMUTABLE_WITH_EXCLUSION") && text.contains("latest"),
                "{text}"
            );
        }
        assert!(rule(&[]).advice(&id).cli.ends_with(" IMMUTABLE"));
        let many = rule(&["a*", "b*", "c*", "d*", "e*", "f*"]).advice(&id);
        assert_eq!(many.terraform.matches("WILDCARD").count(), MOST_FILTERS);
        assert!(many.text.contains("allows `f*` too"), "{}", many.text);
    }
}
