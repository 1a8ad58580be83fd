//! `ecr-warden audit`: what is the state of the registry, now?

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use ecr_warden_aws::{AuditError, Clients, Home, Judged, Scanned, State, survey};
use ecr_warden_core::audit::{Audit, AuditFinding, Request};
use ecr_warden_core::finding::{Severity, Status};
use ecr_warden_core::glob::Glob;
use ecr_warden_core::report::{csv, html, json, ocsf, sarif};
use ecr_warden_core::repository::{RepositoryId, check_region};
use ecr_warden_core::storage::StorageCost;
use ecr_warden_core::units::gigabytes;
use indicatif::{ProgressBar, ProgressStyle};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Compliance;
use crate::compliance::compliance;
use crate::failure::CommandError;
use crate::fix::{Fixed, fix};
use crate::output::{Stream, Target, count, lines, remark, table};
use crate::policy;

/// Audit all repositories of the account and region; without --fix, nothing is changed.
#[derive(Args)]
pub(crate) struct AuditCommand {
    /// The policy. Without it, a built-in one reports what each rule finds; `ecr-warden policy built-in` prints it.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Only repositories whose names match. Repeat it for several globs.
    #[arg(long, value_name = "GLOB")]
    repository: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 1 only if a finding has at least this severity.
    #[arg(long, value_enum, default_value_t = FailOn::Informational)]
    fail_on: FailOn,
    /// Also estimate what the images cost a month, by the policy's `costs`. It reads all images of each repository.
    #[arg(long)]
    cost: bool,
    /// Also list the requirements of NIST 800-53 and PCI DSS that AWS relates to the rules, and which are met.
    #[arg(long)]
    compliance: bool,
    /// Then make the repairs that the policy would have the enforcer make. They are shown first, and you are asked.
    #[arg(long, requires_all = ["policy", "state_table"])]
    fix: bool,
    /// With --fix: do not ask.
    #[arg(long, requires = "fix")]
    yes: bool,
    /// With --fix: the stack's output StateTableName. The changes are recorded there.
    #[arg(long, env = "ECR_WARDEN_STATE_TABLE", value_name = "TABLE")]
    state_table: Option<String>,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// The region to audit; repeat it for several. Default: the region that the AWS CLI would use.
    #[arg(long)]
    region: Vec<String>,
}

/// Findings that a table lists at most.
const LISTED: usize = 200;

/// Repositories that are listed with their costs, at most.
const DEAREST: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Html,
    Sarif,
    Ocsf,
}

#[derive(Clone, Copy, ValueEnum)]
enum FailOn {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl FailOn {
    fn severity(self) -> Severity {
        match self {
            Self::Informational => Severity::Informational,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

impl AuditCommand {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        if self.cost && matches!(self.format, Format::Csv | Format::Sarif | Format::Ocsf) {
            return Err(CommandError::Usage(
                "--cost: `csv`, `sarif` and `ocsf` have no place for costs: take `table`, `json` or `html`".to_owned(),
            ));
        }
        if self.compliance && self.format != Format::Table {
            return Err(CommandError::Usage(
                "--compliance is a table: leave --format out; `sarif` and `ocsf` have the requirements of each finding"
                    .to_owned(),
            ));
        }
        for region in &self.region {
            check_region(region).map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        let policy = policy::load_or_built_in(self.policy.as_deref())?;
        let globs: Result<Vec<Glob>, String> = self
            .repository
            .iter()
            .cloned()
            .map(Glob::try_from)
            .collect();
        let first_region = self.region.first().map(String::as_str);
        let request = Request {
            repositories: globs
                .map_err(|why| CommandError::Usage(format!("--repository: {why}")))?,
            regions: self.region.clone(),
            cost: self.cost,
            ..Request::default()
        };
        let target = Target::open(self.output.as_deref())?;
        let (clients, caller) = Clients::of_profile(self.profile.as_deref(), first_region)
            .await
            .map_err(CommandError::from)?;
        if let (true, Some(table)) = (self.fix, &self.state_table) {
            clients.share_turns(table.clone());
        }
        let home = Home {
            account: caller.account.clone(),
            region: caller.region.clone(),
        };
        let mut to_fix: Vec<Judged> = Vec::new();
        let mut unmatched: Vec<&Glob> = request.repositories.iter().collect();
        let began = OffsetDateTime::now_utc();
        let progress = progress();
        let found = survey(&clients, &policy, &request, &home, None, &mut |seen| {
            let id = match seen {
                Scanned::Judged(judged) => &judged.repository.id,
                Scanned::Unjudged { id, .. } => id,
            };
            unmatched.retain(|glob| !glob.matches(&id.name));
            if let (true, Scanned::Judged(judged)) = (self.fix, seen)
                && !judged.findings.is_empty()
            {
                to_fix.push((**judged).clone());
            }
            progress.inc(1);
        })
        .await
        .map_err(|error| match error {
            AuditError::Request(why) => CommandError::Usage(why),
            AuditError::Aws(why) => CommandError::Aws(why),
        })?;
        progress.finish_and_clear();
        if !unmatched.is_empty() {
            return Err(CommandError::Usage(self.nothing_there(&unmatched, &home)));
        }
        let at = format!(
            "account {}, {}",
            home.account,
            began.format(&Rfc3339).unwrap_or_default()
        );
        let text = match self.format {
            Format::Table if self.compliance => {
                format!("{}\n\n{}", as_table(&found), compliance(&found, &policy))
            }
            Format::Table => as_table(&found),
            Format::Json => json(&found),
            Format::Csv => csv(&found),
            Format::Html => html(&found, &at).map_err(CommandError::Usage)?,
            Format::Sarif => sarif(&found),
            Format::Ocsf => ocsf(&found, began.unix_timestamp().saturating_mul(1000)),
        };
        target.write(&text)?;
        let built_in = self.policy.is_none();
        if self.format == Format::Table
            && (built_in || std::io::stderr().is_terminal())
            && let Some(next) = next(&found, built_in)
        {
            remark!("{next}");
        }
        let mut repaired = BTreeSet::new();
        if let (true, Some(table)) = (self.fix, &self.state_table) {
            let state = State::new(&clients, table.clone());
            match fix(&clients, &caller, &state, to_fix, self.yes).await? {
                Fixed::Declined => return Ok(Compliance::Findings),
                Fixed::Made(made) => repaired = made,
            }
        }
        let left = found.findings.iter().flatten().any(|finding| {
            let is_repaired = repaired
                .iter()
                .any(|(arn, rule)| *arn == finding.repository && *rule == finding.rule);
            finding.status != Status::Exempt
                && finding.severity >= self.fail_on.severity()
                && !is_repaired
        });
        Ok(if left {
            Compliance::Findings
        } else {
            Compliance::Nothing
        })
    }

    /// A glob that matches nothing is a typo, or looks in the wrong place.
    fn nothing_there(&self, unmatched: &[&Glob], home: &Home) -> String {
        let globs: Vec<String> = unmatched.iter().map(|glob| format!("`{glob}`")).collect();
        let regions = if self.region.is_empty() {
            home.region.clone()
        } else {
            self.region.join(", ")
        };
        format!(
            "--repository: no repository matches {} in account {}, {regions}",
            globs.join(", "),
            home.account
        )
    }
}

/// A bar of unknown length: ECR does not say how many there are. On standard error, and only at a terminal.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} repositories: {pos}, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn as_table(audit: &Audit) -> String {
    match &audit.costs {
        Some(costs) => format!("{}\n\n{}", found(audit), storage(audit, costs)),
        None => found(audit),
    }
}

/// What to do next, as commands, for a reader at a terminal; `None`: nothing was found.
fn next(audit: &Audit, built_in: bool) -> Option<String> {
    let findings = audit.findings.iter().flatten();
    let worst = findings.min_by_key(|finding| rank(finding))?;
    let mut next = format!(
        "Next: `ecr-warden rules {}` explains the first finding; add `--format html --output report.html` for a report",
        worst.rule
    );
    if built_in {
        next.push_str(
            ".\nThis was the built-in policy: `ecr-warden policy built-in >policy.yaml` begins your own, `--policy policy.yaml` uses it",
        );
    }
    Some(format!("{next}."))
}

/// The place of a finding in a table: the worst first, by rule, and what is exempt last.
fn rank(finding: &AuditFinding) -> (bool, Reverse<Severity>, &str) {
    let exempt = finding.status == Status::Exempt;
    (exempt, Reverse(finding.severity), &finding.rule)
}

fn storage(audit: &Audit, costs: &[StorageCost]) -> String {
    let mut table: Table = table(
        &[
            "repository",
            "images",
            "GB",
            "USD a month",
            "untagged",
            "old",
            "default lifecycle saves",
        ],
        Stream::Output,
    );
    for cost in costs.iter().take(DEAREST) {
        let name = name(&cost.repository);
        if let Some(why) = &cost.unreadable {
            table.add_row([name.as_str(), why]);
            continue;
        }
        let usd = |usd: f64| format!("{usd:.2}");
        table.add_row([
            name,
            cost.images.to_string(),
            format!("{:.1}", gigabytes(cost.bytes)),
            usd(cost.monthly_usd),
            usd(cost.untagged_usd),
            usd(cost.old_usd),
            cost.default_lifecycle_saves_usd
                .map_or_else(String::new, usd),
        ]);
    }
    let more = match costs.len().saturating_sub(DEAREST) {
        0 => String::new(),
        more => format!(" The dearest {DEAREST} are listed, {more} more are not."),
    };
    let monthly = audit.summary.estimated_monthly_cost_usd.unwrap_or(0.0);
    format!(
        "{}\nStorage costs about {monthly:.2} USD a month; less, where images share layers.{more}",
        lines(&table)
    )
}

fn name(arn: &str) -> String {
    RepositoryId::from_arn(arn).map_or_else(|| arn.to_owned(), |id| id.label())
}

fn found(audit: &Audit) -> String {
    let summary = &audit.summary;
    let headline = format!(
        "{}, {} compliant",
        count(summary.repositories, "repository", "repositories"),
        summary.compliant
    );
    let mut findings: Vec<&AuditFinding> = audit.findings.iter().flatten().collect();
    findings.sort_by(|a, b| rank(a).cmp(&rank(b)));
    if findings.is_empty() {
        return headline;
    }
    let ids: Vec<Option<RepositoryId>> = findings
        .iter()
        .map(|finding| RepositoryId::from_arn(&finding.repository))
        .collect();
    let several = |part: fn(&RepositoryId) -> &String| {
        let parts: BTreeSet<&String> = ids.iter().flatten().map(part).collect();
        parts.len() > 1
    };
    let (accounts, regions) = (several(|id| &id.account), several(|id| &id.region));
    let mut header = Vec::new();
    header.extend(accounts.then_some("account"));
    header.extend(regions.then_some("region"));
    header.extend([
        "repository",
        "rule",
        "severity",
        "status",
        "what was found",
        "to do",
    ]);
    let mut table: Table = table(&header, Stream::Output);
    for (finding, id) in findings.iter().zip(&ids).take(LISTED) {
        let name = name(&finding.repository);
        let mut row: Vec<&str> = Vec::new();
        let of_id = |part: fn(&RepositoryId) -> &String| id.as_ref().map_or("", |id| part(id));
        row.extend(accounts.then(|| of_id(|id| &id.account)));
        row.extend(regions.then(|| of_id(|id| &id.region)));
        row.extend([
            &name,
            &finding.rule,
            finding.severity.name(),
            finding.status.name(),
            &finding.detail,
            &finding.to_do,
        ]);
        table.add_row(row);
    }
    let more = match findings.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(
            "{} not shown: `--format json`, `csv` or `html` has all\n",
            count(more, "more finding is", "more findings are")
        ),
    };
    let counts: Vec<String> = summary
        .findings
        .iter()
        .map(|(rule, count)| format!("{rule} {count}"))
        .collect();
    format!("{}\n{more}{headline}; {}", lines(&table), counts.join(", "))
}
