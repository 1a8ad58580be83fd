//! Alerts as a Slack message (Block Kit), from their machine form `ecr-warden.alert/1`.
//!
//! Text from outside stands in `plain_text` alone, in which Slack reads no mention, no link and no format, with Slack's three
//! escapes.

use serde_json::{Value, json};

use crate::finding::Severity;
use crate::text::{in_line, one_line};

// Slack's limits (Block Kit reference), less what escaping can add.
const BLOCKS: usize = 50;
const HEADER: usize = 150;
const TEXT: usize = 3000;
/// As many findings as a message shows: each is a block, and so are the alert's head and its links.
const FINDINGS: usize = 12;
/// More alerts than this at once are told of in one line each.
const IN_FULL: usize = 3;
const LINES: usize = 40;

/// The alerts in an event: of SQS, with SNS's envelope or raw, or of SNS itself. What is none is left out.
#[must_use]
pub fn alerts(event: &Value) -> Vec<Value> {
    let records = event.get("Records").and_then(Value::as_array);
    records
        .into_iter()
        .flatten()
        .filter_map(|record| {
            let text = record
                .pointer("/Sns/Message")
                .or_else(|| record.get("body"))?
                .as_str()?;
            let body: Value = serde_json::from_str(text).ok()?;
            let alert = match body.get("Message").and_then(Value::as_str) {
                Some(inner) => serde_json::from_str(inner).ok()?,
                None => body,
            };
            let schema = alert.get("schema").and_then(Value::as_str)?;
            schema.starts_with("ecr-warden.alert/").then_some(alert)
        })
        .collect()
}

/// One message about all of them: a few in full, many in a line each.
#[must_use]
pub fn message(alerts: &[Value]) -> Value {
    let worst = alerts
        .iter()
        .map(severity)
        .max()
        .unwrap_or(Severity::Informational);
    let mut blocks = Vec::new();
    if alerts.len() > IN_FULL {
        blocks.push(header(&format!(
            "{} {} alerts of ecr-warden",
            sign(worst),
            alerts.len()
        )));
        for alert in alerts.iter().take(LINES) {
            blocks.push(section(&headline(alert)));
        }
        if alerts.len() > LINES {
            let more = alerts.len().saturating_sub(LINES);
            blocks.push(section(&format!("and {more} more")));
        }
    } else {
        for alert in alerts {
            in_full(alert, &mut blocks);
        }
    }
    blocks.truncate(BLOCKS);
    let fallback: Vec<String> = alerts.iter().take(IN_FULL).map(headline).collect();
    json!({
        "text": escaped(&one_line(&fallback.join("; "), TEXT / 5)),
        "attachments": [{ "color": colour(worst), "blocks": blocks }],
    })
}

fn in_full(alert: &Value, blocks: &mut Vec<Value>) {
    blocks.push(header(&headline(alert)));
    let mut context = format!(
        "account {}, {} · {}",
        text(alert, "account"),
        text(alert, "region"),
        text(alert, "cause")
    );
    if let Some(actor) = alert.get("actor").and_then(Value::as_str) {
        context.push_str(&format!(" by {actor}"));
    }
    let at = text(alert, "occurred_at");
    if !at.is_empty() {
        context.push_str(&format!(" at {at}"));
    }
    blocks.push(json!({ "type": "context", "elements": [plain(&context, TEXT / 2)] }));
    let actions = items(alert, "actions");
    let findings = items(alert, "findings");
    let single = name(alert).is_some();
    for finding in findings.iter().take(FINDINGS) {
        let mut lines = format!(
            "{} {}{} ({})\n{}",
            text(finding, "status").to_uppercase(),
            name_of(text(finding, "repository"))
                .map_or_else(String::new, |name| format!("{name}: ")),
            text(finding, "rule"),
            text(finding, "severity"),
            text(finding, "detail"),
        );
        if !text(finding, "advice").is_empty() {
            lines.push_str(&format!("\nTo do: {}", text(finding, "advice")));
        }
        blocks.push(section(&lines));
    }
    let more = findings.len().saturating_sub(FINDINGS);
    let omitted = alert.get("omitted").and_then(Value::as_u64).unwrap_or(0);
    let more = u64::try_from(more).unwrap_or(0).saturating_add(omitted);
    if more > 0 {
        blocks.push(section(&format!("and {more} more findings")));
    }
    if single && !actions.is_empty() {
        let changed: Vec<String> = actions
            .iter()
            .map(|action| {
                format!(
                    "{}: {} → {} ({})",
                    text(action, "action"),
                    text(action, "from"),
                    text(action, "to"),
                    text(action, "result")
                )
            })
            .collect();
        blocks.push(section(&format!("Changed\n{}", changed.join("\n"))));
    }
    if let Some(url) = console(alert) {
        blocks.push(json!({ "type": "actions", "elements": [{
            "type": "button", "text": { "type": "plain_text", "text": "Open in the console" }, "url": url,
        }] }));
    }
}

/// `🟠 1 fixed, 2 open: payments/api`.
fn headline(alert: &Value) -> String {
    let findings = items(alert, "findings");
    let order = ["failed", "open", "withheld", "fixed", "resolved", "exempt"];
    let tally: Vec<String> = order
        .into_iter()
        .filter_map(|status| {
            let count = findings
                .iter()
                .filter(|f| text(f, "status") == status)
                .count();
            (count > 0).then(|| format!("{count} {status}"))
        })
        .collect();
    let place = name(alert).unwrap_or_else(|| text(alert, "account").to_owned());
    format!("{} {}: {place}", sign(severity(alert)), tally.join(", "))
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn name(alert: &Value) -> Option<String> {
    name_of(text(alert, "repository")).filter(|name| name != "*")
}

fn name_of(arn: &str) -> Option<String> {
    let (_, resource) = arn.rsplit_once(':')?;
    let (_, name) = resource.split_once('/')?;
    Some(name.to_owned())
}

fn severity(alert: &Value) -> Severity {
    alert
        .get("severity")
        .and_then(|severity| serde_json::from_value(severity.clone()).ok())
        .unwrap_or(Severity::Informational)
}

/// Not by colour alone.
fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🚨",
        Severity::High => "🔴",
        Severity::Medium => "🟠",
        Severity::Low => "🟡",
        Severity::Informational => "🔵",
    }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "#8e1230",
        Severity::High => "#d1242f",
        Severity::Medium => "#d97706",
        Severity::Low => "#b59f00",
        Severity::Informational => "#2f6fb5",
    }
}

/// Only of what is a repository's ARN for sure: everything in it is of an alphabet without markup.
fn console(alert: &Value) -> Option<String> {
    let id = crate::repository::RepositoryId::from_arn(text(alert, "repository"))?;
    let host = match crate::repository::partition(&id.region) {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    Some(format!(
        "https://{}.{host}/ecr/repositories/private/{}/{}?region={}",
        id.region, id.account, id.name, id.region
    ))
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(text, HEADER) })
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": plain(text, TEXT) })
}

/// Text in which Slack reads nothing, cut so that it fits after escaping.
fn plain(text: &str, longest: usize) -> Value {
    let mut out = String::new();
    let mut length: usize = 0;
    for c in text.chars() {
        let piece = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '\n' => "\n".to_owned(),
            c if in_line(c) => c.to_string(),
            _ => " ".to_owned(),
        };
        length = length.saturating_add(piece.chars().count());
        if length >= longest {
            out.push('…');
            break;
        }
        out.push_str(&piece);
    }
    json!({ "type": "plain_text", "text": out, "emoji": true })
}

/// For the fallback, which is read as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(n: usize, hostile: &str) -> Value {
        let findings: Vec<Value> = (0..n)
            .map(|_| {
                json!({ "rule": "mutable-tags", "severity": "medium", "status": "open", "detail": hostile, "advice": hostile })
            })
            .collect();
        json!({
            "schema": "ecr-warden.alert/1", "id": "1", "account": "123456789012", "region": "eu-central-1",
            "repository": "arn:aws:ecr:eu-central-1:123456789012:repository/shop/api", "cause": "CreateRepository",
            "actor": hostile, "occurred_at": "2026-11-23T08:00:00Z", "severity": "high", "findings": findings,
            "actions": [{ "action": "set-tag-mutability", "from": "MUTABLE", "to": hostile, "result": "done" }],
        })
    }

    /// Every text of a message with the limit of its place.
    fn check(message: &Value) {
        let blocks = message["attachments"][0]["blocks"].as_array().unwrap();
        assert!(
            !blocks.is_empty() && blocks.len() <= BLOCKS,
            "{}",
            blocks.len()
        );
        for block in blocks {
            let longest = if block["type"] == "header" {
                HEADER
            } else {
                TEXT
            };
            let texts = [&block["text"], &block["elements"][0]];
            for object in texts
                .into_iter()
                .filter(|object| object["text"].is_string())
            {
                let text = object["text"].as_str().unwrap();
                assert!(
                    text.chars().count() <= longest,
                    "{} in {}",
                    text.len(),
                    block["type"]
                );
                assert!(!text.contains('<') && !text.contains('>'), "{text}");
                assert_eq!(object["type"], "plain_text");
            }
        }
        let fallback = message["text"].as_str().unwrap();
        assert!(!fallback.contains('<') && fallback.chars().count() <= TEXT);
    }

    #[test]
    fn hostile_text_stays_text_and_within_the_limits() {
        for hostile in [
            "<!channel>",
            "<https://x|y> *b* & @here",
            &"<".repeat(5000),
            &"\u{1f512}".repeat(9000),
        ] {
            for (alerts, findings) in [(1, 1), (1, 100), (3, 50), (4, 1), (500, 2)] {
                let many: Vec<Value> = (0..alerts).map(|_| alert(findings, hostile)).collect();
                check(&message(&many));
            }
        }
        let shown = message(&[alert(1, "<!channel>")]).to_string();
        assert!(shown.contains("&lt;!channel&gt;"), "{shown}");
    }

    #[test]
    fn it_says_what_was_wrong_who_and_where() {
        let shown = message(&[alert(1, "mary")]).to_string();
        for part in [
            "🔴 1 open: shop/api",
            "by mary",
            "set-tag-mutability: MUTABLE → mary (done)",
            "https://eu-central-1.console.aws.amazon.com/ecr/repositories/private/123456789012/shop/api?region=eu-central-1",
            "#d1242f",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn alerts_come_in_many_envelopes() {
        let inner = alert(1, "x").to_string();
        let enveloped = json!({ "Message": inner }).to_string();
        let event = json!({ "Records": [
            { "eventSource": "aws:sqs", "body": inner },
            { "eventSource": "aws:sqs", "body": enveloped },
            { "EventSource": "aws:sns", "Sns": { "Message": inner } },
            { "body": "not JSON" },
            { "body": "{\"schema\":\"another\"}" },
            { "body": 7 },
        ] });
        assert_eq!(alerts(&event).len(), 3);
        assert_eq!(alerts(&json!({})), Vec::<Value>::new());
        assert_eq!(alerts(&json!({ "Records": 5 })), Vec::<Value>::new());
    }
}
