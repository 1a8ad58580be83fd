//! What the state table remembers of a repository: what was reported, what was repaired, and a recreation under way.

mod approvals;
mod since;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::approval::Approval;
use crate::finding::Status;
use crate::quarantine;
use crate::recreate::Intent;
use crate::rule::Subject;
use crate::rules::entry;
use crate::text::{LONGEST, one_line};
use crate::trigger::Origin;

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
    pub look: Option<LastConforming>,
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
pub struct LastConforming {
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
    pub fn vouches(&self, policy: u64, now: i64) -> Option<&LastConforming> {
        let of_a_push = |rule: &String| is_of_a_push(rule);
        let quiet = self.intent.is_none()
            && !self.quarantined()
            && self.unreadable.is_empty()
            && self.said.keys().all(of_a_push);
        let fresh = |look: &&LastConforming| {
            look.policy == policy && (0..FRESH).contains(&now.saturating_sub(look.at))
        };
        self.look.as_ref().filter(fresh).filter(|_| quiet)
    }

    /// Whether a quarantine of ours may still stand in the repository policy: then it must be looked at. One that was begun may
    /// have been imposed; one is lifted when the lifting was seen.
    #[must_use]
    pub fn quarantined(&self) -> bool {
        quarantine_stands(self.changes())
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
    /// The repair that this is about: that is made, or that waits for someone's approval.
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
    pub(crate) fn and(before: Option<&Self>, detail: &str) -> Self {
        Self {
            count: before.map_or(0, |before| before.count).saturating_add(1),
            last: one_line(detail, LONGEST),
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
    /// What someone has approved and is not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
    /// Seconds since the epoch of the last `resume`: repairs before it do not count towards `repair-limit`.
    #[serde(default)]
    pub forgiven: i64,
    /// Who ran the last `resume`: an ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_by: Option<String>,
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
    /// Whether a quarantine may stand by this record: it is kept until the quarantine is lifted.
    #[must_use]
    pub fn quarantines(&self) -> bool {
        quarantine_stands(self.history.iter())
    }

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
        next.use_approval(&repair.result);
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
        next.use_approval(&result);
        if let Some(repair) = next.history.first_mut() {
            repair.result = result;
        }
        next
    }

    /// An approval is of one change: it is gone when that is made.
    fn use_approval(&mut self, result: &Result) {
        if matches!(result, Result::Done | Result::FellBack(_)) {
            self.approved = None;
        }
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
    pub fn resumed(&self, who: &str, now: i64) -> Self {
        Self {
            forgiven: now,
            resumed_by: Some(one_line(who, LONGEST)),
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
    /// Who approved it: an ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
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

/// Whether the last of these changes of a repository policy leaves a quarantine in it.
fn quarantine_stands<'r>(changes: impl Iterator<Item = &'r Repair>) -> bool {
    let policies = changes.filter_map(|repair| match &repair.action {
        Action::SetRepositoryPolicy { to, .. } => {
            let lifted = !to.as_deref().is_some_and(quarantine::is_in);
            Some((repair.at, lifted)).filter(|_| !lifted || repair.result == Result::Done)
        }
        _ => None,
    });
    // Of one second, the lifting is the last.
    policies.max().is_some_and(|(_, lifted)| !lifted)
}

/// Whether a rule is about pushes.
pub(crate) fn is_of_a_push(rule: &str) -> bool {
    entry(rule).is_some_and(|entry| entry.meta.subject == Subject::Push)
}

#[cfg(test)]
mod tests;
