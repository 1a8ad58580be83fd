//! The alert as people read it in an e-mail or a terminal.

use std::fmt::Write;

use super::model::Alert;
use super::summary::DigestSummary;
use crate::finding::Status;
use crate::repository::RepositoryId;

/// SNS: under 100 characters of printable ASCII.
const LONGEST_SUBJECT: usize = 99;

pub(super) fn subject(alert: &Alert) -> String {
    let severity = alert.severity.name();
    if alert.summary.is_some() {
        let mut subject = format!("[{severity}] {}", alert.digest_headline());
        // Where and then of which kind is left out before anything is cut.
        for end in [", account ", " ("] {
            if subject.len() > LONGEST_SUBJECT {
                let length = subject.find(end).unwrap_or(subject.len());
                subject.truncate(length);
            }
        }
        return subject;
    }
    let head = format!("[{severity}] ecr-warden: {}: ", alert.tally());
    let room = LONGEST_SUBJECT.saturating_sub(head.len());
    let name = if alert.name.len() <= room {
        alert.name.clone()
    } else {
        // The end of a name tells more than its beginning. Names are ASCII.
        let start = alert.name.len().saturating_sub(room.saturating_sub(3));
        format!("...{}", alert.name.get(start..).unwrap_or_default())
    };
    format!("{head}{name}")
}

pub(super) fn write(alert: &Alert) -> String {
    if let Some(summary) = &alert.summary {
        return many(alert, summary);
    }
    let id = RepositoryId::from_arn(&alert.repository);
    let place = match alert.parameter {
        Some(_) => "Parameter ",
        None if id.is_some_and(|id| id.is_registry()) => "Registry  ",
        None => "Repository",
    };
    let mut out = format!(
        "ecr-warden: {} in {}\n\n{place}  {}\nAccount     {}, {}\nCause       {}",
        alert.tally(),
        alert.name,
        alert.name,
        alert.account,
        alert.region,
        alert.cause.name()
    );
    if let Some(actor) = &alert.actor {
        let _ = write!(out, " by {actor}");
    }
    if !alert.occurred_at.is_empty() {
        let _ = write!(out, "\n            at {}", alert.occurred_at);
    }
    owners(&mut out, alert);
    out.push('\n');
    for finding in &alert.findings {
        let _ = write!(
            out,
            "\n{}  {} ({})\n  What:     {}\n",
            finding.status.name().to_uppercase(),
            finding.rule,
            finding.severity.name(),
            finding.detail
        );
        if let Some((from, to)) = finding
            .change
            .as_ref()
            .filter(|_| finding.status != Status::Failed)
        {
            let _ = writeln!(out, "  Changed:  {from} -> {to}");
        }
        if let Some(since) = finding
            .since
            .as_ref()
            .filter(|_| finding.status != Status::Fixed)
        {
            let _ = writeln!(out, "  Since:    {since}");
        }
        if !finding.to_do.is_empty() {
            let _ = writeln!(out, "  {} {}", label(finding.status), finding.to_do);
        }
        if let Some(advice) = &finding.iac {
            let _ = writeln!(out, "  Prevent:  {}", advice.text);
            let _ = writeln!(out, "    Terraform");
            indent(&mut out, &advice.terraform);
            let _ = writeln!(out, "    CloudFormation");
            indent(&mut out, &advice.cloudformation);
        }
    }
    if let Some(letters) = alert.letters() {
        let _ = write!(out, "\n{letters}\n");
    }
    if !alert.standing.is_empty() {
        let _ = write!(
            out,
            "\nStill open from earlier alerts: {}\n",
            alert.standing.join(", ")
        );
    }
    out
}

fn owners(out: &mut String, alert: &Alert) {
    let owners = alert.addressees.owners.join(", ");
    if !owners.is_empty() {
        let _ = write!(out, "\nOwner       {owners}");
    }
}

fn label(status: Status) -> &'static str {
    match status {
        Status::Failed => "Failed:  ",
        Status::Withheld => "Withheld:",
        Status::Exempt => "Exempt:  ",
        _ => "To do:   ",
    }
}

/// A group of findings each, and no paragraph twice.
fn many(alert: &Alert, summary: &DigestSummary) -> String {
    let mut out = format!("{}\n", alert.digest_headline());
    let _ = write!(out, "\nCause       {}", alert.cause.name());
    if let Some(actor) = &alert.actor {
        let _ = write!(out, " by {actor}");
    }
    if !alert.occurred_at.is_empty() {
        let _ = write!(out, "\n            at {}", alert.occurred_at);
    }
    owners(&mut out, alert);
    out.push('\n');
    if let Some(line) = &alert.over_limit {
        let _ = write!(out, "\n{line}\n");
    }
    for group in &summary.groups {
        let _ = write!(
            out,
            "\n{} ({}): {}\n  What:     {}\n",
            group.head(),
            group.severity.name(),
            group.places(),
            group.detail
        );
        for change in &group.changes {
            let _ = writeln!(out, "  Changed:  {} -> {}", change.from, change.to);
        }
        if group.other_changes > 0 {
            let _ = writeln!(out, "            and {} other changes", group.other_changes);
        }
        if !group.to_do.is_empty() {
            let _ = writeln!(out, "  {} {}", label(group.status), group.to_do);
        }
    }
    if let Some(ledger) = &alert.ledger {
        let _ = write!(out, "\n{}\n", ledger.line());
    }
    if let Some(letters) = alert.letters() {
        let _ = write!(out, "\n{letters}\n");
    }
    if let Some(rest) = summary.rest() {
        let _ = write!(out, "\n{rest}\n");
    }
    out
}

fn indent(out: &mut String, lines: &str) {
    for line in lines.lines() {
        let _ = writeln!(out, "      {line}");
    }
}
