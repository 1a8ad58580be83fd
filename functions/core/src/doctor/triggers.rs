//! Whether the EventBridge rules and the schedule of the sweep are enabled.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::{DEPLOY_AGAIN, NoAnswer};
use crate::text::counted;

/// A rule or a schedule of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerState {
    /// As the template names it.
    pub logical: String,
    /// As AWS names it.
    pub physical: String,
    pub is_schedule: bool,
    /// As `ENABLED`.
    pub state: Answered<String>,
}

impl TriggerState {
    /// Also `ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS` (EventBridge API reference, DescribeRule).
    fn is_enabled(&self) -> bool {
        let state = self.state.as_ref();
        state.is_ok_and(|state| state.starts_with("ENABLED"))
    }

    fn kind(&self) -> &'static str {
        if self.is_schedule { "schedule" } else { "rule" }
    }

    /// What is wrong with it, and what to do; `None`: nothing, or it is not known.
    fn fault(&self, aws: &AwsCli) -> Option<(String, String)> {
        let Self {
            logical, physical, ..
        } = self;
        let kind = self.kind();
        match &self.state {
            Ok(_) if self.is_enabled() => None,
            Ok(state) => Some((
                format!("the {kind} {logical} is {state}"),
                if self.is_schedule {
                    format!("enable `{physical}` in the console of EventBridge Scheduler")
                } else {
                    aws.command(&["events", "enable-rule", "--name", physical])
                },
            )),
            Err(NoAnswer::Gone) => Some((
                format!("the {kind} {logical} was deleted outside of CloudFormation"),
                DEPLOY_AGAIN.to_owned(),
            )),
            Err(_) => None,
        }
    }
}

/// Decides the check.
#[must_use]
pub fn triggers(triggers: &[TriggerState], aws: &AwsCli) -> Checkup {
    let check = CheckName::Triggers;
    let rules = triggers.iter().filter(|it| !it.is_schedule).count();
    if rules == 0 {
        return Checkup::failing(
            check,
            "the stack has no EventBridge rule, so no event is evaluated",
            "name ecr-warden's stack with --stack, or deploy it with `make deploy`",
        );
    }
    let faults: Vec<_> = triggers.iter().filter_map(|it| it.fault(aws)).collect();
    if !faults.is_empty() {
        let (details, mut advice): (Vec<String>, Vec<String>) = faults.into_iter().unzip();
        advice.dedup();
        return Checkup::failing(check, details.join("; "), advice.join("; "));
    }
    if let Some(why) = triggers.iter().find_map(|it| it.state.as_ref().err()) {
        return Checkup::unanswered(check, why);
    }
    let rules = counted(rules, "rule", "rules");
    Checkup::ok(
        check,
        if triggers.iter().any(|it| it.is_schedule) {
            format!("{rules} and the schedule of the sweep are enabled")
        } else {
            format!("{rules} enabled; the stack has no schedule, so only `make audit` sweeps")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;

    fn trigger(logical: &str, state: Answered<&str>) -> TriggerState {
        TriggerState {
            logical: logical.to_owned(),
            physical: format!("ecr-warden-{logical}-1"),
            is_schedule: logical == "Sweeps",
            state: state.map(str::to_owned),
        }
    }

    #[test]
    fn all_have_to_be_enabled() {
        let denied = || NoAnswer::Denied {
            permission: "events:DescribeRule".to_owned(),
            why: "the permission events:DescribeRule is missing".to_owned(),
        };
        let with_trail = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";
        for (states, health, detail, advice) in [
            (
                vec![("CallsRule", Ok("ENABLED")), ("Sweeps", Ok("ENABLED"))],
                Health::Ok,
                "1 rule and the schedule",
                "",
            ),
            (
                vec![("CallsRule", Ok(with_trail))],
                Health::Ok,
                "no schedule",
                "",
            ),
            (
                vec![("CallsRule", Ok("DISABLED")), ("Sweeps", Ok("ENABLED"))],
                Health::Failing,
                "the rule CallsRule is DISABLED",
                "events enable-rule --name ecr-warden-CallsRule-1",
            ),
            (
                vec![("CallsRule", Ok("ENABLED")), ("Sweeps", Ok("DISABLED"))],
                Health::Failing,
                "the schedule Sweeps is DISABLED",
                "enable `ecr-warden-Sweeps-1`",
            ),
            (
                vec![("CallsRule", Err(NoAnswer::Gone))],
                Health::Failing,
                "was deleted",
                "deploy it again",
            ),
            (
                vec![("CallsRule", Err(denied())), ("PushesRule", Ok("ENABLED"))],
                Health::Unknown,
                "the permission events:DescribeRule is missing",
                "allow events:DescribeRule",
            ),
            (
                vec![("CallsRule", Err(denied())), ("PushesRule", Ok("DISABLED"))],
                Health::Failing,
                "PushesRule is DISABLED",
                "enable-rule",
            ),
            (
                vec![("Sweeps", Ok("ENABLED"))],
                Health::Failing,
                "no EventBridge rule",
                "--stack",
            ),
        ] {
            let all: Vec<_> = states
                .into_iter()
                .map(|(name, state)| trigger(name, state))
                .collect();
            let found = triggers(&all, &AwsCli::default());
            assert_eq!(found.status, health, "{all:?}");
            assert!(found.detail.contains(detail), "{}", found.detail);
            let said = found.advice.unwrap_or_default();
            assert!(said.contains(advice), "{said}");
        }
    }
}
