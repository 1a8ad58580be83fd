//! CloudWatch's alarms, as it publishes them to SNS (user guide, "Notifying users on alarm changes").

use serde_json::Value;

use super::block::{context, link, section, text};
use crate::finding::Severity;
use crate::repository::partition;

pub(super) const GREY: &str = "#6e7781";

pub(super) fn severity(alarm: &Value) -> Severity {
    match text(alarm, "NewStateValue") {
        "ALARM" => Severity::High,
        _ => Severity::Informational,
    }
}

pub(super) fn colour(alarm: &Value) -> &'static str {
    match text(alarm, "NewStateValue") {
        "ALARM" => "#d1242f",
        "OK" => "#1a7f37",
        _ => GREY,
    }
}

/// `🔴 ALARM · ecr-warden-Errors`.
pub(super) fn headline(alarm: &Value) -> String {
    let state = text(alarm, "NewStateValue");
    let sign = match state {
        "ALARM" => "🔴",
        "OK" => "🟢",
        _ => "⚪",
    };
    format!("{sign} {state} · {}", text(alarm, "AlarmName"))
}

pub(super) fn in_a_line(alarm: &Value) -> String {
    format!(
        "{} · {}, {}",
        headline(alarm),
        text(alarm, "AWSAccountId"),
        text(alarm, "Region")
    )
}

pub(super) fn in_full(alarm: &Value) -> Vec<Value> {
    let mut head = format!(
        "CloudWatch alarm · account {}, {}",
        text(alarm, "AWSAccountId"),
        text(alarm, "Region")
    );
    let at = text(alarm, "StateChangeTime");
    if !at.is_empty() {
        head.push_str(&format!(" at {at}"));
    }
    let mut blocks = vec![context(&head)];
    let description = text(alarm, "AlarmDescription");
    if !description.is_empty() {
        blocks.push(section(description));
    }
    let reason = text(alarm, "NewStateReason");
    if !reason.is_empty() {
        blocks.push(section(&format!("Why: {reason}")));
    }
    blocks.extend(link("Open the alarm", console(alarm).as_deref()));
    blocks
}

/// `Region` is a name for people ("US East (N. Virginia)"): the ARN has the code. Nothing in it may lead elsewhere.
pub(super) fn console(alarm: &Value) -> Option<String> {
    let region = text(alarm, "AlarmArn").split(':').nth(3)?;
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(safe) {
        return None;
    }
    let host = match partition(region) {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    };
    let name: String = text(alarm, "AlarmName").bytes().map(encoded).collect();
    Some(format!(
        "https://{region}.{host}/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"
    ))
}

fn encoded(byte: u8) -> String {
    match char::from(byte) {
        c if c.is_ascii_alphanumeric() || "-_.~".contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    }
}
