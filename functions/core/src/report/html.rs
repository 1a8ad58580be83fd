//! An audit as one HTML file, for people.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::audit::{Audit, AuditFinding};
use crate::finding::{Severity, Status};
use crate::repository::RepositoryId;
use crate::rules::RULES;
use crate::storage::{StorageCost, gigabytes};

const TEMPLATE: &str = include_str!("report.html");

/// The report. `at`: when it was made, for its reader.
///
/// # Errors
/// The template is wrong, in one line.
pub fn html(audit: &Audit, at: &str) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment
        .render_str(TEMPLATE, Page::of(audit, at))
        .map_err(|error| format!("the report can't be written: {error}"))
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    at: &'a str,
    complete: bool,
    repositories: usize,
    compliant: usize,
    /// Percent, rounded down: 100 only where all comply.
    score: usize,
    open: usize,
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
    more: usize,
}

#[derive(Serialize)]
struct Cost {
    name: String,
    place: String,
    images: usize,
    gigabytes: String,
    monthly: String,
    untagged: String,
    old: String,
    saves: String,
    unreadable: Option<String>,
}

/// So many repositories are listed with their costs.
const DEAREST: usize = 200;

/// One bar of a chart.
#[derive(Serialize)]
struct Bar {
    name: String,
    count: usize,
    /// Of the longest, in percent.
    width: usize,
}

/// One repository of the matrix.
#[derive(Serialize)]
struct Row<'a> {
    name: String,
    place: String,
    /// By column: severity and status, or nothing.
    cells: Vec<Option<Cell<'a>>>,
}

#[derive(Serialize, Clone)]
struct Cell<'a> {
    severity: &'static str,
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
    advice: Option<&'a crate::rules::Advice>,
    // The alert's `iac` has neither of these, and so neither has the serialised advice.
    keep: &'a str,
    cli: &'a str,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    place: String,
    status: &'static str,
    detail: &'a str,
    to_do: &'a str,
}

impl<'a> Page<'a> {
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
        Self {
            at,
            complete: audit.next.is_none(),
            repositories: summary.repositories,
            compliant: summary.compliant,
            score: summary
                .compliant
                .saturating_mul(100)
                .checked_div(summary.repositories)
                .unwrap_or(100),
            open: standing.len(),
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
            rows: rows(&findings, &columns),
            rules: columns
                .iter()
                .map(|rule| section(rule, &findings))
                .collect(),
            columns,
            storage: audit.costs.as_ref().map(|costs| Storage {
                monthly: usd(summary.estimated_monthly_cost_usd.unwrap_or(0.0)),
                rows: costs.iter().take(DEAREST).map(cost).collect(),
                more: costs.len().saturating_sub(DEAREST),
            }),
        }
    }
}

fn cost(of: &StorageCost) -> Cost {
    let (name, place) = name_and_place(&of.repository);
    Cost {
        name,
        place,
        images: of.images,
        gigabytes: format!("{:.1}", gigabytes(of.bytes)),
        monthly: usd(of.monthly_usd),
        untagged: usd(of.untagged_usd),
        old: usd(of.old_usd),
        saves: of.default_lifecycle_saves_usd.map_or_else(String::new, usd),
        unreadable: of.unreadable.clone(),
    }
}

fn usd(of: f64) -> String {
    format!("{of:.2}")
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
            count,
        })
        .collect()
}

fn rows<'a>(findings: &[&'a AuditFinding], columns: &[&str]) -> Vec<Row<'a>> {
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
            let (name, place) = name_and_place(arn);
            Row {
                name,
                place,
                cells: columns
                    .iter()
                    .map(|rule| {
                        found.get(rule).map(|finding| Cell {
                            severity: finding.severity.name(),
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
    let found: Vec<&&AuditFinding> = findings.iter().filter(|f| f.rule == rule).collect();
    let advice = found.iter().find_map(|finding| finding.advice.as_ref());
    RuleSection {
        id: rule,
        severity: found
            .iter()
            .map(|finding| finding.severity)
            .max()
            .map_or("informational", Severity::name),
        summary: entry.map_or("Not a rule's finding", |entry| entry.meta.summary),
        controls: entry.map_or_else(String::new, |entry| entry.meta.controls.join(", ")),
        advice,
        keep: advice.map_or("", |advice| &advice.text),
        cli: advice.map_or("", |advice| &advice.cli),
        findings: found
            .iter()
            .map(|finding| {
                let (name, place) = name_and_place(&finding.repository);
                Entry {
                    name,
                    place,
                    status: finding.status.name(),
                    detail: &finding.detail,
                    to_do: &finding.to_do,
                }
            })
            .collect(),
    }
}

fn name_and_place(arn: &str) -> (String, String) {
    match RepositoryId::from_arn(arn) {
        Some(id) => (id.name, format!("{}, {}", id.account, id.region)),
        None => (arn.to_owned(), String::new()),
    }
}
