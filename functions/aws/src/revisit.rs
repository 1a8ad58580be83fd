//! Puts an event off: it waits in a queue, not in a function, and comes back.

use aws_types::SdkConfig;
use serde_json::Value;

use crate::clients::Clients;
use crate::failure::Failure;

/// The queue that events wait in.
#[derive(Debug)]
pub(crate) struct Revisits {
    /// Of a client that is made when it is needed, which is rarely.
    config: SdkConfig,
    queue_url: String,
}

impl Revisits {
    #[must_use]
    pub(crate) fn new(clients: &Clients, queue_url: String) -> Self {
        Self {
            config: clients.config().clone(),
            queue_url,
        }
    }

    /// Has the event come back after so many seconds; SQS takes up to 900.
    pub(crate) async fn send(&self, event: &Value, seconds: i64) -> Result<(), Failure> {
        let delay = i32::try_from(seconds.clamp(0, 900)).unwrap_or_default();
        aws_sdk_sqs::Client::new(&self.config)
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(event.to_string())
            .delay_seconds(delay)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("sqs:SendMessage", &error))
    }
}
