//! A queue that is subscribed to the alert topic: what people's programs get.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::{Problem, eventually};

/// The queue and what came out of it so far.
#[derive(Debug)]
pub struct Inbox {
    clients: Clients,
    queue_url: String,
    alerts: Vec<Value>,
}

impl Inbox {
    /// Makes a queue and subscribes it.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn open(clients: &Clients, topic_arn: &str, name: &str) -> Result<Self, Problem> {
        let queue = clients.sqs.create_queue().queue_name(name).send().await?;
        let queue_url = queue.queue_url.unwrap_or_default();
        let attributes = clients
            .sqs
            .get_queue_attributes()
            .queue_url(&queue_url)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await?;
        let arn = attributes
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::QueueArn))
            .cloned()
            .unwrap_or_default();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
                "Resource": arn, "Condition": { "ArnEquals": { "aws:SourceArn": topic_arn } },
            }],
        });
        clients
            .sqs
            .set_queue_attributes()
            .queue_url(&queue_url)
            .attributes(QueueAttributeName::Policy, policy.to_string())
            .send()
            .await?;
        clients
            .sns
            .subscribe()
            .topic_arn(topic_arn)
            .protocol("sqs")
            .endpoint(arn)
            .send()
            .await?;
        Ok(Self {
            clients: clients.clone(),
            queue_url,
            alerts: Vec::new(),
        })
    }

    /// Takes out what is there; the alerts so far of one repository, by its name.
    ///
    /// # Errors
    /// What AWS said, or a message that is no alert.
    pub async fn alerts_of(&mut self, name: &str) -> Result<Vec<Value>, Problem> {
        self.alerts_of_arn(&format!("repository/{name}")).await
    }

    /// The same for whatever has an ARN that ends so.
    ///
    /// # Errors
    /// As above.
    pub async fn alerts_of_arn(&mut self, ending: &str) -> Result<Vec<Value>, Problem> {
        self.receive().await?;
        let is_of = |alert: &&Value| {
            alert
                .pointer("/repository")
                .and_then(Value::as_str)
                .is_some_and(|arn| arn.ends_with(ending))
        };
        Ok(self.alerts.iter().filter(is_of).cloned().collect())
    }

    /// Takes out all alerts that have come since this was asked last.
    ///
    /// # Errors
    /// As above.
    pub async fn take(&mut self) -> Result<Vec<Value>, Problem> {
        self.receive().await?;
        Ok(std::mem::take(&mut self.alerts))
    }

    async fn receive(&mut self) -> Result<(), Problem> {
        loop {
            let page = self
                .clients
                .sqs
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10)
                .send()
                .await?;
            if page.messages().is_empty() {
                return Ok(());
            }
            for message in page.messages() {
                let envelope: Value = serde_json::from_str(message.body().unwrap_or_default())?;
                let text = envelope
                    .pointer("/Message")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let mut alert: Value = serde_json::from_str(text)?;
                if let Some(fields) = alert.as_object_mut() {
                    fields.insert("_envelope".to_owned(), envelope.clone());
                }
                self.alerts.push(alert);
                self.clients
                    .sqs
                    .delete_message()
                    .queue_url(&self.queue_url)
                    .receipt_handle(message.receipt_handle().unwrap_or_default())
                    .send()
                    .await?;
            }
        }
    }

    /// Waits for an alert of a repository.
    ///
    /// # Errors
    /// None came.
    pub async fn wait_for(&mut self, name: &str) -> Result<Value, Problem> {
        let cell = tokio::sync::Mutex::new(self);
        eventually(
            &format!("an alert about {name}"),
            Duration::from_secs(30),
            || async {
                Ok(cell
                    .lock()
                    .await
                    .alerts_of(name)
                    .await?
                    .into_iter()
                    .next_back())
            },
        )
        .await
    }
}
