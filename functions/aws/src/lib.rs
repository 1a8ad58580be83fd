//! The only crate that talks to AWS. It reads repositories into the core's words, applies what the core plans,
//! keeps the state table, and publishes alerts.

mod apply;
mod clients;
mod ecr;
mod failure;
mod load;
mod pipeline;
mod publish;
mod recreate;
mod state;

pub use clients::{Clients, ConfigError};
pub use pipeline::{Occurrence, Pipeline, TryAgain};

#[cfg(test)]
mod mocked;
