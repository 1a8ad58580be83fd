//! What the records say of approvals.

use super::{Context, Known, Repair, Repairs, Result};
use crate::action::Action;
use crate::approval::{Approval, Offer};
use crate::finding::Status;
use crate::repository::RepositoryId;

/// Seconds.
const HOUR: i64 = 60 * 60;

impl Repairs {
    /// With an approval, in place of an earlier one.
    #[must_use]
    pub fn with_approval(&self, approval: Approval) -> Self {
        Self {
            approved: Some(approval),
            ..self.next()
        }
    }

    /// Who approved this change, which is about to be recorded.
    #[must_use]
    pub fn approver(&self, action: &Action) -> Option<&str> {
        let approved = self.approved.as_ref().filter(|it| it.action.same(action));
        approved.map(|it| it.by.as_str())
    }

    /// Whether this change was made within the last hour, and no approval is left.
    #[must_use]
    pub fn was_made_lately(&self, action: &Action, now: i64) -> bool {
        let made = |repair: &Repair| {
            let lately = now.saturating_sub(repair.at) < HOUR;
            lately && repair.result == Result::Done && repair.action.same(action)
        };
        self.approved.is_none() && self.history.iter().any(made)
    }

    /// The record when the finding is gone: a fight is over, and what was approved is made or not wanted any more. `None`: it stays as it is.
    /// `repaired`: the last repair was made, and its invocation died before it recorded that.
    #[must_use]
    pub fn resolved(&self, repaired: bool) -> Option<Self> {
        let fought = self.held.as_ref().is_some_and(|held| !held.by_person);
        let approved = self.approved.is_some();
        (fought || approved).then(|| Self {
            held: self.held.clone().filter(|_| !fought),
            approved: None,
            ..if repaired && approved {
                self.with_result(Result::Done)
            } else {
                self.next()
            }
        })
    }
}

impl Known {
    /// What waits for approval.
    #[must_use]
    pub fn offers(&self, id: &RepositoryId) -> Vec<Offer> {
        let said = self.said.iter();
        // What has expired says nothing any more.
        let withheld =
            said.filter(|(_, said)| said.status == Status::Withheld && !said.about.is_empty());
        withheld
            .filter_map(|(rule, said)| {
                Some(Offer {
                    id: id.clone(),
                    rule: rule.clone(),
                    action: said.action.clone()?,
                    since: said.since,
                })
            })
            .collect()
    }

    /// The approval of this change by a rule.
    ///
    /// # Errors
    /// Why the approval that is there does not hold for it; `None`: there is none.
    pub fn approval(
        &self,
        rule: &str,
        action: &Action,
        context: &Context<'_>,
    ) -> std::result::Result<&Approval, Option<String>> {
        let repairs = self.repairs.get(rule).ok_or(None)?;
        let approval = repairs.approved.as_ref().ok_or(None)?;
        let created = context.created_at.unwrap_or_default().div_euclid(1000);
        // A recreation of ecr-warden's own makes no other repository of it.
        let of_another = !action.is_of_registry()
            && approval.created_at != context.created_at
            && !self.recreated_around(created);
        match approval.refuses(action, of_another, context.now) {
            None => Ok(approval),
            why => Err(why),
        }
    }
}
