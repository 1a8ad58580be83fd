//! `ecr-warden exempt`: one more exemption in the policy, as a patch, in the file, or in the parameter.

use std::path::{Path, PathBuf};

use clap::Args;
use ecr_warden_aws::{Clients, put_policy, read_policy};
use ecr_warden_core::policy::add_exemption::{AmendedPolicy, NewExemption, add_exemption};
use ecr_warden_core::policy::exemption::Day;
use ecr_warden_core::repository::RepositoryId;
use serde_json::{Value, json};

use crate::Compliance;
use crate::ask::agreed;
use crate::connected::now;
use crate::failure::{CommandError, read};
use crate::output::{OutputFormat, Target, note, remark, say};

const EXAMPLES: &str = "Examples:
  ecr-warden exempt shop/api mutable-tags --until 2027-03-31 --reason OPS-1 \\
    --policy policy.yaml | git apply
  ecr-warden exempt shop/api mutable-tags --until 2027-03-31 --reason OPS-1 \\
    --parameter /ecr-warden/policy";

/// Exempt a repository from a rule until a day.
///
/// The change is a patch of the policy, or is made in its file or in its parameter. The policy is checked before and after. Everything else in it stays as it is written.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Exempt {
    /// The repository: its name, in all accounts and regions that the policy is for, or its ARN.
    repository: String,
    /// The rule, as `mutable-tags`.
    rule: String,
    /// The last day (UTC): 2027-03-31.
    #[arg(long, value_name = "DAY")]
    until: String,
    /// Why, for those who read the findings.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Whom to ask.
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    /// The policy's file: the change is printed as a patch.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "parameter",
        conflicts_with = "parameter"
    )]
    policy: Option<PathBuf>,
    /// Write the file instead of printing a patch.
    #[arg(long, requires = "policy")]
    write: bool,
    /// The policy's SSM parameter: the change is shown, and made after a question. SSM keeps the version before.
    #[arg(long, value_name = "NAME")]
    parameter: Option<String>,
    /// With --parameter: a profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// With --parameter: its region. Default: the region that the AWS CLI would use.
    #[arg(long)]
    region: Option<String>,
    /// With --parameter: do not ask.
    #[arg(long)]
    yes: bool,
    /// `json`: `ecr-warden.exempt/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

impl Exempt {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        match (&self.policy, &self.parameter) {
            (Some(file), _) => self.in_file(file)?,
            (None, Some(parameter)) => self.in_parameter(parameter).await?,
            (None, None) => {}
        }
        Ok(Compliance::Nothing)
    }

    fn in_file(&self, file: &Path) -> Result<(), CommandError> {
        // An exemption by name holds in all accounts and regions, one by ARN in its own.
        let amended = self.amended(&read(file)?, "000000000000", "us-east-1")?;
        let path = file.display().to_string();
        let patch = amended.patch(path.trim_start_matches("./"));
        if self.write {
            Target::open(Some(file))?.write(&amended.text)?;
        }
        if self.format == OutputFormat::Json {
            say!("{}", self.json(&path, &patch, self.write, None));
            return Ok(());
        }
        if !self.write {
            say!("{patch}");
            return Ok(());
        }
        note!(
            "{path}: `{}` is exempt from `{}` until {}",
            self.repository,
            self.rule,
            self.until
        );
        Ok(())
    }

    async fn in_parameter(&self, name: &str) -> Result<(), CommandError> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region)
            .await
            .map_err(CommandError::from)?;
        let stored = read_policy(&clients, name)
            .await
            .map_err(CommandError::Aws)?;
        if let Some(id) = RepositoryId::from_arn(&self.repository)
            && id.account != caller.account
        {
            return Err(CommandError::Usage(format!(
                "{} is in another account than the parameter, {}",
                self.repository, caller.account
            )));
        }
        let amended = self.amended(&stored.text, &caller.account, &caller.region)?;
        remark!("{}", amended.patch(name));
        let question = format!(
            "Put this into the parameter `{name}` in account {}, {}?",
            caller.account, caller.region
        );
        if !self.yes && !agreed(&question)? {
            return Err(CommandError::Usage("nothing was changed".to_owned()));
        }
        // The question may have been open for long, and an operator may have stopped everything since.
        let latest = read_policy(&clients, name)
            .await
            .map_err(CommandError::Aws)?;
        if latest.version != stored.version {
            return Err(CommandError::Usage(format!(
                "`{name}` has version {} by now, and this was written for {}: nothing was changed; run the command again",
                latest.version, stored.version
            )));
        }
        let version = put_policy(&clients, name, &amended.text).await;
        let version = version.map_err(CommandError::Aws)?;
        if self.format == OutputFormat::Json {
            say!(
                "{}",
                self.json(name, &amended.patch(name), true, Some(version))
            );
        } else {
            note!(
                "`{name}` has version {version}; the version before was {}",
                stored.version
            );
        }
        if version != stored.version.saturating_add(1) {
            return Err(CommandError::Aws(format!(
                "the parameter was also changed by someone else: compare version {} with {version}, which replaced it",
                version.saturating_sub(1)
            )));
        }
        Ok(())
    }

    /// `version`: of the parameter.
    fn json(&self, policy: &str, patch: &str, written: bool, version: Option<i64>) -> Value {
        json!({
            "schema": "ecr-warden.exempt/1",
            "repository": self.repository,
            "rule": self.rule,
            "until": self.until,
            "policy": policy,
            "patch": patch,
            "written": written,
            "version": version,
        })
    }

    fn amended(
        &self,
        text: &str,
        account: &str,
        region: &str,
    ) -> Result<AmendedPolicy, CommandError> {
        let named = RepositoryId::from_arn(&self.repository).filter(|id| !id.is_registry());
        let only_there = named.is_some();
        let id = match named {
            Some(id) => id,
            None => RepositoryId::new(account, region, &self.repository)
                .map_err(|error| CommandError::Usage(error.to_string()))?,
        };
        let until = Day::try_from(self.until.clone()).map_err(CommandError::Usage)?;
        let new = NewExemption {
            repository: &id,
            rule: &self.rule,
            until,
            reason: &self.reason,
            owner: self.owner.as_deref(),
            only_there,
        };
        add_exemption(text, &new, now()).map_err(CommandError::Usage)
    }
}
