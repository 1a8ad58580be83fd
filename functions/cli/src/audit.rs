//! `ecr-warden audit`: what is the state of the registry, now?

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use ecr_warden_aws::{AuditError, Clients, Home, Judged, Seen, State, survey};
use ecr_warden_core::audit::{Audit, Request};
use ecr_warden_core::finding::{Severity, Status};
use ecr_warden_core::policy::Glob;
use ecr_warden_core::report::{csv, html, json, ocsf, sarif};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::storage::{StorageCost, gigabytes};
use indicatif::{ProgressBar, ProgressStyle};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Found;
use crate::failure::Failure;
use crate::fix::fix;
use crate::policy;
use crate::rules::table;

/// Audit all repositories of the account and region; without --fix, nothing is changed.
#[derive(Args)]
pub(crate) struct AuditCommand {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Only repositories whose names match; may be given several times.
    #[arg(long, value_name = "GLOB")]
    repository: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Into a file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 1 only where a finding is at least so grave.
    #[arg(long, value_enum, default_value_t = FailOn::Informational)]
    fail_on: FailOn,
    /// Also estimate what the images cost a month, by the policy's `costs`. It takes calls for each repository.
    #[arg(long)]
    cost: bool,
    /// Then repair what the policy has the enforcer repair. The changes are shown first, and you are asked.
    #[arg(long, requires = "state_table")]
    fix: bool,
    /// With --fix: do not ask.
    #[arg(long, requires = "fix")]
    yes: bool,
    /// With --fix: the stack's output StateTableName, where changes are on record.
    #[arg(long, env = "ECR_WARDEN_STATE_TABLE", value_name = "TABLE")]
    state_table: Option<String>,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// May be given several times.
    #[arg(long)]
    region: Vec<String>,
}

/// So many repositories are listed with their costs.
const DEAREST: usize = 20;

#[derive(Clone, Copy, ValueEnum)]
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
    pub(crate) async fn run(self) -> Result<Found, Failure> {
        let policy = policy::load(&self.policy)?;
        let globs: Result<Vec<Glob>, String> = self
            .repository
            .iter()
            .cloned()
            .map(Glob::try_from)
            .collect();
        let first_region = self.region.first().map(String::as_str);
        let request = Request {
            repositories: globs.map_err(|why| Failure::Usage(format!("--repository: {why}")))?,
            regions: self.region.clone(),
            cost: self.cost,
            ..Request::default()
        };
        let (clients, caller) = Clients::of_profile(self.profile.as_deref(), first_region)
            .await
            .map_err(Failure::from)?;
        if let (true, Some(table)) = (self.fix, &self.state_table) {
            clients.share_turns(table.clone());
        }
        let home = Home {
            account: caller.account.clone(),
            region: caller.region.clone(),
        };
        let mut to_fix: Vec<Judged> = Vec::new();
        let began = OffsetDateTime::now_utc();
        let progress = progress();
        let found = survey(&clients, &policy, &request, &home, None, &mut |seen| {
            if let (true, Seen::Judged(judged)) = (self.fix, seen)
                && !judged.findings.is_empty()
            {
                to_fix.push((**judged).clone());
            }
            progress.inc(1);
        })
        .await
        .map_err(|error| match error {
            AuditError::Request(why) => Failure::Usage(why),
            AuditError::Aws(why) => Failure::Aws(why),
        })?;
        progress.finish_and_clear();
        let at = format!(
            "account {}, {}",
            home.account,
            began.format(&Rfc3339).unwrap_or_default()
        );
        let text = match self.format {
            Format::Table => people(&found),
            Format::Json => json(&found),
            Format::Csv => csv(&found),
            Format::Html => html(&found, &at).map_err(Failure::Usage)?,
            Format::Sarif => sarif(&found),
            Format::Ocsf => ocsf(&found, began.unix_timestamp().saturating_mul(1000)),
        };
        match &self.output {
            Some(file) => std::fs::write(file, text)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?,
            None => println!("{}", text.trim_end()),
        }
        if let (true, Some(table)) = (self.fix, &self.state_table) {
            let state = State::new(&clients, table.clone());
            fix(&clients, &caller, &state, to_fix, self.yes).await?;
        }
        let grave = found.findings.iter().flatten().any(|finding| {
            finding.status != Status::Exempt && finding.severity >= self.fail_on.severity()
        });
        Ok(if grave {
            Found::Findings
        } else {
            Found::Nothing
        })
    }
}

/// A bar of unknown length: ECR does not say how many there are. On standard error, and only where somebody looks.
fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} repositories, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn people(audit: &Audit) -> String {
    match &audit.costs {
        Some(costs) => format!("{}\n\n{}", found(audit), storage(audit, costs)),
        None => found(audit),
    }
}

fn storage(audit: &Audit, costs: &[StorageCost]) -> String {
    let mut table: Table = table(&[
        "repository",
        "images",
        "GB",
        "USD a month",
        "untagged",
        "old",
        "default lifecycle saves",
    ]);
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
        "{table}\nStorage costs about {monthly:.2} USD a month; less, where images share layers.{more}"
    )
}

fn name(arn: &str) -> String {
    RepositoryId::from_arn(arn).map_or_else(|| arn.to_owned(), |id| id.name)
}

fn found(audit: &Audit) -> String {
    let summary = &audit.summary;
    let headline = format!(
        "{} repositories, {} compliant",
        summary.repositories, summary.compliant
    );
    let findings = audit.findings.as_deref().unwrap_or_default();
    if findings.is_empty() {
        return headline;
    }
    let mut table: Table = table(&["repository", "rule", "severity", "what was found"]);
    for finding in findings {
        let name = name(&finding.repository);
        let detail = match finding.status {
            Status::Exempt => format!("{}; {}", finding.to_do, finding.detail),
            _ => finding.detail.clone(),
        };
        table.add_row([
            name.as_str(),
            &finding.rule,
            finding.severity.name(),
            &detail,
        ]);
    }
    let counts: Vec<String> = summary
        .findings
        .iter()
        .map(|(rule, count)| format!("{rule} {count}"))
        .collect();
    format!("{table}\n{headline}; {}", counts.join(", "))
}
