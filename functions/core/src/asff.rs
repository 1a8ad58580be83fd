//! Findings in AWS's Security Finding Format (schema 2018-10-08), for Security Hub.

use serde_json::{Value, json};

use crate::audit::{AuditFinding, UNJUDGED};
use crate::finding::{Severity, Status};
use crate::repository::{RepositoryId, partition};
use crate::rule::Entry;
use crate::rules::entry;
use crate::text::{one_line, rfc3339};

/// What ecr-warden's findings begin with in `GeneratorId`; the rule follows.
pub const GENERATOR: &str = "ecr-warden/";

const KIND: &str = "Software and Configuration Checks/AWS Security Best Practices";
// ASFF's limits, in characters.
const LONGEST_TITLE: usize = 256;
const LONGEST_DESCRIPTION: usize = 1024;
const LONGEST_RECOMMENDATION: usize = 512;

/// The product that an account's own findings are imported for.
#[must_use]
pub fn product_arn(account: &str, region: &str) -> String {
    let partition = partition(region);
    format!("arn:{partition}:securityhub:{region}:{account}:product/{account}/default")
}

/// The same for each import of a finding, whatever becomes of it.
#[must_use]
pub fn id(finding: &AuditFinding) -> String {
    format!("{}/{}", finding.repository, finding.rule)
}

/// What becomes of a finding's record: what stands is active, what is exempt by now is put away. `None`: it is not imported.
#[must_use]
pub fn record_state(finding: &AuditFinding) -> Option<&'static str> {
    if finding.rule == UNJUDGED {
        return None;
    }
    match finding.status {
        Status::Open | Status::Withheld | Status::Failed => Some("ACTIVE"),
        // Where nobody was told of it before, there is nothing to put away.
        Status::Exempt => finding.since.map(|_| "ARCHIVED"),
        Status::Fixed | Status::Resolved => None,
    }
}

/// A finding as it is imported; `None`: it is not, or is about no repository. What is exempt has not passed. `now` in RFC 3339.
#[must_use]
pub fn imported(finding: &AuditFinding, now: &str) -> Option<Value> {
    let state = record_state(finding)?;
    let repository = RepositoryId::from_arn(&finding.repository)?;
    let entry = entry(&finding.rule);
    let title = entry.map_or(finding.rule.as_str(), |entry| entry.meta.summary);
    let mut recommendation = one_line(&finding.to_do, LONGEST_RECOMMENDATION);
    if recommendation.is_empty() {
        "See the description.".clone_into(&mut recommendation);
    }
    // Each import replaces the last one's times, and what stands for long must not look new. On record it is for 90 days.
    let first_seen = finding.since.and_then(rfc3339);
    let first_seen = first_seen.as_deref().unwrap_or(now);
    Some(json!({
        "SchemaVersion": "2018-10-08",
        "Id": id(finding),
        "ProductArn": product_arn(&repository.account, &repository.region),
        "GeneratorId": format!("{GENERATOR}{}", finding.rule),
        "AwsAccountId": repository.account,
        "Types": [KIND],
        "CreatedAt": first_seen,
        "UpdatedAt": now,
        "FirstObservedAt": first_seen,
        "LastObservedAt": now,
        "Severity": { "Label": severity(finding.severity) },
        "Title": one_line(title, LONGEST_TITLE),
        "Description": one_line(&finding.detail, LONGEST_DESCRIPTION),
        "Remediation": { "Recommendation": { "Text": recommendation } },
        "ProductFields": { "ecr-warden/status": finding.status.name() },
        "Resources": [resource(&finding.repository, &repository)],
        "Compliance": {
            "Status": "FAILED",
            "RelatedRequirements": entry.map_or_else(Vec::new, Entry::related),
        },
        "RecordState": state,
    }))
}

/// ASFF has a type for repositories, and none for registries (Security Hub User Guide, "AwsEcr").
fn resource(arn: &str, id: &RepositoryId) -> Value {
    let mut resource = json!({
        "Type": "Other",
        "Id": arn,
        "Partition": partition(&id.region),
        "Region": id.region,
    });
    if !id.is_registry() {
        resource["Type"] = json!("AwsEcrRepository");
        resource["Details"] =
            json!({ "AwsEcrRepository": { "Arn": arn, "RepositoryName": id.name } });
    }
    resource
}

/// A finding as Security Hub has it, as it is put away: `None`, it is not ours, was put away before, or is about another
/// repository than `covers` says.
#[must_use]
pub fn archived(known: &Value, covers: &dyn Fn(&RepositoryId) -> bool, now: &str) -> Option<Value> {
    let text = |key: &str| known.get(key).and_then(Value::as_str);
    let is_ours = text("GeneratorId")?.starts_with(GENERATOR);
    let is_active = text("RecordState") != Some("ARCHIVED");
    let repository = known.pointer("/Resources/0/Id")?.as_str()?;
    let id = RepositoryId::from_arn(repository)?;
    if !is_ours || !is_active || !covers(&id) {
        return None;
    }
    // Security Hub adds fields of its own, which it does not take back.
    let kept = [
        "SchemaVersion",
        "Id",
        "ProductArn",
        "GeneratorId",
        "AwsAccountId",
        "Types",
        "CreatedAt",
        "FirstObservedAt",
        "Severity",
        "Title",
        "Description",
        "Remediation",
        "Resources",
    ];
    let mut finding: serde_json::Map<String, Value> = kept
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), known.get(key)?.clone())))
        .collect();
    finding.insert("UpdatedAt".to_owned(), json!(now));
    finding.insert("Compliance".to_owned(), json!({ "Status": "PASSED" }));
    finding.insert("RecordState".to_owned(), json!("ARCHIVED"));
    Some(Value::Object(finding))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "INFORMATIONAL",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn finding(status: Status) -> AuditFinding {
        AuditFinding {
            repository: "arn:aws:ecr:eu-central-1:123456789012:repository/shop/api".to_owned(),
            rule: "mutable-tags".to_owned(),
            severity: Severity::Medium,
            status,
            detail: format!("a\n{}", "x".repeat(5000)),
            to_do: "t".repeat(5000),
            advice: None,
            since: None,
            news: false,
            reason: None,
        }
    }

    #[test]
    fn only_what_stands_is_imported_and_within_the_limits() {
        let imported = |status| imported(&finding(status), NOW);
        for status in [Status::Fixed, Status::Exempt, Status::Resolved] {
            assert_eq!(imported(status), None);
        }
        let open = imported(Status::Open).unwrap();
        assert_eq!(open["RecordState"], "ACTIVE");
        assert_eq!(
            open["ProductArn"],
            "arn:aws:securityhub:eu-central-1:123456789012:product/123456789012/default"
        );
        let length = |pointer: &str| {
            open.pointer(pointer)
                .unwrap()
                .as_str()
                .unwrap()
                .chars()
                .count()
        };
        assert_eq!(length("/Description"), LONGEST_DESCRIPTION);
        assert_eq!(
            length("/Remediation/Recommendation/Text"),
            LONGEST_RECOMMENDATION
        );
        assert!(!open["Description"].as_str().unwrap().contains('\n'));
        // A finding has one id whatever becomes of it, so that each import replaces the last.
        assert_eq!(imported(Status::Failed).unwrap()["Id"], open["Id"]);
    }

    #[test]
    fn what_is_exempt_by_now_is_put_away_and_not_called_passed() {
        let exempt = AuditFinding {
            since: Some(1_700_000_000),
            ..finding(Status::Exempt)
        };
        let away = imported(&exempt, NOW).unwrap();
        assert_eq!(away["RecordState"], "ARCHIVED");
        assert_eq!(away["Compliance"]["Status"], "FAILED");
        assert_eq!(away["ProductFields"]["ecr-warden/status"], "exempt");
        let open = imported(&finding(Status::Open), NOW).unwrap();
        assert_eq!(away["Id"], open["Id"]);
        assert_eq!(archived(&away, &|_| true, NOW), None);
    }

    #[test]
    fn what_stands_for_long_does_not_look_new() {
        let known = AuditFinding {
            since: Some(1_700_000_000),
            ..finding(Status::Open)
        };
        let first_seen = "2023-11-14T22:13:20Z";
        for later in [NOW, "2026-01-02T00:00:00Z"] {
            let open = imported(&known, later).unwrap();
            assert_eq!(open["CreatedAt"], first_seen);
            assert_eq!(open["FirstObservedAt"], first_seen);
            assert_eq!(open["UpdatedAt"], later);
            let away = archived(&open, &|_| true, later).unwrap();
            assert_eq!(away["CreatedAt"], first_seen);
        }
        let unknown = imported(&finding(Status::Open), NOW).unwrap();
        assert_eq!(unknown["CreatedAt"], NOW);
    }

    #[test]
    fn only_ours_and_what_was_looked_at_is_put_away() {
        let open = imported(&finding(Status::Open), NOW).unwrap();
        let later = "2026-01-02T00:00:00Z";
        let away = archived(&open, &|_| true, later).unwrap();
        assert_eq!(away["RecordState"], "ARCHIVED");
        assert_eq!(away["UpdatedAt"], later);
        assert_eq!(away["Id"], open["Id"]);
        assert_eq!(archived(&away, &|_| true, later), None);
        assert_eq!(archived(&open, &|_| false, later), None);
        let mut foreign = open.clone();
        foreign["GeneratorId"] = json!("prowler/ecr");
        assert_eq!(archived(&foreign, &|_| true, later), None);
        assert_eq!(archived(&json!({}), &|_| true, later), None);
    }
}
