//! Who reports what, and what is recorded of it.
//!
//! An item is claimed before its alert is published and committed after: an alert may come twice, it is never lost.
//! A claim names its owner and ends with the owner's deadline, so that of two invocations at the same event one reports, and the
//! alert of one that died is taken over.

use crate::action::Action;
use crate::finding::{Fix, Status};
use crate::plan::{Decision, Plan};
use crate::record::{
    Context, FINDING, Held, Known, Lease, Newer, Pushes, Repair, Repairs, Result, Said,
    is_of_a_push,
};
use crate::reminder::{is_due, only_counts};
use crate::trigger::Cause;

/// A write to the table that succeeds only if no other invocation wrote in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub rule: String,
    /// The item as it was read, and must still be; `None`: there was none.
    pub before: Option<Said>,
    pub said: Said,
    /// The repair that is to be made.
    pub repair: Option<Repair>,
    /// What the record of repairs becomes, one version later than it must be; `None`: it stays.
    pub record: Option<Repairs>,
    /// Whether that is the registry's.
    pub of_registry: bool,
    /// It was reported before, and it is time to report it again.
    pub reminds: bool,
}

impl Claim {
    /// Whether it counts a push that a later report names: there is nothing to report now, and nothing to commit.
    #[must_use]
    pub fn only_counts(&self) -> bool {
        self.said.pending.is_none()
    }
}

/// What is to be reported: neither what was reported already nor what another invocation is reporting.
#[must_use]
pub fn claims(known: &Known, plan: &Plan, context: &Context<'_>) -> Vec<Claim> {
    let mut claims = Vec::new();
    for step in &plan.steps {
        let rule = step.finding.rule;
        // The version that wrote it has reported the finding, and its item is not overwritten.
        if known.unreadable.contains_key(&format!("{FINDING}{rule}")) {
            continue;
        }
        // A sweep names all repositories that wait for the registry in one message; a change of the registry starts one.
        let of_registry = known.of_registry.contains(rule);
        if of_registry
            && matches!(step.decision, Decision::Withhold(_) | Decision::Offer(..))
            && context.origin.cause != Cause::Sweep
        {
            continue;
        }
        let detail = &step.finding.violation.detail;
        let before = known.said.get(rule);
        let (status, action, detail, words) = match (&step.decision, &step.finding.left) {
            // It is said of what is left, so that the next look finds it said.
            (Decision::Repair(action), Some(left)) => {
                let words = left.for_people().to_owned();
                (Status::Open, Some(action.clone()), &left.detail, words)
            }
            (Decision::Repair(action), None) => {
                (Status::Fixed, Some(action.clone()), detail, action.to())
            }
            (Decision::Offer(action, why), _) => {
                let offered = Some(action.clone());
                (Status::Withheld, offered, detail, why.text.clone())
            }
            (Decision::Withhold(why) | Decision::Suspend(why), _) => {
                (Status::Withheld, None, detail, why.text.clone())
            }
            (Decision::Manual(what), _) => (Status::Open, None, detail, what.text.clone()),
            (Decision::Exempt(standing), _) => {
                let ends_soon = standing.ends_soon(context.now);
                if before.is_none() && !ends_soon {
                    continue;
                }
                // What is exempt may change and still be exempt.
                let words = format!("{standing}{}", if ends_soon { ", soon" } else { "" });
                (Status::Exempt, None, &String::new(), words)
            }
        };
        let about = about(context, status, detail, &steady(step, words));
        let repairs = matches!(step.decision, Decision::Repair(_));
        let of_a_push = is_of_a_push(rule);
        let reminds = before.is_some_and(|said| {
            let due = is_due(
                step.finding.severity,
                said.status,
                said.reported,
                context.now,
            );
            said.pending.is_none() && !of_a_push && due
        });
        // The words may be the same where they are cut, and who approves must find the change itself.
        let offers_another = match (&step.decision, before) {
            (Decision::Offer(action, _), Some(said)) => {
                let same = |it: &Action| it.same(action);
                said.pending.is_none() && !said.action.as_ref().is_some_and(same)
            }
            _ => false,
        };
        let said = before.is_some_and(|said| is_said(said, &about, repairs, context));
        if !reminds && !offers_another && said {
            continue;
        }
        // A push is no state that lasts, so it is counted: most pipelines push often.
        let pushes = Some(detail)
            .filter(|_| of_a_push && matches!(status, Status::Open | Status::Withheld))
            .map(|detail| pushes(before, &about, detail));
        let counted_only =
            pushes.is_some() && before.is_some_and(|said| being_reported(said, context).is_some());
        let record = known.repairs.get(rule).cloned().unwrap_or_default();
        let repair = action.clone().filter(|_| repairs).map(|action| Repair {
            result: Result::Begun,
            at: context.now,
            cause: context.origin.cause.name().to_owned(),
            actor: context.origin.actor.clone(),
            approved_by: known
                .approval(rule, &action, context)
                .ok()
                .map(|approval| approval.by.clone()),
            action,
            newer: Newer::default(),
        });
        let record = match (&step.decision, &repair) {
            (_, Some(repair)) => Some(record.with(repair.clone())),
            (Decision::Suspend(why), None) => Some(record.with_held(Some(Held {
                why: why.text.clone(),
                at: context.now,
                by_person: false,
            }))),
            _ => None,
        };
        claims.push(Claim {
            rule: rule.to_owned(),
            before: before.cloned(),
            repair,
            record,
            of_registry,
            said: Said {
                status,
                about,
                since: known.since(rule, context),
                version: before.map_or(0, |said| said.version).saturating_add(1),
                action,
                pending: Some(context.me.clone()).filter(|_| !counted_only),
                reported: before.and_then(|said| {
                    let reported = being_reported(said, context).filter(|_| counted_only);
                    reported.or(said.reported)
                }),
                pushes,
                newer: before.map_or_else(Newer::default, |said| said.newer.clone()),
            },
            reminds,
        });
    }
    for (rule, before) in &known.said {
        let found_now = plan.steps.iter().any(|step| step.finding.rule == rule);
        let others = before
            .pending
            .as_ref()
            .is_some_and(|lease| lease.held_against(context.me, context.now));
        if is_of_a_push(rule) {
            // A sweep sends one message.
            if context.origin.cause == Cause::Sweep
                && !found_now
                && !others
                && before.pushes.is_some()
            {
                claims.push(Claim {
                    rule: rule.clone(),
                    before: Some(before.clone()),
                    said: Said {
                        version: before.version.saturating_add(1),
                        pending: Some(context.me.clone()),
                        ..before.clone()
                    },
                    repair: None,
                    record: None,
                    of_registry: false,
                    reminds: false,
                });
            }
            continue;
        }
        if found_now || others || !plan.complete {
            continue;
        }
        // Claimed as a repair and never committed: the repair was made, and its invocation died before the report.
        let repaired = before.pending.is_some() && before.status == Status::Fixed;
        let status = if repaired {
            Status::Fixed
        } else {
            Status::Resolved
        };
        claims.push(Claim {
            rule: rule.clone(),
            before: Some(before.clone()),
            said: Said {
                status,
                version: before.version.saturating_add(1),
                pending: Some(context.me.clone()),
                ..before.clone()
            },
            repair: None,
            // The registry's record is that of other repositories, too.
            record: known
                .repairs
                .get(rule)
                .filter(|_| repaired || !known.of_registry.contains(rule.as_str()))
                .and_then(|repairs| repairs.resolved(repaired)),
            of_registry: known.of_registry.contains(rule.as_str()),
            reminds: false,
        });
    }
    claims
}

/// The pushes that are not reported yet, with this one. A retry finds its own push there.
fn pushes(before: Option<&Said>, about: &str, detail: &str) -> Pushes {
    match before {
        Some(said) if said.about == about && said.pending.is_some() => said
            .pushes
            .clone()
            .unwrap_or_else(|| Pushes::and(None, detail)),
        Some(said) => Pushes::and(said.pushes.as_ref(), detail),
        None => Pushes::and(None, detail),
    }
}

/// When the report was made, or is being made by another invocation, that makes a push one to count; `None`: there is none.
fn being_reported(said: &Said, context: &Context<'_>) -> Option<i64> {
    match &said.pending {
        Some(lease) => Some(context.now).filter(|_| lease.held_against(context.me, context.now)),
        None => said
            .reported
            .filter(|reported| only_counts(Some(*reported), context.now)),
    }
}

/// Until when another invocation holds a repair that is planned here, too; `None`: none does. That repair may be reverted before it is
/// committed, so the repository is to be evaluated again then.
#[must_use]
pub fn held_by_others(known: &Known, plan: &Plan, claims: &[Claim]) -> Option<i64> {
    let repairs = plan
        .steps
        .iter()
        .filter(|step| matches!(step.decision, Decision::Repair(_)));
    let rules = repairs.map(|step| step.finding.rule);
    let theirs = rules.filter(|rule| !claims.iter().any(|claim| claim.rule == *rule));
    let leases = theirs.filter_map(|rule| known.said.get(rule)?.pending.as_ref());
    leases.map(|lease| lease.until).max()
}

/// Whether nothing is to be done: it was reported, or another invocation is reporting it, and perhaps repairing.
fn is_said(said: &Said, about: &str, repairs: bool, context: &Context<'_>) -> bool {
    let reported = match &said.pending {
        // A repair is made, however often its remains were reported.
        None => !repairs,
        Some(lease) => lease.held_against(context.me, context.now),
    };
    reported && said.about == about
}

/// The words by which it is decided whether a finding is news: how many images a lifecycle policy would expire changes with each push.
fn steady(step: &crate::plan::Step, words: String) -> String {
    match (&step.decision, &step.finding.violation.fix) {
        (Decision::Withhold(_), Fix::Disruptive(Action::SetLifecyclePolicy { .. })) => words
            .chars()
            .filter(|character| !character.is_ascii_digit())
            .collect(),
        _ => words,
    }
}

fn about(context: &Context<'_>, status: Status, detail: &str, words: &str) -> String {
    crate::text::one_line(
        &format!(
            "{}{}: {detail}; {words}",
            context.repository(),
            status.name()
        ),
        crate::text::LONGEST,
    )
}

/// Whether this is news, now that it is known how the repair went: the same failure again is none.
#[must_use]
pub fn is_news(claim: &Claim, status: Status, words: &str, context: &Context<'_>) -> bool {
    if claim.only_counts() {
        return false;
    }
    let pushes = claim.said.pushes.is_some();
    if claim.reminds || pushes || (claim.repair.is_some() && status != Status::Failed) {
        return true;
    }
    let after = settled(claim, status, words, context);
    match (&claim.before, after) {
        (Some(before), Some(after)) => before.pending.is_some() || before.about != after.about,
        _ => true,
    }
}

/// What an item becomes when its alert is out: `None`, nothing is left to remember.
#[must_use]
pub fn settled(claim: &Claim, status: Status, words: &str, context: &Context<'_>) -> Option<Said> {
    let about = match status {
        Status::Fixed | Status::Resolved => return None,
        Status::Open | Status::Withheld | Status::Exempt => claim.said.about.clone(),
        // A repair that failed was claimed as one that would succeed.
        Status::Failed => about(context, status, words, ""),
    };
    // The same failure again is not reported, so the last report is the one before.
    let unchanged = claim
        .before
        .as_ref()
        .filter(|_| !claim.reminds && claim.said.pushes.is_none())
        .filter(|before| before.pending.is_none() && before.about == about);
    Some(Said {
        status,
        reported: unchanged.map_or(Some(context.now), |before| before.reported),
        about,
        pending: None,
        pushes: None,
        version: claim.said.version.saturating_add(1),
        ..claim.said.clone()
    })
}

/// The item after an alert that had no subscriber: the next event or sweep reports it again.
#[must_use]
pub fn unreported(claim: &Claim, status: Status) -> Said {
    Said {
        status,
        pending: Some(Lease {
            owner: String::new(),
            until: 0,
        }),
        version: claim.said.version.saturating_add(1),
        ..claim.said.clone()
    }
}

#[cfg(test)]
mod tests;
