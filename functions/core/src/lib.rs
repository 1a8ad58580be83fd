//! The engine of ecr-warden, without any I/O: an event becomes a trigger, a repository's snapshot is judged
//! by the policy, the findings become a plan, and what was done becomes an alert.
//!
//! Nothing here knows AWS's SDK, a clock or the environment. Input from them is passed as a value, so
//! that a dry run, a test and production read the same plan.

pub mod access;
pub mod action;
pub mod alert;
pub mod asff;
pub mod audit;
pub mod defer;
pub mod denial;
pub mod evaluate;
pub mod finding;
pub mod ledger;
pub mod lifecycle;
pub mod metrics;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod quarantine;
pub mod reason;
pub mod reconcile;
pub mod recreate;
pub mod reference;
pub mod reminder;
pub mod report;
pub mod repository;
pub mod rules;
pub mod single_flight;
pub mod slack;
pub mod state;
pub mod storage;
pub mod trigger;

mod document;
mod repository_policy;
pub mod text;
