//! Where results go: the alert topic, the report bucket, Security Hub, a Slack webhook, and the queue of what was given up.

pub(crate) mod alerts;
mod audience;
pub(crate) mod dead_letters;
mod publish;
pub(crate) mod reports;
pub(crate) mod security_hub;
pub(crate) mod webhook;
