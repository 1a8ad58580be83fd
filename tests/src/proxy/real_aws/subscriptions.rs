//! A subscription by e-mail is pending until its address confirms it, and SNS delivers nothing to it before. The local AWS confirms it
//! at once.
//!
//! Sources: SNS developer guide, "Email notifications" (sns-email-notifications.html); SNS API reference, GetTopicAttributes
//! (`SubscriptionsConfirmed`, `SubscriptionsPending`).

use hyper::body::Bytes;

use super::{Behaviour, Reply};
use crate::proxy::Call;

/// The protocols whose endpoint has to confirm by an answer of its own.
const CONFIRMED_BY_THEIR_OWNER: [&str; 2] = ["email", "email-json"];

/// The subscriptions of the topic that a function asks about.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// The owners of all addresses have confirmed. A test may set it.
    pub emails_are_confirmed: bool,
    /// What AWS answers as confirmed instead of what it is. A test may set it.
    pub confirmed: Option<usize>,
    protocols: Vec<String>,
}

impl Subscriptions {
    /// Takes over the answer of ListSubscriptionsByTopic.
    pub(crate) fn list(&mut self, answer: &str) {
        let protocols = answer.split("<Protocol>").skip(1);
        self.protocols = protocols
            .filter_map(|rest| rest.split_once("</Protocol>"))
            .map(|(protocol, _)| protocol.to_owned())
            .collect();
    }

    fn confirmed(&self) -> usize {
        self.confirmed.unwrap_or_else(|| {
            let by_owner =
                |protocol: &&String| CONFIRMED_BY_THEIR_OWNER.contains(&protocol.as_str());
            let pending = self.protocols.iter().filter(by_owner).count();
            let pending = if self.emails_are_confirmed {
                0
            } else {
                pending
            };
            self.protocols.len().saturating_sub(pending)
        })
    }
}

impl Behaviour for Subscriptions {
    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        if call.operation != "GetTopicAttributes" || !reply.succeeded() {
            return reply;
        }
        let confirmed = self.confirmed();
        let pending = self.protocols.len().saturating_sub(confirmed);
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let text = with(&text, "SubscriptionsConfirmed", confirmed);
        let text = with(&text, "SubscriptionsPending", pending);
        Reply {
            body: Bytes::from(text),
            ..reply
        }
    }
}

/// The answer with another value of an attribute.
fn with(answer: &str, key: &str, value: usize) -> String {
    let start = format!("<key>{key}</key><value>");
    let Some((before, rest)) = answer.split_once(&start) else {
        return answer.to_owned();
    };
    let after = rest.split_once("</value>").map_or("", |(_, after)| after);
    format!("{before}{start}{value}</value>{after}")
}
