//! Whether the dead-letter queue is empty: what lies there was given up.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::{DEPLOY_AGAIN, NoAnswer};
use crate::text::counted;

/// Decides the check. `answer`: about how many messages wait, as SQS counts.
#[must_use]
pub fn dead_letters(url: &str, answer: &Answered<u64>, aws: &AwsCli) -> Checkup {
    let check = CheckName::DeadLetters;
    match answer {
        Ok(0) => Checkup::ok(check, "the dead-letter queue is empty"),
        Ok(waiting) => {
            let messages = counted(*waiting, "message waits", "messages wait");
            Checkup::failing(
                check,
                format!(
                    "{messages} in the dead-letter queue: events, parts of sweeps or messages for Slack that were given up"
                ),
                format!(
                    "read them with {}, correct the reason, run a sweep, and empty the queue",
                    aws.command(&[
                        "sqs",
                        "receive-message",
                        "--queue-url",
                        url,
                        "--max-number-of-messages",
                        "10",
                        "--visibility-timeout",
                        "0",
                    ])
                ),
            )
        }
        Err(NoAnswer::Gone) => Checkup::failing(
            check,
            "the dead-letter queue does not exist: it was deleted outside of CloudFormation",
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
    fn only_an_empty_queue_is_ok() {
        for (answer, health, detail) in [
            (Ok(0), Health::Ok, "is empty"),
            (Ok(1), Health::Failing, "1 message waits"),
            (Ok(40), Health::Failing, "40 messages wait"),
            (Err(NoAnswer::Gone), Health::Failing, "does not exist"),
            (
                Err(NoAnswer::Other("timed out".into())),
                Health::Unknown,
                "timed out",
            ),
        ] {
            let found = dead_letters("https://q", &answer, &AwsCli::default());
            assert_eq!(found.status, health, "{answer:?}");
            assert!(found.detail.contains(detail), "{}", found.detail);
        }
        let found = dead_letters("https://q", &Ok(1), &AwsCli::default());
        assert!(found.advice.unwrap().contains("--queue-url https://q"));
    }
}
