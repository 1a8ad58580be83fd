//! An audit as SARIF 2.1.0 (OASIS), for code scanning views.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::audit::Audit;
use crate::finding::{Severity, Status};
use crate::rules::{RULES, entry};

/// A log of one run. Repositories are no files, so each is a logical location.
#[must_use]
pub fn sarif(audit: &Audit) -> String {
    let known = RULES.iter().map(|entry| entry.meta.id);
    let others: BTreeSet<&str> = audit
        .findings
        .iter()
        .flatten()
        .map(|finding| finding.rule.as_str())
        .filter(|rule| entry(rule).is_none())
        .collect();
    let ids: Vec<&str> = known.chain(others).collect();
    let rules: Vec<Value> = ids.iter().map(|id| descriptor(id)).collect();
    let results: Vec<Value> = audit
        .findings
        .iter()
        .flatten()
        .map(|finding| {
            let mended = matches!(finding.status, Status::Fixed | Status::Resolved);
            let mut result = json!({
                "ruleId": finding.rule,
                "ruleIndex": ids.iter().position(|id| *id == finding.rule),
                "kind": if mended { "pass" } else { "fail" },
                "level": if mended { "none" } else { level(finding.severity) },
                "message": { "text": match finding.to_do.as_str() {
                    "" => finding.detail.clone(),
                    to_do => format!("{}; {to_do}", finding.detail),
                } },
                "locations": [{ "logicalLocations": [{
                    "fullyQualifiedName": finding.repository, "kind": "resource",
                }] }],
                "partialFingerprints": { "repositoryAndRule/v1": format!("{} {}", finding.repository, finding.rule) },
            });
            if let (Some(fields), Status::Exempt) = (result.as_object_mut(), finding.status) {
                let why = json!([{ "kind": "external", "justification": finding.to_do }]);
                fields.insert("suppressions".to_owned(), why);
            }
            result
        })
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "ecr-warden", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&log).unwrap_or_default()
}

/// What the log says of a rule, or of what findings that are no rule's go by.
fn descriptor(id: &str) -> Value {
    let Some(entry) = entry(id) else {
        return json!({ "id": id, "shortDescription": { "text": "Not a rule's finding" } });
    };
    let meta = &entry.meta;
    json!({
        "id": meta.id,
        "shortDescription": { "text": meta.summary },
        "fullDescription": { "text": meta.summary },
        "help": { "text": meta.explanation, "markdown": meta.explanation },
        "defaultConfiguration": { "level": level(meta.severity) },
        "properties": { "tags": meta.controls },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}
