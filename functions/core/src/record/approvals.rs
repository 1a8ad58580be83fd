//! What the records say of approvals.

use super::{Known, Repairs};
use crate::action::Action;
use crate::approval::{Approval, Offer};
use crate::finding::Status;
use crate::repository::RepositoryId;

impl Repairs {
    /// With an approval, in place of an earlier one.
    #[must_use]
    pub fn with_approval(&self, approval: Approval) -> Self {
        Self {
            approved: Some(approval),
            ..self.next()
        }
    }

    /// Who approved this change, which is to be made or was made last.
    #[must_use]
    pub fn approver(&self, action: &Action) -> Option<&str> {
        let approved = self.approved.as_ref().filter(|it| it.action == *action);
        let last = self.history.first().filter(|it| it.action == *action);
        approved
            .map(|it| it.by.as_str())
            .or_else(|| last?.approved_by.as_deref())
    }
}

impl Known {
    /// What waits for approval.
    #[must_use]
    pub fn offers(&self, id: &RepositoryId) -> Vec<Offer> {
        let said = self.said.iter();
        let withheld = said.filter(|(_, said)| said.status == Status::Withheld);
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

    /// Who approved this change by a rule.
    #[must_use]
    pub fn approver(&self, rule: &str, action: &Action) -> Option<&str> {
        self.repairs.get(rule)?.approver(action)
    }
}
