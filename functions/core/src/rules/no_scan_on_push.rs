//! `no-scan-on-push`: neither the registry nor the repository scans what is pushed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advice, Meta, Rule, RuleMode, Settings, Subject};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::repository::{Reads, Repository, RepositoryId};

/// A repository whose images are not scanned when they are pushed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NoScanOnPush {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// What the repair sets.
    pub fix: ScanFix,
}

/// Where scanning is switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScanFix {
    /// The repository's own setting, which AWS is replacing by the registry's.
    #[default]
    Repository,
    /// People decide, for instance to change the registry's configuration.
    None,
}

impl Settings for NoScanOnPush {
    const META: Meta = Meta {
        id: "no-scan-on-push",
        severity: Severity::High,
        subject: Subject::Repository,
        summary: "Pushed images are not scanned for vulnerabilities",
        explanation: "\
What is not scanned is deployed with whatever it contains. A repository passes where the registry's scanning \
configuration scans it on push or continuously (a filter without `*` covers every name that contains it), and, under basic \
scanning, where its own setting says so.

The repair sets the repository's own `scanOnPush`. Under enhanced scanning that has no effect, so there it is for people to \
widen the registry's filters.",
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
        let registry = match repository.scanning.required() {
            Ok(registry) => registry,
            Err(why) => {
                return Some(Violation {
                    detail: format!("whether pushed images are scanned can't be told: {why}"),
                    fix: Fix::Manual(
                        "check the registry's scanning by hand, and mend what could not be read"
                            .to_owned(),
                    ),
                });
            }
        };
        if registry.covers(&repository.id.name) || (repository.scan_on_push && !registry.enhanced) {
            return None;
        }
        let fix = if registry.enhanced || self.fix == ScanFix::None {
            Fix::Manual(format!(
                "add a filter that covers `{}` to the registry's scanning configuration",
                repository.id.name
            ))
        } else {
            Fix::Safe(Action::SetScanOnPush {
                from: repository.scan_on_push,
                to: true,
            })
        };
        let detail = if registry.enhanced {
            "no filter of the registry's enhanced scanning covers it"
        } else {
            "pushed images are scanned neither by the registry's configuration nor by the repository's"
        };
        Some(Violation {
            detail: detail.to_owned(),
            fix,
        })
    }

    fn contradictions(&self) -> Vec<String> {
        Vec::new()
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        Advice {
            text: "Scan on push where the repository is defined, or for the whole registry."
                .to_owned(),
            terraform: "image_scanning_configuration {\n  scan_on_push = true\n}".to_owned(),
            cloudformation: "ImageScanningConfiguration:\n  ScanOnPush: true".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::{Read, RegistryScanning, ScanRule};

    /// `payments/api` with a registry that has one rule.
    fn with(enhanced: bool, on_push: bool, filter: &str, own: bool) -> Repository {
        let mut repository = repository();
        repository.scan_on_push = own;
        repository.scanning = Read::Known(RegistryScanning {
            enhanced,
            rules: vec![ScanRule {
                on_push,
                filters: vec![filter.to_owned()],
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
            NoScanOnPush::default().check(&with(false, true, "shop", true)),
            None
        );
        let enhanced = NoScanOnPush::default()
            .check(&with(true, true, "shop", true))
            .unwrap();
        assert!(matches!(enhanced.fix, Fix::Manual(_)), "{enhanced:?}");
    }

    #[test]
    fn the_repair_mends_it() {
        let mut repository = with(false, true, "shop", false);
        let Some(Fix::Safe(action)) = NoScanOnPush::default().check(&repository).map(|v| v.fix)
        else {
            panic!("no repair");
        };
        action.apply_to(&mut repository);
        assert_eq!(NoScanOnPush::default().check(&repository), None);
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
