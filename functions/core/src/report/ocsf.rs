//! An audit as OCSF compliance findings (schema 1.3.0, class 2003), one JSON object a line.

use serde_json::json;

use crate::audit::Audit;
use crate::finding::{Severity, Status};
use crate::repository::RepositoryId;
use crate::rules::entry;

/// `now` in milliseconds since the epoch.
#[must_use]
pub fn ocsf(audit: &Audit, now: i64) -> String {
    let mut out = String::new();
    for finding in audit.findings.iter().flatten() {
        let entry = entry(&finding.rule);
        let id = RepositoryId::from_arn(&finding.repository);
        let (status, status_id) = match finding.status {
            Status::Open | Status::Withheld | Status::Failed => ("New", 1),
            Status::Exempt => ("Suppressed", 3),
            Status::Fixed | Status::Resolved => ("Resolved", 4),
        };
        let passes = matches!(finding.status, Status::Fixed | Status::Resolved);
        let controls = entry.map_or(&[][..], |entry| entry.meta.controls);
        // An attribute without a value is left out, but for `standards`: where no other asks for it, our policy does.
        let mut line = json!({
            "activity_id": 1, "activity_name": "Create",
            "category_uid": 2, "category_name": "Findings",
            "class_uid": 2003, "class_name": "Compliance Finding",
            "type_uid": 200_301, "type_name": "Compliance Finding: Create",
            "time": now,
            "severity_id": severity_id(finding.severity), "severity": severity_name(finding.severity),
            "status_id": status_id, "status": status,
            "message": finding.detail,
            "metadata": {
                "version": "1.3.0", "profiles": ["cloud"],
                "product": { "name": "ecr-warden", "vendor_name": "ecr-warden", "version": env!("CARGO_PKG_VERSION") },
            },
            "finding_info": {
                "uid": format!("{}/{}", finding.repository, finding.rule),
                "title": entry.map_or(finding.rule.as_str(), |entry| entry.meta.summary),
                "desc": finding.detail,
                "types": [finding.rule],
            },
            "compliance": {
                "control": finding.rule,
                "requirements": entry.map_or(&[][..], |entry| entry.requirements()),
                "standards": if controls.is_empty() { &["ecr-warden policy"] } else { controls },
                "status": if passes { "Pass" } else { "Fail" },
                "status_id": if passes { 1 } else { 3 },
            },
            "resources": [{ "uid": finding.repository, "type": "AwsEcrRepository" }],
            "cloud": { "provider": "AWS" },
        });
        if let Some(id) = id {
            if id.is_registry() {
                line["resources"][0]["type"] = json!("AwsEcrRegistry");
            }
            line["resources"][0]["region"] = json!(id.region);
            line["cloud"]["region"] = json!(id.region);
            line["cloud"]["account"] = json!({ "uid": id.account });
        }
        if !finding.to_do.is_empty() {
            line["remediation"] = json!({ "desc": finding.to_do });
        }
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

fn severity_id(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "Informational",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    }
}
