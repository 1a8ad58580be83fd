//! Whether everything that the canary's run created is removed.

use super::leftover::Leftover;
use super::run::{AlertHop, CanaryRun};
use crate::doctor::checkup::{CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::NoAnswer;

/// Decides the check.
#[must_use]
pub(super) fn canary_removal(run: &CanaryRun, aws: &AwsCli) -> Checkup {
    let check = CheckName::CanaryRemoval;
    if run.leftovers.is_empty() {
        let queue = match run.alert {
            AlertHop::NotFollowed(_) => "",
            _ => ", and so are its queue and subscription",
        };
        return match &run.created {
            Err(NoAnswer::NotAsked(_)) => Checkup::ok(check, "nothing was created"),
            _ => Checkup::ok(
                check,
                format!("`{}` is removed{queue}", run.names.repository),
            ),
        };
    }
    let all = run.leftovers.iter();
    let named: Vec<String> = all.clone().map(Leftover::named).collect();
    let commands: Vec<String> = all.map(|leftover| leftover.command(aws)).collect();
    Checkup::failing(check, named.join("; "), commands.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::leftover::LeftoverKind;
    use super::super::run::tests::run;
    use super::*;
    use crate::doctor::checkup::Health;

    #[test]
    fn what_is_left_is_named_with_the_command_that_removes_it() {
        let aws = AwsCli {
            profile: None,
            region: "eu-west-1".to_owned(),
        };
        let all_gone = canary_removal(&run(AlertHop::Awaited), &aws);
        assert_eq!(all_gone.status, Health::Ok);
        assert_eq!(
            all_gone.detail,
            "`canary` is removed, and so are its queue and subscription"
        );
        let mut left = run(AlertHop::Awaited);
        for (kind, id) in [
            (LeftoverKind::Repository, "canary"),
            (LeftoverKind::Queue, "https://q"),
            (LeftoverKind::Subscription, "arn:s"),
        ] {
            left.leftovers.push(Leftover {
                kind,
                id: id.to_owned(),
                why: NoAnswer::Other("timed out".to_owned()),
            });
        }
        let checkup = canary_removal(&left, &aws);
        assert_eq!(checkup.status, Health::Failing);
        assert!(
            checkup
                .detail
                .contains("the queue `https://q` may be left: timed out")
        );
        assert_eq!(
            checkup.advice.unwrap(),
            "`aws --region eu-west-1 ecr delete-repository --repository-name canary`, \
             `aws --region eu-west-1 sqs delete-queue --queue-url https://q`, \
             `aws --region eu-west-1 sns unsubscribe --subscription-arn arn:s`"
        );
    }
}
