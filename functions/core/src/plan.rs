//! Policy × findings → what is to be done about each. The only place that knows modes and what stands in the way
//! of a repair.
//!
//! A plan is data: a dry run, the log, the alert and the tests read the same value.

use crate::action::{Action, Part};
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::lifecycle::{Impact, matches_nothing};
use crate::policy::Resolved;
use crate::policy::exemption::Standing;
use crate::quarantine;
use crate::reason::{Code, Reason};
use crate::repository::{DENIED_BY_POLICY, Read, Reads, Repository};
use crate::state::{Context, Known, Repairs, Result as Repaired};
use crate::text::rfc3339;
use crate::trigger::{Cause, Origin};

/// A recreation that was refused is tried again after a day, in seconds: until then there is time to repair the key or the permission.
const REFUSAL_HOLDS: i64 = 24 * 60 * 60;

/// Seconds between the last allowed repair of what is reverted again and again, and the next one.
const BACK_OFF: i64 = 60 * 60;
/// Later than after 16 hours, the repairs before are older than a day and do not count any more.
const MOST_DOUBLINGS: u32 = 4;

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
            Decision::Withhold(_)
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

/// The rule name of a quarantine that no rule requires any more.
pub const STALE_QUARANTINE: &str = "stale-quarantine";

/// The finding that the repository policy keeps ecr-warden from reading the repository.
pub const BLINDED: &str = "blinded";

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
        let exemption = policy.exemption(finding.rule, &repository.tags, context.now);
        let decision = match exemption {
            Ok(Some(standing)) => Decision::Exempt(standing),
            Ok(None) => decide(policy, &finding, state, context),
            Err(why) => {
                finding.violation.detail.push_str("; ");
                finding.violation.detail.push_str(&why);
                decide(policy, &finding, state, context)
            }
        };
        let decision = match decision {
            Decision::Repair(Action::SetLifecyclePolicy { from, to }) => {
                lifecycle(from, to, repository, state, context)
            }
            other => other,
        };
        let decision = match decision {
            Decision::Repair(action) if parts.contains(&action.part()) => {
                go_on(policy, &finding, &repaired)
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

/// Puts a lifecycle policy only where it is known to expire few images and none that has a tag.
fn lifecycle(
    from: Option<String>,
    default: Option<String>,
    repository: &Repository,
    state: Result<&Known, &str>,
    context: &Context<'_>,
) -> Decision {
    let empty = match (&repository.has_images, repository.images.known()) {
        (Read::Known(false), images) => images.is_none_or(|images| images.is_empty()),
        _ => false,
    };
    let deleted = context.origin.cause == Cause::DeleteLifecyclePolicy;
    let restored = state
        .ok()
        .filter(|_| deleted)
        .and_then(|known| known.repairs.get("no-lifecycle-policy"))
        .and_then(|repairs| repairs.history.iter().find_map(put_before));
    if deleted && restored.is_none() && !empty {
        return withhold(
            Code::ExpiresImages,
            "its lifecycle policy was deleted and is not on record, so the default is not put in its place; restore the deleted \
             one with `aws ecr put-lifecycle-policy`",
        );
    }
    let to = restored.or(default);
    let put = Decision::Repair(Action::SetLifecyclePolicy {
        from,
        to: to.clone(),
    });
    if empty {
        return put;
    }
    let images = match (
        repository.has_images.required(),
        repository.images.required(),
    ) {
        (Ok(_), Ok(images)) => images,
        (Err(why), _) | (_, Err(why)) => {
            return withhold(
                Code::ExpiresImages,
                format!(
                    "the lifecycle policy is not put while its images cannot be read: {why}; grant ecr:DescribeImages"
                ),
            );
        }
    };
    let document = to
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let Some(document) = document else {
        return withhold(
            Code::ExpiresImages,
            "the lifecycle policy is not put because it cannot be read; correct `default` in the policy",
        );
    };
    let impact = Impact::of(&document, images, context.now);
    if impact.is_small() {
        return put;
    }
    withhold(
        Code::ExpiresImages,
        format!(
            "the lifecycle policy is not put because {impact}; narrow `default`, or review it with `aws ecr \
             start-lifecycle-policy-preview` and put it with `aws ecr put-lifecycle-policy`"
        ),
    )
}

/// The lifecycle policy that this repair put.
fn put_before(repair: &crate::state::Repair) -> Option<String> {
    match (&repair.action, &repair.result) {
        (Action::SetLifecyclePolicy { to, .. }, Repaired::Done) => to.clone(),
        _ => None,
    }
}

/// Reads of the repository that AWS refused because of a statement in the repository policy.
fn blinded(repository: &Repository) -> Option<Finding> {
    let Repository {
        tags,
        policy,
        lifecycle,
        has_images,
        recent_tags,
        images,
        ..
    } = repository;
    let refused: std::collections::BTreeSet<&str> = [
        tags.unreadable(),
        policy.unreadable(),
        lifecycle.unreadable(),
        has_images.unreadable(),
        recent_tags.unreadable(),
        images.unreadable(),
    ]
    .into_iter()
    .flatten()
    .filter_map(|why| why.strip_prefix(DENIED_BY_POLICY))
    .collect();
    if refused.is_empty() {
        return None;
    }
    let refused: Vec<&str> = refused.into_iter().collect();
    Some(Finding {
        rule: BLINDED,
        severity: Severity::Critical,
        violation: blinded_by(&refused.join(", ")),
        left: None,
    })
}

/// The plan where the description of a repository is refused in this way, so that nothing of it can be evaluated.
#[must_use]
pub fn blinded_entirely(why: &str) -> Plan {
    let violation = blinded_by(why.strip_prefix(DENIED_BY_POLICY).unwrap_or(why));
    let what = violation.for_people().to_owned();
    Plan::critical(BLINDED, &violation.detail, what)
}

/// The violation for these denied reads.
fn blinded_by(reads: &str) -> Violation {
    Violation {
        detail: format!("ecr-warden is denied {reads}, probably by a Deny statement in the repository policy"),
        fix: Fix::Manual(
            "show the repository policy with `aws ecr get-repository-policy --repository-name \"$REPOSITORY\"`, remove the \
             statement that denies ecr-warden's roles, and find who wrote it: CloudTrail, SetRepositoryPolicy"
                .to_owned(),
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

fn withhold(code: Code, text: impl Into<String>) -> Decision {
    Decision::Withhold(Reason::new(code, text))
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
        return withhold(
            Code::MonitorMode,
            format!(
                "monitor mode; would change {} to {}",
                action.from(),
                action.to()
            ),
        );
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

/// Whether its repair is never suspended, only delayed: the rule is `non-negotiable`, or of severity high or above.
fn persists(policy: &Resolved, finding: &Finding) -> bool {
    policy.is_non_negotiable(finding.rule) || finding.severity >= Severity::High
}

/// A repair that is reverted again and again.
struct Fight {
    times: usize,
    /// Seconds since the epoch at which it is repaired again.
    next: i64,
}

/// How a repair that is never suspended backs off: an hour after the last allowed one, then twice as long each time.
fn reverted(policy: &Resolved, finding: &Finding, known: &Known, now: i64) -> Option<Fight> {
    let (Fix::Safe(action) | Fix::Disruptive(action)) = &finding.violation.fix else {
        return None;
    };
    if !persists(policy, finding) {
        return None;
    }
    let recent = known.repairs.get(finding.rule)?.recent(action, now);
    let beyond = recent.len().checked_sub(policy.repair_limit)?;
    let doubled = u32::try_from(beyond)
        .unwrap_or(u32::MAX)
        .min(MOST_DOUBLINGS);
    let last = recent.first()?.at;
    Some(Fight {
        times: recent.len(),
        next: last.saturating_add(BACK_OFF.saturating_mul(1_i64 << doubled)),
    })
}

/// The same repair more often than the policy lets it: something sets it back each time.
fn fight(
    policy: &Resolved,
    repairs: &Repairs,
    action: &Action,
    rule: &str,
    context: &Context<'_>,
) -> Option<String> {
    let recent = repairs.recent(action, context.now);
    if recent.len() < policy.repair_limit {
        return None;
    }
    // Newest first: each repair was made necessary by what came after the one before it.
    let mut set_back: Vec<String> = recent
        .iter()
        .take(recent.len().saturating_sub(1))
        .map(|repair| who(&repair.cause, repair.actor.as_deref(), repair.at))
        .collect();
    let Origin { cause, actor, .. } = context.origin;
    set_back.insert(0, who(cause.name(), actor.as_deref(), context.now));
    set_back.reverse();
    Some(format!(
        "repaired {} times within 24 hours and reverted each time: {}. Repairs are suspended: stop \
         what reverts them, then run `ecr-warden resume` ({rule})",
        recent.len(),
        set_back.join("; ")
    ))
}

fn who(cause: &str, actor: Option<&str>, at: i64) -> String {
    let time = rfc3339(at).unwrap_or_default();
    format!(
        "{cause} by {} at {time}",
        actor.unwrap_or("an unknown caller")
    )
}

/// How the last recreation was refused.
enum Refusal<'k> {
    /// Its new encryption was: it has the old one again.
    FellBack(&'k str),
    /// Its deletion was: it is the one that it was.
    NotDeleted(&'k str),
}

/// Why the last recreation did not reach the required encryption, if that is recent and the rule was not resumed since.
fn refused_lately<'k>(
    finding: &Finding,
    state: Result<&'k Known, &str>,
    now: i64,
) -> Option<Refusal<'k>> {
    let Fix::Disruptive(Action::Recreate { .. }) = &finding.violation.fix else {
        return None;
    };
    let repairs = state.ok()?.repairs.get(finding.rule)?;
    let last = repairs.history.first()?;
    if now.saturating_sub(last.at) >= REFUSAL_HOLDS || last.at <= repairs.forgiven {
        return None;
    }
    match (&last.action, &last.result) {
        (Action::Recreate { .. }, Repaired::FellBack(why)) => Some(Refusal::FellBack(why)),
        (Action::Recreate { .. }, Repaired::Failed(why)) => Some(Refusal::NotDeleted(why)),
        _ => None,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
