//! `ecr-warden doctor`: whether ecr-warden works in an account, decided from what AWS answered.
//!
//! Each check has a file with what is read for it and a pure function that makes a [`Checkup`] of that.

mod brakes;
mod canary;
mod checkup;
mod command;
mod dead_letters;
mod functions;
mod no_answer;
mod parameter;
mod roles;
mod simulation;
mod stack;
mod subscribers;
mod trail;
mod triggers;

pub use brakes::brakes;
pub use canary::{
    AlertHop, CANARY_TAG, CanaryAlert, CanaryFinding, CanaryNames, CanaryRun, Leftover,
    LeftoverKind, canary_checks,
};
pub use checkup::{Answered, AwsObservation, CheckName, Checkup, Diagnosis, Health};
pub use command::AwsCli;
pub use dead_letters::dead_letters;
pub use functions::{FunctionSettings, RECURSIVE, functions};
pub use no_answer::NoAnswer;
pub use parameter::policy;
pub use roles::{RoleSimulation, SimulatedAction, permissions};
pub use simulation::{Simulation, simulations};
pub use stack::{StackSummary, stack};
pub use subscribers::{Subscriptions, subscribers};
pub use trail::{FieldSelector, Selectors, TrailSummary, trail};
pub use triggers::{TriggerState, triggers};
