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
pub mod claim;
pub mod defer;
pub mod denial;
pub mod evaluate;
pub mod finding;
pub mod glob;
pub mod image;
pub mod ledger;
pub mod lifecycle;
pub mod metrics;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod quarantine;
pub mod reason;
pub mod reconcile;
pub mod record;
pub mod recreate;
pub mod reference;
pub mod reminder;
pub mod report;
pub mod repository;
pub mod rule;
pub mod rules;
pub mod single_flight;
pub mod slack;
pub mod storage;
pub mod trigger;
pub mod yaml;

mod document;
mod repository_policy;
pub mod text;
pub mod units;
