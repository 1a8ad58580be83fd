//! One SNS message with a body for each protocol.

use ecr_warden_core::alert::Message;

use crate::connect::error::Failure;

pub(crate) async fn publish(
    sns: &aws_sdk_sns::Client,
    topic_arn: &str,
    message: &Message,
) -> Result<(), Failure> {
    // No attributes: SNS delivers none with this structure (SNS developer guide, "Message attributes").
    sns.publish()
        .topic_arn(topic_arn)
        .subject(&message.subject)
        .message_structure("json")
        .message(&message.body)
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Failure::of("sns:Publish", &error))
}
