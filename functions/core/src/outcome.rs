//! What became of one event: `ecr-warden.outcome/1`, the enforcer's result.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::action::Action;
use crate::claim::Claim;
use crate::defer::Deferred;
use crate::finding::{Fix, Severity, Status};
use crate::plan::{Decision, Plan};
use crate::policy::Resolved;
use crate::policy::exemption::Standing;
use crate::reason::{Code, Reason};
use crate::record::{Known, Pushes, Repair};
use crate::repository::RepositoryId;
use crate::rule::Advice;
use crate::rules::entry;
use crate::trigger::Cause;

/// How the repairs went, by rule.
pub type Results = BTreeMap<String, Result<(), Reason>>;

/// One finding and what became of it; the alert and the outcome are both made of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub rule: String,
    pub severity: Severity,
    pub status: Status,
    /// What is or was wrong, in one line.
    pub detail: String,
    /// What the operator must still do, in one line; empty for nothing.
    pub to_do: String,
    /// How it is kept from coming back.
    pub advice: Option<Advice>,
    /// Seconds since the epoch at which it was first seen; `None`: it was not reported.
    pub since: Option<i64>,
    pub action: Option<Action>,
    /// Why the finding is open, or its repair withheld or failed.
    pub reason: Option<Code>,
    /// It was not reported yet.
    pub news: bool,
}

/// Joins what was known, planned, claimed and done.
#[must_use]
pub fn verdicts(
    policy: &Resolved,
    id: &RepositoryId,
    plan: &Plan,
    known: &Known,
    claims: &[Claim],
    results: &Results,
    now: i64,
) -> Vec<Verdict> {
    let advice = |rule: &str, repair: Option<&Action>| {
        let active = policy.rule(rule);
        active.map(|active| active.rule.advice_on(id, repair))
    };
    let approved = |repair: Option<&Repair>, detail: String| match repair
        .and_then(|repair| repair.approved_by.as_ref())
    {
        Some(who) => format!("{detail}; approved by {who}"),
        None => detail,
    };
    let claim_of = |rule: &str| claims.iter().find(|claim| claim.rule == rule);
    let mut verdicts: Vec<Verdict> = plan
        .steps
        .iter()
        .map(|step| {
            let rule = step.finding.rule;
            let claim = claim_of(rule);
            let mut detail = &step.finding.violation.detail;
            let (status, to_do, action) = match &step.decision {
                Decision::Manual(what) => (Status::Open, what.text.clone(), None),
                Decision::Offer(_, why) | Decision::Withhold(why) | Decision::Suspend(why) => {
                    (Status::Withheld, why.text.clone(), None)
                }
                Decision::Exempt(standing) => (Status::Exempt, exempt(standing, now), None),
                Decision::Repair(action) => match results.get(rule) {
                    Some(Ok(())) => match &step.finding.left {
                        None => (Status::Fixed, String::new(), Some(action.clone())),
                        Some(left) => {
                            detail = &left.detail;
                            (
                                Status::Open,
                                left.for_people().to_owned(),
                                Some(action.clone()),
                            )
                        }
                    },
                    Some(Err(why)) => (Status::Failed, why.text.clone(), Some(action.clone())),
                    None => {
                        let why = "another invocation is repairing it".to_owned();
                        (Status::Withheld, why, None)
                    }
                },
            };
            let repair = match (&step.decision, &step.finding.violation.fix) {
                (Decision::Repair(action), _)
                | (_, Fix::Safe(action) | Fix::Disruptive(action)) => Some(action),
                (_, Fix::Manual(_)) => None,
            };
            let reason = match (&step.decision, status) {
                (
                    Decision::Manual(why)
                    | Decision::Offer(_, why)
                    | Decision::Withhold(why)
                    | Decision::Suspend(why),
                    _,
                ) => Some(why.code),
                (Decision::Repair(_), Status::Failed) => match results.get(rule) {
                    Some(Err(why)) => Some(why.code),
                    _ => None,
                },
                (Decision::Repair(_), Status::Withheld) => Some(Code::RepairedElsewhere),
                (Decision::Repair(_), Status::Open) => Some(Code::NoRepair),
                (Decision::Repair(_) | Decision::Exempt(_), _) => None,
            };
            Verdict {
                rule: rule.to_owned(),
                severity: step.finding.severity,
                status,
                reason,
                detail: match claim.and_then(|claim| claim.said.pushes.as_ref()) {
                    Some(pushes) if pushes.count > 1 => format!(
                        "{detail}; {} more since the last report",
                        pushes.count.saturating_sub(1)
                    ),
                    _ => approved(
                        claim.and_then(|claim| claim.repair.as_ref()),
                        detail.clone(),
                    ),
                },
                to_do,
                advice: step.finding.advice.clone().or_else(|| advice(rule, repair)),
                since: claim
                    .map(|claim| &claim.said)
                    .or_else(|| known.said.get(rule))
                    .map(|said| said.since),
                action,
                news: claim.is_some(),
            }
        })
        .collect();
    // What an earlier step or attempt repaired, and what was resolved otherwise.
    for claim in claims {
        if plan
            .steps
            .iter()
            .any(|step| step.finding.rule == claim.rule)
        {
            continue;
        }
        let detail = match (&claim.said.action, claim.said.status) {
            _ if claim.said.pushes.is_some() => pushes(claim.said.pushes.as_ref()),
            (Some(action), Status::Fixed) => {
                let was = format!("was {}, which the policy does not allow", action.from());
                let last = known.repairs.get(&claim.rule);
                let last = last.and_then(|repairs| repairs.history.first());
                approved(last.filter(|repair| repair.action == *action), was)
            }
            _ => "the finding is resolved".to_owned(),
        };
        verdicts.push(Verdict {
            rule: claim.rule.clone(),
            severity: match (&claim.said.action, claim.said.status) {
                // The next `terraform apply` may undo it with all images: see the advice of `weak-encryption`.
                (Some(Action::Recreate { .. }), Status::Fixed) => Severity::High,
                _ => entry(&claim.rule).map_or(Severity::Medium, |entry| entry.meta.severity),
            },
            status: claim.said.status,
            reason: None,
            detail,
            to_do: String::new(),
            advice: (claim.said.status == Status::Fixed)
                .then(|| advice(&claim.rule, claim.said.action.as_ref()))
                .flatten(),
            since: Some(claim.said.since),
            action: claim
                .said
                .action
                .clone()
                .filter(|_| claim.said.status == Status::Fixed),
            news: true,
        });
    }
    verdicts
}

/// What a sweep reports of the pushes that were counted.
fn pushes(pushes: Option<&Pushes>) -> String {
    pushes.map_or_else(String::new, |pushes| {
        let of = if pushes.count == 1 { "push" } else { "pushes" };
        let Pushes { count, last } = pushes;
        format!("{count} {of} since the last report; the last: {last}")
    })
}

fn exempt(standing: &Standing, now: i64) -> String {
    if standing.ends_soon(now) {
        format!("{standing}; the exemption ends soon: repair the finding, or extend the exemption")
    } else {
        standing.to_string()
    }
}

/// The enforcer's result. Its names are a contract: they change only with a changelog entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    schema: &'static str,
    /// ARN; `null` where the event names none.
    repository: Option<String>,
    cause: Option<Cause>,
    /// Why the repository was not evaluated; `null` if it was.
    pub ignored: Option<String>,
    /// The code of `ignored`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    pub(crate) findings: Vec<OutcomeFinding>,
    pub(crate) actions: Vec<OutcomeAction>,
    /// The event comes back from the delay queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deferred: Option<Deferred>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OutcomeFinding {
    pub(crate) rule: String,
    severity: Severity,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Code>,
    detail: String,
}

/// A change, as outcomes and alerts list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeAction {
    pub action: &'static str,
    pub from: String,
    pub to: String,
    /// `done`, or why not.
    pub result: String,
}

const SCHEMA: &str = "ecr-warden.outcome/1";

impl Outcome {
    #[must_use]
    pub fn ignored(
        repository: Option<&RepositoryId>,
        cause: Option<Cause>,
        reason: Reason,
    ) -> Self {
        Self {
            schema: SCHEMA,
            repository: repository.map(RepositoryId::arn),
            cause,
            ignored: Some(reason.text),
            reason: Some(reason.code),
            findings: Vec::new(),
            actions: Vec::new(),
            deferred: None,
        }
    }

    /// The same of an event that comes back.
    #[must_use]
    pub fn deferred(self, deferred: Option<Deferred>) -> Self {
        Self { deferred, ..self }
    }

    #[must_use]
    pub fn of(id: &RepositoryId, cause: Cause, verdicts: &[Verdict]) -> Self {
        Self {
            schema: SCHEMA,
            repository: Some(id.arn()),
            cause: Some(cause),
            ignored: None,
            reason: None,
            findings: verdicts
                .iter()
                .map(|verdict| OutcomeFinding {
                    rule: verdict.rule.clone(),
                    severity: verdict.severity,
                    status: verdict.status,
                    reason: verdict.reason,
                    detail: match verdict.to_do.as_str() {
                        "" => verdict.detail.clone(),
                        to_do => format!("{}; {to_do}", verdict.detail),
                    },
                })
                .collect(),
            actions: actions(verdicts),
            deferred: None,
        }
    }
}

/// The changes among the verdicts.
#[must_use]
pub fn actions(verdicts: &[Verdict]) -> Vec<OutcomeAction> {
    verdicts.iter().filter_map(OutcomeAction::of).collect()
}

impl OutcomeAction {
    /// `None`: nothing was changed, or to be changed.
    pub(crate) fn of(verdict: &Verdict) -> Option<Self> {
        verdict.action.as_ref().map(|action| Self {
            action: action.name(),
            from: action.from(),
            to: action.to(),
            result: match verdict.status {
                Status::Failed => verdict.to_do.clone(),
                _ => "done".to_owned(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
