//! Whether something stops all changes: the operator's switch, or the brake of `changes-per-hour`.

use crate::brakes::Braked;
use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::no_answer::NoAnswer;

/// Decides the check.
#[must_use]
pub fn brakes(answer: &Answered<Option<Braked>>) -> Checkup {
    let check = CheckName::Brakes;
    match answer {
        Ok(None) => Checkup::ok(
            check,
            "changes are not stopped, and the hour has room for more",
        ),
        Ok(Some(braked)) => {
            let advice = match braked {
                Braked::Stopped(_) => "run `ecr-warden start` when the reason is gone",
                Braked::Hour { .. } => {
                    "read what was changed with `ecr-warden history`; `ecr-warden resume --brake` lets it go on at once"
                }
                Braked::Unknown(_) => "read the error",
            };
            Checkup::failing(check, braked.line(), advice)
        }
        Err(NoAnswer::Gone) => Checkup::failing(
            check,
            "the state table does not exist, so nothing is changed",
            "delete the stack and deploy it again: docs/deploy.md",
        ),
        Err(why) => Checkup::unanswered(check, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brakes::Switched;
    use crate::doctor::checkup::Health;

    #[test]
    fn only_a_deployment_that_may_change_something_is_ok() {
        let stopped = Braked::Stopped(Switched::new("mary", 1_800_000_000, "INC-1"));
        let hour = Braked::Hour {
            count: 100,
            opened: 1_800_000_000,
        };
        for (answer, health, detail) in [
            (Ok(None), Health::Ok, "not stopped"),
            (Ok(Some(stopped)), Health::Failing, "by mary: INC-1"),
            (
                Ok(Some(hour)),
                Health::Failing,
                "until 2027-01-15T09:00:00Z",
            ),
            (Err(NoAnswer::Gone), Health::Failing, "does not exist"),
            (
                Err(NoAnswer::Other("timed out".into())),
                Health::Unknown,
                "timed out",
            ),
        ] {
            let found = brakes(&answer);
            assert_eq!(found.status, health, "{found:?}");
            assert!(found.detail.contains(detail), "{found:?}");
        }
    }
}
