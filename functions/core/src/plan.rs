//! Policy × findings → what is to be done about each. The only place that knows modes and what stands in the way
//! of a repair.
//!
//! A plan is data: a dry run, the log, the alert and the tests read the same value.

use crate::action::Action;
use crate::finding::{Finding, Fix, Severity};
use crate::policy::Resolved;
use crate::state::{Known, Result as Repaired};

/// A fallback is tried again after a day; until then people have the time to mend the key.
const FALLBACK_HOLDS: i64 = 24 * 60 * 60;

/// What is to be done, in the order of the findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Every active rule was asked: what is not among the steps is not wrong (any more).
    pub complete: bool,
}

/// One finding, and the decision on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub finding: Finding,
    pub decision: Decision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make this change.
    Repair(Action),
    /// There is a repair, and it is held back: one line says why.
    Hold(String),
    /// Only people can mend it: one line says what they should do.
    People(String),
}

impl Plan {
    /// The recreation, where there is one: it comes before everything else and alone.
    #[must_use]
    pub fn recreation(&self) -> Option<&Step> {
        self.steps
            .iter()
            .find(|step| matches!(step.decision, Decision::Repair(Action::Recreate { .. })))
    }

    /// The changes, with the rules that ask for them.
    pub fn repairs(&self) -> impl Iterator<Item = (&'static str, &Action)> {
        self.steps.iter().filter_map(|step| match &step.decision {
            Decision::Repair(action) => Some((step.finding.rule, action)),
            Decision::Hold(_) | Decision::People(_) => None,
        })
    }

    /// Turns a repair into one that people have to make.
    pub fn give_up(&mut self, rule: &str, why: &str) {
        for step in &mut self.steps {
            if step.finding.rule == rule {
                step.decision = Decision::People(why.to_owned());
            }
        }
    }
}

/// Decides. `state` is what the state table holds, or why it could not be read: without it nothing is changed,
/// because a change that is not recorded can't be told or undone.
#[must_use]
pub fn plan(
    policy: &Resolved,
    findings: Vec<Finding>,
    state: Result<&Known, &str>,
    now: i64,
) -> Plan {
    let steps = findings
        .into_iter()
        .map(|mut finding| {
            let decision = decide(policy, &finding, state, now);
            if fell_back(&finding, state, now).is_some() {
                // ecr-warden set out to mend it and could not: somebody must look.
                finding.severity = Severity::Critical;
            }
            Step { finding, decision }
        })
        .collect();
    Plan {
        steps,
        complete: true,
    }
}

fn decide(policy: &Resolved, finding: &Finding, state: Result<&Known, &str>, now: i64) -> Decision {
    let action = match &finding.violation.fix {
        Fix::Manual(what) => return Decision::People(what.clone()),
        Fix::Safe(action) | Fix::Disruptive(action) => action.clone(),
    };
    let enforced = policy
        .rules
        .iter()
        .any(|active| active.entry.meta.id == finding.rule && active.enforce);
    if !enforced {
        return Decision::Hold(format!(
            "monitor mode: would change {} to {}",
            action.from(),
            action.to()
        ));
    }
    let known = match state {
        Ok(known) => known,
        Err(why) => {
            return Decision::Hold(format!(
                "nothing is changed while the state table cannot be read: {why}"
            ));
        }
    };
    if let Some(why) = fell_back(finding, Ok(known), now) {
        return Decision::People(format!(
            "it was recreated with its old encryption, because the new one was refused: {why}. Mend that; it is tried \
             again after a day"
        ));
    }
    Decision::Repair(action)
}

/// Why the last recreation ended with the old encryption, where that is recent.
fn fell_back<'k>(finding: &Finding, state: Result<&'k Known, &str>, now: i64) -> Option<&'k str> {
    let last = state.ok()?.repairs.get(finding.rule)?;
    match (&finding.violation.fix, &last.result) {
        (Fix::Disruptive(Action::Recreate { .. }), Repaired::FellBack(why))
            if now.saturating_sub(last.at) < FALLBACK_HOLDS =>
        {
            Some(why)
        }
        _ => None,
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;
    use crate::evaluate::tests::{repository, shipped};
    use crate::policy::Policy;
    use crate::repository::{Encryption, Repository, TagMutability};
    use crate::state::Repair;

    const NOW: i64 = 1_800_000_000;

    fn broken() -> Repository {
        let mut repository = repository();
        repository.mutability = TagMutability::Mutable;
        repository.encryption = Encryption::aes256();
        repository
    }

    fn planned(policy: &Policy, repository: &Repository, state: Result<&Known, &str>) -> Plan {
        let resolved = policy.for_repository(&repository.id).unwrap();
        plan(&resolved, evaluate(&resolved, repository), state, NOW)
    }

    fn monitoring() -> Policy {
        let text =
            include_str!("../../../infra/policy.yaml").replace("mode: enforce", "mode: monitor");
        Policy::parse(&text).unwrap()
    }

    #[test]
    fn applying_the_plan_leaves_nothing_to_apply() {
        let mut repository = broken();
        let state = Known::default();
        let plan = planned(&shipped(), &repository, Ok(&state));
        assert_eq!(plan.repairs().count(), 2);
        for (_, action) in plan.repairs() {
            action.apply_to(&mut repository);
        }
        assert_eq!(planned(&shipped(), &repository, Ok(&state)).steps, []);
    }

    #[test]
    fn monitor_mode_changes_nothing_and_says_what_it_would() {
        let plan = planned(&monitoring(), &broken(), Ok(&Known::default()));
        assert_eq!(plan.repairs().count(), 0);
        assert_eq!(
            plan.steps[0].decision,
            Decision::Hold("monitor mode: would change MUTABLE to IMMUTABLE".to_owned())
        );
    }

    #[test]
    fn without_state_nothing_is_changed() {
        let plan = planned(&shipped(), &broken(), Err("dynamodb:Query is missing"));
        assert_eq!(plan.repairs().count(), 0);
    }

    #[test]
    fn a_recreation_that_fell_back_rests_for_a_day() {
        let fell_back = |at| {
            let action = Action::Recreate {
                from: Encryption::aes256(),
                to: Encryption::kms(None),
            };
            let repair = Repair {
                action,
                result: Repaired::FellBack("the key is disabled".to_owned()),
                at,
                cause: "CreateRepository".to_owned(),
                actor: None,
            };
            Known {
                repairs: [("weak-encryption".to_owned(), repair)].into(),
                ..Known::default()
            }
        };
        let recent = planned(&shipped(), &broken(), Ok(&fell_back(NOW - 60)));
        assert!(recent.recreation().is_none());
        let old = planned(&shipped(), &broken(), Ok(&fell_back(NOW - FALLBACK_HOLDS)));
        assert!(old.recreation().is_some());
    }
}
