//! `ecr-warden doctor`: whether the deployed stack works in this account and region.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ecr_warden_aws::{Caller, Clients, canary, diagnose};
use ecr_warden_core::doctor::{AwsCli, CanaryRun, Diagnosis, Health, canary_checks};

use crate::Compliance;
use crate::failure::CommandError;
use crate::output::{Stream, count, lines, say, table};
use crate::progress::Progress;
use crate::signals::stopped_by_signal;

const EXAMPLES: &str = "Examples:
  ecr-warden doctor
  ecr-warden doctor --stack ecr-warden --canary";

/// Check that the deployed stack works in this account.
///
/// Nothing is changed without --canary. It reads the stack, CloudTrail's trails, rules, subscriptions, the policy, the dead-letter queue and the functions' settings,
/// and has IAM simulate the roles' permissions. With --canary it also creates an empty repository with mutable tags, follows it
/// through event, repair and alert by a temporary queue, and removes both, also after Ctrl-C.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// The stack's name.
    #[arg(long, value_name = "NAME", default_value = "ecr-warden")]
    stack: String,
    /// A profile of the AWS CLI's configuration.
    #[arg(long)]
    profile: Option<String>,
    /// The region of the stack. Default: the region that the AWS CLI would use.
    #[arg(long)]
    region: Option<String>,
    /// Create an empty repository, follow it through event, repair and alert, and remove it.
    #[arg(long)]
    canary: bool,
    /// With --canary: the longest time to wait for repair and alert, in seconds. CloudTrail can take minutes.
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "canary",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    wait: u64,
    #[arg(long, value_enum, default_value_t = DoctorFormat::Table)]
    format: DoctorFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum DoctorFormat {
    Table,
    Json,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<Compliance, CommandError> {
        let (profile, region) = (self.profile.as_deref(), self.region.as_deref());
        let (clients, caller) = Clients::of_profile(profile, region)
            .await
            .map_err(CommandError::from)?;
        let aws = AwsCli {
            profile: self.profile.clone(),
            region: caller.region.clone(),
        };
        let mut diagnosis = diagnose(&clients, &caller, &self.stack, &aws).await;
        let mut stopped = false;
        if self.canary {
            let run = self.fly(&clients, &caller).await;
            stopped = run.stopped;
            diagnosis = diagnosis.with_canary(canary_checks(&run, &aws), run.observations);
        }
        match self.format {
            DoctorFormat::Table => say!("{}", text(&diagnosis)),
            DoctorFormat::Json => say!("{}", diagnosis.json()),
        }
        if stopped {
            return Err(CommandError::Stopped("stopped before the end".to_owned()));
        }
        Ok(if diagnosis.healthy {
            Compliance::Nothing
        } else {
            Compliance::Findings
        })
    }

    /// Ctrl-C ends the waiting, not the removal.
    async fn fly(&self, clients: &Clients, caller: &Caller) -> CanaryRun {
        // As a task, so that the signals are caught from now on.
        let signal = tokio::spawn(stopped_by_signal());
        let stop = async { drop(signal.await) };
        let progress = Progress::begin("canary");
        let say = |what: &str| progress.set(&format!("canary: {what}"));
        let wait = Duration::from_secs(self.wait);
        let run = canary(clients, caller, &self.stack, wait, say, stop).await;
        progress.end();
        run
    }
}

/// A row for each check; below, where lines are not broken, what to do.
fn text(diagnosis: &Diagnosis) -> String {
    let mut table = table(&["check", "status", "found"], Stream::Output);
    for checkup in &diagnosis.checks {
        table.add_row([checkup.check.name(), checkup.status.name(), &checkup.detail]);
    }
    let mut parts = vec![lines(&table)];
    let advice = diagnosis.checks.iter().filter_map(|checkup| {
        let advice = checkup.advice.as_ref()?;
        Some(format!("  {}: {advice}", checkup.check.name()))
    });
    let advice: Vec<String> = advice.collect();
    if !advice.is_empty() {
        parts.push(format!("To do:\n{}", advice.join("\n")));
    }
    let seen = diagnosis.observations.iter();
    let seen: Vec<String> = seen
        .map(|it| format!("  {}: {}", it.tried, it.seen))
        .collect();
    if !seen.is_empty() {
        parts.push(format!("How this AWS behaves:\n{}", seen.join("\n")));
    }
    parts.push(summary(
        diagnosis.count(Health::Failing),
        diagnosis.count(Health::Unknown),
    ));
    parts.join("\n\n")
}

fn summary(failing: usize, unknown: usize) -> String {
    let failing = (failing > 0).then(|| count(failing, "check is failing", "checks are failing"));
    let unknown = (unknown > 0).then(|| count(unknown, "check is unknown", "checks are unknown"));
    let parts: Vec<String> = failing.into_iter().chain(unknown).collect();
    if parts.is_empty() {
        "all checks are ok".to_owned()
    } else {
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_what_is_not_ok() {
        for (failing, unknown, expected) in [
            (0, 0, "all checks are ok"),
            (1, 0, "1 check is failing"),
            (2, 1, "2 checks are failing, 1 check is unknown"),
            (0, 2, "2 checks are unknown"),
        ] {
            assert_eq!(summary(failing, unknown), expected);
        }
    }
}
