//! An audit as one HTML file.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use super::fixes::{FIXES, FixSection, by_advice, fix};
use super::format::{grouped, letter, minute, name_and_place, some_of, thousands, usd};
use crate::audit::{Audit, AuditFinding};
use crate::finding::{Severity, Status};
use crate::repository::RepositoryId;
use crate::rules::RULES;
use crate::storage::StorageCost;
use crate::units::gigabytes;

const TEMPLATE: &str = include_str!("report.html");

/// The report. `at`: when it was made, for its reader; of RFC 3339, the minute is shown.
///
/// # Errors
/// The template is wrong, in one line.
pub fn html(audit: &Audit, at: &str) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(TEMPLATE, ReportPage::of(audit, &minute(at)))
        .map_err(|error| format!("the report can't be written: {error}"))
}

/// What the template shows.
#[derive(Serialize)]
struct ReportPage<'a> {
    at: &'a str,
    /// The accounts and regions that it is about, as far as it names repositories of them.
    accounts: String,
    regions: String,
    complete: bool,
    repositories: String,
    compliant: String,
    /// Percent, rounded down: 100 only where all comply.
    score: usize,
    open: String,
    severities: Vec<Bar>,
    bars: Vec<Bar>,
    columns: Vec<&'a str>,
    rows: Vec<Row<'a>>,
    rules: Vec<RuleSection<'a>>,
    storage: Option<Storage>,
}

/// What images cost.
#[derive(Serialize)]
struct Storage {
    monthly: String,
    rows: Vec<Cost>,
    /// Repositories that are not among the rows.
    more: Option<String>,
}

#[derive(Serialize)]
struct Cost {
    name: String,
    place: String,
    images: String,
    gigabytes: String,
    monthly: String,
    untagged: String,
    old: String,
    saves: String,
    unreadable: Option<String>,
}

/// Repositories that are listed with their costs, at most.
const DEAREST: usize = 200;

/// One bar of a chart.
#[derive(Serialize)]
struct Bar {
    name: String,
    count: String,
    /// Of the longest, in percent.
    width: usize,
}

/// One repository of the matrix.
#[derive(Serialize)]
struct Row<'a> {
    name: String,
    /// Account or region, if there is more than one.
    place: String,
    /// By column: severity and status, or nothing.
    cells: Vec<Option<Cell<'a>>>,
}

#[derive(Serialize, Clone)]
struct Cell<'a> {
    severity: &'static str,
    /// For readers who cannot distinguish colours, and for paper.
    letter: char,
    status: &'static str,
    detail: &'a str,
}

/// One rule with what it found.
#[derive(Serialize)]
struct RuleSection<'a> {
    id: &'a str,
    severity: &'static str,
    summary: &'a str,
    controls: String,
    count: String,
    /// Some of its findings are of another severity.
    mixed: bool,
    /// Each with the repositories that it is for.
    fixes: Vec<FixSection<'a>>,
    /// The number of fixes that are not shown.
    more_fixes: usize,
    findings: Vec<FindingEntry<'a>>,
}

#[derive(Serialize)]
struct FindingEntry<'a> {
    name: String,
    place: String,
    severity: &'static str,
    status: &'static str,
    detail: &'a str,
    to_do: &'a str,
    /// The number of its fix, where the rule has several.
    fix: Option<usize>,
}

impl<'a> ReportPage<'a> {
    fn of(audit: &'a Audit, at: &'a str) -> Self {
        let findings: Vec<&AuditFinding> = audit
            .findings
            .iter()
            .flatten()
            .filter(|finding| finding.status != Status::Resolved)
            .collect();
        let standing: Vec<&AuditFinding> = findings
            .iter()
            .copied()
            .filter(|finding| !matches!(finding.status, Status::Exempt | Status::Fixed))
            .collect();
        let summary = &audit.summary;
        let columns: Vec<&str> = columns(&findings);
        let costs = audit.costs.iter().flatten();
        let places: BTreeSet<(String, String)> = findings
            .iter()
            .map(|finding| &finding.repository)
            .chain(costs.map(|cost| &cost.repository))
            .filter_map(|arn| RepositoryId::from_arn(arn))
            .map(|id| (id.account, id.region))
            .collect();
        let accounts: BTreeSet<&str> = places.iter().map(|(account, _)| account.as_str()).collect();
        let regions: BTreeSet<&str> = places.iter().map(|(_, region)| region.as_str()).collect();
        Self {
            at,
            accounts: some_of(&accounts),
            regions: some_of(&regions),
            complete: audit.next.is_none(),
            repositories: thousands(summary.repositories),
            compliant: thousands(summary.compliant),
            score: summary
                .compliant
                .saturating_mul(100)
                .checked_div(summary.repositories)
                .unwrap_or(100),
            open: thousands(standing.len()),
            severities: bars(
                [
                    Severity::Critical,
                    Severity::High,
                    Severity::Medium,
                    Severity::Low,
                    Severity::Informational,
                ]
                .map(|severity| {
                    let count = standing.iter().filter(|f| f.severity == severity).count();
                    (severity.name().to_owned(), count)
                }),
            ),
            bars: bars(columns.iter().map(|rule| {
                let count = standing.iter().filter(|f| f.rule == *rule).count();
                ((*rule).to_owned(), count)
            })),
            rows: rows(&findings, &columns, accounts.len() > 1, regions.len() > 1),
            rules: columns
                .iter()
                .map(|rule| section(rule, &findings))
                .collect(),
            columns,
            storage: audit.costs.as_ref().map(|costs| Storage {
                monthly: usd(summary.estimated_monthly_cost_usd.unwrap_or(0.0)),
                rows: costs.iter().take(DEAREST).map(cost).collect(),
                more: costs
                    .len()
                    .checked_sub(DEAREST)
                    .filter(|more| *more > 0)
                    .map(thousands),
            }),
        }
    }
}

fn cost(of: &StorageCost) -> Cost {
    let (name, place) = name_and_place(&of.repository);
    Cost {
        name,
        place,
        images: thousands(of.images),
        gigabytes: grouped(&format!("{:.1}", gigabytes(of.bytes))),
        monthly: usd(of.monthly_usd),
        untagged: usd(of.untagged_usd),
        old: usd(of.old_usd),
        saves: of.default_lifecycle_saves_usd.map_or_else(String::new, usd),
        unreadable: of.unreadable.clone(),
    }
}

/// The rules that found something, in the rules' order; what is no rule's comes last.
fn columns<'a>(findings: &[&'a AuditFinding]) -> Vec<&'a str> {
    let found: BTreeSet<&str> = findings
        .iter()
        .map(|finding| finding.rule.as_str())
        .collect();
    let place = |rule: &str| {
        RULES
            .iter()
            .position(|entry| entry.meta.id == rule)
            .unwrap_or(usize::MAX)
    };
    let mut columns: Vec<&str> = found.into_iter().collect();
    columns.sort_by_key(|rule| place(rule));
    columns
}

fn bars(counts: impl IntoIterator<Item = (String, usize)>) -> Vec<Bar> {
    let counts: Vec<(String, usize)> = counts.into_iter().collect();
    let longest = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts
        .into_iter()
        .map(|(name, count)| Bar {
            name,
            width: count.saturating_mul(100).checked_div(longest).unwrap_or(0),
            count: thousands(count),
        })
        .collect()
}

fn rows<'a>(
    findings: &[&'a AuditFinding],
    columns: &[&str],
    accounts: bool,
    regions: bool,
) -> Vec<Row<'a>> {
    let mut by_repository: BTreeMap<&str, BTreeMap<&str, &'a AuditFinding>> = BTreeMap::new();
    for finding in findings {
        by_repository
            .entry(&finding.repository)
            .or_default()
            .insert(&finding.rule, finding);
    }
    by_repository
        .into_iter()
        .map(|(arn, found)| {
            let (name, place) = match RepositoryId::from_arn(arn) {
                None => (arn.to_owned(), String::new()),
                Some(id) => (
                    id.label(),
                    match (accounts, regions) {
                        (true, true) => format!("{}, {}", id.account, id.region),
                        (true, false) => id.account,
                        (false, true) => id.region,
                        (false, false) => String::new(),
                    },
                ),
            };
            Row {
                name,
                place,
                cells: columns
                    .iter()
                    .map(|rule| {
                        found.get(rule).map(|finding| Cell {
                            severity: finding.severity.name(),
                            letter: letter(finding.severity),
                            status: finding.status.name(),
                            detail: &finding.detail,
                        })
                    })
                    .collect(),
            }
        })
        .collect()
}

fn section<'a>(rule: &'a str, findings: &[&'a AuditFinding]) -> RuleSection<'a> {
    let entry = crate::rules::entry(rule);
    let found: Vec<&AuditFinding> = findings
        .iter()
        .copied()
        .filter(|f| f.rule == rule)
        .collect();
    let gravest = found.iter().map(|finding| finding.severity).max();
    let (groups, numbers) = by_advice(&found);
    // One fix for all needs no number.
    let several = groups.len() > 1 || numbers.contains(&None);
    RuleSection {
        id: rule,
        severity: gravest.map_or("informational", Severity::name),
        summary: entry.map_or("Not a rule's finding", |entry| entry.meta.summary),
        controls: entry.map_or_else(String::new, |entry| entry.meta.controls.join(", ")),
        count: thousands(found.len()),
        mixed: found
            .iter()
            .any(|finding| Some(finding.severity) != gravest),
        more_fixes: groups.len().saturating_sub(FIXES),
        fixes: groups
            .iter()
            .take(FIXES)
            .map(|(advice, of)| fix(advice, of))
            .collect(),
        findings: found
            .iter()
            .zip(numbers)
            .map(|(finding, number)| {
                let (name, place) = name_and_place(&finding.repository);
                FindingEntry {
                    name,
                    place,
                    severity: finding.severity.name(),
                    status: finding.status.name(),
                    detail: &finding.detail,
                    to_do: &finding.to_do,
                    fix: number.filter(|number| several && *number <= FIXES),
                }
            })
            .collect(),
    }
}
