//! `ecr-warden rollback` and `resume`: what was changed is put back, and let go again.

use clap::Args;
use ecr_warden_aws::{Caller, NotRolledBack, SeenChange, changes, close_brake, resume, roll_back};
use ecr_warden_core::record::{Known, Repair, Result as RepairResult};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::rules::{entry, unknown_rule};
use ecr_warden_core::text::rfc3339;
use serde_json::{Value, json};

use crate::Compliance;
use crate::ask::agreed;
use crate::connected::{At, failure, now};
use crate::failure::CommandError;
use crate::output::{OutputFormat, note, say};
use crate::rollback_sweep;

const EXAMPLES: &str = "Examples:
  ecr-warden rollback shop/api --state-table ecr-warden-state
  ecr-warden rollback shop/api --change 1 --state-table ecr-warden-state
  ecr-warden rollback --sweep s3://bucket/key --state-table ecr-warden-state";

/// List changes, and roll back one of them, or all of a sweep.
///
/// A change is rolled back only if the setting has not changed since. Repairs by the rule are then suspended until
/// `ecr-warden resume`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rollback {
    /// The repository: its name, or its ARN.
    #[arg(required_unless_present = "sweep")]
    repository: Option<String>,
    #[command(flatten)]
    at: At,
    /// Roll back this one, by its number in the list.
    #[arg(long, value_name = "NUMBER")]
    change: Option<usize>,
    /// Roll back all changes of a sweep: where its message says that they are listed.
    #[arg(long, value_name = "s3://BUCKET/KEY", conflicts_with_all = ["repository", "change"])]
    sweep: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// `json`: `ecr-warden.changes/1`, `ecr-warden.rollback/1` or, of a sweep, `ecr-warden.rollback-sweep/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

const EXAMPLES_OF_RESUME: &str = "Examples:
  ecr-warden resume shop/api mutable-tags --state-table ecr-warden-state
  ecr-warden resume --brake --state-table ecr-warden-state";

/// Resume repairs after a rollback or a suspension.
///
/// With --brake, all changes of an account and region, before the brake of `changes-per-hour` closes by itself.
#[derive(Args)]
#[command(after_help = EXAMPLES_OF_RESUME)]
pub(crate) struct Resume {
    /// The repository: its name, or its ARN.
    #[arg(required_unless_present = "brake")]
    repository: Option<String>,
    #[command(flatten)]
    at: At,
    /// The rule, as `mutable-tags`.
    #[arg(required_unless_present = "brake")]
    rule: Option<String>,
    /// Close the brake that opened because `changes-per-hour` is used up in the account and region.
    #[arg(long, conflicts_with_all = ["repository", "rule"])]
    brake: bool,
    /// `json`: `ecr-warden.resume/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

impl Rollback {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let Self {
            repository,
            at,
            change,
            sweep,
            yes,
            format,
        } = self;
        let as_json = format == OutputFormat::Json;
        if let Some(location) = sweep {
            return rollback_sweep::run(at, &location, yes, as_json).await;
        }
        let (there, id) = at.connect_to(&repository.unwrap_or_default()).await?;
        let known = changes(&there.state, &id).await.map_err(failure)?;
        let all = newest_first(&known);
        let Some(number) = change else {
            if as_json {
                say!("{}", listed(&id, &known, &all));
            } else {
                list(&id, &known, &all);
            }
            return Ok(Compliance::Nothing);
        };
        let Some((rule, n, repair)) = number.checked_sub(1).and_then(|n| all.get(n)) else {
            return Err(CommandError::Usage(format!(
                "{} has no change number {number}: without --change they are listed",
                id.name
            )));
        };
        if !as_json {
            say!(
                "{} in {}, {}: {} → {}",
                repair.action.name(),
                id.name,
                id.region,
                repair.action.to(),
                repair.action.from()
            );
        }
        if !yes && !agreed("Put it back?")? {
            return Err(CommandError::Usage("nothing was rolled back".to_owned()));
        }
        let regional = there
            .clients
            .of(&id.account, &id.region)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let who = &there.caller.arn;
        let change = SeenChange {
            rule,
            number: *n,
            action: &repair.action,
        };
        roll_back(&regional, &there.state, &id, change, who, now())
            .await
            .map_err(failure)?;
        if as_json {
            let (from, to) = (repair.action.to(), repair.action.from());
            say!(
                "{}",
                json!({ "schema": "ecr-warden.rollback/1", "repository": id.arn(), "rule": rule, "from": from, "to": to })
            );
            return Ok(Compliance::Nothing);
        }
        note!(
            "Rolled back. Repairs by `{rule}` are suspended until: ecr-warden resume {} {rule}",
            id.name
        );
        Ok(Compliance::Nothing)
    }
}

impl Resume {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let Self {
            repository,
            at,
            rule,
            brake,
            format,
        } = self;
        let as_json = format == OutputFormat::Json;
        if brake {
            return close(at, as_json).await;
        }
        let (repository, rule) = (repository.unwrap_or_default(), rule.unwrap_or_default());
        let (there, id) = at.connect_to(&repository).await?;
        let resumed = resume(&there.state, &id, &rule, &there.caller.arn, now()).await;
        resumed.map_err(|error| match error {
            NotRolledBack::Refused(_) if entry(&rule).is_none() => {
                CommandError::Usage(unknown_rule(&rule))
            }
            other => failure(other),
        })?;
        if as_json {
            say!(
                "{}",
                json!({ "schema": "ecr-warden.resume/1", "repository": id.arn(), "rule": rule })
            );
            return Ok(Compliance::Nothing);
        }
        note!("`{rule}` repairs {} again, from its next event on", id.name);
        Ok(Compliance::Nothing)
    }
}

async fn close(at: At, as_json: bool) -> Result<Compliance, CommandError> {
    let there = at.connect().await?;
    let Caller {
        account,
        region,
        arn,
        ..
    } = &there.caller;
    let registry = RepositoryId::of_registry(account, region);
    close_brake(&there.state, &registry, arn, now())
        .await
        .map_err(failure)?;
    if as_json {
        say!(
            "{}",
            json!({ "schema": "ecr-warden.resume/1", "account": account, "region": region })
        );
    } else {
        note!(
            "Changes are made again in account {account}, {region}; an hour of `changes-per-hour` begins with the next one"
        );
    }
    Ok(Compliance::Nothing)
}

/// With its rule, and its number among the rule's.
fn newest_first(known: &Known) -> Vec<(&str, usize, &Repair)> {
    let mut all: Vec<(&str, usize, &Repair)> = known
        .repairs
        .iter()
        .flat_map(|(rule, repairs)| {
            let numbered = repairs.history.iter().enumerate();
            numbered.map(|(n, repair)| (rule.as_str(), n, repair))
        })
        .collect();
    all.sort_by_key(|(_, _, repair)| std::cmp::Reverse(repair.at));
    all
}

fn list(id: &RepositoryId, known: &Known, all: &[(&str, usize, &Repair)]) {
    if all.is_empty() {
        say!("nothing was changed in {}", id.name);
        return;
    }
    for (n, (rule, _, repair)) in all.iter().enumerate() {
        let result = match &repair.result {
            RepairResult::Begun => "not known".to_owned(),
            RepairResult::Done => "done".to_owned(),
            RepairResult::Failed(why) => format!("failed: {why}"),
            RepairResult::FellBack(why) => format!("kept the old encryption: {why}"),
        };
        let because = match &repair.actor {
            Some(actor) => format!("{} by {actor}", repair.cause),
            None => repair.cause.clone(),
        };
        say!(
            "{:>2}  {}  {rule}: {result}\n    {} → {}\n    because of {because}\n",
            n.saturating_add(1),
            time(repair.at),
            repair.action.from(),
            repair.action.to(),
        );
    }
    for (rule, repairs) in &known.repairs {
        if let Some(held) = &repairs.held {
            say!(
                "repairs by `{rule}` have been suspended since {}: {}",
                time(held.at),
                held.why
            );
        } else if let Some(who) = &repairs.resumed_by {
            say!(
                "repairs by `{rule}` were resumed at {} by {who}",
                time(repairs.forgiven)
            );
        }
    }
}

/// The same for programs.
fn listed(id: &RepositoryId, known: &Known, all: &[(&str, usize, &Repair)]) -> Value {
    let changes = all.iter().enumerate().map(|(n, (rule, _, repair))| {
        let (result, why) = match &repair.result {
            RepairResult::Begun => ("unknown", None),
            RepairResult::Done => ("done", None),
            RepairResult::Failed(why) => ("failed", Some(why)),
            RepairResult::FellBack(why) => ("fell-back", Some(why)),
        };
        json!({
            "number": n.saturating_add(1),
            "at": time(repair.at),
            "rule": rule,
            "result": result,
            "why": why,
            "from": repair.action.from(),
            "to": repair.action.to(),
            "cause": repair.cause,
            "actor": repair.actor,
        })
    });
    let suspended = known.repairs.iter().filter_map(|(rule, repairs)| {
        let held = repairs.held.as_ref()?;
        Some(json!({ "rule": rule, "since": time(held.at), "why": held.why }))
    });
    json!({
        "schema": "ecr-warden.changes/1",
        "repository": id.arn(),
        "changes": changes.collect::<Vec<_>>(),
        "suspended": suspended.collect::<Vec<_>>(),
    })
}

fn time(at: i64) -> String {
    rfc3339(at).unwrap_or_default()
}
