//! How many messages lie in the dead-letter queue.

use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;

use crate::connect::clients::Clients;
use crate::connect::error::Failure;

/// The queue of what was given up.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    /// Of a client that is made when it is needed: once a sweep.
    config: SdkConfig,
    queue_url: String,
}

impl DeadLetters {
    pub(crate) fn new(clients: &Clients, queue_url: String) -> Self {
        Self {
            config: clients.config().clone(),
            queue_url,
        }
    }

    /// About how many there are, as SQS counts; `None`: the answer has no number.
    pub(crate) async fn count(&self) -> Result<Option<u64>, Failure> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let answer = aws_sdk_sqs::Client::new(&self.config)
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(|error| Failure::of("sqs:GetQueueAttributes", &error))?;
        let count = answer.attributes().and_then(|all| all.get(&name));
        Ok(count.and_then(|text| text.parse().ok()))
    }
}
