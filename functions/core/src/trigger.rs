//! EventBridge JSON → which repository to look at, why, and who made it necessary.
//!
//! Lenient on AWS's fields, because AWS adds to them and leaves some out: only what names the repository must be
//! there. What the event says of the repository's settings decides no more than what is read first; ECR is asked.

mod fields;
mod image_action;
mod origin;

use serde_json::Value;

use self::fields::{created, first_text, outside, registry, repository, resource, text};
use self::image_action::{CACHE, PUSH, REPLICATION, image_action};
use self::origin::ignored;
pub use self::origin::{Cause, Decoded, Invocation, Origin, Trigger};
use crate::defer::Deferred;
use crate::reason::Code;
use crate::repository::Push;
use crate::text::{LONGEST, one_line};

/// A message of a delay queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueMessage {
    /// The deferred event, or the request for the rest of a sweep.
    pub body: Value,
    /// The same each time that SQS delivers the message.
    pub id: String,
    pub deferred: Option<Deferred>,
}

/// Reads the one message that an event source mapping hands over; `None`: the event is not from a queue. `now` in seconds since
/// the epoch.
#[must_use]
pub fn message(event: &Value, now: i64) -> Option<QueueMessage> {
    let [message] = event.get("Records")?.as_array()?.as_slice() else {
        return None;
    };
    if message.get("eventSource")?.as_str()? != "aws:sqs" {
        return None;
    }
    Some(QueueMessage {
        body: serde_json::from_str(message.get("body")?.as_str()?).ok()?,
        id: message.get("messageId")?.as_str()?.to_owned(),
        deferred: Deferred::of_message(message, now),
    })
}

/// Decodes an event. `own_role` is the role whose changes are ours: they come back as events.
#[must_use]
pub fn decode(event: &Value, own_role: Option<&str>) -> Decoded {
    match text(event, "/source") {
        Some("aws.ecr") => {}
        Some(other) => {
            return ignored(
                None,
                Code::IrrelevantEvent,
                format!("from {}, not from ECR", one_line(other, 80)),
            );
        }
        None => {
            return Decoded::Unreadable("no `source`: this is not an EventBridge event".to_owned());
        }
    }
    match text(event, "/detail-type") {
        Some("AWS API Call via CloudTrail" | "AWS Service Event via CloudTrail") => {
            recorded_call(event, own_role)
        }
        Some("ECR Image Action") => image_action(event, &PUSH),
        Some("ECR Replication Action") => image_action(event, &REPLICATION),
        Some("ECR Pull Through Cache Action") => image_action(event, &CACHE),
        Some(other) => ignored(
            None,
            Code::IrrelevantEvent,
            format!("`{}` is not acted on", one_line(other, 80)),
        ),
        None => Decoded::Unreadable("no `detail-type`".to_owned()),
    }
}

fn recorded_call(event: &Value, own_role: Option<&str>) -> Decoded {
    match text(event, "/detail/eventSource") {
        Some("ecr.amazonaws.com" | "replication.ecr.amazonaws.com") => {}
        Some(other) => {
            return ignored(
                None,
                Code::IrrelevantEvent,
                format!("a call to {}, not to ECR", one_line(other, 80)),
            );
        }
        None => return Decoded::Unreadable("no `detail.eventSource`".to_owned()),
    }
    let Some(name) = text(event, "/detail/eventName") else {
        return Decoded::Unreadable("no `detail.eventName`".to_owned());
    };
    let call = Cause::CALLS.into_iter().find(|cause| cause.name() == name);
    let named = match call {
        Some(call) if call.is_of_registry() => registry(event),
        _ => repository(event),
    };
    let known = named.as_ref().ok().cloned();
    if event.pointer("/detail/readOnly") == Some(&Value::Bool(true)) {
        return ignored(
            known,
            Code::ReadOnlyCall,
            format!("{} only reads", one_line(name, 80)),
        );
    }
    let Some(cause) = call else {
        let reason = if name.contains("Delete") {
            "deletes; nothing to evaluate"
        } else {
            "is not acted on"
        };
        return ignored(
            known,
            Code::IrrelevantEvent,
            format!("{} {reason}", one_line(name, 80)),
        );
    };
    let refused = match text(event, "/detail/errorCode") {
        None => false,
        // A team whose build has just failed.
        Some("ImageTagAlreadyExistsException") if cause == Cause::PutImage => true,
        Some(code) => {
            return ignored(
                known,
                Code::FailedCall,
                format!("the call failed: {}", one_line(code, 80)),
            );
        }
    };
    let actor = actor(event);
    if own_role.is_some_and(|own| is_role(event, own)) {
        return ignored(known, Code::OwnChange, "ecr-warden's own change");
    }
    let repository = match named {
        Ok(repository) => repository,
        Err(why) => return Decoded::Unreadable(why),
    };
    let owner = first_text(
        event,
        &[
            "/detail/responseElements/repository/registryId",
            "/detail/responseElements/image/registryId",
            "/detail/responseElements/registryId",
            "/detail/requestParameters/registryId",
        ],
    );
    // A caller in another account has a record of the call, too.
    let by_resource = resource(event).map(|id| id.account);
    let owner = owner.map(str::to_owned).or(by_resource);
    if let Some(owner) = owner.filter(|owner| *owner != repository.account) {
        let reason = format!("the repository belongs to account {}", one_line(&owner, 40));
        return ignored(None, Code::ForeignAccount, reason);
    }
    let pushed = (cause == Cause::PutImage).then(|| Push {
        digest: outside(
            event,
            &["/detail/responseElements/image/imageId/imageDigest"],
        ),
        tag: outside(
            event,
            &[
                "/detail/responseElements/image/imageId/imageTag",
                "/detail/requestParameters/imageTag",
            ],
        )
        .or_else(|| tag_of_refusal(event)),
        refused,
    });
    let created_as = (cause == Cause::CreateRepository)
        .then(|| created(event, &repository))
        .flatten();
    Decoded::Trigger(Trigger {
        repository,
        created_as: created_as.map(Box::new),
        origin: Origin {
            cause,
            actor,
            occurred_at: outside(event, &["/detail/eventTime", "/time"]).unwrap_or_default(),
        },
        pushed,
        replicated: is_replication(event),
    })
}

/// Whether ECR's replication made the call, by one of its names: AWS documents no record of such a call.
fn is_replication(event: &Value) -> bool {
    const SERVICE: &str = "replication.ecr.amazonaws.com";
    let is = |pointer: &str| text(event, pointer) == Some(SERVICE);
    let role = text(
        event,
        "/detail/userIdentity/sessionContext/sessionIssuer/arn",
    );
    is("/detail/eventSource")
        || is("/detail/userIdentity/invokedBy")
        || role.is_some_and(|arn| arn.split('/').any(|part| part == SERVICE))
}

/// The tag that ECR's message names, where CloudTrail omits the request: `The image tag 'v1' already exists in the …`.
fn tag_of_refusal(event: &Value) -> Option<String> {
    let message = text(event, "/detail/errorMessage")?;
    let (tag, _) = message.strip_prefix("The image tag '")?.split_once('\'')?;
    (!tag.is_empty()).then(|| one_line(tag, LONGEST))
}

/// Who called: the ARN, or the service that called for itself. Of a caller from another account CloudTrail has no ARN, but the account
/// (CloudTrail User Guide, userIdentity element, `AWSAccount`).
fn actor(event: &Value) -> Option<String> {
    let named = outside(
        event,
        &[
            "/detail/userIdentity/arn",
            "/detail/userIdentity/sessionContext/sessionIssuer/arn",
            "/detail/userIdentity/invokedBy",
        ],
    );
    named.or_else(|| {
        let id = outside(event, &["/detail/userIdentity/principalId"])?;
        Some(match outside(event, &["/detail/userIdentity/accountId"]) {
            Some(account) => format!("{id} of account {account}"),
            None => id,
        })
    })
}

/// Whether the caller's session is one of the role `arn:<partition>:iam::<account>:role/<path><name>`.
fn is_role(event: &Value, role: &str) -> bool {
    if text(
        event,
        "/detail/userIdentity/sessionContext/sessionIssuer/arn",
    ) == Some(role)
    {
        return true;
    }
    // arn:<partition>:sts::<account>:assumed-role/<name>/<session>
    let name = role.rsplit('/').next();
    let account = role.split(':').nth(4);
    let Some(session) = text(event, "/detail/userIdentity/arn") else {
        return false;
    };
    let mut parts = session.splitn(6, ':').skip(4);
    let (session_account, resource) = (parts.next(), parts.next());
    let session_role = resource.and_then(|r| r.strip_prefix("assumed-role/")?.split('/').next());
    session_role.is_some() && session_role == name && session_account == account
}

#[cfg(test)]
mod tests;
