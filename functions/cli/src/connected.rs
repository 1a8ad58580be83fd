//! What the commands that work with the state table have in common: where it is, whose credentials, and the operator's consent.

use clap::Args;
use ecr_warden_aws::{Caller, Clients, NotAnswered, NotRolledBack, State};
use ecr_warden_core::glob::Glob;
use ecr_warden_core::repository::RepositoryId;
use time::OffsetDateTime;

use crate::failure::CommandError;
use crate::output::{count, remark};

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
    pub(crate) async fn connect(self) -> Result<There, CommandError> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region)
            .await
            .map_err(CommandError::from)?;
        Ok(There {
            state: State::new(&clients, self.state_table),
            clients,
            caller,
        })
    }

    /// With the repository of that name or ARN.
    pub(crate) async fn connect_to(
        self,
        repository: &str,
    ) -> Result<(There, RepositoryId), CommandError> {
        let of_arn = RepositoryId::from_arn(repository).filter(|id| !id.is_registry());
        let region = of_arn.as_ref().map(|id| id.region.clone());
        let region = self.region.clone().or(region);
        let there = Self { region, ..self }.connect().await?;
        let id = match of_arn {
            Some(id) => id,
            None => RepositoryId::new(&there.caller.account, &there.caller.region, repository)
                .map_err(|error| CommandError::Usage(error.to_string()))?,
        };
        Ok((there, id))
    }
}

/// Why a stack did not answer. `or`: what else can be done about one that is not there.
pub(crate) fn unanswered(
    error: NotAnswered,
    stack: &str,
    caller: &Caller,
    or: &str,
) -> CommandError {
    match error {
        NotAnswered::NoAuditor(why) => CommandError::Usage(format!(
            "--stack {stack}: {why} in account {}, {}; name its region with --region{or}",
            caller.account, caller.region
        )),
        NotAnswered::Aws(why) => {
            CommandError::Aws(format!("--stack {stack}: {why} (asked as {})", caller.arn))
        }
    }
}

/// Names how many records could not be read, if there are any.
pub(crate) fn remark_unreadable(records: usize) {
    if records > 0 {
        remark!(
            "{} of the state table cannot be read: update ecr-warden to the version that wrote them",
            count(records, "record", "records")
        );
    }
}

pub(crate) fn globs(texts: Vec<String>) -> Result<Vec<Glob>, CommandError> {
    let globs = texts.into_iter().map(Glob::try_from);
    globs.collect::<Result<_, _>>().map_err(CommandError::Usage)
}

pub(crate) fn failure(error: NotRolledBack) -> CommandError {
    match error {
        NotRolledBack::Refused(why) => CommandError::Usage(why),
        NotRolledBack::Aws(why) => CommandError::Aws(why),
    }
}

pub(crate) fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
