//! Whether anybody has confirmed a subscription to the alert topic. SNS publishes to nobody, and keeps nothing for later.

use std::sync::{Mutex, PoisonError};

use aws_sdk_sns::Client;
use time::OffsetDateTime;

use crate::connect::error::Failure;

/// Seconds for which an answer is used again. By the wall clock: a frozen function's monotonic clock stops.
const FRESH: i64 = 60;

/// What is known of the topic's subscribers.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    /// When it was asked, in seconds since the epoch, and the answer.
    last: Mutex<Option<(i64, bool)>>,
}

impl Audience {
    /// Whether what was published just now counts as delivered. Not so, where nobody is subscribed; where that is unknown, it does.
    pub(crate) async fn listens(&self, sns: &Client, topic_arn: &str) -> bool {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, listens)) = last
            && (0..FRESH).contains(&now.saturating_sub(at))
        {
            return listens;
        }
        self.ask(sns, topic_arn).await
    }

    /// The same without using an earlier answer.
    pub(crate) async fn ask(&self, sns: &Client, topic_arn: &str) -> bool {
        let listens = match confirmed(sns, topic_arn).await {
            Ok(Some(0)) => {
                tracing::error!(
                    nobody_listens = true,
                    topic_arn,
                    "the alert topic has no confirmed subscription, so findings will be reported \
                     again; subscribe with `aws sns subscribe --topic-arn {topic_arn} --protocol \
                     email --notification-endpoint ADDRESS` and confirm it"
                );
                false
            }
            Ok(Some(_)) => true,
            Ok(None) => {
                tracing::error!(
                    topic_arn,
                    "sns:GetTopicAttributes answered no number of subscriptions; alerts are taken for delivered"
                );
                true
            }
            Err(why) => {
                tracing::error!(
                    topic_arn,
                    %why,
                    "the topic's subscriptions can't be read; alerts are taken for delivered"
                );
                true
            }
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, listens));
        listens
    }
}

/// The number of confirmed subscriptions; `None`: the answer has none that can be read.
async fn confirmed(sns: &Client, topic_arn: &str) -> Result<Option<u64>, Failure> {
    let answer = sns
        .get_topic_attributes()
        .topic_arn(topic_arn)
        .send()
        .await
        .map_err(|error| Failure::of("sns:GetTopicAttributes", &error))?;
    let attributes = answer.attributes();
    let confirmed = attributes.and_then(|all| all.get("SubscriptionsConfirmed"));
    Ok(confirmed.and_then(|text| text.parse().ok()))
}
