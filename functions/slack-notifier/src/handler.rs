//! Between Lambda and Slack: the alerts of a batch, the webhook's URL, and the time that is left.

use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::SqsBatchResponse;
use ecr_warden_aws::{Webhook, environment};
use ecr_warden_core::slack;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;

use crate::delivery::{Delivery, PAUSE};

/// What is left of an invocation's time for saying that it ran out.
const RESERVE: Duration = Duration::from_secs(1);

/// The function with everything that it sets up once.
pub(crate) struct Notifier {
    webhook: Webhook,
}

impl Notifier {
    /// Reads the environment: `SLACK_WEBHOOK_SECRET_ARN`.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let secret = environment("SLACK_WEBHOOK_SECRET_ARN")
            .ok_or("the environment variable SLACK_WEBHOOK_SECRET_ARN is not set")?;
        Ok(Self {
            webhook: Webhook::from_lambda_environment(secret)?,
        })
    }

    /// All alerts of a batch in one message. What Slack does not take is named, so that the queue keeps it; where it takes none
    /// of them, the invocation fails.
    pub(crate) async fn handle(
        &self,
        event: LambdaEvent<Value>,
    ) -> Result<SqsBatchResponse, Error> {
        let (event, context) = event.into_parts();
        let alerts = slack::alerts(&event);
        if alerts.is_empty() {
            tracing::error!(unreadable_event = true, "no alert is in the event");
            return Ok(answer(&event, &[])?);
        }
        let left = context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .saturating_sub(RESERVE);
        let mut delivery = Delivery::of(&alerts, PAUSE);
        let post = async |message: Value| self.webhook.post(&message).await;
        let why = match tokio::time::timeout(left, delivery.run(post)).await {
            Ok(result) => result.err(),
            Err(_) => Some("Slack did not take the message in time".to_owned()),
        };
        let not_taken = delivery.not_taken();
        match why {
            Some(why) if not_taken.len() == alerts.len() => Err(why.into()),
            Some(why) => {
                tracing::error!(why, "Slack has not taken all");
                Ok(answer(&event, &not_taken)?)
            }
            None => Ok(answer(&event, &not_taken)?),
        }
    }
}

/// What the queue is to give again (Lambda developer guide, "Reporting batch item failures").
fn answer(event: &Value, not_taken: &[usize]) -> Result<SqsBatchResponse, String> {
    let ids: Option<Vec<&str>> = not_taken
        .iter()
        .map(|place| {
            let id = event.pointer(&format!("/Records/{place}/messageId"))?;
            id.as_str()
        })
        .collect();
    let mut answer = SqsBatchResponse::default();
    // SNS itself gives no such ids, and all again or nothing.
    answer.set_failures(ids.ok_or("Slack refuses a message")?);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_taken_is_named() {
        let event =
            json!({ "Records": [{ "messageId": "a" }, { "messageId": "b" }, { "Sns": {} }] });
        let shown = |not_taken: &[usize]| serde_json::to_value(answer(&event, not_taken).unwrap());
        assert_eq!(
            shown(&[1]).unwrap(),
            json!({ "batchItemFailures": [{ "itemIdentifier": "b" }] })
        );
        assert_eq!(shown(&[]).unwrap(), json!({ "batchItemFailures": [] }));
        assert!(answer(&event, &[1, 2]).is_err());
    }
}
