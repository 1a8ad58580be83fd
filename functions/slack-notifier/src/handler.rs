//! Between Lambda and Slack: the alerts of a batch, the webhook's URL, retries within the deadline.

use std::time::{Duration, SystemTime};

use ecr_warden_aws::{Posted, Webhook, environment};
use ecr_warden_core::slack;
use lambda_runtime::{Error, LambdaEvent, tracing};
use serde_json::Value;

/// What is left of an invocation's time for saying that it ran out.
const RESERVE: Duration = Duration::from_secs(1);
/// Before trying again where Slack does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(1);

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

    /// All alerts of a batch in one message. What Slack does not take fails the invocation, so that the queue keeps it.
    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<(), Error> {
        let (event, context) = event.into_parts();
        let alerts = slack::alerts(&event);
        if alerts.is_empty() {
            tracing::error!(unreadable_event = true, "no alert is in the event");
            return Ok(());
        }
        let message = slack::message(&alerts);
        let left = context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .saturating_sub(RESERVE);
        tokio::time::timeout(left, self.post(&message))
            .await
            .map_err(|_| "Slack did not take the message in time")?
    }

    async fn post(&self, message: &Value) -> Result<(), Error> {
        loop {
            let wait = match self.webhook.post(message).await? {
                Posted::Taken => return Ok(()),
                Posted::TryAgain { after, why } => {
                    tracing::warn!(why, "Slack did not take the message yet");
                    after.unwrap_or(PAUSE)
                }
                Posted::Refused(why) => {
                    tracing::error!(slack_refused = true, why, "Slack refuses the message");
                    return Err(format!("Slack refuses the message: {why}").into());
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}
