//! `doctor --canary`: an empty repository is created, and what becomes of it is followed through event, repair and alert.
//!
//! The calls are elsewhere: here is what a run names, what it has seen, and what that means.

mod alert;
mod leftover;
mod removal;
mod repair;
mod run;
mod sighting;

pub use leftover::{Leftover, LeftoverKind};
pub use run::{AlertHop, CANARY_TAG, CanaryNames, CanaryRun};
pub use sighting::{CanaryAlert, CanaryFinding};

use crate::doctor::checkup::Checkup;
use crate::doctor::command::AwsCli;

/// The checks of a run.
#[must_use]
pub fn canary_checks(run: &CanaryRun, aws: &AwsCli) -> Vec<Checkup> {
    vec![
        repair::canary_repair(run),
        alert::canary_alert(run),
        removal::canary_removal(run, aws),
    ]
}
