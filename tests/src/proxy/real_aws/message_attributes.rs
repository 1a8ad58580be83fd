//! SNS delivers no attributes with a message of `MessageStructure=json`: "to use message attributes with Amazon SNS, the message
//! structure must be String, not JSON" (SNS developer guide, "Amazon SNS message attributes"). So filters on attributes match nothing.

use hyper::body::Bytes;

use super::Behaviour;
use crate::proxy::Call;

/// Takes the attributes out of such a request.
#[derive(Debug, Default)]
pub struct MessageAttributes;

impl Behaviour for MessageAttributes {
    fn request(&mut self, call: &Call, body: Bytes) -> Bytes {
        if call.operation != "Publish" || !call.body.contains("MessageStructure=json") {
            return body;
        }
        let text = String::from_utf8_lossy(&body);
        let kept: Vec<&str> = text
            .split('&')
            .filter(|pair| !pair.starts_with("MessageAttributes."))
            .collect();
        Bytes::from(kept.join("&"))
    }
}
