//! Lambda stops a chain of invocations of a function through SQS after about 16 and sends the event to the dead-letter queue, unless
//! the function says `RecursiveLoop: Allow`. The local AWS detects direct invocations only.
//!
//! Sources: Lambda Developer Guide, "Use Lambda recursive loop detection to prevent infinite loops"; Lambda API,
//! PutFunctionRecursionConfig; spacelift-io/terraform-aws-spacelift-workerpool-on-ec2#199.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Behaviour, Reply};
use crate::caller::{Ask, Caller};
use crate::proxy::Call;

/// Lambda lets so many invocations of a chain run.
const MOST: u32 = 16;

/// Each function that is fed by a queue that it sends to, with that queue; by their names in the template.
const LOOPS: [(&str, &str); 2] = [("Enforcer", "RevisitQueue"), ("Auditor", "SweepQueue")];

/// How often each event, and the rest of each sweep, was sent to the queue that it came from.
#[derive(Debug, Default)]
pub struct Recursion {
    /// The queues whose function may recurse. A test may take one away.
    pub allowed: BTreeSet<&'static str>,
    /// How many messages were stopped so far.
    pub stopped: usize,
    /// AWS's address, and the URL of the queue that gets what is stopped; `None`: nothing is deployed yet.
    dead_letters: Option<(String, String)>,
    hops: HashMap<(String, String), u32>,
}

impl Recursion {
    /// Reads what a template that was deployed says of its functions.
    pub fn deployed(&mut self, template: &str, endpoint: &str, dead_letters: &str) {
        self.dead_letters = Some((endpoint.to_owned(), dead_letters.to_owned()));
        let allows = |function: &str| {
            let resource = template.split(&format!("\n  {function}:\n")).nth(1);
            let mut lines = resource.unwrap_or_default().lines();
            lines
                .by_ref()
                .take_while(|line| line.is_empty() || line.starts_with("   "))
                .any(|line| line.trim() == "RecursiveLoop: Allow")
        };
        let may = LOOPS.iter().filter(|(function, _)| allows(function));
        self.allowed = may.map(|(_, queue)| *queue).collect();
    }
}

impl Behaviour for Recursion {
    fn instead(&mut self, call: &Call) -> Option<Reply> {
        let dead_letters = self.dead_letters.clone()?;
        if call.operation != "SendMessage" {
            return None;
        }
        let message: Value = serde_json::from_str(&call.body).ok()?;
        let (queue, chain) = chain(&message)?;
        let hops = self.hops.entry((queue.to_owned(), chain)).or_default();
        *hops = hops.saturating_add(1);
        if *hops <= MOST || self.allowed.contains(queue) {
            return None;
        }
        self.stopped = self.stopped.saturating_add(1);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(dead_letter(dead_letters, message));
        }
        Some(Reply::json(
            &serde_json::json!({ "MessageId": "stopped", "MD5OfMessageBody": "" }),
        ))
    }
}

/// Sends it as AWS does, without asking for a permission.
async fn dead_letter((endpoint, queue): (String, String), message: Value) {
    let body = message.get("MessageBody");
    let body = serde_json::json!({ "QueueUrl": queue, "MessageBody": body });
    let ask = Ask::Json("AmazonSQS.SendMessage", &body);
    // A test that expects the dead letter misses it.
    let _ = Caller::root().ask(&endpoint, "sqs", &ask).await;
}

/// The queue, and what tells one event or sweep from another. AWS follows the trace header; the local AWS does not pass it on through
/// queues. An event is the same each time. The rest of a sweep is another one each time, and says when the sweep began.
fn chain(message: &Value) -> Option<(&'static str, String)> {
    let url = message.get("QueueUrl")?.as_str()?;
    let (_, queue) = LOOPS.iter().find(|(_, queue)| url.contains(queue))?;
    let mut body: Value = serde_json::from_str(message.get("MessageBody")?.as_str()?).ok()?;
    let is_sweep = body
        .as_object_mut()
        .is_some_and(|fields| fields.remove("next").is_some());
    let began = message.pointer("/MessageAttributes/first-deferred-at/StringValue");
    let began = began.filter(|_| is_sweep).map(Value::to_string);
    Some((queue, format!("{body} {}", began.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is_stopped(recursion: &mut Recursion, queue: &str, body: &Value) -> bool {
        let url = format!("http://localhost/1/x-{queue}-7");
        let message = json!({ "QueueUrl": url, "MessageBody": body.to_string() });
        let call = Call {
            operation: "SendMessage".to_owned(),
            body: message.to_string(),
            invocation: String::new(),
        };
        recursion.instead(&call).is_some()
    }

    #[test]
    fn seventeenth_message_of_a_chain_is_a_dead_letter_unless_allowed() {
        let template = "Resources:\n  Enforcer:\n    Type: x\n    Properties:\n      Timeout: 60\n\n      RecursiveLoop: Allow\n  Auditor:\n    Properties:\n      Timeout: 9\n  Other:\n      RecursiveLoop: Allow\n";
        let mut recursion = Recursion::default();
        recursion.deployed(template, "http://localhost", "http://localhost/1/dead");
        let event = json!({ "id": "1" });
        for n in 1..=20 {
            assert!(!is_stopped(&mut recursion, "RevisitQueue", &event));
            let part = json!({ "mode": "enforce", "next": n.to_string() });
            let stopped = is_stopped(&mut recursion, "SweepQueue", &part);
            assert_eq!(stopped, n > 16, "{n}");
        }
        recursion.allowed.clear();
        assert!(is_stopped(&mut recursion, "RevisitQueue", &event));
        let other = json!({ "id": "2" });
        assert!(!is_stopped(&mut recursion, "RevisitQueue", &other));
        assert_eq!(recursion.stopped, 5);
    }
}
