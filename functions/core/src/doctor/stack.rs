//! Whether the stack exists and its last operation is complete.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::NoAnswer;

/// A stack as CloudFormation describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackSummary {
    /// As `UPDATE_COMPLETE`.
    pub status: String,
    /// CloudFormation's reason for the status, where it gives one.
    pub reason: Option<String>,
    /// The output `Version`, where the stack has one.
    pub version: Option<String>,
    /// The parameter `PolicyParameterName`; `None`: the policy is built in.
    pub policy_parameter: Option<String>,
    /// The output `StateTableName`, where the stack has it.
    pub state_table: Option<String>,
    /// The parameter `RepositoryPrefix`; empty: the stack may change all repositories.
    pub repository_prefix: String,
}

/// Decides the check. `name`: the stack's.
#[must_use]
pub fn stack(name: &str, answer: &Answered<StackSummary>, aws: &AwsCli) -> Checkup {
    let check = CheckName::Stack;
    let stack = match answer {
        Ok(stack) => stack,
        Err(NoAnswer::Gone) => {
            return Checkup::failing(
                check,
                format!("there is no stack `{name}` in {}", aws.region),
                "deploy it with `make deploy`, or name another stack or region with --stack and --region",
            );
        }
        Err(why) => return Checkup::unanswered(check, why),
    };
    let status = stack.status.as_str();
    let version = stack.version.as_ref();
    let version = version.map_or_else(String::new, |version| format!(", version {version}"));
    let events = aws.command(&[
        "cloudformation",
        "describe-stack-events",
        "--stack-name",
        name,
        "--max-items",
        "20",
        "--output",
        "table",
    ]);
    match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {
            Checkup::ok(check, format!("`{name}` is {status}{version}"))
        }
        "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_ROLLBACK_COMPLETE" => Checkup::failing(
            check,
            format!(
                "`{name}` is {status}{version}: its last update failed, and what was deployed before is in force"
            ),
            format!("read the reason with {events}, and deploy again"),
        ),
        "UPDATE_ROLLBACK_FAILED" => Checkup::failing(
            check,
            format!("`{name}` is {status}{version}{}", reason(stack)),
            format!(
                "correct the reason, then {}",
                aws.command(&[
                    "cloudformation",
                    "continue-update-rollback",
                    "--stack-name",
                    name
                ])
            ),
        ),
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" | "DELETE_FAILED" => {
            Checkup::failing(
                check,
                format!("`{name}` is {status}{}", reason(stack)),
                format!(
                    "read the reason with {events}, then {} and deploy again",
                    aws.command(&["cloudformation", "delete-stack", "--stack-name", name])
                ),
            )
        }
        other if other.ends_with("_IN_PROGRESS") => Checkup::failing(
            check,
            format!("`{name}` is {other}: an operation is not finished"),
            format!("wait until it is finished ({events}), then run the command again"),
        ),
        other => Checkup::failing(
            check,
            format!("`{name}` is {other}{}", reason(stack)),
            format!("read the reason with {events}"),
        ),
    }
}

fn reason(stack: &StackSummary) -> String {
    let reason = stack.reason.as_deref().filter(|reason| !reason.is_empty());
    reason.map_or_else(String::new, |reason| {
        format!(": {}", crate::text::one_line(reason, 300))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;

    fn verdict(answer: Answered<StackSummary>) -> Checkup {
        let aws = AwsCli {
            profile: None,
            region: "eu-west-1".to_owned(),
        };
        stack("ecr-warden", &answer, &aws)
    }

    #[test]
    fn only_a_completed_stack_is_ok() {
        for (status, health, detail, advice) in [
            ("CREATE_COMPLETE", Health::Ok, "is CREATE_COMPLETE", ""),
            ("UPDATE_COMPLETE", Health::Ok, "is UPDATE_COMPLETE", ""),
            ("IMPORT_COMPLETE", Health::Ok, "is IMPORT_COMPLETE", ""),
            (
                "UPDATE_ROLLBACK_COMPLETE",
                Health::Failing,
                "last update failed",
                "deploy again",
            ),
            (
                "UPDATE_ROLLBACK_FAILED",
                Health::Failing,
                ": no quota",
                "continue-update-rollback",
            ),
            (
                "ROLLBACK_COMPLETE",
                Health::Failing,
                ": no quota",
                "delete-stack",
            ),
            (
                "CREATE_FAILED",
                Health::Failing,
                ": no quota",
                "delete-stack",
            ),
            (
                "UPDATE_IN_PROGRESS",
                Health::Failing,
                "not finished",
                "wait until",
            ),
            (
                "REVIEW_IN_PROGRESS",
                Health::Failing,
                "not finished",
                "wait until",
            ),
            (
                "SOMETHING_NEW",
                Health::Failing,
                "SOMETHING_NEW",
                "describe-stack-events",
            ),
        ] {
            let found = verdict(Ok(StackSummary {
                status: status.to_owned(),
                reason: Some("no quota".to_owned()),
                ..StackSummary::default()
            }));
            assert_eq!(found.status, health, "{status}");
            assert!(found.detail.contains(detail), "{status}: {}", found.detail);
            let said = found.advice.unwrap_or_default();
            assert!(said.contains(advice), "{status}: {said}");
            assert_eq!(said.is_empty(), health == Health::Ok, "{status}");
        }
    }

    #[test]
    fn the_version_is_said_where_the_stack_has_one() {
        let found = verdict(Ok(StackSummary {
            status: "UPDATE_COMPLETE".to_owned(),
            version: Some("1.2.3".to_owned()),
            ..StackSummary::default()
        }));
        assert_eq!(
            found.detail,
            "`ecr-warden` is UPDATE_COMPLETE, version 1.2.3"
        );
    }

    #[test]
    fn an_absent_stack_is_failing_and_an_unreadable_one_unknown() {
        let gone = verdict(Err(NoAnswer::Gone));
        assert_eq!(gone.status, Health::Failing);
        assert!(gone.detail.contains("no stack `ecr-warden` in eu-west-1"));
        let denied = verdict(Err(NoAnswer::Denied {
            permission: "cloudformation:DescribeStacks".to_owned(),
            why: "the permission cloudformation:DescribeStacks is missing".to_owned(),
        }));
        assert_eq!(denied.status, Health::Unknown);
        assert!(
            denied
                .advice
                .unwrap()
                .contains("allow cloudformation:DescribeStacks")
        );
    }
}
