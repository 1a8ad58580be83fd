//! What a canary's run names, and what it has seen.

use std::time::Duration;

use super::leftover::Leftover;
use super::sighting::{CanaryAlert, CanaryFinding};
use crate::doctor::checkup::{Answered, AwsObservation};
use crate::doctor::no_answer::NoAnswer;
use crate::finding::Status;

/// The tag that a run gives its repository, with the run's identifier as value. Nothing without it is removed.
pub const CANARY_TAG: &str = "ecr-warden-canary";
/// The rule that a new repository with mutable tags violates.
pub(super) const RULE: &str = "mutable-tags";

/// What a run creates, by names that no other run has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanaryNames {
    pub id: String,
    pub repository: String,
    pub queue: String,
}

impl CanaryNames {
    /// `prefix`: what the stack may change begins with it; empty: all. `random`: another number for each run.
    #[must_use]
    pub fn new(prefix: &str, random: u64) -> Self {
        let id = format!("{random:016x}");
        Self {
            repository: format!("{prefix}{CANARY_TAG}-{id}"),
            queue: format!("{CANARY_TAG}-{id}"),
            id,
        }
    }
}

/// Whether the run waits for the alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertHop {
    /// The run does not subscribe to the topic.
    NotFollowed(NoAnswer),
    Awaited,
    Received(CanaryAlert),
}

/// What a run has seen. Times are counted from the answer to CreateRepository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryRun {
    pub names: CanaryNames,
    pub created: Answered<()>,
    /// When ECR first said that the tags are immutable.
    pub immutable_after: Option<Duration>,
    pub alert: AlertHop,
    /// How long the run waited for both.
    pub waited: Duration,
    /// What the auditor finds in the repository; `None`: it was not asked, because the alert says it.
    pub audited: Option<Answered<Vec<CanaryFinding>>>,
    pub observations: Vec<AwsObservation>,
    pub leftovers: Vec<Leftover>,
    /// By the operator.
    pub stopped: bool,
}

impl CanaryRun {
    /// A run that has created nothing yet.
    #[must_use]
    pub fn new(names: CanaryNames, alert: AlertHop) -> Self {
        Self {
            names,
            created: Err(NoAnswer::NotAsked("it was not created".to_owned())),
            immutable_after: None,
            alert,
            waited: Duration::ZERO,
            audited: None,
            observations: Vec::new(),
            leftovers: Vec::new(),
            stopped: false,
        }
    }

    /// Nothing more is to be expected of it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match &self.alert {
            AlertHop::NotFollowed(_) => self.immutable_after.is_some(),
            AlertHop::Awaited => false,
            // A grave finding is reported before `settle` ends, and the rule's in another alert.
            AlertHop::Received(_) => self.reported().is_some_and(|finding| {
                finding.status != Status::Fixed || self.immutable_after.is_some()
            }),
        }
    }

    /// Of the rule that the repository violates, as the alert has it.
    #[must_use]
    pub fn reported(&self) -> Option<&CanaryFinding> {
        match &self.alert {
            AlertHop::Received(alert) => alert.finding(RULE),
            AlertHop::NotFollowed(_) | AlertHop::Awaited => None,
        }
    }

    /// The same, as the alert or else the auditor has it.
    pub(super) fn finding(&self) -> Option<&CanaryFinding> {
        let audited = self
            .audited
            .as_ref()
            .and_then(|answer| answer.as_ref().ok());
        let audited = audited.and_then(|all| all.iter().find(|finding| finding.rule == RULE));
        self.reported().or(audited)
    }
}

/// What to do where nothing came.
pub(super) const NOTHING_CAME: &str = "see the checks trail, triggers and functions, and the enforcer's log; CloudTrail can be late: run it again with --wait 900, or longer than `settle` of the policy";

pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::reason::Code;

    pub(in super::super) fn finding(
        rule: &str,
        status: Status,
        reason: Option<Code>,
    ) -> CanaryFinding {
        CanaryFinding {
            rule: rule.to_owned(),
            status,
            reason,
            detail: "detail".to_owned(),
            advice: "advice".to_owned(),
        }
    }

    pub(in super::super) fn alert(findings: Vec<CanaryFinding>) -> AlertHop {
        AlertHop::Received(CanaryAlert {
            after: Duration::from_millis(4100),
            published_after: Some(Duration::from_millis(2500)),
            findings,
            failures: vec!["the permission is missing".to_owned()],
        })
    }

    /// One that was created, and waited 20 seconds.
    pub(in super::super) fn run(alert: AlertHop) -> CanaryRun {
        CanaryRun {
            created: Ok(()),
            waited: Duration::from_secs(20),
            ..CanaryRun::new(
                CanaryNames {
                    id: "1".to_owned(),
                    repository: "canary".to_owned(),
                    queue: "q".to_owned(),
                },
                alert,
            )
        }
    }

    #[test]
    fn names_begin_with_what_the_stack_may_change_and_differ_by_run() {
        let names = CanaryNames::new("team-a/", 255);
        assert_eq!(
            names.repository,
            "team-a/ecr-warden-canary-00000000000000ff"
        );
        assert_eq!(names.queue, "ecr-warden-canary-00000000000000ff");
        assert_ne!(CanaryNames::new("", 1), CanaryNames::new("", 2));
    }

    #[test]
    fn a_run_waits_for_the_alert_and_for_the_repair_that_the_alert_speaks_of() {
        let fixed = || alert(vec![finding(RULE, Status::Fixed, None)]);
        let open = || alert(vec![finding(RULE, Status::Open, None)]);
        let not_followed = || AlertHop::NotFollowed(NoAnswer::Gone);
        for (hop, immutable, complete) in [
            (AlertHop::Awaited, true, false),
            (AlertHop::Awaited, false, false),
            (fixed(), false, false),
            (fixed(), true, true),
            (open(), false, true),
            (not_followed(), false, false),
            (not_followed(), true, true),
        ] {
            let mut run = run(hop);
            run.immutable_after = immutable.then_some(Duration::ZERO);
            assert_eq!(run.is_complete(), complete, "{run:?}");
        }
    }
}
