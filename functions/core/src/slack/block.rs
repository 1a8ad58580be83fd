//! Block Kit's blocks, within Slack's limits.

use crate::finding::Severity;
use serde_json::{Value, json};

use crate::owner::SlackId;
use crate::text::in_line;

const HEADER: usize = 150;
pub(super) const TEXT: usize = 3000;
/// One of many.
const LINE: usize = 400;
const URL: usize = 3000;

pub(super) fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(text, HEADER) })
}

pub(super) fn section(text: &str) -> Value {
    json!({ "type": "section", "text": plain(text, TEXT) })
}

pub(super) fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [plain(text, TEXT / 2)] })
}

/// Mentions, which alone are markup: ids of Slack's own form, from the policy.
pub(super) fn mentions(ids: &[SlackId]) -> Option<Value> {
    let mentions: Vec<String> = ids.iter().map(SlackId::mention).collect();
    (!mentions.is_empty()).then(
        || json!({ "type": "section", "text": { "type": "mrkdwn", "text": mentions.join(" ") } }),
    )
}

/// With a button, where there is where to go.
pub(super) fn line(text: &str, url: Option<&str>) -> Value {
    let mut block = json!({ "type": "section", "text": plain(text, LINE) });
    if let (Some(button), Some(block)) = (button("Open", url), block.as_object_mut()) {
        block.insert("accessory".to_owned(), button);
    }
    block
}

pub(super) fn link(text: &str, url: Option<&str>) -> Option<Value> {
    Some(json!({ "type": "actions", "elements": [button(text, url)?] }))
}

fn button(text: &str, url: Option<&str>) -> Option<Value> {
    let url = url.filter(|url| url.len() <= URL)?;
    Some(json!({ "type": "button", "text": plain(text, HEADER / 2), "url": url }))
}

/// Text in which Slack reads nothing, `:name:` for an emoji included; cut so that it fits after escaping.
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
    json!({ "type": "plain_text", "text": out, "emoji": false })
}

/// For what is read as markup.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Not by colour alone.
pub(super) fn word(severity: Severity) -> String {
    let sign = match severity {
        Severity::Critical | Severity::High => "🔴",
        Severity::Medium => "🟠",
        Severity::Low => "🟡",
        Severity::Informational => "🔵",
    };
    format!("{sign} {}", severity.name().to_uppercase())
}
