//! What comes by the alert topic as a Slack message (Block Kit): alerts in their machine form `ecr-warden.alert/1`, CloudWatch's
//! alarms, and whatever else somebody published there.
//!
//! Text from outside stands in `plain_text` alone, in which Slack reads no mention, no link and no format, with Slack's three
//! escapes.

mod alarm;
mod alert;
mod block;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::finding::Severity;
use crate::owner::SlackId;
use crate::text::one_line;
use block::{TEXT, escaped, header, items, line, mentions, section, text, word};

/// Of a message, attachments included (Block Kit reference).
const BLOCKS: usize = 50;
/// As many findings as a message shows, whether of one alert or of a few: each is a block, and so are heads and links.
const FINDINGS: usize = 24;
/// More alerts than this are shown in one line each.
const IN_FULL: usize = 3;
const LINES: usize = 40;
/// As many as one message mentions, however many alerts it has.
const MENTIONS: usize = 10;
/// Slack's lists and notifications show no more.
const FALLBACK: usize = 600;

/// One message of the topic.
enum Kind<'m> {
    Alert(&'m Value),
    Alarm(&'m Value),
    Unknown(String),
}

impl<'m> Kind<'m> {
    fn of(message: &'m Value) -> Self {
        let is_alert = text(message, "schema").starts_with("ecr-warden.alert/");
        let is_alarm =
            !text(message, "AlarmName").is_empty() && !text(message, "NewStateValue").is_empty();
        match message {
            _ if is_alert => Self::Alert(message),
            _ if is_alarm => Self::Alarm(message),
            Value::String(text) => Self::Unknown(one_line(text, TEXT)),
            other => Self::Unknown(one_line(&other.to_string(), TEXT)),
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Alert(alert) => alert::severity(alert),
            Self::Alarm(alarm) => alarm::severity(alarm),
            Self::Unknown(_) => Severity::Informational,
        }
    }

    fn colour(&self) -> &'static str {
        match self {
            Self::Alert(alert) => colour(alert::severity(alert)),
            Self::Alarm(alarm) => alarm::colour(alarm),
            Self::Unknown(_) => alarm::GREY,
        }
    }

    /// `🔴 HIGH · 2 open: payments/api`.
    fn headline(&self) -> String {
        match self {
            Self::Alert(alert) => alert::headline(alert),
            Self::Alarm(alarm) => alarm::headline(alarm),
            Self::Unknown(_) => "⚪ UNKNOWN · a message on the alert topic".to_owned(),
        }
    }

    fn mentioned(&self) -> Vec<SlackId> {
        match self {
            Self::Alert(alert) => alert::mentioned(alert),
            Self::Alarm(_) | Self::Unknown(_) => Vec::new(),
        }
    }

    /// All in one line, and where to read on.
    fn in_a_line(&self) -> (String, Option<String>) {
        match self {
            Self::Alert(alert) => (alert::in_a_line(alert), alert::console(alert)),
            Self::Alarm(alarm) => (alarm::in_a_line(alarm), alarm::console(alarm)),
            Self::Unknown(text) => (format!("⚪ UNKNOWN · {}", unknown(text)), None),
        }
    }

    /// Without its headline.
    fn in_full(&self, findings: usize) -> Vec<Value> {
        match self {
            Self::Alert(alert) => alert::in_full(alert, findings),
            Self::Alarm(alarm) => alarm::in_full(alarm),
            Self::Unknown(text) => vec![section(&unknown(text))],
        }
    }
}

fn unknown(text: &str) -> String {
    format!("unknown message on the alert topic: {text}")
}

/// What an event brings: of SQS, with SNS's envelope or raw, or of SNS itself.
///
/// INVARIANT: one for each record, in their order. What is no JSON is a string.
#[must_use]
pub fn alerts(event: &Value) -> Vec<Value> {
    items(event, "Records")
        .iter()
        .map(|record| {
            let body = record
                .pointer("/Sns/Message")
                .or_else(|| record.get("body"));
            let Some(body) = body.and_then(Value::as_str) else {
                return Value::String(record.to_string());
            };
            let parsed = parsed(body);
            match parsed.get("Message").and_then(Value::as_str) {
                Some(inner) => self::parsed(inner),
                None => parsed,
            }
        })
        .collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// One message about all of them: a few in full, many in a line each.
///
/// Where there are `blocks`, `text` is for notifications alone (Slack's reference of chat.postMessage); the rest stands in
/// attachments, which alone have a colour.
#[must_use]
pub fn message(alerts: &[Value]) -> Value {
    let kinds: Vec<Kind<'_>> = alerts.iter().map(Kind::of).collect();
    let worst = kinds.iter().max_by_key(|kind| kind.severity());
    let severity = worst.map_or(Severity::Informational, Kind::severity);
    let headline = match kinds.as_slice() {
        [single] => single.headline(),
        many => format!("{} · {} alerts", word(severity), many.len()),
    };
    let attachments: Vec<Value> = if kinds.len() > IN_FULL {
        let mut lines: Vec<Value> = kinds
            .iter()
            .take(LINES)
            .map(|kind| {
                let (text, link) = kind.in_a_line();
                line(&text, link.as_deref())
            })
            .collect();
        let more = kinds.len().saturating_sub(LINES);
        if more > 0 {
            lines.push(section(&format!("and {more} more")));
        }
        vec![attachment(colour(severity), &headline, &lines)]
    } else {
        let findings = FINDINGS.checked_div(kinds.len()).unwrap_or_default();
        let each = kinds.iter().map(|kind| {
            let mut blocks = kind.in_full(findings);
            if kinds.len() > 1 {
                blocks.insert(0, section(&kind.headline()));
            }
            attachment(kind.colour(), &kind.headline(), &blocks)
        });
        each.collect()
    };
    let fallback: Vec<String> = kinds.iter().take(IN_FULL).map(Kind::headline).collect();
    let mentioned: BTreeSet<SlackId> = kinds.iter().flat_map(Kind::mentioned).collect();
    let mentioned: Vec<SlackId> = mentioned.into_iter().take(MENTIONS).collect();
    let blocks: Vec<Value> = [header(&headline)]
        .into_iter()
        .chain(mentions(&mentioned))
        .collect();
    json!({
        "text": escaped(&one_line(&fallback.join("; "), FALLBACK)),
        "blocks": blocks,
        "attachments": attachments,
    })
}

fn attachment(colour: &str, fallback: &str, blocks: &[Value]) -> Value {
    // The header and the mentions are one each, too.
    let room = blocks.len().min(BLOCKS.saturating_sub(2));
    json!({
        "color": colour,
        "fallback": escaped(&one_line(fallback, FALLBACK)),
        "blocks": blocks.get(..room),
    })
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

#[cfg(test)]
mod tests;
