//! Whether the alert topic has a confirmed subscription: SNS delivers nothing to others.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::{DEPLOY_AGAIN, NoAnswer};

/// The topic's subscriptions as SNS counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscriptions {
    pub confirmed: u64,
    pub pending: u64,
}

/// Decides the check.
#[must_use]
pub fn subscribers(topic: &str, answer: &Answered<Subscriptions>, aws: &AwsCli) -> Checkup {
    let check = CheckName::Subscribers;
    let subscribe = || {
        aws.command(&[
            "sns",
            "subscribe",
            "--topic-arn",
            topic,
            "--protocol",
            "email",
            "--notification-endpoint",
            "ADDRESS",
        ])
    };
    match answer {
        Ok(Subscriptions {
            confirmed: 0,
            pending: 0,
        }) => Checkup::failing(
            check,
            "the alert topic has no subscription, so no alert is delivered",
            format!("{}, and confirm it", subscribe()),
        ),
        Ok(Subscriptions {
            confirmed: 0,
            pending,
        }) => Checkup::failing(
            check,
            format!(
                "the alert topic has no confirmed subscription, {pending} not confirmed, so no alert is delivered"
            ),
            format!(
                "follow the link in AWS's e-mail; SNS deletes the subscription after 48 hours without it, then {}",
                subscribe()
            ),
        ),
        Ok(Subscriptions { confirmed, pending }) => {
            let subscriptions = crate::text::counted(*confirmed, "subscription", "subscriptions");
            let pending = match pending {
                0 => String::new(),
                pending => format!("; {pending} not confirmed"),
            };
            Checkup::ok(
                check,
                format!("the alert topic has {subscriptions}{pending}"),
            )
        }
        Err(NoAnswer::Gone) => Checkup::failing(
            check,
            format!(
                "the alert topic `{topic}` does not exist: it was deleted outside of CloudFormation"
            ),
            DEPLOY_AGAIN,
        ),
        Err(why) => Checkup::unanswered(check, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::checkup::Health;

    #[test]
    fn one_confirmed_subscription_is_enough() {
        for (confirmed, pending, health, detail, advice) in [
            (1, 0, Health::Ok, "has 1 subscription", ""),
            (2, 1, Health::Ok, "has 2 subscriptions; 1 not confirmed", ""),
            (
                0,
                1,
                Health::Failing,
                "no confirmed subscription, 1 not confirmed",
                "follow the link",
            ),
            (
                0,
                0,
                Health::Failing,
                "has no subscription",
                "sns subscribe --topic-arn arn:t",
            ),
        ] {
            let answer = Ok(Subscriptions { confirmed, pending });
            let found = subscribers("arn:t", &answer, &AwsCli::default());
            assert_eq!(found.status, health, "{confirmed} {pending}");
            assert!(found.detail.contains(detail), "{}", found.detail);
            assert!(found.advice.unwrap_or_default().contains(advice));
        }
    }

    #[test]
    fn a_deleted_topic_is_failing_and_an_unreadable_one_unknown() {
        let verdict = |why| subscribers("arn:t", &Err(why), &AwsCli::default()).status;
        assert_eq!(verdict(NoAnswer::Gone), Health::Failing);
        assert_eq!(
            verdict(NoAnswer::Other("timed out".into())),
            Health::Unknown
        );
    }
}
