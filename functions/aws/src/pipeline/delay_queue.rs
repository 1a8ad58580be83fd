//! Defers an event: it waits in a queue, not in a function, and comes back.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::types::MessageAttributeValue;
use aws_types::SdkConfig;
use ecr_warden_core::defer::{
    DEFERRALS, Deferred, DelayDecision, FIRST_DEFERRED_AT, LONGEST_DELAY, defer,
};
use serde_json::Value;
use time::OffsetDateTime;

use crate::connect::clients::Clients;
use crate::connect::error::Failure;

/// The queue that events wait in.
#[derive(Debug)]
pub(crate) struct Revisits {
    /// Of a client that is made when it is needed, which is rarely.
    config: SdkConfig,
    queue_url: String,
    gave_up: AtomicBool,
}

impl Revisits {
    #[must_use]
    pub(crate) fn new(clients: &Clients, queue_url: String) -> Self {
        Self {
            config: clients.config().clone(),
            queue_url,
            gave_up: AtomicBool::default(),
        }
    }

    /// Whether an event was given up since this was last asked.
    pub(crate) fn take_gave_up(&self) -> bool {
        self.gave_up.swap(false, Ordering::Relaxed)
    }

    /// Has the event come back, after the seconds that it needs where these are known. Returns the seconds and what the message
    /// carries.
    ///
    /// # Errors
    /// SQS does not take the message, or the event has waited for too long: then the invocation must fail, so that the queue it
    /// comes from makes it a dead letter.
    pub(crate) async fn defer(
        &self,
        event: &Value,
        before: Option<Deferred>,
        needed: Option<i64>,
    ) -> Result<(i64, Deferred), String> {
        let now = OffsetDateTime::now_utc();
        match defer(before, needed, now.unix_timestamp(), now.microsecond()) {
            DelayDecision::In { seconds, deferred } => self
                .send(event, seconds, deferred)
                .await
                .map(|()| (seconds, deferred))
                .map_err(|failure| format!("cannot defer the event: {failure}")),
            DelayDecision::GiveUp { waited } => {
                self.gave_up.store(true, Ordering::Relaxed);
                tracing::error!(
                    given_up = true,
                    waited,
                    deferrals = before.map_or(0, |before| before.count),
                    "a deferred event is given up"
                );
                Err(format!(
                    "the event has been deferred for {waited} s and is given up; raise `ecr-calls-per-second`, then run a sweep"
                ))
            }
        }
    }

    /// Sends what comes back after so many seconds; SQS takes up to 900.
    pub(crate) async fn send(
        &self,
        body: &Value,
        seconds: i64,
        deferred: Deferred,
    ) -> Result<(), Failure> {
        let delay = i32::try_from(seconds.clamp(0, LONGEST_DELAY)).unwrap_or_default();
        let mut message = aws_sdk_sqs::Client::new(&self.config)
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(body.to_string())
            .delay_seconds(delay);
        for (name, value) in [
            (FIRST_DEFERRED_AT, deferred.since.to_string()),
            (DEFERRALS, deferred.count.to_string()),
        ] {
            let value = MessageAttributeValue::builder()
                .data_type("Number")
                .string_value(value)
                .build()
                .map_err(|error| Failure::Unavailable(error.to_string()))?;
            message = message.message_attributes(name, value);
        }
        message
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("sqs:SendMessage", &error))
    }
}
