//! What keeps a repair from being made: others revert it again and again, or AWS refused it a short time ago.

use crate::action::Action;
use crate::finding::{Finding, Fix, Severity};
use crate::policy::Resolved;
use crate::record::{Context, Known, Repairs, Result as Repaired};
use crate::text::rfc3339;
use crate::trigger::Origin;

/// A recreation that was refused is tried again after a day, in seconds: until then there is time to repair the key or the permission.
const REFUSAL_HOLDS: i64 = 24 * 60 * 60;

/// Seconds between the last allowed repair of what is reverted again and again, and the next one.
const BACK_OFF: i64 = 60 * 60;
/// Later than after 16 hours, the repairs before are older than a day and do not count any more.
const MOST_DOUBLINGS: u32 = 4;

/// Whether its repair is never suspended, only delayed: the rule is `non-negotiable`, or of severity high or above.
pub(super) fn persists(policy: &Resolved, finding: &Finding) -> bool {
    policy.is_non_negotiable(finding.rule) || finding.severity >= Severity::High
}

/// A repair that is reverted again and again.
pub(super) struct Fight {
    pub(super) times: usize,
    /// Seconds since the epoch at which it is repaired again.
    pub(super) next: i64,
}

/// How a repair that is never suspended backs off: an hour after the last allowed one, then twice as long each time.
pub(super) fn reverted(
    policy: &Resolved,
    finding: &Finding,
    known: &Known,
    now: i64,
) -> Option<Fight> {
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
pub(super) fn fight(
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
pub(super) enum Refusal<'k> {
    /// Its new encryption was: it has the old one again.
    FellBack(&'k str),
    /// Its deletion was: it is the one that it was.
    NotDeleted(&'k str),
}

/// Why the last recreation did not reach the required encryption, if that is recent and the rule was not resumed since.
pub(super) fn refused_lately<'k>(
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
