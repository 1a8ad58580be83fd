//! `ecr-warden history`: what was changed, suspended and resumed in the account, by the state table.

use clap::{Args, ValueEnum};
use ecr_warden_aws::all_repairs;
use ecr_warden_core::history::{HistoryEntry, HistoryFilter, history, since};
use ecr_warden_core::repository::RepositoryId;

use crate::Compliance;
use crate::connected::{At, failure, globs, now, remark_unreadable};
use crate::failure::CommandError;
use crate::output::{Stream, lines, say, table};

const EXAMPLES: &str = "Examples:
  ecr-warden history --since 30d --state-table ecr-warden-state
  ecr-warden history --repository 'shop/**' --format json --state-table ecr-warden-state";

/// List changes, suspensions and resumptions, newest first.
///
/// The state table remembers, for 400 days, the last ten changes of each repository by each rule, the suspension that holds and the last resumption.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct History {
    #[command(flatten)]
    at: At,
    /// Only repositories whose names match. Repeat it for several globs.
    #[arg(long, value_name = "GLOB")]
    repository: Vec<String>,
    /// Only this rule, as `mutable-tags`.
    #[arg(long)]
    rule: Option<String>,
    /// Only what has this in the ARN of who made it necessary or resumed it. The text of a suspension names who rolled back.
    #[arg(long, value_name = "TEXT")]
    actor: Option<String>,
    /// Only from this day on (UTC): 2026-11-01, or 30d for the last 30 days.
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Only before this day (UTC).
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// `json`: one object a line, `ecr-warden.history/1`.
    #[arg(long, value_enum, default_value_t = HistoryFormat::Table)]
    format: HistoryFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum HistoryFormat {
    Table,
    Json,
}

impl History {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let filter = HistoryFilter {
            repositories: globs(self.repository)?,
            rule: self.rule,
            actor: self.actor,
            since: time(self.since)?,
            until: time(self.until)?,
        };
        let there = self.at.connect().await?;
        let all = all_repairs(&there.state).await.map_err(failure)?;
        let entries = history(all.records, &filter);
        match self.format {
            HistoryFormat::Table if entries.is_empty() => say!("nothing is on record"),
            HistoryFormat::Table => say!("{}", text(&entries)),
            HistoryFormat::Json => {
                for entry in &entries {
                    say!("{}", serde_json::to_string(entry).unwrap_or_default());
                }
            }
        }
        remark_unreadable(all.unreadable);
        Ok(Compliance::Nothing)
    }
}

fn time(text: Option<String>) -> Result<Option<i64>, CommandError> {
    let time = text.map(|text| since(&text, now()));
    time.transpose().map_err(CommandError::Usage)
}

fn text(entries: &[HistoryEntry]) -> String {
    let mut shown = table(
        &["when", "repository", "rule", "what", "by"],
        Stream::Output,
    );
    for entry in entries {
        let name = RepositoryId::from_arn(&entry.repository);
        let name = name.map_or_else(|| entry.repository.clone(), |id| id.label());
        let what = match (&entry.from, &entry.to) {
            (Some(from), Some(to)) => {
                let approved = entry.approved_by.as_ref();
                let approved =
                    approved.map_or_else(String::new, |who| format!(", approved by {who}"));
                format!("{from} → {to}: {}{approved}", entry.detail)
            }
            _ => format!("{}: {}", entry.event.name(), entry.detail),
        };
        let by = match (&entry.cause, &entry.actor) {
            (Some(cause), Some(actor)) => format!("{cause} by {actor}"),
            (Some(cause), None) => cause.clone(),
            (None, Some(actor)) => actor.clone(),
            (None, None) => String::new(),
        };
        shown.add_row([&entry.at, &name, &entry.rule, &what, &by]);
    }
    lines(&shown)
}
