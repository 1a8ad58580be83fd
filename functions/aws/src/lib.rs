//! The only crate that talks to AWS. It reads repositories into the core's words, applies what the core plans,
//! keeps the state table, and publishes alerts.

mod alerts;
mod apply;
mod audience;
mod audit;
mod clients;
mod clock;
mod dead_letters;
mod ecr;
mod failure;
mod http;
mod load;
pub mod log;
mod pipeline;
mod policy;
#[cfg(feature = "profiles")]
mod profiles;
mod progress;
mod publish;
mod quota;
mod recreate;
mod reports;
mod revisit;
mod rollback;
mod security_hub;
mod single_flight;
mod spacing;
mod stacks;
mod state;
mod survey;
mod sweep;
mod webhook;

pub use apply::{NotApplied, apply};
pub use audit::{AuditError, Home, Judged, Scanned};
pub use clients::{Clients, ConfigError, Regional, environment};
pub use load::{LoadError, load_once};
pub use pipeline::{Pipeline, TryAgain};
pub use policy::PolicySource;
#[cfg(feature = "profiles")]
pub use profiles::{Caller, NotConnected};
pub use reports::{Reports, read_changes};
pub use rollback::{NotRolledBack, changes, repair, resume, roll_back};
pub use security_hub::{Extent, SecurityHub};
pub use single_flight::Entered;
pub use state::State;
pub use survey::survey;
pub use sweep::{Sweep, Swept};
pub use webhook::{Posted, Webhook};

#[cfg(test)]
mod mocked;
