//! ECR's own events of images, which need no trail.

use serde_json::Value;

use super::fields::{outside, repository, text};
use super::origin::{Cause, Decoded, Origin, Trigger, ignored};
use crate::reason::Code;
use crate::repository::Push;
use crate::text::one_line;

/// ECR's own event of an image that has come into a repository (ECR User Guide, "Amazon ECR events and EventBridge").
pub(super) struct Native {
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

pub(super) const PUSH: Native = Native {
    action: Some("PUSH"),
    result: "/detail/result",
    actor: None,
};
/// It comes to the account and region of the destination, and may be the only event of a repository that replication creates.
pub(super) const REPLICATION: Native = Native {
    action: Some("REPLICATE"),
    result: "/detail/result",
    actor: Some("replication.ecr.amazonaws.com"),
};
pub(super) const CACHE: Native = Native {
    action: None,
    result: "/detail/sync-status",
    actor: Some("pullthroughcache.ecr.amazonaws.com"),
};

pub(super) fn image_action(event: &Value, native: &Native) -> Decoded {
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
            created_as: None,
        }),
        Err(why) => Decoded::Unreadable(why),
    }
}
