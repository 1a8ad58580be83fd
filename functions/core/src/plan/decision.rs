//! A plan: each finding with the decision on it.

use crate::action::Action;
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::policy::exemption::Standing;
use crate::reason::{Code, Reason};

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
    /// This change waits for someone's approval.
    Offer(Action, Reason),
    /// There is a repair, and it is not made this time.
    Withhold(Reason),
    /// Repairs of it are suspended from now on, until they are resumed.
    Suspend(Reason),
    /// The policy exempts it.
    Exempt(Standing),
    /// ecr-warden does not repair it. The sentence says what to do.
    Manual(Reason),
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
            Decision::Offer(..)
            | Decision::Withhold(_)
            | Decision::Suspend(_)
            | Decision::Exempt(_)
            | Decision::Manual(_) => None,
        })
    }

    /// One finding that no rule made and that is only reported; the rules were not evaluated.
    #[must_use]
    pub fn for_people(rule: &'static str, detail: &str, what: String) -> Self {
        Self {
            steps: vec![Step {
                finding: Finding {
                    rule,
                    severity: Severity::High,
                    violation: Violation {
                        detail: detail.to_owned(),
                        fix: Fix::Manual(what.clone()),
                    },
                    left: None,
                    advice: None,
                },
                decision: Decision::Manual(Reason::new(Code::NoRepair, what)),
            }],
            complete: false,
        }
    }

    /// The same, and it is critical.
    #[must_use]
    pub fn critical(rule: &'static str, detail: &str, what: String) -> Self {
        let mut plan = Self::for_people(rule, detail, what);
        for step in &mut plan.steps {
            step.finding.severity = Severity::Critical;
        }
        plan
    }

    /// Turns a repair into a finding that is only reported.
    pub fn give_up(&mut self, rule: &str, why: &Reason) {
        for step in &mut self.steps {
            if step.finding.rule == rule {
                step.decision = Decision::Manual(why.clone());
            }
        }
    }
}

pub(super) fn withhold(code: Code, text: impl Into<String>) -> Decision {
    Decision::Withhold(Reason::new(code, text))
}
