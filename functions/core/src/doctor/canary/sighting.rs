//! What a message of the alert topic says of the canary's repository.

use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::finding::Status;
use crate::reason::{Code, known};

/// A finding of the repository, by an alert or by an audit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CanaryFinding {
    pub rule: String,
    pub status: Status,
    /// `None`: there is none, or one that this version does not know.
    #[serde(default, deserialize_with = "known")]
    pub reason: Option<Code>,
    pub detail: String,
    #[serde(default)]
    pub advice: String,
}

/// The alert about the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryAlert {
    /// Between the answer to CreateRepository and the message's receipt, by this machine's clock.
    pub after: Duration,
    /// Between the call and the publication, by AWS's clocks; `None`: the message does not say.
    pub published_after: Option<Duration>,
    pub findings: Vec<CanaryFinding>,
    /// Why changes did not succeed.
    pub failures: Vec<String>,
}

/// A message of SNS as SQS has it (SNS Developer Guide, "Fanout to Amazon SQS queues").
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    message: String,
    timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    repository: String,
    occurred_at: Option<String>,
    findings: Vec<CanaryFinding>,
    #[serde(default)]
    actions: Vec<AlertedChange>,
}

#[derive(Deserialize)]
struct AlertedChange {
    /// `done`, or why not.
    result: String,
}

impl CanaryAlert {
    /// Reads a message; `None`: it is about something else.
    #[must_use]
    pub fn read(message: &str, arn: &str, after: Duration) -> Option<Self> {
        let notification: Notification = serde_json::from_str(message).ok()?;
        let body: Body = serde_json::from_str(&notification.message).ok()?;
        let results = body.actions.into_iter().map(|change| change.result);
        (body.repository == arn).then(|| Self {
            after,
            published_after: between(
                body.occurred_at.as_deref(),
                notification.timestamp.as_deref(),
            ),
            findings: body.findings,
            failures: results.filter(|result| result != "done").collect(),
        })
    }

    pub(super) fn finding(&self, rule: &str) -> Option<&CanaryFinding> {
        self.findings.iter().find(|finding| finding.rule == rule)
    }
}

/// Of two times in RFC 3339; `None` where one is none, or the second is the earlier.
fn between(from: Option<&str>, to: Option<&str>) -> Option<Duration> {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    (time(to?)? - time(from?)?).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:ecr:eu-west-1:111111111111:repository/canary";

    fn message(repository: &str, timestamp: &str) -> String {
        let body = serde_json::json!({
            "schema": "ecr-warden.alert/1", "repository": repository, "occurred_at": "2026-11-26T10:00:00Z",
            "findings": [{ "rule": "mutable-tags", "status": "failed", "reason": "access-denied", "detail": "d", "advice": "a", "since": null }],
            "actions": [
                { "action": "set-tag-mutability", "from": "MUTABLE", "to": "IMMUTABLE", "result": "the permission is missing" },
                { "action": "set-scan-on-push", "from": "off", "to": "on", "result": "done" },
            ],
        });
        serde_json::json!({ "Type": "Notification", "Message": body.to_string(), "Timestamp": timestamp })
            .to_string()
    }

    #[test]
    fn an_alert_of_the_repository_is_read_with_its_times() {
        let after = Duration::from_secs(5);
        let alert = CanaryAlert::read(&message(ARN, "2026-11-26T10:00:03.500Z"), ARN, after);
        let alert = alert.unwrap();
        assert_eq!(alert.published_after, Some(Duration::from_millis(3500)));
        assert_eq!(alert.failures, ["the permission is missing"]);
        let finding = alert.finding("mutable-tags").unwrap();
        assert_eq!(finding.status, Status::Failed);
        assert_eq!(finding.reason, Some(Code::AccessDenied));
    }

    #[test]
    fn clocks_that_disagree_give_no_time() {
        let early = CanaryAlert::read(&message(ARN, "2026-11-26T09:59:59Z"), ARN, Duration::ZERO);
        assert_eq!(early.unwrap().published_after, None);
    }

    #[test]
    fn other_messages_are_none_of_its() {
        for message in [
            message("arn:aws:ecr:eu-west-1:111111111111:repository/other", "x"),
            "not JSON".to_owned(),
            r#"{"Message":"AlarmName: Errors"}"#.to_owned(),
            r#"{"Type":"Notification"}"#.to_owned(),
        ] {
            assert_eq!(CanaryAlert::read(&message, ARN, Duration::ZERO), None);
        }
    }
}
