//! When a repository is recreated, and by whom. How it is recreated is in [`crate::recreate`].

use std::ops::ControlFlow;

use super::decide::{Decided, Record};
use super::{Earlier, LEASE_GRACE, Next, Observation, Reconciler, Wanted};
use crate::action::Action;
use crate::plan::{Decision, Plan, Step};
use crate::policy::Resolved;
use crate::reason::{Code, Reason};
use crate::record::{Known, Lease};
use crate::recreate::Intent;
use crate::repository::{Encryption, Read, Repository};
use crate::text::one_line;

/// Seconds that one attempt at a recreation takes at most. Its lease outlives that by the grace; no other delivery may continue
/// the recreation meanwhile.
const RECREATION: i64 = 60;

/// A stack's name is not longer.
const STACK_NAME: usize = 200;

impl Reconciler<'_> {
    /// Of the recreation that this delivery works on.
    fn recreation_lease(&self, now: i64) -> Lease {
        let left = self.invocation.deadline.saturating_sub(now);
        let seconds = left.clamp(0, RECREATION).saturating_add(LEASE_GRACE);
        Lease {
            owner: self.delivery.to_owned(),
            until: now.saturating_add(seconds),
        }
    }

    /// Another delivery recreates the repository, or died at it: the event comes back when the lease has ended. A lease that is held is
    /// no success, because its holder may be dead.
    pub(super) fn recreation_on_record(&self, record: Record<'_>, now: i64) -> Decided<()> {
        let Ok(Known {
            intent: Some((intent, lease)),
            ..
        }) = record
        else {
            return ControlFlow::Continue(());
        };
        let mine = self.recreation_lease(now);
        ControlFlow::Break(if lease.held_against(&mine, now) {
            let seconds = lease.until.saturating_sub(now).saturating_add(1);
            let why = "another invocation is recreating the repository";
            self.wait(seconds, Reason::new(Code::LeasedElsewhere, why))
        } else {
            Next::Recreate {
                intent: Box::new(intent.clone()),
                lease: mine,
                begin: false,
            }
        })
    }

    /// The recreation that is planned, where there is one. It comes before everything else and alone.
    pub(super) fn recreate(
        &self,
        seen: &Observation,
        earlier: &Earlier,
        policy: &Resolved,
        repository: &Repository,
        plan: &mut Plan,
        now: i64,
    ) -> Decided<()> {
        let Some((rule, to)) = plan.recreation().and_then(recreation) else {
            return ControlFlow::Continue(());
        };
        let spares_stacks = policy
            .rule(rule)
            .is_some_and(|active| active.rule.spares_stacks());
        let obstacle = match (&earlier.gave_up, &seen.stack) {
            (Some(why), _) => Some(why.clone()),
            (None, _) if !spares_stacks => None,
            (None, Read::NotAsked) => {
                return ControlFlow::Break(Next::Observe(Wanted::Stack));
            }
            (None, stack) => owned_by_stack(stack),
        };
        if let Some(why) = obstacle {
            plan.give_up(rule, &why);
            return ControlFlow::Continue(());
        }
        self.clear(seen, true)?;
        let origin = &self.trigger.origin;
        let intent = Intent {
            id: format!("{}-{now}", self.delivery),
            rule: rule.to_owned(),
            before: repository.clone(),
            to,
            fallback: None,
            refused: None,
            made: None,
            cause: origin.cause.name().to_owned(),
            actor: origin.actor.clone(),
            started_at: now,
            unknown: [].into(),
        };
        ControlFlow::Break(Next::Recreate {
            intent: Box::new(intent),
            lease: self.recreation_lease(now),
            begin: true,
        })
    }
}

/// The rule that asks for the recreation, and the encryption that it asks for.
fn recreation(step: &Step) -> Option<(&'static str, Encryption)> {
    match &step.decision {
        Decision::Repair(Action::Recreate { to, .. }) => Some((step.finding.rule, to.clone())),
        _ => None,
    }
}

/// Why the repository is not recreated where a CloudFormation stack owns it, or may own it.
fn owned_by_stack(stack: &Read<Option<String>>) -> Option<Reason> {
    let why = match stack {
        Read::NotAsked | Read::Known(None) => return None,
        Read::Known(Some(stack)) => format!(
            "not recreated: the CloudFormation stack `{}` owns the repository; change the encryption in its template, which replaces \
             the repository",
            one_line(stack, STACK_NAME)
        ),
        Read::Unreadable(why) => format!(
            "not recreated: cannot determine whether a CloudFormation stack owns the repository: {why}"
        ),
    };
    Some(Reason::new(Code::OwnedByStack, why))
}
