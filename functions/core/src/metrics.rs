//! What happened to an event as metrics, in CloudWatch's embedded metric format: lines of the log, no calls.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::Audit;
use crate::defer::Deferred;
use crate::finding::Status;
use crate::outcome::Outcome;

/// The lines for one event. `now` in milliseconds since the epoch, `occurred_at` in RFC 3339, `deferred` as the event came.
#[must_use]
pub fn of_event(
    namespace: &str,
    outcome: &Outcome,
    occurred_at: &str,
    deferred: Option<Deferred>,
    now: i64,
) -> Vec<Value> {
    let count = |status: Status| {
        let found = outcome.findings.iter();
        found.filter(|finding| finding.status == status).count()
    };
    let repairs = outcome
        .actions
        .iter()
        .filter(|action| action.result == "done")
        .count();
    let mut metrics = vec![
        ("Events", "Count", json!(1)),
        (
            "Ignored",
            "Count",
            json!(u8::from(outcome.ignored.is_some())),
        ),
        ("Repairs", "Count", json!(repairs)),
        ("Failures", "Count", json!(count(Status::Failed))),
        (
            "Deferred",
            "Count",
            json!(u8::from(outcome.deferred.is_some())),
        ),
    ];
    metrics.extend(deferred.map(|deferred| waited(deferred, now)));
    // From the call to what was seen repaired: what CloudTrail and EventBridge take is part of it.
    let called = OffsetDateTime::parse(occurred_at, &Rfc3339).ok();
    if let (Some(called), true) = (called, repairs > 0) {
        let called = called.unix_timestamp().saturating_mul(1000);
        let took = now.saturating_sub(called).max(0);
        metrics.push(("TimeToRepair", "Milliseconds", json!(took)));
    }
    let mut lines = vec![line(namespace, now, &[], metrics)];
    for finding in &outcome.findings {
        if finding.status != Status::Resolved {
            let of = [
                ("Rule", finding.rule.as_str()),
                ("Status", finding.status.name()),
            ];
            lines.push(line(
                namespace,
                now,
                &of,
                vec![("Findings", "Count", json!(1))],
            ));
        }
    }
    lines
}

/// The line for a deferred event whose invocation failed. `now` in milliseconds since the epoch.
#[must_use]
pub fn of_failure(namespace: &str, deferred: Deferred, given_up: bool, now: i64) -> Value {
    let given_up = ("GivenUp", "Count", json!(u8::from(given_up)));
    line(namespace, now, &[], vec![given_up, waited(deferred, now)])
}

/// Since an event was first deferred. The age of a message in the queue does not show it: each deferral is a new message.
fn waited(deferred: Deferred, now: i64) -> (&'static str, &'static str, Value) {
    let seconds = deferred.waited(now / 1000);
    ("OldestDeferredSeconds", "Seconds", json!(seconds))
}

/// The lines for a part of a sweep. `Standing` is what stands, by rule; the parts of one sweep add up. `completed`: it was the
/// last part of a sweep of all repositories.
#[must_use]
pub fn of_sweep(namespace: &str, audit: &Audit, completed: bool, now: i64) -> Vec<Value> {
    let findings = audit.findings.as_deref().unwrap_or_default();
    let count = |status: Status| findings.iter().filter(|f| f.status == status).count();
    let summary = &audit.summary;
    let mut lines = vec![line(
        namespace,
        now,
        &[],
        vec![
            ("Swept", "Count", json!(summary.repositories)),
            ("SweepsCompleted", "Count", json!(u8::from(completed))),
            ("Unjudged", "Count", json!(summary.unjudged)),
            ("Repairs", "Count", json!(count(Status::Fixed))),
            ("Failures", "Count", json!(count(Status::Failed))),
        ],
    )];
    let mut standing = BTreeMap::<&str, usize>::new();
    for finding in findings {
        let stands = matches!(
            finding.status,
            Status::Open | Status::Withheld | Status::Failed
        );
        let count = standing.entry(&finding.rule).or_default();
        *count = count.saturating_add(usize::from(stands));
    }
    lines.extend(standing.into_iter().map(|(rule, count)| {
        line(
            namespace,
            now,
            &[("Rule", rule)],
            vec![("Standing", "Count", json!(count))],
        )
    }));
    lines
}

fn line(
    namespace: &str,
    now: i64,
    dimensions: &[(&str, &str)],
    metrics: Vec<(&str, &str, Value)>,
) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let described: Vec<Value> = metrics
        .iter()
        .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now,
            "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [names], "Metrics": described }],
        }),
    );
    for (name, value) in dimensions {
        line.insert((*name).to_owned(), json!(value));
    }
    for (name, _, value) in metrics {
        line.insert(name.to_owned(), value);
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;
    use crate::outcome::Verdict;
    use crate::reason::{Code, Reason};
    use crate::repository::{RepositoryId, TagMutability};

    #[test]
    fn a_sweep_says_what_stands() {
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let mut audit = Audit::default();
        let verdict = |status| Verdict {
            rule: "mutable-tags".to_owned(),
            severity: Severity::Medium,
            status,
            detail: String::new(),
            to_do: String::new(),
            advice: None,
            since: None,
            action: None,
            news: true,
            reason: None,
        };
        for status in [
            Status::Fixed,
            Status::Open,
            Status::Exempt,
            Status::Withheld,
        ] {
            audit.add(&id, &[verdict(status)]);
        }
        audit.add_unjudged(&id, "x");
        let lines = of_sweep("ecr-warden/x", &audit, true, 7);
        assert_eq!(lines[0]["SweepsCompleted"], 1);
        let part = of_sweep("ecr-warden/x", &audit, false, 7);
        assert_eq!(part[0]["SweepsCompleted"], 0);
        assert_eq!(
            (
                &lines[0]["Swept"],
                &lines[0]["Repairs"],
                &lines[0]["Unjudged"]
            ),
            (&json!(5), &json!(1), &json!(1))
        );
        assert_eq!(
            (&lines[1]["Rule"], &lines[1]["Standing"]),
            (&json!("mutable-tags"), &json!(2))
        );
        assert_eq!(lines[2]["Rule"], "not-judged");
    }

    #[test]
    fn a_repair_is_counted_and_timed() {
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let verdict = Verdict {
            rule: "mutable-tags".to_owned(),
            severity: Severity::Medium,
            status: Status::Fixed,
            detail: String::new(),
            to_do: String::new(),
            advice: None,
            since: None,
            action: Some(crate::action::Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            }),
            news: true,
            reason: None,
        };
        let outcome = Outcome::of(&id, crate::trigger::Cause::CreateRepository, &[verdict]);
        let lines = of_event(
            "ecr-warden/x",
            &outcome,
            "1970-01-01T00:00:10Z",
            None,
            12_500,
        );
        assert_eq!(lines[0]["Repairs"], 1);
        assert_eq!(lines[0]["TimeToRepair"], 2500);
        assert_eq!(
            lines[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([[]])
        );
        assert_eq!(lines[1]["Rule"], "mutable-tags");
        assert_eq!(lines[1]["Status"], "fixed");
        assert_eq!(lines[1]["Findings"], 1);
        let ignored = Outcome::ignored(None, None, Reason::new(Code::OwnChange, "x"));
        let lines = of_event("ecr-warden/x", &ignored, "nonsense", None, 12_500);
        assert_eq!((lines.len(), &lines[0]["Ignored"]), (1, &json!(1)));
        assert_eq!(lines[0]["TimeToRepair"], Value::Null);
        assert_eq!(lines[0]["OldestDeferredSeconds"], Value::Null);
        assert_eq!(lines[0]["Deferred"], 0);
    }

    #[test]
    fn deferred_event_shows_how_long_it_has_waited() {
        let deferred = Some(Deferred {
            since: 10,
            count: 3,
        });
        let mut outcome = Outcome::ignored(None, None, Reason::new(Code::OwnChange, "x"));
        outcome.deferred = deferred;
        let lines = of_event("ecr-warden/x", &outcome, "", deferred, 1_870_900);
        assert_eq!(
            (&lines[0]["Deferred"], &lines[0]["OldestDeferredSeconds"]),
            (&json!(1), &json!(1860))
        );
        let line = of_failure(
            "ecr-warden/x",
            Deferred {
                since: 10,
                count: 3,
            },
            true,
            20_000,
        );
        assert_eq!(
            (&line["GivenUp"], &line["OldestDeferredSeconds"]),
            (&json!(1), &json!(10))
        );
    }
}
