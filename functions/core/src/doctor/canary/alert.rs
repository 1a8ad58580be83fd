//! Whether the alert about the canary's repository arrived, and when.

use super::repair::not_created;
use super::run::{AlertHop, CanaryRun, NOTHING_CAME, seconds};
use super::sighting::CanaryAlert;
use crate::doctor::checkup::{CheckName, Checkup};
use crate::doctor::no_answer::NoAnswer;
use crate::finding::Status;

/// Decides the check.
#[must_use]
pub(super) fn canary_alert(run: &CanaryRun) -> Checkup {
    let check = CheckName::CanaryAlert;
    let name = &run.names.repository;
    if let Err(why) = &run.created {
        return not_created(check, name, why);
    }
    match (&run.alert, &run.audited) {
        (AlertHop::NotFollowed(why), _) => Checkup::unanswered(check, why),
        (AlertHop::Received(alert), _) => Checkup::ok(check, arrived(alert)),
        (AlertHop::Awaited, _) if run.stopped => {
            Checkup::unanswered(check, &NoAnswer::NotAsked("the run was stopped".to_owned()))
        }
        (AlertHop::Awaited, Some(Ok(findings)))
            if run.immutable_after.is_none()
                && findings.iter().all(|it| it.status == Status::Exempt) =>
        {
            Checkup::unknown(
                check,
                format!(
                    "the policy in force finds nothing wrong with `{name}`, so there is no alert to follow"
                ),
                None,
            )
        }
        (AlertHop::Awaited, _) => {
            let although = match run.immutable_after {
                Some(_) => ", although it was repaired",
                None => "",
            };
            Checkup::failing(
                check,
                format!(
                    "no alert about `{name}` arrived within {}{although}",
                    seconds(run.waited)
                ),
                NOTHING_CAME,
            )
        }
    }
}

fn arrived(alert: &CanaryAlert) -> String {
    let findings: Vec<String> = alert
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.rule, finding.status.name()))
        .collect();
    let published = alert.published_after.map_or_else(String::new, |time| {
        format!(", published {} after the call", seconds(time))
    });
    format!(
        "the alert arrived after {}{published}: {}",
        seconds(alert.after),
        findings.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::run::tests::{alert, finding, run};
    use super::*;
    use crate::doctor::checkup::Health;
    use std::time::Duration;

    #[test]
    fn the_alert_is_there_or_it_is_said_why_not() {
        let unconfirmed = NoAnswer::NotAsked("no subscription is confirmed".to_owned());
        let received = alert(vec![
            finding("mutable-tags", Status::Fixed, None),
            finding("missing-tags", Status::Open, None),
        ]);
        let awaited = |immutable: bool, found: Vec<_>| CanaryRun {
            immutable_after: immutable.then(|| Duration::from_secs(2)),
            audited: Some(Ok(found)),
            ..run(AlertHop::Awaited)
        };
        let open = || vec![finding("mutable-tags", Status::Open, None)];
        let exempt = || vec![finding("mutable-tags", Status::Exempt, None)];
        let stopped = CanaryRun {
            stopped: true,
            ..run(AlertHop::Awaited)
        };
        for (run, health, detail) in [
            (
                run(received),
                Health::Ok,
                "arrived after 4.1 s, published 2.5 s after the call: mutable-tags fixed, missing-tags open",
            ),
            (
                run(AlertHop::NotFollowed(unconfirmed)),
                Health::Unknown,
                "not checked: no subscription is confirmed",
            ),
            (
                awaited(true, vec![]),
                Health::Failing,
                "within 20.0 s, although it was repaired",
            ),
            (
                awaited(false, open()),
                Health::Failing,
                "no alert about `canary` arrived within 20.0 s",
            ),
            (
                awaited(false, vec![]),
                Health::Unknown,
                "finds nothing wrong",
            ),
            (
                awaited(false, exempt()),
                Health::Unknown,
                "finds nothing wrong",
            ),
            (stopped, Health::Unknown, "the run was stopped"),
        ] {
            let checkup = canary_alert(&run);
            assert_eq!(checkup.status, health, "{run:?}: {checkup:?}");
            assert!(
                checkup.detail.ends_with(detail) || checkup.detail.contains(detail),
                "{}",
                checkup.detail
            );
        }
    }
}
