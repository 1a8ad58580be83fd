//! One SNS message with a body for each protocol.

use aws_sdk_sns::types::MessageAttributeValue;
use ecr_warden_core::alert::{Attribute, Message};

use crate::failure::Failure;

pub(crate) async fn publish(
    sns: &aws_sdk_sns::Client,
    topic_arn: &str,
    message: &Message,
) -> Result<(), Failure> {
    let mut request = sns
        .publish()
        .topic_arn(topic_arn)
        .subject(&message.subject)
        .message_structure("json")
        .message(&message.body);
    for (name, value) in &message.attributes {
        let (kind, text) = match value {
            Attribute::Text(text) => ("String", text.clone()),
            Attribute::List(items) => (
                "String.Array",
                serde_json::to_string(items).unwrap_or_default(),
            ),
        };
        let value = MessageAttributeValue::builder()
            .data_type(kind)
            .string_value(text)
            .build();
        if let Ok(value) = value {
            request = request.message_attributes(*name, value);
        }
    }
    request
        .send()
        .await
        .map(|_| ())
        .map_err(|error| Failure::of("sns:Publish", &error))
}
