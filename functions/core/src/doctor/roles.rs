//! Whether the roles of the stack may do what their policies allow. A permissions boundary or a policy of the organization may deny it.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::text::counted;

/// The simulator's decision on one action of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatedAction {
    pub action: String,
    /// As `allowed`, `implicitDeny` or `explicitDeny`.
    pub decision: String,
    /// Whether the organization's policies allow it; `None`: the simulator did not say.
    pub by_organization: Option<bool>,
    /// Whether the role's permissions boundary allows it; `None`: it has none.
    pub by_boundary: Option<bool>,
    /// The context keys that the decision depends on and that were not given.
    pub missing_context: Vec<String>,
}

impl SimulatedAction {
    fn is_allowed(&self) -> bool {
        self.decision == "allowed"
    }

    /// Another context could allow it.
    fn is_unclear(&self) -> bool {
        !self.is_allowed() && !self.missing_context.is_empty()
    }

    fn denied_by(&self) -> &'static str {
        match (self.by_organization, self.by_boundary) {
            (Some(false), _) => "a policy of the organization (AWS Organizations)",
            (_, Some(false)) => "the role's permissions boundary",
            _ if self.decision == "explicitDeny" => "a statement that denies it",
            _ => "the role's policies, which do not allow it",
        }
    }
}

/// A role of the stack with the decisions on what its policies allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSimulation {
    /// As the template names it.
    pub logical: String,
    pub actions: Answered<Vec<SimulatedAction>>,
}

/// Actions that a line names.
const NAMED: usize = 5;

/// Decides the check.
#[must_use]
pub fn permissions(roles: &[RoleSimulation]) -> Checkup {
    let check = CheckName::Permissions;
    let read = || {
        roles.iter().flat_map(|role| {
            let actions = role.actions.as_deref().unwrap_or_default().iter();
            actions.map(move |action| (role.logical.as_str(), action))
        })
    };
    let denied: Vec<_> = read()
        .filter(|(_, action)| !action.is_allowed() && !action.is_unclear())
        .collect();
    if let Some((_, first)) = denied.first() {
        let by = first.denied_by();
        let named: Vec<String> = denied
            .iter()
            .take(NAMED)
            .map(|(role, action)| format!("{} of {role}", action.action))
            .collect();
        let more = match denied.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let advice = match (first.by_organization, first.by_boundary) {
            (Some(false), _) => {
                "ask who runs the organization to allow these actions for the roles"
            }
            (_, Some(false)) => "allow these actions in the permissions boundary of the roles",
            _ => {
                "remove the statement that denies, or deploy the stack again with the template's roles"
            }
        };
        return Checkup::failing(
            check,
            format!("denied by {by}: {}{more}", named.join(", ")),
            advice,
        );
    }
    if let Some(why) = roles.iter().find_map(|role| role.actions.as_ref().err()) {
        return Checkup::unanswered(check, why);
    }
    if let Some((role, action)) = read().find(|(_, action)| action.is_unclear()) {
        let keys = action.missing_context.join(", ");
        return Checkup::unknown(
            check,
            format!(
                "whether {role} may call {} depends on {keys}",
                action.action
            ),
            None,
        );
    }
    let count = read().count();
    if count == 0 {
        return Checkup::unknown(check, "the stack has no role with policies", None);
    }
    let actions = counted(count, "permission", "permissions");
    let roles = roles.iter().filter(|role| {
        let actions = role.actions.as_ref();
        actions.is_ok_and(|actions| !actions.is_empty())
    });
    let roles = counted(roles.count(), "role", "roles");
    Checkup::ok(
        check,
        format!("IAM's simulator allows {actions} of {roles}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;
    use crate::doctor::no_answer::NoAnswer;

    fn action(decision: &str) -> SimulatedAction {
        SimulatedAction {
            action: "ecr:PutImageTagMutability".to_owned(),
            decision: decision.to_owned(),
            ..SimulatedAction::default()
        }
    }

    fn role(actions: Answered<Vec<SimulatedAction>>) -> RoleSimulation {
        RoleSimulation {
            logical: "EnforcerRole".to_owned(),
            actions,
        }
    }

    #[test]
    fn each_action_has_to_be_allowed() {
        let missing = vec!["aws:PrincipalTag/team".to_owned()];
        for (found, health, detail, advice) in [
            (
                action("allowed"),
                Health::Ok,
                "IAM's simulator allows 1 permission of 1 role",
                "",
            ),
            (
                action("implicitDeny"),
                Health::Failing,
                "denied by the role's policies, which do not allow it: ecr:PutImageTagMutability of EnforcerRole",
                "deploy the stack again",
            ),
            (
                action("explicitDeny"),
                Health::Failing,
                "a statement that denies it",
                "remove the statement",
            ),
            (
                SimulatedAction {
                    by_organization: Some(false),
                    by_boundary: Some(true),
                    ..action("implicitDeny")
                },
                Health::Failing,
                "denied by a policy of the organization",
                "organization",
            ),
            (
                SimulatedAction {
                    by_organization: Some(true),
                    by_boundary: Some(false),
                    ..action("implicitDeny")
                },
                Health::Failing,
                "denied by the role's permissions boundary",
                "permissions boundary",
            ),
            (
                SimulatedAction {
                    missing_context: missing.clone(),
                    ..action("implicitDeny")
                },
                Health::Unknown,
                "depends on aws:PrincipalTag/team",
                "",
            ),
            (
                SimulatedAction {
                    missing_context: missing,
                    by_boundary: Some(false),
                    ..action("implicitDeny")
                },
                Health::Unknown,
                "depends on aws:PrincipalTag/team",
                "",
            ),
        ] {
            let checkup = permissions(&[role(Ok(vec![found.clone()]))]);
            assert_eq!(checkup.status, health, "{found:?}");
            assert!(checkup.detail.contains(detail), "{}", checkup.detail);
            assert!(checkup.advice.unwrap_or_default().contains(advice));
        }
    }

    #[test]
    fn many_denied_actions_are_counted() {
        let checkup = permissions(&[role(Ok(vec![action("implicitDeny"); 8]))]);
        assert!(
            checkup.detail.ends_with(" and 3 more"),
            "{}",
            checkup.detail
        );
    }

    #[test]
    fn a_simulation_that_is_not_permitted_is_unknown_and_a_denial_is_said_in_spite_of_it() {
        let denied = || {
            role(Err(NoAnswer::Denied {
                permission: "iam:SimulatePrincipalPolicy".to_owned(),
                why: "the permission iam:SimulatePrincipalPolicy is missing".to_owned(),
            }))
        };
        let checkup = permissions(&[role(Ok(vec![action("allowed")])), denied()]);
        assert_eq!(checkup.status, Health::Unknown);
        assert!(
            checkup
                .advice
                .unwrap()
                .contains("allow iam:SimulatePrincipalPolicy")
        );
        let checkup = permissions(&[denied(), role(Ok(vec![action("explicitDeny")]))]);
        assert_eq!(checkup.status, Health::Failing);
        assert_eq!(permissions(&[]).status, Health::Unknown);
    }
}
