//! The registry's scanning configuration, and when ECR scans each repository by it, which the local AWS lacks.
//!
//! Sources: ECR API reference, GetRegistryScanningConfiguration, PutRegistryScanningConfiguration,
//! BatchGetRepositoryScanningConfiguration (25 names a call) and ScanningRepositoryFilter (a filter without `*` matches names that
//! contain it); ECR User Guide, basic scanning (beside filters of the registry, what none of them matches is scanned manually).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Behaviour, Reply};
use crate::proxy::Call;

const GET: &str = "GetRegistryScanningConfiguration";
const PUT: &str = "PutRegistryScanningConfiguration";
const BATCH: &str = "BatchGetRepositoryScanningConfiguration";
const MOST_NAMES: usize = 25;

/// The registry's scanning configuration.
#[derive(Debug)]
pub struct RegistryScanning {
    /// As ECR answers it: `scanType` and `rules`.
    pub configuration: Value,
    /// By name: what ECR answers instead of what follows from the configurations.
    pub frequencies: HashMap<String, &'static str>,
    /// By name: the repository's own `scanOnPush`.
    own: HashMap<String, bool>,
}

impl Default for RegistryScanning {
    fn default() -> Self {
        Self {
            configuration: json!({ "scanType": "BASIC", "rules": [] }),
            frequencies: HashMap::new(),
            own: HashMap::new(),
        }
    }
}

impl RegistryScanning {
    /// Whether the answer takes what DescribeRepositories says of all repositories.
    pub(in crate::proxy) fn needs_repositories(call: &Call) -> bool {
        call.operation == BATCH
    }

    /// Takes DescribeRepositories' answer.
    pub(in crate::proxy) fn know(&mut self, repositories: &[u8]) {
        let answer: Value = serde_json::from_slice(repositories).unwrap_or_default();
        let listed = answer.get("repositories").and_then(Value::as_array);
        let own = |repository: &Value| {
            let name = repository.get("repositoryName")?.as_str()?.to_owned();
            let own = repository.pointer("/imageScanningConfiguration/scanOnPush");
            Some((name, own.and_then(Value::as_bool).unwrap_or_default()))
        };
        self.own = listed.into_iter().flatten().filter_map(own).collect();
    }

    /// The filters of all rules.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        let rules = self.rules().iter().flat_map(filters_of);
        rules.map(str::to_owned).collect()
    }

    fn rules(&self) -> &[Value] {
        let rules = self.configuration.get("rules").and_then(Value::as_array);
        rules.map(Vec::as_slice).unwrap_or_default()
    }

    fn frequency(&self, name: &str, own: bool) -> &str {
        if let Some(frequency) = self.frequencies.get(name) {
            return frequency;
        }
        let matched = self
            .rules()
            .iter()
            .filter(|rule| filters_of(rule).any(|filter| matches(filter, name)));
        let frequencies: Vec<&str> = matched
            .filter_map(|rule| rule.get("scanFrequency")?.as_str())
            .collect();
        for frequency in ["CONTINUOUS_SCAN", "SCAN_ON_PUSH"] {
            if frequencies.contains(&frequency) {
                return frequency;
            }
        }
        let basic = self.configuration.get("scanType") == Some(&json!("BASIC"));
        if basic && own && self.rules().is_empty() {
            "SCAN_ON_PUSH"
        } else {
            "MANUAL"
        }
    }

    fn batch(&self, body: &Value) -> Reply {
        let names = body.get("repositoryNames").and_then(Value::as_array);
        let names: Vec<&str> = names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if names.is_empty() || names.len() > MOST_NAMES {
            let message = "1 validation error detected: Value at 'repositoryNames' failed to satisfy constraint";
            return Reply::error(400, "ValidationException", message);
        }
        let (mut configurations, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match self.own.get(name) {
                Some(own) => configurations.push(json!({
                    "repositoryName": name, "scanOnPush": own, "scanFrequency": self.frequency(name, *own),
                })),
                None => failures.push(json!({
                    "repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": "",
                })),
            }
        }
        Reply::json(&json!({ "scanningConfigurations": configurations, "failures": failures }))
    }
}

impl Behaviour for RegistryScanning {
    fn supplies(&self) -> &'static [&'static str] {
        &[GET, PUT, BATCH]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        match call.operation.as_str() {
            GET => Reply::json(&json!({ "scanningConfiguration": self.configuration })),
            PUT => {
                let or = |key: &str, other: Value| body.get(key).cloned().unwrap_or(other);
                self.configuration = json!({
                    "scanType": or("scanType", json!("BASIC")), "rules": or("rules", json!([])),
                });
                Reply::json(&json!({ "registryScanningConfiguration": self.configuration }))
            }
            _ => self.batch(&body),
        }
    }
}

fn filters_of(rule: &Value) -> impl Iterator<Item = &str> {
    let filters = rule.get("repositoryFilters").and_then(Value::as_array);
    let filters = filters.into_iter().flatten();
    filters.filter_map(|filter| filter.get("filter")?.as_str())
}

fn matches(filter: &str, name: &str) -> bool {
    let Some((first, rest)) = filter.split_once('*') else {
        return name.contains(filter);
    };
    name.strip_prefix(first)
        .is_some_and(|left| ends_like(rest, left))
}

/// Whether a name's end is like what follows an asterisk.
fn ends_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name.ends_with(pattern),
        Some((part, rest)) => name.match_indices(part).any(|(at, _)| {
            ends_like(
                rest,
                name.get(at.saturating_add(part.len())..)
                    .unwrap_or_default(),
            )
        }),
    }
}
