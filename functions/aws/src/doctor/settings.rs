//! The alert topic's subscriptions, the dead-letter queue's length, and the text of the policy's parameter.

use std::str::FromStr;

use aws_sdk_sqs::types::QueueAttributeName;
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{NoAnswer, Subscriptions};

use crate::connect::clients::Clients;
use crate::doctor::answer::no_answer;

/// The stack has no such resource.
fn absent(what: &str) -> NoAnswer {
    NoAnswer::NotAsked(format!("the stack has no {what}"))
}

pub(crate) async fn subscriptions(
    config: &SdkConfig,
    topic: Option<&str>,
) -> Result<Subscriptions, NoAnswer> {
    let topic = topic.ok_or_else(|| absent("AlertTopic"))?;
    let answer = aws_sdk_sns::Client::new(config)
        .get_topic_attributes()
        .topic_arn(topic)
        .send()
        .await
        .map_err(|error| no_answer("sns:GetTopicAttributes", &error))?;
    let read = |name: &str| {
        let attributes = answer.attributes();
        number(attributes.and_then(|all| all.get(name)), name)
    };
    Ok(Subscriptions {
        confirmed: read("SubscriptionsConfirmed")?,
        pending: read("SubscriptionsPending")?,
    })
}

pub(crate) async fn dead_letters(clients: &Clients, queue: Option<&str>) -> Result<u64, NoAnswer> {
    let queue = queue.ok_or_else(|| absent("DeadLetterQueue"))?;
    let name = QueueAttributeName::ApproximateNumberOfMessages;
    let answer = aws_sdk_sqs::Client::new(clients.config())
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(name.clone())
        .send()
        .await
        .map_err(|error| no_answer("sqs:GetQueueAttributes", &error))?;
    let count = answer.attributes().and_then(|all| all.get(&name));
    number(count, name.as_str())
}

pub(crate) async fn policy(clients: &Clients, name: &str) -> Result<String, NoAnswer> {
    let answer = clients.ssm().get_parameter().name(name).send().await;
    let answer = answer.map_err(|error| no_answer("ssm:GetParameter", &error))?;
    let text = answer.parameter.and_then(|parameter| parameter.value);
    Ok(text.unwrap_or_default())
}

fn number<N: FromStr>(text: Option<&String>, name: &str) -> Result<N, NoAnswer> {
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| NoAnswer::Other(format!("AWS answered without a number {name}")))
}
