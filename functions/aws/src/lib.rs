//! The only crate that calls AWS. It reads repositories into the core's types, makes the changes that the core plans, keeps the state
//! table, and publishes alerts.

mod approval;
mod connect;
mod deliver;
#[cfg(feature = "profiles")]
mod deployed;
#[cfg(feature = "doctor")]
mod doctor;
mod ecr;
mod fleet;
pub mod log;
mod operator;
mod pipeline;
#[cfg(feature = "profiles")]
mod policy_parameter;
mod policy_source;
mod state;
mod switch;

pub use approval::{Approvable, approvable, approve, is_made, offers};
pub use connect::clients::{Clients, ConfigError, Regional, environment};
#[cfg(feature = "profiles")]
pub use connect::profiles::{Caller, NotConnected};
pub use deliver::reports::{Reports, read_changes};
pub use deliver::security_hub::{Extent, SecurityHub};
pub use deliver::webhook::{Posted, Webhook};
#[cfg(feature = "profiles")]
pub use deployed::{DeployedAuditor, NotAnswered, read_report, state_table};
#[cfg(feature = "doctor")]
pub use doctor::{canary, diagnose};
pub use ecr::apply::{NotApplied, apply};
pub use ecr::load::{LoadError, load_once};
pub use fleet::audit::{AuditError, Home, Judged, Scanned};
#[cfg(feature = "profiles")]
pub use fleet::regions::{RegionStep, UnreadRegion, enabled_regions, survey_regions};
pub use fleet::single_flight::Entered;
pub use fleet::survey::survey;
pub use fleet::sweep::{Sweep, Swept};
pub use operator::{
    NotRolledBack, SeenChange, all_repairs, changes, changes_under, repair, resume, roll_back,
};
pub use pipeline::{Pipeline, TryAgain};
#[cfg(feature = "profiles")]
pub use policy_parameter::{StoredPolicy, put_policy, read_policy};
pub use policy_source::PolicySource;
pub use state::State;
pub use state::scan::OnRecord;
pub use switch::{close_brake, start, stop, stopped};

#[cfg(test)]
mod mocked;
