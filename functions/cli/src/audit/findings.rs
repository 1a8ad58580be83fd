//! The findings of an audit for a reader: by rule, the worst first, and what is exempt last.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ecr_warden_core::audit::{Audit, AuditFinding};
use ecr_warden_core::finding::{Severity, Status};
use ecr_warden_core::repository::RepositoryId;

use crate::output::count;
use crate::page::{Page, Style};

/// Findings that are listed at most. If there are more, each rule lists at most [`OF_A_RULE`], so that each has its place.
const LISTED: usize = 100;
const OF_A_RULE: usize = 10;
/// Lines that a finding, and what is to do about it, have at most.
const LINES: usize = 3;
/// The repository's column is at least so wide, where the terminal is.
const NARROWEST: usize = 24;

/// The findings, and what there is in all.
pub(super) fn findings(audit: &Audit, page: Page) -> String {
    let all: Vec<&AuditFinding> = audit.findings.iter().flatten().collect();
    let groups = groups(&all);
    let places = Places::of(&all);
    let of_a_rule = if all.len() > LISTED {
        OF_A_RULE
    } else {
        LISTED
    };
    let mut left = LISTED;
    let mut blocks: Vec<String> = Vec::new();
    for group in &groups {
        let listed = group.findings.len().min(of_a_rule).min(left);
        left = left.saturating_sub(listed);
        blocks.push(group.text(listed, &places, page));
    }
    blocks.push(page.paragraph("", &total(audit, all.len()), usize::MAX));
    blocks.join("\n\n")
}

/// The place of a finding: the worst first, by rule, and what is exempt last.
pub(super) fn rank(finding: &AuditFinding) -> (bool, Reverse<Severity>, &str) {
    let exempt = finding.status == Status::Exempt;
    (exempt, Reverse(finding.severity), &finding.rule)
}

/// The findings of one rule that are exempt, or that are not.
struct Group<'a> {
    exempt: bool,
    severity: Severity,
    rule: &'a str,
    findings: Vec<&'a AuditFinding>,
}

fn groups<'a>(all: &[&'a AuditFinding]) -> Vec<Group<'a>> {
    let mut by_rule: BTreeMap<(bool, &str), Vec<&AuditFinding>> = BTreeMap::new();
    for finding in all {
        let exempt = finding.status == Status::Exempt;
        by_rule
            .entry((exempt, &finding.rule))
            .or_default()
            .push(finding);
    }
    let mut groups: Vec<Group<'_>> = by_rule
        .into_iter()
        .map(|((exempt, rule), mut findings)| {
            findings.sort_by_key(|finding| (Reverse(finding.severity), &finding.repository));
            let severities = findings.iter().map(|finding| finding.severity);
            Group {
                exempt,
                severity: severities.max().unwrap_or(Severity::Informational),
                rule,
                findings,
            }
        })
        .collect();
    groups.sort_by_key(|group| (group.exempt, Reverse(group.severity), group.rule));
    groups
}

impl Group<'_> {
    fn text(&self, listed: usize, places: &Places, page: Page) -> String {
        let severity = if self.exempt {
            page.paint(Style::Quiet, "exempt")
        } else {
            page.paint(style(self.severity), self.severity.name())
        };
        let counted = count(self.findings.len(), "finding", "findings");
        let rule = page.paint(Style::Heading, self.rule);
        let mut lines = vec![format!("{rule}  {severity}  {counted}")];
        let to_do = self.to_do();
        if let Some((label, to_do)) = to_do {
            lines.push(page.paragraph(&format!("  {label}"), to_do, LINES));
        }
        let rows: Vec<(String, &AuditFinding)> = self
            .findings
            .iter()
            .take(listed)
            .map(|finding| (places.name(&finding.repository), *finding))
            .collect();
        let widest = page
            .columns
            .map_or(usize::MAX, |columns| NARROWEST.max(columns / 2));
        let lengths = rows.iter().map(|(name, _)| name.chars().count());
        let width = lengths.filter(|length| *length <= widest).max();
        let width = width.unwrap_or(NARROWEST);
        for (name, finding) in &rows {
            lines.push(row(name, width, finding, to_do, page));
        }
        let more = self.findings.len().saturating_sub(listed);
        if more > 0 {
            let more = match listed {
                0 => format!("  {} not listed", count(more, "finding is", "findings are")),
                _ => format!("  … and {more} more"),
            };
            lines.push(page.paint(Style::Quiet, &more));
        }
        lines.join("\n")
    }

    /// What is to do about most of them; `None`: about each something else, or nothing.
    fn to_do(&self) -> Option<(&'static str, &str)> {
        let mut counts: BTreeMap<(&'static str, &str), usize> = BTreeMap::new();
        for to_do in self.findings.iter().filter_map(|finding| to_do(finding)) {
            let count = counts.entry(to_do).or_default();
            *count = count.saturating_add(1);
        }
        let (to_do, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (most > 1 || self.findings.len() == 1).then_some(to_do)
    }
}

/// A label, and what the operator must still do, or why nothing was done.
fn to_do(finding: &AuditFinding) -> Option<(&'static str, &str)> {
    let label = match finding.status {
        Status::Open => "to do: ",
        Status::Withheld => "repair withheld: ",
        Status::Failed => "repair failed: ",
        Status::Exempt | Status::Fixed | Status::Resolved => "",
    };
    (!finding.to_do.is_empty()).then_some((label, &finding.to_do))
}

/// A repository and what was found in it; beneath the name, where the name is longer than its column.
fn row(
    name: &str,
    width: usize,
    finding: &AuditFinding,
    of_group: Option<(&str, &str)>,
    page: Page,
) -> String {
    let blanks = " ".repeat(width.saturating_add(4));
    let (above, first) = if name.chars().count() > width {
        (format!("  {name}\n"), blanks.clone())
    } else {
        (String::new(), format!("  {name:width$}  "))
    };
    let found = match finding.status {
        Status::Fixed | Status::Resolved => {
            format!("{}: {}", finding.status.name(), finding.detail)
        }
        Status::Open | Status::Withheld | Status::Failed | Status::Exempt => finding.detail.clone(),
    };
    let mut row = above + &page.paragraph(&first, &found, LINES);
    if let Some((label, to_do)) = to_do(finding)
        && Some((label, to_do)) != of_group
    {
        let to_do = page.paragraph(&blanks, &format!("{label}{to_do}"), LINES);
        row.push_str(&format!("\n{to_do}"));
    }
    // Last: a link has more characters than it is wide.
    match RepositoryId::from_arn(&finding.repository) {
        Some(id) if page.links => row.replacen(name, &page.link(name, &id.console_url()), 1),
        _ => row,
    }
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => Style::Alarm,
        Severity::Medium => Style::Warning,
        Severity::Low => Style::Note,
        Severity::Informational => Style::Quiet,
    }
}

/// What is said of where a repository is: the account and the region, each where there are several.
struct Places {
    accounts: bool,
    regions: bool,
}

impl Places {
    fn of(all: &[&AuditFinding]) -> Self {
        let ids: Vec<RepositoryId> = all
            .iter()
            .filter_map(|finding| RepositoryId::from_arn(&finding.repository))
            .collect();
        let several = |part: fn(&RepositoryId) -> &String| {
            let parts: BTreeSet<&String> = ids.iter().map(part).collect();
            parts.len() > 1
        };
        Self {
            accounts: several(|id| &id.account),
            regions: several(|id| &id.region),
        }
    }

    fn name(&self, arn: &str) -> String {
        let Some(id) = RepositoryId::from_arn(arn) else {
            return arn.to_owned();
        };
        let mut place = Vec::new();
        // The registry's own name has its account.
        if self.accounts && !id.is_registry() {
            place.push(id.account.as_str());
        }
        if self.regions {
            place.push(id.region.as_str());
        }
        if place.is_empty() {
            id.label()
        } else {
            format!("{} ({})", id.label(), place.join(", "))
        }
    }
}

fn total(audit: &Audit, findings: usize) -> String {
    let summary = &audit.summary;
    let mut total = format!(
        "{}, {} compliant",
        count(summary.repositories, "repository", "repositories"),
        summary.compliant
    );
    if summary.unjudged > 0 {
        total.push_str(&format!(", {} not evaluated", summary.unjudged));
    }
    let counts: Vec<String> = summary
        .findings
        .iter()
        .map(|(rule, count)| format!("{rule} {count}"))
        .collect();
    if !counts.is_empty() {
        total.push_str(&format!("; {}", counts.join(", ")));
    }
    if findings > LISTED {
        total.push_str(
            ". Not all findings are listed: `--format csv --output findings.csv` writes all of them",
        );
    }
    total
}

#[cfg(test)]
mod tests;
