//! Whether the canary's repository was repaired, or left alone as the policy says.

use super::run::{AlertHop, CanaryRun, NOTHING_CAME, RULE, seconds};
use super::sighting::CanaryFinding;
use crate::doctor::checkup::{CheckName, Checkup};
use crate::doctor::no_answer::NoAnswer;
use crate::finding::Status;
use crate::reason::Code;

/// The reasons for which a policy has a repair withheld; all others are an obstacle.
const BY_POLICY: [Code; 6] = [
    Code::MonitorMode,
    Code::ExistingRepository,
    Code::NeverChange,
    Code::Frozen,
    Code::GracePeriod,
    Code::ApprovalRequired,
];

/// Decides the check.
#[must_use]
pub(super) fn canary_repair(run: &CanaryRun) -> Checkup {
    let check = CheckName::CanaryRepair;
    let name = &run.names.repository;
    if let Err(why) = &run.created {
        return not_created(check, name, why);
    }
    if let AlertHop::Received(alert) = &run.alert
        && let Some(failed) = alert.findings.iter().find(|it| it.status == Status::Failed)
    {
        let why = alert.failures.join("; ");
        let detail = format!("{}: {}: {why}", failed.rule, failed.detail);
        return Checkup::failing(check, detail, "docs/alerts.md explains why repairs fail");
    }
    if let Some(after) = run.immutable_after {
        return Checkup::ok(
            check,
            format!(
                "`{name}` was created with mutable tags and made immutable after {}",
                seconds(after)
            ),
        );
    }
    match run.finding() {
        Some(finding) if finding.status == Status::Fixed => Checkup::failing(
            check,
            format!(
                "the alert says that the tags of `{name}` are immutable, but ECR still says that they are mutable"
            ),
            "look in CloudTrail for who made them mutable again",
        ),
        Some(finding) => withheld(run, finding),
        None => not_found(run),
    }
}

pub(super) fn not_created(check: CheckName, name: &str, why: &NoAnswer) -> Checkup {
    match why {
        NoAnswer::NotAsked(_) => Checkup::unanswered(check, why),
        why => Checkup::unknown(
            check,
            format!("`{name}` could not be created: {why}"),
            why.advice(),
        ),
    }
}

/// The rule has a finding, and there was no repair.
fn withheld(run: &CanaryRun, finding: &CanaryFinding) -> Checkup {
    let check = CheckName::CanaryRepair;
    let name = &run.names.repository;
    let by_policy = finding.status == Status::Exempt
        || finding.reason.is_some_and(|code| BY_POLICY.contains(&code));
    let because = because(finding);
    if run.reported().is_some() {
        return if by_policy {
            let detail =
                format!("`{name}` was evaluated and left alone, as the policy says: {because}");
            Checkup::ok(check, detail)
        } else {
            let detail = format!("`{name}` was not repaired: {because}: {}", finding.detail);
            Checkup::failing(check, detail, "docs/alerts.md explains the reasons")
        };
    }
    // An audit that changes nothing says of every repair that it only monitors.
    if by_policy && finding.reason != Some(Code::MonitorMode) {
        let detail = format!(
            "the policy leaves `{name}` alone: {because}. Only an alert would show that it was evaluated"
        );
        return Checkup::unknown(check, detail, None);
    }
    let time = seconds(run.waited);
    match run.alert {
        AlertHop::NotFollowed(_) => Checkup::unknown(
            check,
            format!(
                "`{name}` still has mutable tags after {time}: no event arrived, or the policy only monitors. An alert would show which"
            ),
            Some(NOTHING_CAME.to_owned()),
        ),
        _ => Checkup::failing(
            check,
            format!("`{name}` still has mutable tags after {time}, and there was no alert"),
            NOTHING_CAME,
        ),
    }
}

/// The name of the reason's code, else of the status.
fn because(finding: &CanaryFinding) -> String {
    let code = finding
        .reason
        .and_then(|code| serde_json::to_value(code).ok());
    let name = code.as_ref().and_then(|code| code.as_str());
    name.unwrap_or(finding.status.name()).to_owned()
}

fn not_found(run: &CanaryRun) -> Checkup {
    let check = CheckName::CanaryRepair;
    match &run.audited {
        Some(Err(why)) => Checkup::unanswered(check, why),
        None if run.stopped => {
            Checkup::unanswered(check, &NoAnswer::NotAsked("the run was stopped".to_owned()))
        }
        _ => Checkup::unknown(
            check,
            format!(
                "the policy in force does not apply {RULE} to `{}`, so there is no repair to follow",
                run.names.repository
            ),
            Some(format!(
                "turn on {RULE} for all repositories, also in monitor mode, and run it again"
            )),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{alert, finding, run};
    use super::*;
    use crate::doctor::checkup::Health;
    use std::time::Duration;

    #[test]
    fn what_became_of_the_repository_is_judged() {
        let base = || run(AlertHop::Awaited);
        let with = |status, reason| {
            let mut run = run(alert(vec![finding(RULE, status, reason)]));
            run.immutable_after = (status == Status::Fixed).then(|| Duration::from_millis(3240));
            run
        };
        let audited = |findings| CanaryRun {
            audited: Some(findings),
            ..base()
        };
        let denied = NoAnswer::Denied {
            permission: "ecr:CreateRepository".to_owned(),
            why: "the permission ecr:CreateRepository is missing".to_owned(),
        };
        let not_made = CanaryRun {
            created: Err(denied.clone()),
            ..base()
        };
        let silent = |reason| CanaryRun {
            alert: AlertHop::NotFollowed(NoAnswer::Gone),
            audited: Some(Ok(vec![finding(RULE, Status::Withheld, Some(reason))])),
            ..base()
        };
        let reverted = CanaryRun {
            immutable_after: None,
            ..with(Status::Fixed, None)
        };
        for (run, health, detail) in [
            (
                with(Status::Fixed, None),
                Health::Ok,
                "made immutable after 3.2 s",
            ),
            (
                reverted,
                Health::Failing,
                "ECR still says that they are mutable",
            ),
            (
                with(Status::Failed, Some(Code::AccessDenied)),
                Health::Failing,
                "mutable-tags: detail: the permission is missing",
            ),
            (
                with(Status::Withheld, Some(Code::MonitorMode)),
                Health::Ok,
                "as the policy says: monitor-mode",
            ),
            (
                with(Status::Withheld, Some(Code::Frozen)),
                Health::Ok,
                "as the policy says: frozen",
            ),
            (
                with(Status::Withheld, Some(Code::RecordUnreadable)),
                Health::Failing,
                "not repaired: record-unreadable",
            ),
            (
                with(Status::Withheld, None),
                Health::Failing,
                "not repaired: withheld: detail",
            ),
            (
                audited(Ok(vec![finding(RULE, Status::Open, None)])),
                Health::Failing,
                "still has mutable tags after 20.0 s, and there was no alert",
            ),
            (
                audited(Ok(vec![finding("missing-tags", Status::Open, None)])),
                Health::Unknown,
                "does not apply mutable-tags",
            ),
            (
                audited(Ok(vec![])),
                Health::Unknown,
                "does not apply mutable-tags",
            ),
            (
                audited(Err(denied)),
                Health::Unknown,
                "ecr:CreateRepository is missing",
            ),
            (
                silent(Code::Frozen),
                Health::Unknown,
                "Only an alert would show",
            ),
            (
                silent(Code::MonitorMode),
                Health::Unknown,
                "An alert would show which",
            ),
            (
                not_made,
                Health::Unknown,
                "could not be created: the permission ecr:CreateRepository is missing",
            ),
        ] {
            let checkup = canary_repair(&run);
            assert_eq!(checkup.status, health, "{run:?}: {checkup:?}");
            assert!(checkup.detail.contains(detail), "{}", checkup.detail);
            assert_eq!(
                checkup.advice.is_none(),
                health == Health::Ok || detail.starts_with("Only"),
                "{checkup:?}"
            );
        }
    }
}
