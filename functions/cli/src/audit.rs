//! `ecr-warden audit`: what is the state of the registry, now?

mod costs;
mod findings;
mod next_step;
mod progress;
pub(crate) mod regions;
pub(crate) mod stack;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ecr_warden_aws::{Caller, Clients, Judged, State};
use ecr_warden_core::audit::{Audit, Request};
use ecr_warden_core::finding::{Severity, Status};
use ecr_warden_core::glob::Glob;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::report::{csv, html, json, ocsf, sarif};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::costs::storage;
use self::findings::findings;
use self::next_step::next;
use self::regions::{Regions, nothing_matches, survey};
use crate::Compliance;
use crate::compliance::compliance;
use crate::failure::CommandError;
use crate::fix::{Fixed, fix};
use crate::output::{Stream, Target, is_quiet, remark};
use crate::page::Page;
use crate::policy;

const EXAMPLES: &str = "Examples:
  ecr-warden audit
  ecr-warden audit --policy policy.yaml --region all --fail-on high
  ecr-warden audit --repository 'shop/**' --format html --output report.html
  ecr-warden audit --stack ecr-warden";

/// Audit all repositories; without --fix, nothing is changed.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditCommand {
    /// The policy. Without it, a built-in one reports what each rule finds; `ecr-warden policy built-in` prints it.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Only repositories whose names match. Repeat it for several globs.
    #[arg(long, value_name = "GLOB")]
    repository: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Report")]
    format: Format,
    /// Write to a file instead of standard output.
    #[arg(long, short, value_name = "FILE", help_heading = "Report")]
    output: Option<PathBuf>,
    /// Exit with 1 only if a finding has at least this severity.
    #[arg(long, value_enum, default_value_t = FailOn::Informational, help_heading = "Report")]
    fail_on: FailOn,
    /// Also estimate what the images cost a month, by the policy's `costs`. It reads all images of each repository.
    #[arg(long, help_heading = "Report")]
    cost: bool,
    /// Also list the requirements of NIST 800-53 and PCI DSS that AWS relates to the rules, and which are met.
    #[arg(long, help_heading = "Report")]
    compliance: bool,
    /// Then make the repairs that the policy would have the enforcer make. They are shown first, and you are asked.
    #[arg(long, requires_all = ["policy", "state_table"], help_heading = "Repairs")]
    fix: bool,
    /// With --fix: do not ask.
    #[arg(long, requires = "fix", help_heading = "Repairs")]
    yes: bool,
    /// With --fix: the stack's output StateTableName. The changes are recorded there.
    #[arg(
        long,
        env = "ECR_WARDEN_STATE_TABLE",
        value_name = "TABLE",
        help_heading = "Repairs"
    )]
    state_table: Option<String>,
    /// A profile of the AWS CLI's configuration.
    #[arg(long, help_heading = "AWS")]
    profile: Option<String>,
    /// The region to audit; repeat it for several, or `all` for all that are enabled. With --stack: the stack's. Default: the
    /// region that the AWS CLI would use.
    #[arg(long, help_heading = "AWS")]
    region: Vec<String>,
    /// Ask the deployed auditor of this stack, with its own policy and permissions.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["policy", "fix", "compliance"], help_heading = "Deployed auditor")]
    stack: Option<String>,
    /// With --stack: the auditor's request, as JSON (docs/audits.md).
    #[arg(long, value_name = "JSON", requires = "stack", conflicts_with_all = ["repository", "cost"], help_heading = "Deployed auditor")]
    request: Option<String>,
}

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
        let regions = Regions::read(&self.region).map_err(CommandError::Usage)?;
        let globs: Result<Vec<Glob>, String> = self
            .repository
            .iter()
            .cloned()
            .map(Glob::try_from)
            .collect();
        let globs = globs.map_err(|why| CommandError::Usage(format!("--repository: {why}")))?;
        match &self.stack {
            Some(stack) => self.of_stack(stack, &regions).await,
            None => self.of_regions(&regions, globs).await,
        }
    }

    /// By the deployed auditor.
    async fn of_stack(&self, stack: &str, regions: &Regions) -> Result<Compliance, CommandError> {
        let several = match regions {
            Regions::Configured => false,
            Regions::Named(named) => named.len() > 1,
            Regions::All => true,
        };
        if several {
            return Err(CommandError::Usage(
                "--stack: --region is the region of the stack: name one".to_owned(),
            ));
        }
        let request = stack::request(&self.repository, self.cost, self.request.as_deref())
            .map_err(CommandError::Usage)?;
        let target = Target::open(self.output.as_deref())?;
        let (clients, caller) = regions.connect(self.profile.as_deref()).await?;
        let began = OffsetDateTime::now_utc();
        let (audit, complete) = stack::ask(&clients, &caller, stack, request).await?;
        if let Some(why) = &audit.ignored {
            return Err(CommandError::Aws(format!("nothing was audited: {why}")));
        }
        if complete.is_ok() && !self.repository.is_empty() && audit.summary.repositories == 0 {
            let place = format!("account {}, {}", caller.account, caller.region);
            return Err(CommandError::Usage(nothing_matches(
                &self.repository,
                &place,
            )));
        }
        target.write(&self.text(&audit, None, &caller, began)?)?;
        self.say_next(&audit, false);
        complete?;
        Ok(self.outcome(&audit, &BTreeSet::new()))
    }

    /// With the caller's own credentials.
    async fn of_regions(
        &self,
        regions: &Regions,
        repositories: Vec<Glob>,
    ) -> Result<Compliance, CommandError> {
        let policy = policy::load_or_built_in(self.policy.as_deref())?;
        let request = Request {
            repositories,
            cost: self.cost,
            ..Request::default()
        };
        let target = Target::open(self.output.as_deref())?;
        let (clients, caller) = regions.connect(self.profile.as_deref()).await?;
        if let (true, Some(table)) = (self.fix, &self.state_table) {
            clients.share_turns(table.clone());
        }
        let began = OffsetDateTime::now_utc();
        let to_fix = |judged: &Judged| self.fix && !judged.findings.is_empty();
        let mut surveyed = survey(&clients, &caller, &policy, &request, regions, &to_fix).await?;
        let found = &surveyed.audit;
        target.write(&self.text(found, Some(&policy), &caller, began)?)?;
        self.say_next(found, self.policy.is_none());
        let to_fix = std::mem::take(&mut surveyed.kept);
        let repaired = self.repair(&clients, &caller, to_fix).await;
        let complete = surveyed.complete(&caller);
        if let (Err(_), Err(unread)) = (&repaired, &complete) {
            remark!("{}", unread.parts().0);
        }
        let repaired = repaired?;
        complete?;
        Ok(match repaired {
            Fixed::Declined => Compliance::Findings,
            Fixed::Made(made) => self.outcome(&surveyed.audit, &made),
        })
    }

    async fn repair(
        &self,
        clients: &Clients,
        caller: &Caller,
        to_fix: Vec<Judged>,
    ) -> Result<Fixed, CommandError> {
        match (self.fix, &self.state_table) {
            (true, Some(table)) => {
                let state = State::new(clients, table.clone());
                fix(clients, caller, &state, to_fix, self.yes).await
            }
            _ => Ok(Fixed::Made(BTreeSet::new())),
        }
    }

    /// The report. `policy`: the one by which it was found, where that is known.
    fn text(
        &self,
        audit: &Audit,
        policy: Option<&Policy>,
        caller: &Caller,
        began: OffsetDateTime,
    ) -> Result<String, CommandError> {
        Ok(match self.format {
            Format::Table => {
                let mut parts = vec![findings(audit, self.page())];
                parts.extend(audit.costs.as_ref().map(|costs| storage(audit, costs)));
                if let (true, Some(policy)) = (self.compliance, policy) {
                    parts.push(compliance(audit, policy));
                }
                parts.join("\n\n")
            }
            Format::Json => json(audit),
            Format::Csv => csv(audit),
            Format::Html => {
                let at = began.format(&Rfc3339).unwrap_or_default();
                let at = format!("account {}, {at}", caller.account);
                html(audit, &at).map_err(CommandError::Usage)?
            }
            Format::Sarif => sarif(audit),
            Format::Ocsf => ocsf(audit, began.unix_timestamp().saturating_mul(1000)),
        })
    }

    /// A file is no terminal.
    fn page(&self) -> Page {
        match self.output {
            None => Page::of(Stream::Output),
            Some(_) => Page::PLAIN,
        }
    }

    fn say_next(&self, audit: &Audit, built_in: bool) {
        if self.format == Format::Table
            && !is_quiet()
            && (built_in || std::io::stderr().is_terminal())
            && let Some(next) = next(audit, built_in)
        {
            let page = Page::of(Stream::Error);
            for line in next.lines() {
                remark!("{}", page.paragraph("", line, usize::MAX));
            }
        }
    }

    /// Whether a finding is open that counts. `repaired`: what was repaired since, by the ARN of the repository and the rule.
    fn outcome(&self, audit: &Audit, repaired: &BTreeSet<(String, &'static str)>) -> Compliance {
        let open = audit.findings.iter().flatten().any(|finding| {
            let is_repaired = repaired
                .iter()
                .any(|(arn, rule)| *arn == finding.repository && *rule == finding.rule);
            let is_closed = matches!(
                finding.status,
                Status::Exempt | Status::Fixed | Status::Resolved
            );
            !is_closed && finding.severity >= self.fail_on.severity() && !is_repaired
        });
        if open {
            Compliance::Findings
        } else {
            Compliance::Nothing
        }
    }
}
