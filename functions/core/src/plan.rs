//! Policy × findings → what is to be done about each. The only place that knows modes and what stands in the way
//! of a repair.
//!
//! A plan is data: a dry run, the log, the alert and the tests read the same value.

mod blinded;
mod decision;
mod lifecycle;
mod reverts;

use self::blinded::blinded;
pub use self::blinded::{BLINDED, blinded_entirely};
use self::decision::withhold;
pub use self::decision::{Decision, Plan, Step};
use self::lifecycle::lifecycle;
use self::reverts::{Refusal, fight, persists, refused_lately, reverted};
use crate::action::{Action, Part};
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::lifecycle::matches_nothing;
use crate::policy::Resolved;
use crate::quarantine;
pub use crate::quarantine::STALE_QUARANTINE;
use crate::reason::{Code, Reason};
use crate::record::{Context, Known};
use crate::repository::{Reads, Repository};
use crate::text::rfc3339;
use crate::trigger::Cause;

/// What deciding requires beyond what the rules read: the images that a default lifecycle policy would expire.
#[must_use]
pub fn reads(policy: &Resolved, repository: &Repository) -> Reads {
    let mut rules = policy.rules.iter();
    Reads {
        storage: rules.any(|active| active.enforce && active.rule.default_lifecycle().is_some())
            && repository.has_images.known() == Some(&true)
            && match repository.lifecycle.known() {
                Some(Some(text)) => matches_nothing(text).is_some(),
                Some(None) => true,
                None => false,
            },
        ..Reads::default()
    }
}

/// Decides. `state` is what the state table holds, or why it could not be read: without it nothing is changed,
/// because a change that is not recorded could be neither reported nor rolled back.
#[must_use]
pub fn plan(
    policy: &Resolved,
    repository: &Repository,
    findings: Vec<Finding>,
    state: Result<&Known, &str>,
    context: &Context<'_>,
) -> Plan {
    let mut steps = Vec::new();
    // As the repairs of this plan leave it, one after the other.
    let mut repaired = repository.clone();
    let mut parts: Vec<Part> = Vec::new();
    for mut finding in findings
        .into_iter()
        .chain(stale_quarantine(policy, repository, context))
        .chain(blinded(repository))
    {
        let after = now_repairable(policy, &finding, &repaired, &parts);
        let exemption = policy.exemption(finding.rule, &repository.tags, context.now);
        let decision = match exemption {
            Ok(Some(standing)) => Decision::Exempt(standing),
            Ok(None) => decide(policy, after.as_ref().unwrap_or(&finding), state, context),
            Err(why) => {
                finding.violation.detail.push_str("; ");
                finding.violation.detail.push_str(&why);
                decide(policy, after.as_ref().unwrap_or(&finding), state, context)
            }
        };
        let decision = match decision {
            Decision::Repair(Action::SetLifecyclePolicy { from, to }) => {
                // What someone approves is made by a sweep, which knows nothing of this event.
                let deleted = context.origin.cause == Cause::DeleteLifecyclePolicy
                    && !policy.asks(finding.rule);
                lifecycle(from, to, repository, state, deleted, context.now)
            }
            other => other,
        };
        let decision = match decision {
            Decision::Repair(action) if parts.contains(&action.part()) => {
                go_on(policy, &finding, &repaired)
            }
            other => other,
        };
        // Last: anything else that stands in the way of the repair is the better reason.
        let decision = match decision {
            Decision::Repair(action) => {
                let hold = policy.hold_of(finding.rule, &action).cloned();
                let of_sweep = hold.as_ref().is_some_and(|why| why.code.is_of_sweep());
                let held = hold.clone().filter(|_| !of_sweep);
                if let Some(why) = held.or_else(|| grace(policy, &finding, state, context)) {
                    would_change(why.code, &why.text, &action)
                } else if let Some(why) =
                    unapproved(policy, finding.rule, &action, repository, state, context)
                {
                    Decision::Offer(action, why)
                } else if let Some(why) = hold {
                    // What a sweep leaves for the next one is said of what the next one may repair.
                    would_change(why.code, &why.text, &action)
                } else {
                    Decision::Repair(action)
                }
            }
            other => other,
        };
        if let Decision::Repair(action) = &decision {
            action.apply_to(&mut repaired);
            parts.push(action.part());
        }
        if let Some(Refusal::FellBack(_)) = refused_lately(&finding, state, context.now) {
            // The repository was deleted and has its old encryption again: a person must look.
            finding.severity = Severity::Critical;
        }
        if let Ok(known) = state
            && reverted(policy, &finding, known, context.now).is_some()
        {
            finding.severity = Severity::Critical;
        }
        steps.push(Step { finding, decision });
    }
    Plan {
        steps,
        complete: true,
    }
}

/// Why a change waits for approval; `None`: the policy does not ask for that, or someone has approved exactly this change.
fn unapproved(
    policy: &Resolved,
    rule: &'static str,
    action: &Action,
    repository: &Repository,
    state: Result<&Known, &str>,
    context: &Context<'_>,
) -> Option<Reason> {
    if !policy.asks(rule) {
        return None;
    }
    let approval = state.map_or(Err(None), |known| known.approval(rule, action, context));
    let refuses = match approval {
        Ok(_) => return None,
        Err(None) => String::new(),
        Err(Some(why)) => format!("; {why}"),
    };
    let (name, from, to) = (&repository.id.name, action.from(), action.to());
    let why = format!(
        "waits for approval (`mode: approve`): `ecr-warden approve {name} --rule {rule}` changes {from} to {to}{refuses}"
    );
    Some(Reason::new(Code::ApprovalRequired, why))
}

/// Why a finding is not repaired yet. Its time begins when it is first seen, and again when it comes back after it was resolved, or in
/// another repository of the same name.
fn grace(
    policy: &Resolved,
    finding: &Finding,
    state: Result<&Known, &str>,
    context: &Context<'_>,
) -> Option<Reason> {
    let grace = policy.rule(finding.rule)?.grace?;
    let since = state.map_or(context.now, |known| known.since(finding.rule, context));
    let until = since.saturating_add(grace.seconds());
    (context.now < until).then(|| {
        let time = rfc3339(until).unwrap_or_default();
        let why = format!("the policy repairs it after {time} (`enforce-after: {grace}`)");
        Reason::new(Code::GracePeriod, why)
    })
}

/// What is found after the repairs of this plan that come before, where it could not be repaired without them and can be then.
fn now_repairable(
    policy: &Resolved,
    finding: &Finding,
    repaired: &Repository,
    parts: &[Part],
) -> Option<Finding> {
    let Fix::Manual(_) = finding.violation.fix else {
        return None;
    };
    let active = policy.rule(finding.rule).filter(|_| !parts.is_empty())?;
    let violation = active.rule.check(repaired)?;
    let is_repair_of = |part: &Part| match &violation.fix {
        Fix::Safe(action) | Fix::Disruptive(action) => action.part() == *part,
        Fix::Manual(_) => false,
    };
    parts.iter().any(is_repair_of).then(|| Finding {
        violation: violation.clone(),
        ..finding.clone()
    })
}

/// Another repair of this plan changes the same part first: this one goes on from what that leaves.
fn go_on(policy: &Resolved, finding: &Finding, repaired: &Repository) -> Decision {
    let violation = match finding.rule {
        STALE_QUARANTINE => lift(repaired),
        rule => policy
            .rule(rule)
            .and_then(|active| active.rule.check(repaired)),
    };
    match violation.map(|violation| violation.fix) {
        Some(Fix::Safe(action)) => Decision::Repair(action),
        _ => withhold(
            Code::SamePart,
            "another repair changes the same setting; the next evaluation continues",
        ),
    }
}

/// A quarantine that no rule asks for (any more): the repository conforms, is exempt, or the policy has changed.
fn stale_quarantine(
    policy: &Resolved,
    repository: &Repository,
    context: &Context<'_>,
) -> Option<Finding> {
    let asked_for = policy.rules.iter().any(|active| {
        let exempt = policy.exemption(active.entry.meta.id, &repository.tags, context.now);
        active.rule.quarantines(repository) && !matches!(exempt, Ok(Some(_)))
    });
    let violation = lift(repository).filter(|_| !asked_for)?;
    Some(Finding {
        rule: STALE_QUARANTINE,
        severity: Severity::Low,
        violation,
        left: None,
        advice: None,
    })
}

fn lift(repository: &Repository) -> Option<Violation> {
    let text = repository.policy.known()?.as_ref()?;
    quarantine::is_in(text).then(|| Violation {
        detail: "the ecr-warden quarantine blocks pushes, but no rule requires it any more"
            .to_owned(),
        fix: Fix::Safe(Action::SetRepositoryPolicy {
            from: Some(text.clone()),
            to: quarantine::lift(text),
        }),
    })
}

fn would_change(code: Code, why: &str, action: &Action) -> Decision {
    let text = format!("{why}; would change {} to {}", action.from(), action.to());
    withhold(code, text)
}

fn decide(
    policy: &Resolved,
    finding: &Finding,
    state: Result<&Known, &str>,
    context: &Context<'_>,
) -> Decision {
    let action = match &finding.violation.fix {
        Fix::Manual(what) => {
            return Decision::Manual(Reason::new(Code::NoRepair, what.clone()));
        }
        Fix::Safe(action) | Fix::Disruptive(action) => action.clone(),
    };
    let enforced = match finding.rule {
        STALE_QUARANTINE => policy.enforce,
        rule => policy.rule(rule).is_some_and(|active| active.enforce),
    };
    if !enforced {
        return would_change(Code::MonitorMode, "monitor mode", &action);
    }
    let known = match state {
        Ok(known) => known,
        Err(why) => {
            return withhold(
                Code::RecordUnreadable,
                format!("no repair is made while the state table cannot be read: {why}"),
            );
        }
    };
    if let Some(why) = known.unreadable(finding.rule) {
        return withhold(
            Code::RecordUnreadable,
            format!(
                "repairs by this rule are withheld, because its record in the state table cannot be read: {why}; update \
                 ecr-warden to the version that wrote it"
            ),
        );
    }
    match refused_lately(finding, Ok(known), context.now) {
        Some(Refusal::FellBack(why)) => {
            return Decision::Manual(Reason::new(
                Code::FellBack,
                format!(
                    "it was recreated with its old encryption, because the new one was refused: {why}. \
                     Correct that; ecr-warden tries again after a day"
                ),
            ));
        }
        Some(Refusal::NotDeleted(why)) => {
            return Decision::Manual(Reason::new(
                Code::DeletionRefused,
                format!(
                    "not recreated, because its deletion was refused: {why}. Correct that; ecr-warden \
                     tries again after a day, or after `ecr-warden resume` ({})",
                    finding.rule
                ),
            ));
        }
        None => {}
    }
    let Some(repairs) = known.repairs.get(finding.rule) else {
        return Decision::Repair(action);
    };
    let persistent = persists(policy, finding);
    if let Some(held) = &repairs.held
        && (held.by_person || !persistent)
    {
        let code = if held.by_person {
            Code::RolledBack
        } else {
            Code::RevertLimit
        };
        return withhold(code, held.why.clone());
    }
    if persistent {
        return match reverted(policy, finding, known, context.now) {
            Some(fight) if context.now < fight.next => withhold(
                Code::RevertLimit,
                format!(
                    "repaired {} times within 24 hours and reverted each time; the next repair is made after {}: stop what \
                     reverts it, see the events of this repository in CloudTrail",
                    fight.times,
                    rfc3339(fight.next).unwrap_or_default()
                ),
            ),
            _ => Decision::Repair(action),
        };
    }
    match fight(policy, repairs, &action, finding.rule, context) {
        Some(why) => Decision::Suspend(Reason::new(Code::RevertLimit, why)),
        None => Decision::Repair(action),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
