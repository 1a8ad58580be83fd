//! `ecr-warden rollback` and `resume`: what was changed is put back, and let go again.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use ecr_warden_aws::{Caller, Clients, NotRolledBack, State, changes, resume, roll_back};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::state::{Known, Repair, Result as RepairResult};
use ecr_warden_core::text::rfc3339;
use time::OffsetDateTime;

use crate::Found;
use crate::failure::Failure;
use crate::output::{say, to_stderr};
use crate::rollback_sweep;

/// List the changes made to a repository, or roll back one of them, or all changes of a sweep.
///
/// A change is rolled back only if the setting has not changed since. Repairs by the rule are then suspended until
/// `ecr-warden resume`.
#[derive(Args)]
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
}

/// Resume the repairs of a repository by a rule, after a rollback or a suspension.
#[derive(Args)]
pub(crate) struct Resume {
    /// The repository: its name, or its ARN.
    repository: String,
    #[command(flatten)]
    at: At,
    /// The rule, as `mutable-tags`.
    rule: String,
}

/// Which records, and by which credentials.
#[derive(Args)]
pub(crate) struct At {
    /// The stack's output StateTableName.
    #[arg(long, env = "ECR_WARDEN_STATE_TABLE", value_name = "TABLE")]
    state_table: String,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// The region of the repository; else that of its ARN, or the one that the AWS CLI would use.
    #[arg(long)]
    region: Option<String>,
}

/// The same, connected.
pub(crate) struct There {
    pub(crate) clients: Clients,
    pub(crate) caller: Caller,
    pub(crate) state: State,
}

impl At {
    pub(crate) async fn connect(self) -> Result<There, Failure> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region)
            .await
            .map_err(Failure::from)?;
        Ok(There {
            state: State::new(&clients, self.state_table),
            clients,
            caller,
        })
    }

    /// With the repository of that name or ARN.
    async fn connect_to(self, repository: &str) -> Result<(There, RepositoryId), Failure> {
        let of_arn = RepositoryId::from_arn(repository);
        let region = of_arn.as_ref().map(|id| id.region.clone());
        let region = self.region.clone().or(region);
        let there = Self { region, ..self }.connect().await?;
        let id = match of_arn {
            Some(id) => id,
            None => RepositoryId::new(&there.caller.account, &there.caller.region, repository)
                .map_err(|error| Failure::Usage(error.to_string()))?,
        };
        Ok((there, id))
    }
}

impl Rollback {
    pub(crate) async fn run(self) -> Result<Found, Failure> {
        let Self {
            repository,
            at,
            change,
            sweep,
            yes,
        } = self;
        if let Some(location) = sweep {
            return rollback_sweep::run(at, &location, yes).await;
        }
        let (there, id) = at.connect_to(&repository.unwrap_or_default()).await?;
        let known = changes(&there.state, &id).await.map_err(failure)?;
        let all = newest_first(&known);
        let Some(number) = change else {
            list(&id, &known, &all);
            return Ok(Found::Nothing);
        };
        let Some((rule, n, repair)) = number.checked_sub(1).and_then(|n| all.get(n)) else {
            return Err(Failure::Usage(format!(
                "{} has no change number {number}: without --change they are listed",
                id.name
            )));
        };
        say!(
            "{} in {}, {}: {} → {}",
            repair.action.name(),
            id.name,
            id.region,
            repair.action.to(),
            repair.action.from()
        );
        if !yes && !agreed("Put it back?")? {
            return Err(Failure::Usage("nothing was rolled back".to_owned()));
        }
        let regional = there
            .clients
            .of(&id.account, &id.region)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let who = &there.caller.arn;
        roll_back(&regional, &there.state, &id, rule, *n, who, now())
            .await
            .map_err(failure)?;
        say!(
            "Rolled back. Repairs by `{rule}` are suspended until: ecr-warden resume {} {rule}",
            id.name
        );
        Ok(Found::Nothing)
    }
}

impl Resume {
    pub(crate) async fn run(self) -> Result<Found, Failure> {
        let (there, id) = self.at.connect_to(&self.repository).await?;
        resume(&there.state, &id, &self.rule, now())
            .await
            .map_err(failure)?;
        say!(
            "`{}` repairs {} again, from its next event on",
            self.rule,
            id.name
        );
        Ok(Found::Nothing)
    }
}

pub(crate) fn failure(error: NotRolledBack) -> Failure {
    match error {
        NotRolledBack::Refused(why) => Failure::Usage(why),
        NotRolledBack::Aws(why) => Failure::Aws(why),
    }
}

pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
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
        }
    }
}

fn time(at: i64) -> String {
    rfc3339(at).unwrap_or_default()
}

pub(crate) fn agreed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "stdin is not a terminal; pass --yes to confirm".to_owned(),
        ));
    }
    to_stderr(&format!("{question} [y/N] "));
    let unreadable = |error: std::io::Error| Failure::Usage(error.to_string());
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(unreadable)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
