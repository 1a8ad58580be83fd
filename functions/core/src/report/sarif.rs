//! An audit as SARIF 2.1.0 (OASIS), for code scanning views.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::audit::Audit;
use crate::finding::{Severity, Status};
use crate::repository::RepositoryId;
use crate::rules::{RULES, entry};

/// A log of one run. Repositories are no files, so each is a logical location; code scanning views take results of files only, so
/// each is the first line of one that stands for it, too.
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
    let gravest = |id: &str| {
        let of = audit.findings.iter().flatten().filter(|f| f.rule == id);
        of.map(|finding| finding.severity)
            .max()
            .unwrap_or(Severity::Medium)
    };
    let rules: Vec<Value> = ids
        .iter()
        .map(|id| descriptor(id, || gravest(id)))
        .collect();
    let results: Vec<Value> = audit
        .findings
        .iter()
        .flatten()
        .map(|finding| {
            let mended = matches!(finding.status, Status::Fixed | Status::Resolved);
            let fingerprint = format!("{} {}", finding.repository, finding.rule);
            let mut result = json!({
                "ruleId": finding.rule,
                "ruleIndex": ids.iter().position(|id| *id == finding.rule),
                "kind": if mended { "pass" } else { "fail" },
                "level": if mended { "none" } else { level(finding.severity) },
                "message": { "text": match finding.to_do.as_str() {
                    "" => finding.detail.clone(),
                    to_do => format!("{}; {to_do}", finding.detail),
                } },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": path(&finding.repository) },
                        "region": { "startLine": 1 },
                    },
                    "logicalLocations": [{ "fullyQualifiedName": finding.repository, "kind": "resource" }],
                }],
                // The second is the one that GitHub knows an alert by ("SARIF support for code scanning").
                "partialFingerprints": { "repositoryAndRule/v1": &fingerprint, "primaryLocationLineHash": &fingerprint },
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
fn descriptor(id: &str, gravest: impl Fn() -> Severity) -> Value {
    let Some(entry) = entry(id) else {
        return json!({
            "id": id,
            "shortDescription": { "text": "Not a rule's finding" },
            "properties": { "tags": ["security"], "security-severity": score(gravest()) },
        });
    };
    let meta = &entry.meta;
    // The score counts for rules with this tag.
    let tags: Vec<&str> = std::iter::once("security").chain(entry.related()).collect();
    json!({
        "id": meta.id,
        "shortDescription": { "text": meta.summary },
        "fullDescription": { "text": meta.summary },
        "help": { "text": meta.explanation, "markdown": meta.explanation },
        "defaultConfiguration": { "level": level(meta.severity) },
        "properties": { "tags": tags, "security-severity": score(meta.severity) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}

/// As GitHub reads it: above 9 critical, from 7 high, from 4 medium, above 0 low.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Informational => "0.1",
    }
}

/// A relative path that stands for a repository, the same in every run: `ecr/<account>/<region>/<name>`.
fn path(arn: &str) -> String {
    match RepositoryId::from_arn(arn) {
        Some(id) if id.is_registry() => format!("ecr/{}/{}/_registry", id.account, id.region),
        Some(id) => format!("ecr/{}/{}/{}", id.account, id.region, segments(&id.name)),
        None => format!("ecr/{}", segments(arn)),
    }
}

/// Percent-encoded (RFC 3986, 2.3) but for slashes; no segment is empty or leads upwards.
fn segments(text: &str) -> String {
    let mut encoded = Vec::new();
    for segment in text.split('/') {
        if matches!(segment, "" | "." | "..") {
            encoded.push(format!("_{segment}"));
            continue;
        }
        let mut one = String::new();
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                one.push(char::from(byte));
            } else {
                let _ = write!(one, "%{byte:02X}");
            }
        }
        encoded.push(one);
    }
    encoded.join("/")
}
