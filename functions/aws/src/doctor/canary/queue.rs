//! A queue that is subscribed to the alert topic for as long as a canary's run takes.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{Leftover, LeftoverKind, NoAnswer};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::doctor::answer::no_answer;

/// How long a request for messages waits for the first one.
const LONG_POLL: i32 = 1;
/// Before a failed request for messages is repeated.
const PAUSE: Duration = Duration::from_millis(500);
/// The shortest retention that holds a message for the longest run, in seconds.
const RETENTION: &str = "3600";

pub(super) struct TemporaryQueue {
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    topic: String,
    name: String,
    /// Both as AWS answers them.
    url: OnceCell<String>,
    subscription: OnceCell<String>,
}

impl TemporaryQueue {
    pub(super) fn new(config: &SdkConfig, topic: String, name: &str) -> Self {
        Self {
            sqs: aws_sdk_sqs::Client::new(config),
            sns: aws_sdk_sns::Client::new(config),
            topic,
            name: name.to_owned(),
            url: OnceCell::new(),
            subscription: OnceCell::new(),
        }
    }

    /// The ARN: queue and topic are of the same account and region.
    fn arn(&self) -> String {
        let of_topic = self.topic.rsplit_once(':').map_or("", |(place, _)| place);
        format!("{}:{}", of_topic.replacen(":sns:", ":sqs:", 1), self.name)
    }

    /// Creates the queue and subscribes it.
    pub(super) async fn open(&self) -> Result<(), NoAnswer> {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
                "Resource": self.arn(), "Condition": { "ArnEquals": { "aws:SourceArn": self.topic } },
            }],
        });
        let attributes = HashMap::from([
            (QueueAttributeName::Policy, policy.to_string()),
            (
                QueueAttributeName::MessageRetentionPeriod,
                RETENTION.to_owned(),
            ),
        ]);
        let asked = self.sqs.create_queue().queue_name(&self.name);
        let answer = asked.set_attributes(Some(attributes)).send().await;
        let answer = answer.map_err(|error| no_answer("sqs:CreateQueue", &error))?;
        let _ = self.url.set(answer.queue_url.unwrap_or_default());
        let answer = self
            .sns
            .subscribe()
            .topic_arn(&self.topic)
            .protocol("sqs")
            .endpoint(self.arn())
            .return_subscription_arn(true)
            .send()
            .await
            .map_err(|error| no_answer("sns:Subscribe", &error))?;
        let _ = self
            .subscription
            .set(answer.subscription_arn.unwrap_or_default());
        Ok(())
    }

    /// The bodies of the messages that are there, after a second at most. An error is as none: the caller asks again.
    pub(super) async fn receive(&self) -> Vec<String> {
        let asked = self
            .sqs
            .receive_message()
            .set_queue_url(self.url.get().cloned());
        let asked = asked
            .max_number_of_messages(10)
            .wait_time_seconds(LONG_POLL);
        match asked.send().await {
            Ok(answer) => {
                let messages = answer.messages.unwrap_or_default();
                messages
                    .into_iter()
                    .filter_map(|message| message.body)
                    .collect()
            }
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                Vec::new()
            }
        }
    }

    /// Removes the subscription first: without its queue it would still count as one that listens.
    pub(super) async fn remove(&self) -> Vec<Leftover> {
        let subscription = self.unsubscribe().await.err();
        let subscription = subscription.map(|why| Leftover {
            kind: LeftoverKind::Subscription,
            id: self
                .subscription
                .get()
                .cloned()
                .unwrap_or_else(|| self.arn()),
            why,
        });
        let queue = self.delete().await.err().map(|why| Leftover {
            kind: LeftoverKind::Queue,
            id: self.url.get().unwrap_or(&self.name).clone(),
            why,
        });
        subscription.into_iter().chain(queue).collect()
    }

    async fn unsubscribe(&self) -> Result<(), NoAnswer> {
        let known = self.subscription.get().cloned();
        let arns = match known {
            Some(arn) => vec![arn],
            // The queue was never created, or the answer to Subscribe never came.
            None if self.url.get().is_none() => return Ok(()),
            None => self.subscriptions().await?,
        };
        for arn in arns {
            let answer = self.sns.unsubscribe().subscription_arn(arn).send().await;
            gone_is_fine(answer.map_err(|error| no_answer("sns:Unsubscribe", &error)))?;
        }
        Ok(())
    }

    async fn subscriptions(&self) -> Result<Vec<String>, NoAnswer> {
        let pages = self
            .sns
            .list_subscriptions_by_topic()
            .topic_arn(&self.topic);
        let all = pages.into_paginator().items().send().try_collect().await;
        let all = all.map_err(|error| no_answer("sns:ListSubscriptionsByTopic", &error))?;
        let own = all
            .into_iter()
            .filter(|it| it.endpoint() == Some(&self.arn()));
        Ok(own.filter_map(|it| it.subscription_arn).collect())
    }

    async fn delete(&self) -> Result<(), NoAnswer> {
        let url = match self.url.get() {
            Some(url) => url.clone(),
            None => match self.find().await {
                Err(NoAnswer::Gone) => return Ok(()),
                found => found?,
            },
        };
        let answer = self.sqs.delete_queue().queue_url(url).send().await;
        gone_is_fine(answer.map_err(|error| no_answer("sqs:DeleteQueue", &error)))
    }

    async fn find(&self) -> Result<String, NoAnswer> {
        let answer = self.sqs.get_queue_url().queue_name(&self.name).send().await;
        let answer = answer.map_err(|error| no_answer("sqs:GetQueueUrl", &error))?;
        Ok(answer.queue_url.unwrap_or_default())
    }
}

fn gone_is_fine<T>(answer: Result<T, NoAnswer>) -> Result<(), NoAnswer> {
    match answer {
        Ok(_) | Err(NoAnswer::Gone) => Ok(()),
        Err(why) => Err(why),
    }
}
