//! The alert as Amazon Q Developer in chat applications takes it (user guide, "Custom notifications"): it shows
//! in Slack and Teams without any code of ours.

use serde_json::{Value, json};

use super::{Alert, AlertFinding};
use crate::finding::Status;
use crate::text::{in_line, one_line};

// The schema's limits.
const TITLE: usize = 250;
const DESCRIPTION: usize = 8000;
const NEXT_STEP: usize = 350;
const KEYWORD: usize = 75;

pub(super) fn write(alert: &Alert) -> Value {
    let title = format!(
        "{} {}: {}",
        sign(alert.outcome()),
        alert.name,
        alert.tally()
    );
    let by = alert
        .actor
        .as_ref()
        .map_or_else(String::new, |actor| format!(" by {}", plain(actor)));
    let mut description = format!(
        "Account {}, {}. {}{by}.\n",
        alert.account,
        alert.region,
        plain(&alert.cause)
    );
    for finding in &alert.findings {
        description.push_str(&paragraph(finding));
    }
    if alert.omitted > 0 {
        description.push_str(&format!(
            "\nAnd {} more: an audit lists all.\n",
            alert.omitted
        ));
    }
    let next_steps: Vec<String> = alert
        .findings
        .iter()
        .filter(|finding| !finding.to_do.is_empty() && finding.status != Status::Withheld)
        .map(|finding| one_line(&plain(&finding.to_do), NEXT_STEP))
        .collect();
    let keywords: Vec<String> = [alert.severity.name(), &alert.account, &alert.region]
        .into_iter()
        .chain(alert.findings.iter().map(|finding| finding.rule.as_str()))
        .map(|word| one_line(word, KEYWORD))
        .collect();
    json!({
        "version": "1.0",
        "source": "custom",
        "id": alert.id,
        "content": {
            "textType": "client-markdown",
            "title": one_line(&plain(&title), TITLE),
            "description": cut(&description, DESCRIPTION),
            "nextSteps": next_steps,
            "keywords": keywords,
        },
        "metadata": {
            // Messages about one repository make one thread.
            "threadId": alert.repository,
            "summary": one_line(&title, TITLE),
            "eventType": alert.cause,
            "relatedResources": [alert.repository],
            "additionalContext": { "severity": alert.severity.name(), "outcome": alert.outcome().name() },
        },
    })
}

fn paragraph(finding: &AlertFinding) -> String {
    let mut out = format!(
        "\n*{}* {}{} ({}): {}",
        finding.status.name().to_uppercase(),
        finding.place(),
        finding.rule,
        finding.severity.name(),
        plain(&finding.detail)
    );
    if let Some((from, to)) = finding
        .change
        .as_ref()
        .filter(|_| finding.status != Status::Failed)
    {
        out.push_str(&format!("\nChanged {} → {}", plain(from), plain(to)));
    }
    if !finding.to_do.is_empty() {
        out.push_str(&format!("\n{}", plain(&finding.to_do)));
    }
    if let Some(advice) = &finding.iac {
        out.push_str(&format!(
            "\n{}\n```\n{}\n```",
            plain(&advice.text),
            escaped(&advice.terraform).replace("```", "'''")
        ));
    }
    out.push('\n');
    out
}

fn sign(status: Status) -> &'static str {
    match status {
        Status::Failed => "🔴",
        Status::Open | Status::Withheld => "🟠",
        Status::Fixed | Status::Resolved | Status::Exempt => "🟢",
    }
}

/// Outside text that cannot mention, link or format: one line with Slack's three entities, and a zero-width space where an
/// `@mention` or a Markdown link would begin.
fn plain(text: &str) -> String {
    escaped(&text.replace(|c| !in_line(c), " "))
        .replace('@', "@\u{200b}")
        .replace("](", "]\u{200b}(")
}

/// Slack reads its entities in code, too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars()
        .take(longest.saturating_sub(1))
        .chain(['…'])
        .collect()
}
