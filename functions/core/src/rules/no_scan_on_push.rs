//! `no-scan-on-push`: neither the registry nor the repository scans what is pushed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::glob::not_a_filter;
use crate::repository::{
    Read, Reads, RegistryScanning, Repository, RepositoryId, ScanFrequency, ScanRule,
    scan_filter_matches,
};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::text::one_line;

/// API reference, PutRegistryScanningConfiguration, RegistryScanningRule and ScanningRepositoryFilter.
const MOST_RULES: usize = 2;
const MOST_FILTERS: usize = 100;

/// A repository whose images are not scanned when they are pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NoScanOnPush {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// What the repair sets.
    pub fix: ScanFix,
    /// The filters that `fix: registry` adds to the registry's rule for scanning on push: `*`, `prod/*`, or a part of a
    /// name. A repository that none of them covers is only reported.
    pub registry_filters: BTreeSet<String>,
}

/// Where scanning is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScanFix {
    /// The repository's own setting, which AWS is replacing by the registry's.
    #[default]
    Repository,
    /// The registry's scanning configuration, which then scans every repository that the filters cover. Its kind (basic or
    /// enhanced) and its other rules stay. Enhanced scanning is charged for.
    Registry,
    /// An operator decides, for example to change the registry's configuration.
    None,
}

impl Settings for NoScanOnPush {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "no-scan-on-push",
        severity: Severity::High,
        subject: Subject::Repository,
        summary: "Pushed images are not scanned for vulnerabilities",
        repair: "sets the scanning of the repository or the registry",
        explanation: "\
An image that is not scanned is deployed with unknown vulnerabilities. A repository passes if the \
registry's scanning configuration scans it on push or continuously (a filter without `*` covers \
every name that contains it), or, under basic scanning, if its own setting does. ECR's own answer \
decides (`BatchGetRepositoryScanningConfiguration`): a repository's own setting may have no effect \
beside filters of the registry.

With `fix: repository` the repair sets the repository's own `scanOnPush`; under enhanced scanning \
that has no effect, so the finding is only reported. With `fix: registry` it adds \
`registry-filters` to the registry's rule for scanning on push, which covers every repository of \
the region that they match; it removes no filter, and basic scanning stays basic.",
        example: r#"no-scan-on-push:
  fix: registry
  registry-filters: ["*"]"#,
        controls: &[
            "AWS Security Hub ECR.1",
            "AWS Config ECR_PRIVATE_IMAGE_SCANNING_ENABLED",
            "Prowler ecr_repositories_scan_images_on_push_enabled",
        ],
    };
}

impl Rule for NoScanOnPush {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        Reads {
            scanning: true,
            ..Reads::default()
        }
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        let unknown = |why: String| Violation {
            detail: format!("whether pushed images are scanned is unknown: {why}"),
            fix: Fix::Manual(
                "fix the read error above, or check the registry's scanning configuration manually"
                    .to_owned(),
            ),
        };
        match is_scanned(repository) {
            Ok(true) => return None,
            Ok(false) => {}
            Err(why) => return Some(unknown(why)),
        }
        let registry = match repository.scanning.required() {
            Ok(registry) => registry,
            Err(why) => return Some(unknown(why)),
        };
        let by_hand = || {
            Fix::Manual(format!(
                "add a filter that covers `{}` to the registry's scanning configuration",
                repository.id.name
            ))
        };
        let fix = match self.fix {
            ScanFix::Repository if !registry.enhanced && !repository.scan_on_push => {
                Fix::Safe(Action::SetScanOnPush {
                    from: false,
                    to: true,
                })
            }
            ScanFix::Registry => match self.widened(registry, &repository.id.name) {
                Ok(to) => Fix::Safe(Action::SetRegistryScanning {
                    from: registry.clone(),
                    to,
                }),
                Err(why) => Fix::Manual(why),
            },
            ScanFix::Repository | ScanFix::None => by_hand(),
        };
        let detail = if registry.enhanced {
            "no filter of the registry's enhanced scanning covers it"
        } else if repository.scan_on_push {
            "ECR does not scan pushed images: no filter of the registry's scanning covers it, and its own setting has no effect"
        } else {
            "pushed images are scanned neither by the registry's configuration nor by the repository's"
        };
        Some(Violation {
            detail: detail.to_owned(),
            fix,
        })
    }

    fn at_creation(&self, new: &Repository, _violation: &Violation) -> Result<Action, String> {
        let filter = match new.id.name.rsplit_once('/') {
            Some((namespace, _)) => format!("{namespace}/*"),
            None => "*".to_owned(),
        };
        Err(format!(
            "no template sets scanning: add the filter `{filter}` to the registry's scanning configuration (aws ecr \
             put-registry-scanning-configuration)"
        ))
    }

    fn repairs_registry(&self) -> bool {
        self.fix == ScanFix::Registry
    }

    fn contradictions(&self) -> Vec<String> {
        let filters = self.registry_filters.iter();
        let mut problems: Vec<String> = filters
            .filter_map(|filter| not_a_filter("registry-filters", filter))
            .collect();
        if self.fix == ScanFix::Registry && self.registry_filters.is_empty() {
            problems.push(
                "fix: registry needs `registry-filters`, for instance [\"*\"] for every repository"
                    .to_owned(),
            );
        }
        problems
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        Advice {
            text: "Scan on push where the repository is defined, or for the whole registry."
                .to_owned(),
            terraform: "image_scanning_configuration {\n  scan_on_push = true\n}".to_owned(),
            cli: "aws ecr put-image-scanning-configuration --repository-name \"$REPOSITORY\" --image-scanning-configuration scanOnPush=true".to_owned(),
            cloudformation: "ImageScanningConfiguration:\n  ScanOnPush: true".to_owned(),
        }
    }
}

impl NoScanOnPush {
    /// The registry's configuration with the policy's filters, where they cover the repository and ECR would take them.
    fn widened(&self, registry: &RegistryScanning, name: &str) -> Result<RegistryScanning, String> {
        if !self
            .registry_filters
            .iter()
            .any(|filter| scan_filter_matches(filter, name))
        {
            return Err(format!(
                "none of the policy's `registry-filters` covers `{name}`: add one, or scan it by its own setting"
            ));
        }
        if let Some(rule) = registry
            .rules
            .iter()
            .find(|rule| matches!(rule.frequency, ScanFrequency::Unknown(_)))
        {
            return Err(format!(
                "the registry's scanning configuration has a rule (`{}`) that this version does \
                 not know; change it manually",
                rule.frequency.name()
            ));
        }
        let mut to = registry.clone();
        match to
            .rules
            .iter_mut()
            .find(|rule| rule.frequency == ScanFrequency::ScanOnPush)
        {
            Some(rule) => rule.filters.extend(self.registry_filters.iter().cloned()),
            None => to.rules.push(ScanRule {
                frequency: ScanFrequency::ScanOnPush,
                filters: self.registry_filters.clone(),
            }),
        }
        if to == *registry {
            return Err(format!(
                "the registry's filters cover `{name}`, but ECR does not scan it; check the \
                 registry's scanning configuration"
            ));
        }
        to.rules.sort_by(|a, b| a.frequency.cmp(&b.frequency));
        let too_many = to
            .rules
            .iter()
            .any(|rule| rule.filters.len() > MOST_FILTERS);
        if to.rules.len() > MOST_RULES || too_many {
            return Err(format!(
                "the registry's scanning configuration has no space for the policy's \
                 `registry-filters` (at most {MOST_RULES} rules of {MOST_FILTERS} filters); \
                 remove filters manually"
            ));
        }
        Ok(to)
    }
}

/// Whether ECR scans what is pushed: as ECR answers, else as its documentation says of the configurations.
///
/// # Errors
/// Neither says it: one line.
fn is_scanned(repository: &Repository) -> Result<bool, String> {
    match &repository.scan_frequency {
        Read::Known(ScanFrequency::Unknown(value)) => {
            return Err(format!(
                "ECR answers the scan frequency `{}`, which this version does not know",
                one_line(value, 40)
            ));
        }
        Read::Known(frequency) => return Ok(frequency.on_push()),
        Read::Unreadable(why) => return Err(why.clone()),
        Read::NotAsked => {}
    }
    let registry = repository.scanning.required()?;
    if registry.covers(&repository.id.name) {
        return Ok(true);
    }
    if !repository.scan_on_push || registry.enhanced {
        return Ok(false);
    }
    // ECR User Guide, basic scanning: what no filter of the registry matches is not scanned on push.
    if registry.rules.iter().any(|rule| rule.frequency.on_push()) {
        return Err(
            "beside filters of the registry, its own setting may have no effect".to_owned(),
        );
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;

    #[test]
    fn filters_are_those_of_ecr() {
        for (filter, is) in [
            ("*", true),
            ("prod/*", true),
            ("a.b-c_d/e", true),
            ("prod/", false),
            ("-x", false),
            ("/*", false),
            ("a..b", false),
            ("A", false),
            ("", false),
        ] {
            assert_eq!(
                not_a_filter("registry-filters", filter).is_none(),
                is,
                "{filter}"
            );
        }
    }

    /// `payments/api` with a registry that has one rule.
    fn with(enhanced: bool, on_push: bool, filter: &str, own: bool) -> Repository {
        let mut repository = repository();
        repository.scan_on_push = own;
        repository.scanning = Read::Known(RegistryScanning {
            enhanced,
            rules: vec![ScanRule {
                frequency: if on_push {
                    ScanFrequency::ScanOnPush
                } else {
                    ScanFrequency::Manual
                },
                filters: [filter.to_owned()].into(),
            }],
        });
        repository
    }

    #[test]
    fn the_registry_covers_by_wildcard_and_by_part() {
        for filter in ["*", "payments/*", "pay*api", "ments", "payments/api"] {
            let covered = with(false, true, filter, false);
            assert_eq!(NoScanOnPush::default().check(&covered), None, "{filter}");
        }
        for filter in ["shop", "shop/*", "api*x"] {
            let open = with(false, true, filter, false);
            assert!(NoScanOnPush::default().check(&open).is_some(), "{filter}");
        }
    }

    #[test]
    fn manual_scanning_is_none() {
        assert!(
            NoScanOnPush::default()
                .check(&with(false, false, "*", false))
                .is_some()
        );
        assert!(
            NoScanOnPush::default()
                .check(&with(true, false, "*", false))
                .is_some()
        );
    }

    #[test]
    fn the_repositorys_own_setting_counts_under_basic_scanning_only() {
        assert_eq!(
            NoScanOnPush::default().check(&with(false, false, "shop", true)),
            None
        );
        let enhanced = NoScanOnPush::default()
            .check(&with(true, true, "shop", true))
            .unwrap();
        assert!(matches!(enhanced.fix, Fix::Manual(_)), "{enhanced:?}");
    }

    /// AWS says of a repository when it scans it, and that counts more than what follows from the configurations.
    #[test]
    fn what_ecr_answers_decides() {
        let check = |frequency: Read<ScanFrequency>, own: bool| {
            let mut repository = with(false, true, "shop", own);
            repository.scan_frequency = frequency;
            NoScanOnPush::default().check(&repository)
        };
        for frequency in [ScanFrequency::ScanOnPush, ScanFrequency::ContinuousScan] {
            assert_eq!(check(Read::Known(frequency), false), None);
        }
        let manual = check(Read::Known(ScanFrequency::Manual), true).unwrap();
        assert!(
            manual.detail.contains("its own setting has no effect"),
            "{manual:?}"
        );
        assert!(matches!(manual.fix, Fix::Manual(_)), "{manual:?}");
        let later = check(
            Read::Known(ScanFrequency::Unknown("LATER".to_owned())),
            true,
        );
        assert!(later.unwrap().detail.contains("`LATER`"));
        let denied = check(Read::Unreadable("denied".to_owned()), true).unwrap();
        assert!(denied.detail.ends_with("is unknown: denied"), "{denied:?}");
    }

    #[test]
    fn the_repair_mends_it() {
        let mut repository = with(false, false, "shop", false);
        repository.scan_frequency = Read::Known(ScanFrequency::Manual);
        let Some(Fix::Safe(action)) = NoScanOnPush::default().check(&repository).map(|v| v.fix)
        else {
            panic!("no repair");
        };
        action.apply_to(&mut repository);
        assert_eq!(NoScanOnPush::default().check(&repository), None);
    }

    #[test]
    fn the_registry_is_widened_and_nothing_is_taken_from_it() {
        let rule = NoScanOnPush {
            fix: ScanFix::Registry,
            registry_filters: ["payments/*".to_owned()].into(),
            ..NoScanOnPush::default()
        };
        for enhanced in [false, true] {
            for on_push in [false, true] {
                let mut repository = with(enhanced, on_push, "shop", false);
                let before = repository.scanning.known().unwrap().clone();
                let Some(Fix::Safe(action)) = rule.check(&repository).map(|v| v.fix) else {
                    panic!("no repair");
                };
                action.apply_to(&mut repository);
                assert_eq!(rule.check(&repository), None);
                let after = repository.scanning.known().unwrap();
                assert_eq!(after.enhanced, enhanced);
                for old in &before.rules {
                    let new = after
                        .rules
                        .iter()
                        .find(|new| new.frequency == old.frequency);
                    assert!(new.unwrap().filters.is_superset(&old.filters), "{after}");
                }
            }
        }
    }

    #[test]
    fn the_registry_is_left_to_people_where_it_can_not_be_widened() {
        let rule = |filter: &str| NoScanOnPush {
            fix: ScanFix::Registry,
            registry_filters: [filter.to_owned()].into(),
            ..NoScanOnPush::default()
        };
        let by_hand = |rule: &NoScanOnPush, repository: &Repository| match rule
            .check(repository)
            .unwrap()
            .fix
        {
            Fix::Manual(why) => why,
            other => panic!("{other:?}"),
        };
        let repository = with(true, true, "shop", false);
        assert!(by_hand(&rule("elsewhere"), &repository).contains("registry-filters"));
        let mut full = repository.clone();
        full.scanning = Read::Known(RegistryScanning {
            enhanced: true,
            rules: vec![ScanRule {
                frequency: ScanFrequency::ScanOnPush,
                filters: (0..MOST_FILTERS).map(|n| format!("shop/{n}")).collect(),
            }],
        });
        assert!(by_hand(&rule("payments"), &full).contains("no space"));
        let mut later = repository;
        later.scanning = Read::Known(RegistryScanning {
            enhanced: true,
            rules: vec![ScanRule {
                frequency: ScanFrequency::Unknown("LATER".to_owned()),
                filters: ["*".to_owned()].into(),
            }],
        });
        assert!(by_hand(&rule("payments"), &later).contains("`LATER`"));
    }

    #[test]
    fn settings_that_ecr_would_refuse() {
        let rule = NoScanOnPush {
            fix: ScanFix::Registry,
            ..NoScanOnPush::default()
        };
        assert_eq!(rule.contradictions().len(), 1);
        let rule = NoScanOnPush {
            registry_filters: ["A b".to_owned()].into(),
            ..rule
        };
        assert_eq!(rule.contradictions().len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_for_people() {
        let mut repository = repository();
        repository.scanning = Read::Unreadable("denied".to_owned());
        assert!(matches!(
            NoScanOnPush::default().check(&repository).unwrap().fix,
            Fix::Manual(_)
        ));
    }
}
