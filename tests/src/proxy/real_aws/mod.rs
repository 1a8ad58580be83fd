//! What the real AWS does and the local AWS does not: one file a behaviour, each with its source.
//!
//! Every behaviour is on by default and sees each call that a function makes, before and after the local AWS acts on it. A new one is
//! its file, a field of [`RealAws`] and a line in [`RealAws::behaviours`].

mod cloudformation;
mod creation_templates;
mod exclusion_filters;
mod message_attributes;
mod pages;
mod pull_through_caches;
mod recursion;
mod registry_policy;
mod registry_scanning;
mod registry_settings;
mod subscriptions;
mod tag_index;
mod visibility;

use hyper::body::Bytes;
use serde_json::Value;

use super::Call;
pub use cloudformation::CloudFormation;
pub use creation_templates::{CreationTemplates, new_template};
pub use exclusion_filters::ExclusionFilters;
pub use message_attributes::MessageAttributes;
pub(super) use pages::Page;
pub use pages::Pages;
pub use pull_through_caches::PullThroughCaches;
pub use recursion::Recursion;
pub use registry_policy::RegistryPolicy;
pub use registry_scanning::RegistryScanning;
pub use registry_settings::RegistrySettings;
pub use subscriptions::Subscriptions;
pub use tag_index::TagIndex;
pub use visibility::Visibility;

/// An answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    pub body: Bytes,
}

impl Reply {
    /// An error as the services with a JSON protocol (ECR, DynamoDB, KMS, SQS, SSM) answer it.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message });
        Self {
            status,
            body: Bytes::from(body.to_string()),
        }
    }

    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self {
            status: 200,
            body: Bytes::from(body.to_string()),
        }
    }

    #[must_use]
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// One behaviour of the real AWS. Each method has a default that changes nothing.
pub(super) trait Behaviour {
    /// What AWS answers without acting; `None`: it acts.
    fn instead(&mut self, _call: &Call) -> Option<Reply> {
        None
    }

    /// The operations that the local AWS lacks and that this answers.
    fn supplies(&self) -> &'static [&'static str] {
        &[]
    }

    /// What AWS answers to such an operation. It is asked when the local AWS has not refused the caller.
    fn supplied(&mut self, call: &Call) -> Reply {
        let message = format!("{} is not supplied", call.operation);
        Reply::error(500, "ServerException", &message)
    }

    /// The body of a request as AWS takes it.
    fn request(&mut self, _call: &Call, body: Bytes) -> Bytes {
        body
    }

    /// The answer as AWS gives it.
    fn reply(&mut self, _call: &Call, reply: Reply) -> Reply {
        reply
    }
}

/// All behaviours, with what a test may set of each.
#[derive(Debug, Default)]
pub struct RealAws {
    pub recursion: Recursion,
    pub message_attributes: MessageAttributes,
    pub subscriptions: Subscriptions,
    pub visibility: Visibility,
    pub cloudformation: CloudFormation,
    pub pull_through_caches: PullThroughCaches,
    pub creation_templates: CreationTemplates,
    pub registry_policy: RegistryPolicy,
    pub registry_scanning: RegistryScanning,
    pub registry_settings: RegistrySettings,
    pub exclusion_filters: ExclusionFilters,
    pub pages: Pages,
    pub tag_index: TagIndex,
}

impl RealAws {
    fn behaviours(&mut self) -> Vec<&mut dyn Behaviour> {
        vec![
            &mut self.recursion,
            &mut self.message_attributes,
            &mut self.subscriptions,
            &mut self.visibility,
            &mut self.cloudformation,
            &mut self.pull_through_caches,
            &mut self.creation_templates,
            &mut self.registry_policy,
            &mut self.registry_scanning,
            &mut self.registry_settings,
            &mut self.exclusion_filters,
            &mut self.pages,
            &mut self.tag_index,
        ]
    }

    /// What AWS answers while it does not show yet what was done. It is nothing that a test plans or counts: it happens at any time.
    pub(super) fn not_shown_yet(&mut self, call: &Call) -> Option<Reply> {
        self.visibility.not_shown_yet(call)
    }

    pub(super) fn instead(&mut self, call: &Call) -> Option<Reply> {
        let mut behaviours = self.behaviours().into_iter();
        behaviours.find_map(|behaviour| behaviour.instead(call))
    }

    /// Whether the local AWS lacks the operation and one of these answers it.
    pub(super) fn supplies(&mut self, call: &Call) -> bool {
        self.supplier(call).is_some()
    }

    pub(super) fn supplied(&mut self, call: &Call) -> Option<Reply> {
        Some(self.supplier(call)?.supplied(call))
    }

    fn supplier(&mut self, call: &Call) -> Option<&mut dyn Behaviour> {
        let mut behaviours = self.behaviours().into_iter();
        behaviours.find(|behaviour| behaviour.supplies().contains(&call.operation.as_str()))
    }

    pub(super) fn request(&mut self, call: &Call, body: Bytes) -> Bytes {
        let behaviours = self.behaviours().into_iter();
        behaviours.fold(body, |body, behaviour| behaviour.request(call, body))
    }

    pub(super) fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        let behaviours = self.behaviours().into_iter();
        behaviours.fold(reply, |reply, behaviour| behaviour.reply(call, reply))
    }
}
