//! EventBridge JSON → which repository to look at, why, and who made it necessary.
//!
//! Lenient on AWS's fields, because AWS adds to them and leaves some out: only what names the repository must be
//! there. What the event says of the repository's settings is not used; ECR is asked.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::defer::Deferred;
use crate::reason::{Code, Reason};
use crate::repository::{Push, RepositoryId};
use crate::text::{LONGEST, one_line};

/// A record of ECR has one or two.
const MOST_RESOURCES: usize = 20;

/// A reason to evaluate a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub repository: RepositoryId,
    pub origin: Origin,
    pub pushed: Option<Push>,
    /// ECR's replication did it: it fills the repository.
    pub replicated: bool,
}

impl Trigger {
    /// Whether the repository was created a moment ago, so that ECR may not show it yet.
    #[must_use]
    pub fn just_created(&self) -> bool {
        self.origin.cause == Cause::CreateRepository
    }
}

/// What happened, who did it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub cause: Cause,
    /// An ARN or an AWS service; `None`: it is not known, or a schedule did it.
    pub actor: Option<String>,
    /// RFC 3339, as the event has it; empty where it is not known.
    pub occurred_at: String,
}

impl Origin {
    /// Without an actor and a time.
    #[must_use]
    pub fn of(cause: Cause) -> Self {
        Self {
            cause,
            actor: None,
            occurred_at: String::new(),
        }
    }
}

/// One invocation of a function, which works on a trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The request id, or the message id of a deferred event; a retry has the same.
    pub id: String,
    /// Seconds since the epoch at which the invocation is ended.
    pub deadline: i64,
    /// The event as it came, for a deferral; `None`: a sweep has no event.
    pub event: Option<Value>,
    /// Since when and how often it was deferred.
    pub deferred: Option<Deferred>,
}

/// What happened: a call of ECR's API, or a reason of ecr-warden's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    CreateRepository,
    PutImage,
    PutImageTagMutability,
    PutImageScanningConfiguration,
    PutLifecyclePolicy,
    DeleteLifecyclePolicy,
    SetRepositoryPolicy,
    DeleteRepositoryPolicy,
    TagResource,
    UntagResource,
    /// An audit of the whole registry that may repair.
    Sweep,
    /// An audit, which changes nothing.
    Audit,
    /// `ecr-warden audit --fix`.
    AuditFix,
    /// All open findings are reported again.
    Repeat,
}

impl Cause {
    /// Every call that is acted on.
    pub const CALLS: [Self; 10] = [
        Self::CreateRepository,
        Self::PutImage,
        Self::PutImageTagMutability,
        Self::PutImageScanningConfiguration,
        Self::PutLifecyclePolicy,
        Self::DeleteLifecyclePolicy,
        Self::SetRepositoryPolicy,
        Self::DeleteRepositoryPolicy,
        Self::TagResource,
        Self::UntagResource,
    ];

    /// A call as CloudTrail names it, otherwise the word that outcomes, alerts and records have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CreateRepository => "CreateRepository",
            Self::PutImage => "PutImage",
            Self::PutImageTagMutability => "PutImageTagMutability",
            Self::PutImageScanningConfiguration => "PutImageScanningConfiguration",
            Self::PutLifecyclePolicy => "PutLifecyclePolicy",
            Self::DeleteLifecyclePolicy => "DeleteLifecyclePolicy",
            Self::SetRepositoryPolicy => "SetRepositoryPolicy",
            Self::DeleteRepositoryPolicy => "DeleteRepositoryPolicy",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::Sweep => "sweep",
            Self::Audit => "audit",
            Self::AuditFix => "audit --fix",
            Self::Repeat => "repeat",
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What an event turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Trigger(Trigger),
    /// Understood, and nothing to do; no call is made.
    Ignored {
        repository: Option<RepositoryId>,
        reason: Reason,
    },
    /// Not to be understood; no retry can mend it.
    Unreadable(String),
}

/// A message of a delay queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The deferred event, or the request for the rest of a sweep.
    pub body: Value,
    /// The same each time that SQS delivers the message.
    pub id: String,
    pub deferred: Option<Deferred>,
}

/// Reads the one message that an event source mapping hands over; `None`: the event is not from a queue. `now` in seconds since
/// the epoch.
#[must_use]
pub fn message(event: &Value, now: i64) -> Option<Message> {
    let [message] = event.get("Records")?.as_array()?.as_slice() else {
        return None;
    };
    if message.get("eventSource")?.as_str()? != "aws:sqs" {
        return None;
    }
    Some(Message {
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

fn ignored(repository: Option<RepositoryId>, code: Code, why: impl Into<String>) -> Decoded {
    Decoded::Ignored {
        repository,
        reason: Reason::new(code, why),
    }
}

fn text<'e>(event: &'e Value, pointer: &str) -> Option<&'e str> {
    event
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The first of several places that holds text.
fn first_text<'e>(event: &'e Value, pointers: &[&str]) -> Option<&'e str> {
    pointers.iter().find_map(|pointer| text(event, pointer))
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
    let named = repository(event);
    let known = named.as_ref().ok().cloned();
    if event.pointer("/detail/readOnly") == Some(&Value::Bool(true)) {
        return ignored(
            known,
            Code::ReadOnlyCall,
            format!("{} only reads", one_line(name, 80)),
        );
    }
    let Some(cause) = Cause::CALLS.into_iter().find(|cause| cause.name() == name) else {
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
    Decoded::Trigger(Trigger {
        repository,
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

/// ECR's own event of an image that has come into a repository (ECR User Guide, "Amazon ECR events and EventBridge").
struct Native {
    /// What `detail.action-type` says; `None`: there is no such field.
    action: Option<&'static str>,
    /// Where it says whether that succeeded.
    result: &'static str,
    /// Who brings it, where the event says so: the service principal that AWS acts as.
    actor: Option<&'static str>,
}

impl Native {
    /// Whether a client has pushed the image.
    fn by_client(&self) -> bool {
        self.actor.is_none()
    }
}

const PUSH: Native = Native {
    action: Some("PUSH"),
    result: "/detail/result",
    actor: None,
};
/// It comes to the account and region of the destination, and may be the only event of a repository that replication creates.
const REPLICATION: Native = Native {
    action: Some("REPLICATE"),
    result: "/detail/result",
    actor: Some("replication.ecr.amazonaws.com"),
};
const CACHE: Native = Native {
    action: None,
    result: "/detail/sync-status",
    actor: Some("pullthroughcache.ecr.amazonaws.com"),
};

fn image_action(event: &Value, native: &Native) -> Decoded {
    let named = repository(event);
    let known = named.as_ref().ok().cloned();
    if let Some(action) = native.action {
        match text(event, "/detail/action-type") {
            Some(found) if found == action => {}
            Some(other) => {
                let reason = format!("image action `{}` is not acted on", one_line(other, 80));
                return ignored(known, Code::IrrelevantEvent, reason);
            }
            None => return Decoded::Unreadable("no `detail.action-type`".to_owned()),
        }
    }
    if text(event, native.result).is_some_and(|result| result != "SUCCESS") {
        return ignored(known, Code::FailedCall, "the push failed");
    }
    match named {
        Ok(repository) => Decoded::Trigger(Trigger {
            repository,
            origin: Origin {
                cause: Cause::PutImage,
                actor: native.actor.map(str::to_owned),
                occurred_at: outside(event, &["/time"]).unwrap_or_default(),
            },
            // The tag of what AWS brings was chosen elsewhere, so no rule evaluates it.
            pushed: Some(Push {
                digest: outside(event, &["/detail/image-digest"]).filter(|_| native.by_client()),
                tag: outside(event, &["/detail/image-tag"]).filter(|_| native.by_client()),
                refused: false,
            }),
            replicated: native.actor == REPLICATION.actor,
        }),
        Err(why) => Decoded::Unreadable(why),
    }
}

/// Text that goes into messages, cut to size.
fn outside(event: &Value, pointers: &[&str]) -> Option<String> {
    first_text(event, pointers).map(|text| one_line(text, LONGEST))
}

/// In `account` and `region` of the envelope: where the event happened, whatever else it names.
fn repository(event: &Value) -> Result<RepositoryId, String> {
    let name = first_text(
        event,
        &[
            "/detail/requestParameters/repositoryName",
            "/detail/serviceEventDetails/repositoryName",
            "/detail/responseElements/repository/repositoryName",
            "/detail/responseElements/image/repositoryName",
            "/detail/repository-name",
        ],
    );
    // TagResource and UntagResource name an ARN.
    let of_arn =
        text(event, "/detail/requestParameters/resourceArn").and_then(RepositoryId::from_arn);
    // CloudTrail omits parameters above 100 KB (user guide, "CloudTrail record contents"): a manifest may be larger.
    let of_arn = of_arn.or_else(|| resource(event));
    let Some(name) = name.or(of_arn.as_ref().map(|id| id.name.as_str())) else {
        return Err("no repository is named".to_owned());
    };
    let (Some(account), Some(region)) = (text(event, "/account"), text(event, "/region")) else {
        return Err("no `account` or no `region`".to_owned());
    };
    RepositoryId::new(account, region, name).map_err(|error| error.to_string())
}

/// The first repository among the resources of a record.
fn resource(event: &Value) -> Option<RepositoryId> {
    let resources = event.pointer("/detail/resources")?.as_array()?;
    resources
        .iter()
        .take(MOST_RESOURCES)
        .find_map(|resource| RepositoryId::from_arn(text(resource, "/ARN")?))
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
