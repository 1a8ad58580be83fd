//! The alert as Amazon Q Developer in chat applications takes it (user guide, "Custom notifications"): it shows
//! in Slack and Teams without any code of ours.

use serde_json::{Value, json};

use super::model::{Alert, AlertFinding};
use super::summary::DigestGroup;
use crate::finding::Status;
use crate::text::{in_line, one_line};

// The schema's limits.
const TITLE: usize = 250;
const DESCRIPTION: usize = 8000;
const NEXT_STEP: usize = 350;
const KEYWORD: usize = 75;

pub(super) fn write(alert: &Alert) -> Value {
    let title = match &alert.summary {
        Some(_) => format!("{} {}", sign(alert.outcome()), alert.digest_headline()),
        None => format!(
            "{} {}: {}",
            sign(alert.outcome()),
            alert.name,
            alert.tally()
        ),
    };
    let by = alert
        .actor
        .as_ref()
        .map_or_else(String::new, |actor| format!(" by {}", plain(actor)));
    let mut description = format!(
        "Account {}, {}. {}{by}.\n",
        alert.account,
        alert.region,
        plain(alert.cause.name())
    );
    if let Some(ledger) = &alert.ledger {
        description.push_str(&format!("{}.\n", ledger.line()));
    }
    if let Some(letters) = alert.letters() {
        description.push_str(&format!("{letters}.\n"));
    }
    let mut steps: Vec<&str> = Vec::new();
    if let Some(summary) = &alert.summary {
        if let Some(line) = &alert.over_limit {
            description.push_str(&format!("{line}\n"));
        }
        for group in &summary.groups {
            description.push_str(&group_paragraph(group));
        }
        if let Some(rest) = summary.rest() {
            // What a full message has no room for is told of all the same.
            let room = DESCRIPTION.saturating_sub(rest.len().saturating_add(2));
            description = format!("{}\n\n{rest}", cut(&description, room));
        }
        let groups = summary.groups.iter();
        steps.extend(
            groups
                .filter(|group| group.status != Status::Withheld)
                .map(|group| group.to_do.as_str()),
        );
    } else {
        for finding in &alert.findings {
            description.push_str(&paragraph(finding));
        }
        let findings = alert.findings.iter();
        steps.extend(
            findings
                .filter(|finding| finding.status != Status::Withheld)
                .map(|finding| finding.to_do.as_str()),
        );
    }
    let mut next_steps: Vec<String> = Vec::new();
    for step in steps.into_iter().filter(|step| !step.is_empty()) {
        let step = one_line(&plain(step), NEXT_STEP);
        if !next_steps.contains(&step) {
            next_steps.push(step);
        }
    }
    let rules = alert.rules();
    let keywords: Vec<String> = [alert.severity.name(), &alert.account, &alert.region]
        .into_iter()
        .chain(rules.iter().map(String::as_str))
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
        "\n*{}* {} ({}): {}",
        finding.status.name().to_uppercase(),
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

fn group_paragraph(group: &DigestGroup) -> String {
    let mut out = format!(
        "\n*{}* ({}): {}\n{}",
        group.head(),
        group.severity.name(),
        plain(&group.places()),
        plain(&group.detail)
    );
    for change in &group.changes {
        out.push_str(&format!(
            "\nChanged {} → {}",
            plain(&change.from),
            plain(&change.to)
        ));
    }
    if group.other_changes > 0 {
        out.push_str(&format!("\nand {} other changes", group.other_changes));
    }
    if !group.to_do.is_empty() {
        out.push_str(&format!("\n{}", plain(&group.to_do)));
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
