//! What the registry scans, and how often.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// The registry's scanning configuration (GetRegistryScanningConfiguration).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegistryScanning {
    /// Amazon Inspector's scanning instead of ECR's own.
    pub enhanced: bool,
    pub rules: Vec<ScanRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScanRule {
    pub frequency: ScanFrequency,
    pub filters: BTreeSet<String>,
}

/// When a repository's images are scanned (API reference, RegistryScanningRule).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScanFrequency {
    ScanOnPush,
    /// On push too, and again whenever a new vulnerability is known. Enhanced scanning only.
    ContinuousScan,
    Manual,
    Unknown(String),
}

impl ScanFrequency {
    /// Whether a pushed image is scanned.
    #[must_use]
    pub fn on_push(&self) -> bool {
        match self {
            Self::ScanOnPush | Self::ContinuousScan => true,
            Self::Manual | Self::Unknown(_) => false,
        }
    }

    /// As ECR calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::ScanOnPush => "SCAN_ON_PUSH",
            Self::ContinuousScan => "CONTINUOUS_SCAN",
            Self::Manual => "MANUAL",
            Self::Unknown(value) => value,
        }
    }
}

impl RegistryScanning {
    /// Whether the registry scans what is pushed to this repository.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| {
            rule.frequency.on_push()
                && rule
                    .filters
                    .iter()
                    .any(|filter| scan_filter_matches(filter, name))
        })
    }
}

/// A filter without `*` matches any name that contains it (API reference, ScanningRepositoryFilter).
#[must_use]
pub fn scan_filter_matches(filter: &str, name: &str) -> bool {
    if filter.contains('*') {
        // `*` stands for `/` too.
        WildMatch::new(filter).matches(name)
    } else {
        name.contains(filter)
    }
}

impl fmt::Display for RegistryScanning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.enhanced { "ENHANCED" } else { "BASIC" })?;
        for rule in &self.rules {
            write!(f, "; {}", rule.frequency.name())?;
            for filter in &rule.filters {
                write!(f, " {filter}")?;
            }
        }
        Ok(())
    }
}
