//! What an event turned out to be: what happened, and who works on it.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::defer::Deferred;
use crate::reason::{Code, Reason};
use crate::repository::{Push, Repository, RepositoryId};

/// A reason to evaluate a repository or the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub repository: RepositoryId,
    pub origin: Origin,
    pub pushed: Option<Push>,
    /// ECR's replication did it: it fills the repository.
    pub replicated: bool,
    /// The repository as the event of its creation describes it. That decides only what is read at once: ECR is asked what it is.
    pub created_as: Option<Box<Repository>>,
}

impl Trigger {
    /// The ARN of the caller who created the repository, where this is its creation and no AWS service did it.
    #[must_use]
    pub fn creator(&self) -> Option<&str> {
        let actor = self.origin.actor.as_deref();
        // A service's own role is no one who could answer for the repository.
        let is_someone =
            |actor: &&str| actor.starts_with("arn:") && !actor.contains("/AWSServiceRoleFor");
        actor.filter(|actor| self.just_created() && is_someone(actor))
    }

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
    /// Why nothing is changed, although the policy may enforce.
    pub hold: Option<Reason>,
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
    PutRegistryPolicy,
    DeleteRegistryPolicy,
    PutReplicationConfiguration,
    CreateRepositoryCreationTemplate,
    UpdateRepositoryCreationTemplate,
    DeleteRepositoryCreationTemplate,
    CreatePullThroughCacheRule,
    PutAccountSetting,
    PutSigningConfiguration,
    DeleteSigningConfiguration,
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
    pub const CALLS: [Self; 20] = [
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
        Self::PutRegistryPolicy,
        Self::DeleteRegistryPolicy,
        Self::PutReplicationConfiguration,
        Self::CreateRepositoryCreationTemplate,
        Self::UpdateRepositoryCreationTemplate,
        Self::DeleteRepositoryCreationTemplate,
        Self::CreatePullThroughCacheRule,
        Self::PutAccountSetting,
        Self::PutSigningConfiguration,
        Self::DeleteSigningConfiguration,
    ];

    /// Whether the call changes the registry and names no repository.
    #[must_use]
    pub fn is_of_registry(self) -> bool {
        matches!(
            self,
            Self::PutRegistryPolicy
                | Self::DeleteRegistryPolicy
                | Self::PutReplicationConfiguration
                | Self::CreateRepositoryCreationTemplate
                | Self::UpdateRepositoryCreationTemplate
                | Self::DeleteRepositoryCreationTemplate
                | Self::CreatePullThroughCacheRule
                | Self::PutAccountSetting
                | Self::PutSigningConfiguration
                | Self::DeleteSigningConfiguration
        )
    }

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
            Self::PutRegistryPolicy => "PutRegistryPolicy",
            Self::DeleteRegistryPolicy => "DeleteRegistryPolicy",
            Self::PutReplicationConfiguration => "PutReplicationConfiguration",
            Self::CreateRepositoryCreationTemplate => "CreateRepositoryCreationTemplate",
            Self::UpdateRepositoryCreationTemplate => "UpdateRepositoryCreationTemplate",
            Self::DeleteRepositoryCreationTemplate => "DeleteRepositoryCreationTemplate",
            Self::CreatePullThroughCacheRule => "CreatePullThroughCacheRule",
            Self::PutAccountSetting => "PutAccountSetting",
            Self::PutSigningConfiguration => "PutSigningConfiguration",
            Self::DeleteSigningConfiguration => "DeleteSigningConfiguration",
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
    /// It cannot be understood, now or in a retry.
    Unreadable(String),
}

pub(super) fn ignored(
    repository: Option<RepositoryId>,
    code: Code,
    why: impl Into<String>,
) -> Decoded {
    Decoded::Ignored {
        repository,
        reason: Reason::new(code, why),
    }
}
