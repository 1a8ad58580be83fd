//! What the state table remembers of a repository, and how that changes: what was reported, what was
//! repaired, and a recreation under way.
//!
//! An item is claimed before its alert is published and settled after: an alert may come twice, it is never lost.
//! A claim names its owner and runs out with the owner's deadline, so that of two at the same event one speaks,
//! and that a dead one's alert is taken over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::finding::{Fix, Status};
use crate::plan::{Decision, Plan};
use crate::quarantine;
use crate::recreate::Intent;
pub use crate::reminder::REMIND_AFTER;
use crate::reminder::{is_due, only_counts};
use crate::rules::{Subject, entry};
use crate::trigger::{Cause, Origin};

/// How long repairs are remembered, for rollback and for telling who fights them.
pub const REPAIRS_KEPT: i64 = 400 * 24 * 60 * 60;
/// How many repairs by one rule of one repository are remembered, and in how many bytes of JSON: an item has room for 400 KB.
const MOST_REPAIRS: usize = 10;
const LARGEST_HISTORY: usize = 300_000;
/// No invocation takes longer, in seconds.
const ATTEMPT: u64 = 900;
/// Seconds for which a push may skip reading a repository that was found conforming.
pub const FRESH: i64 = 10 * 60;
/// A repair is recorded with the time its attempt began and completes within this many seconds.
const JUST: i64 = 120;
/// Repairs within this time count as a fight.
const FIGHT: i64 = 24 * 60 * 60;

/// Everything the table holds of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `recreate`, with its lease.
    pub intent: Option<(Intent, Lease)>,
    /// `finding#<rule>`.
    pub said: BTreeMap<String, Said>,
    /// `fix#<rule>`.
    pub repairs: BTreeMap<String, Repairs>,
    /// `look`.
    pub look: Option<Look>,
    /// `replica`: ECR's replication fills it.
    pub replica: bool,
    /// Why an item can't be read, by its sort key: a newer version may have written it. It withholds the repairs of its own rule alone, and
    /// is never overwritten.
    pub unreadable: BTreeMap<String, String>,
    /// Rules whose repairs are the registry's: [`Known::with_registry`].
    pub of_registry: BTreeSet<&'static str>,
}

/// The sort keys of the items of a rule: what was reported, and what was repaired.
pub const FINDING: &str = "finding#";
pub const REPAIR: &str = "fix#";

/// A repository was found conforming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Seconds since the epoch.
    pub at: i64,
    /// [`Policy::fingerprint`](crate::policy::Policy::fingerprint) of the policy that it conformed to.
    pub policy: u64,
    /// Of the repository, in milliseconds since the epoch.
    pub created_at: Option<i64>,
}

impl Known {
    /// With the registry's record of what these rules repair, in place of the repository's: one record for all repositories, so that
    /// together they make a change of the registry no more often than `repair-limit` lets one of them.
    #[must_use]
    pub fn with_registry(
        mut self,
        rules: impl Iterator<Item = &'static str>,
        registry: &Self,
    ) -> Self {
        for rule in rules {
            self.repairs.remove(rule);
            if let Some(repairs) = registry.repairs.get(rule) {
                self.repairs.insert(rule.to_owned(), repairs.clone());
            }
            let record = format!("{REPAIR}{rule}");
            if let Some(why) = registry.unreadable.get(&record) {
                self.unreadable.insert(record, why.clone());
            }
            self.of_registry.insert(rule);
        }
        self
    }

    /// The last look, where it says enough of a repository that is pushed to: it conformed a moment ago to the same policy,
    /// and nothing is open, under way or held since.
    #[must_use]
    pub fn vouches(&self, policy: u64, now: i64) -> Option<&Look> {
        let of_a_push = |rule: &String| is_of_a_push(rule);
        let quiet = self.intent.is_none()
            && !self.quarantined()
            && self.unreadable.is_empty()
            && self.said.keys().all(of_a_push);
        let fresh = |look: &&Look| {
            look.policy == policy && (0..FRESH).contains(&now.saturating_sub(look.at))
        };
        self.look.as_ref().filter(fresh).filter(|_| quiet)
    }

    /// Whether a quarantine of ours may still stand in the repository policy: then it must be looked at. One that was begun may
    /// have been imposed; one is lifted when the lifting was seen.
    #[must_use]
    pub fn quarantined(&self) -> bool {
        let policies = self.changes().filter_map(|repair| match &repair.action {
            Action::SetRepositoryPolicy { to, .. } => {
                let lifted = !to.as_deref().is_some_and(quarantine::is_in);
                Some((repair.at, lifted)).filter(|_| !lifted || repair.result == Result::Done)
            }
            _ => None,
        });
        // Of one second, the lifting is the last.
        policies.max().is_some_and(|(_, lifted)| !lifted)
    }

    /// Whether a recreation of ours made the repository that was created then, in seconds since the epoch. An attempt is
    /// recorded with the time at which it began, or at which another one took it over.
    #[must_use]
    pub fn recreated_around(&self, created: i64) -> bool {
        self.changes()
            .filter(|repair| matches!(repair.action, Action::Recreate { .. }))
            .any(|repair| created.abs_diff(repair.at) < ATTEMPT)
    }

    /// Whether a repair of the rule was made so lately that what was read at the same time as this record may be older than it.
    #[must_use]
    pub fn just_repaired(&self, rule: &str, now: i64) -> bool {
        let last = self.repairs.get(rule).and_then(|it| it.history.first());
        last.is_some_and(|last| last.result == Result::Done && now.saturating_sub(last.at) < JUST)
    }

    /// Whether a change of the registry was begun a moment ago: a sweep records results at its end, so it may have been made and not
    /// be seen yet.
    #[must_use]
    pub fn may_change_registry(&self, rule: &str, now: i64) -> bool {
        let newest = self.repairs.get(rule).and_then(|it| it.history.first());
        self.of_registry.contains(rule)
            && newest
                .is_some_and(|it| it.result == Result::Begun && now.saturating_sub(it.at) < JUST)
    }

    /// Why the records of a rule can't be read; `None`: they can.
    #[must_use]
    pub fn unreadable(&self, rule: &str) -> Option<&str> {
        let of = |kind: &str| self.unreadable.get(&format!("{kind}{rule}"));
        of(REPAIR).or_else(|| of(FINDING)).map(String::as_str)
    }

    /// Of all rules.
    fn changes(&self) -> impl Iterator<Item = &Repair> {
        self.repairs.values().flat_map(|repairs| &repairs.history)
    }
}

/// Which delivery works on something, and until when no other one may, in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The invocation's request id: a retry has the same, and may go on at once.
    pub owner: String,
    pub until: i64,
}

impl Lease {
    /// Whether another delivery still holds it.
    #[must_use]
    pub fn held_against(&self, me: &Self, now: i64) -> bool {
        self.owner != me.owner && self.until > now
    }
}

/// What has been said of a rule, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub status: Status,
    /// What was said, and of which repository: the same again is not news.
    pub about: String,
    /// Seconds since the epoch at which it was first seen.
    pub since: i64,
    /// Counts writes, so that of two at the same time one wins.
    pub version: u64,
    /// The repair that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Claimed and not yet reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Lease>,
    /// Seconds since the epoch at which it was reported last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<i64>,
    /// Pushes that the rule has found since, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushes: Option<Pushes>,
    #[serde(flatten)]
    pub newer: Newer,
}

/// Keys of an item that a newer version wrote and this version does not know, with their values. They are written back unchanged, so
/// that an upgrade, a rollback of it and a second upgrade lose nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newer(BTreeMap<String, serde_json::Value>);

/// Pushes of one repository that one rule has found and that no report has named yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushes {
    pub count: u64,
    /// What is wrong with the last one, in one line.
    pub last: String,
}

impl Pushes {
    /// With one more push; `None`: the first since the last report.
    fn and(before: Option<&Self>, detail: &str) -> Self {
        Self {
            count: before.map_or(0, |before| before.count).saturating_add(1),
            last: crate::text::one_line(detail, crate::text::LONGEST),
        }
    }
}

/// What a rule has repaired of a repository, and whether it may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repairs {
    /// Counts writes, so that of two at the same time one wins.
    pub version: u64,
    /// Newest first.
    pub history: Vec<Repair>,
    /// Why it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Seconds since the epoch of the last `resume`: repairs before it do not count towards `repair-limit`.
    #[serde(default)]
    pub forgiven: i64,
    #[serde(flatten)]
    pub newer: Newer,
}

/// A suspension: the repair is not made until it is resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// One line.
    pub why: String,
    /// Seconds since the epoch.
    pub at: i64,
    /// An operator rolled it back. Other suspensions end when the finding is resolved.
    pub by_person: bool,
}

impl Repairs {
    /// The same one write later.
    fn next(&self) -> Self {
        Self {
            version: self.version.saturating_add(1),
            ..self.clone()
        }
    }

    /// With one more repair. What was tried again and again is kept once, so that it leaves room for what was made.
    #[must_use]
    pub fn with(&self, repair: Repair) -> Self {
        let mut next = self.next();
        let tried_again = |last: &Repair| {
            matches!(last.result, Result::Begun | Result::Failed(_)) && last.action == repair.action
        };
        if next.history.first().is_some_and(tried_again) {
            next.history.remove(0);
        }
        next.history.insert(0, repair);
        let size = |history: &[Repair]| serde_json::to_string(history).map_or(0, |json| json.len());
        while next.history.len() > 1
            && (next.history.len() > MOST_REPAIRS || size(&next.history) > LARGEST_HISTORY)
        {
            // The oldest that failed, or the oldest.
            let failed = |repair: &Repair| matches!(repair.result, Result::Failed(_));
            let goes = next.history.iter().rposition(failed).filter(|n| *n > 0);
            next.history.remove(goes.unwrap_or(next.history.len() - 1));
        }
        next
    }

    /// With what is known now of the newest repair.
    #[must_use]
    pub fn with_result(&self, result: Result) -> Self {
        let mut next = self.next();
        if let Some(repair) = next.history.first_mut() {
            repair.result = result;
        }
        next
    }

    #[must_use]
    pub fn with_held(&self, held: Option<Held>) -> Self {
        Self {
            held,
            ..self.next()
        }
    }

    /// Without a suspension, and without the repairs that led to one.
    #[must_use]
    pub fn resumed(&self, now: i64) -> Self {
        Self {
            forgiven: now,
            ..self.with_held(None)
        }
    }

    /// Changes of the same kind that were made lately, newest first.
    #[must_use]
    pub fn recent(&self, action: &Action, now: i64) -> Vec<&Repair> {
        self.history
            .iter()
            .filter(|repair| {
                repair.action.name() == action.name()
                    && repair.result == Result::Done
                    && now.saturating_sub(repair.at) < FIGHT
                    && repair.at > self.forgiven
            })
            .collect()
    }
}

/// A change that was made, or begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// With what was there before.
    pub action: Action,
    pub result: Result,
    /// Seconds since the epoch.
    pub at: i64,
    pub cause: String,
    /// Who had made it necessary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(flatten)]
    pub newer: Newer,
}

/// What is known of a repair's success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// Begun, and the answer is not known.
    Begun,
    Done,
    Failed(String),
    /// Recreated with the original encryption, because the asked one was refused.
    FellBack(String),
}

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

/// Who asks, when and why.
#[derive(Clone, Debug)]
pub struct Context<'c> {
    pub origin: &'c Origin,
    pub me: &'c Lease,
    /// Seconds since the epoch.
    pub now: i64,
    /// Milliseconds since the epoch: the same name at another time is another repository.
    pub created_at: Option<i64>,
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
            && matches!(step.decision, Decision::Withhold(_))
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
        if !reminds && before.is_some_and(|said| is_said(said, &about, repairs, context)) {
            continue;
        }
        // A push is no state that lasts, so it is counted: most pipelines push often.
        let pushes = Some(detail)
            .filter(|_| of_a_push && matches!(status, Status::Open | Status::Withheld))
            .map(|detail| pushes(before, &about, detail));
        let counted_only =
            pushes.is_some() && before.is_some_and(|said| being_reported(said, context).is_some());
        let repair = action.clone().map(|action| Repair {
            action,
            result: Result::Begun,
            at: context.now,
            cause: context.origin.cause.name().to_owned(),
            actor: context.origin.actor.clone(),
            newer: Newer::default(),
        });
        let record = known.repairs.get(rule).cloned().unwrap_or_default();
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
                since: before.map_or(context.now, |said| said.since),
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
            // A fight is over when the finding is gone.
            record: known
                .repairs
                .get(rule)
                .filter(|repairs| repairs.held.as_ref().is_some_and(|held| !held.by_person))
                .map(|repairs| repairs.with_held(None)),
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

fn is_of_a_push(rule: &str) -> bool {
    entry(rule).is_some_and(|entry| entry.meta.subject == Subject::Push)
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
    let created = context.created_at.unwrap_or_default();
    crate::text::one_line(
        &format!("{created} {}: {detail}; {words}", status.name()),
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
