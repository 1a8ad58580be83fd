//! The only crate that talks to AWS. It reads repositories into the core's words, applies what the core plans,
//! keeps the state table, and publishes alerts.

mod apply;
mod clients;
mod ecr;
mod failure;
mod load;
mod pipeline;
mod policy;
#[cfg(feature = "profiles")]
mod profiles;
mod publish;
mod recreate;
mod revisit;
mod rollback;
mod state;

pub use apply::{NotApplied, apply};
pub use clients::{Clients, ConfigError, Regional};
pub use load::{LoadError, load_once};
pub use pipeline::{Occurrence, Pipeline, TryAgain};
pub use policy::PolicySource;
#[cfg(feature = "profiles")]
pub use profiles::Caller;
pub use revisit::Revisits;
pub use rollback::{NotRolledBack, changes, resume, roll_back};
pub use state::State;

#[cfg(test)]
mod mocked;
