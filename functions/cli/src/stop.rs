//! `ecr-warden stop` and `start`: the switch that stops all changes by all functions.

use clap::Args;
use ecr_warden_aws::{Caller, Clients, State, start, state_table, stop};
use serde_json::json;

use crate::Compliance;
use crate::connected::{failure, now, unanswered};
use crate::failure::CommandError;
use crate::output::{OutputFormat, note, say};

const EXAMPLES_OF_STOP: &str = "Examples:
  ecr-warden stop --reason \"the release freezes, OPS-77\"
  ecr-warden stop --reason OPS-77 --stack guard --region eu-west-1";

const EXAMPLES_OF_START: &str = "Examples:
  ecr-warden start";

/// Stop all changes by all functions, at once.
///
/// Findings are still reported. It holds against events and sweeps that are under way; what has been begun is finished: a change
/// that is being made at this moment, and a recreation. `ecr-warden start` allows changes again.
#[derive(Args)]
#[command(after_help = EXAMPLES_OF_STOP)]
pub(crate) struct StopChanges {
    #[command(flatten)]
    switch: SwitchAt,
    /// Why. It is recorded, and alerts say it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Allow changes again after `ecr-warden stop`.
#[derive(Args)]
#[command(after_help = EXAMPLES_OF_START)]
pub(crate) struct StartChanges {
    #[command(flatten)]
    switch: SwitchAt,
}

/// Where the switch is.
#[derive(Args)]
struct SwitchAt {
    /// The stack's name.
    #[arg(long, value_name = "NAME", default_value = "ecr-warden")]
    stack: String,
    /// The stack's output StateTableName; then the stack is not asked for it.
    #[arg(long, env = "ECR_WARDEN_STATE_TABLE", value_name = "TABLE")]
    state_table: Option<String>,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// The region of the stack. Default: the region that the AWS CLI would use.
    #[arg(long)]
    region: Option<String>,
    /// `json`: `ecr-warden.switch/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

impl SwitchAt {
    async fn connect(&self) -> Result<(State, Caller), CommandError> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region).await?;
        let table = match &self.state_table {
            Some(table) => table.clone(),
            None => state_table(&clients, &self.stack).await.map_err(|error| {
                let or = ", or its table with --state-table";
                unanswered(error, &self.stack, &caller, or)
            })?,
        };
        Ok((State::new(&clients, table), caller))
    }

    fn say(&self, stopped: bool, text: &str) -> Compliance {
        match self.format {
            OutputFormat::Json => {
                let switch = json!({ "schema": "ecr-warden.switch/1", "stopped": stopped });
                say!("{switch}");
            }
            OutputFormat::Text => note!("{text}"),
        }
        Compliance::Nothing
    }
}

impl StopChanges {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        if self.reason.trim().is_empty() {
            return Err(CommandError::Usage(
                "--reason is empty: say why, for who reads the alerts".to_owned(),
            ));
        }
        let (state, caller) = self.switch.connect().await?;
        stop(&state, &caller.arn, &self.reason, now())
            .await
            .map_err(failure)?;
        Ok(self.switch.say(
            true,
            "All changes are stopped: no function begins one from now on, and findings are still reported. To allow changes again: ecr-warden start",
        ))
    }
}

impl StartChanges {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let (state, caller) = self.switch.connect().await?;
        start(&state, &caller.arn, now()).await.map_err(failure)?;
        Ok(self.switch.say(
            false,
            "Changes are allowed again. What was withheld is changed by the next event of each repository, or by the next sweep",
        ))
    }
}
