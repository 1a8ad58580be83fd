//! An audit as people and programs read it.

mod compliance;
mod fixes;
mod format;
mod html;
mod ocsf;
mod sarif;
mod table;

use crate::audit::Audit;

pub use compliance::{Requirement, requirements};
pub use html::html;
pub use ocsf::ocsf;
pub use sarif::sarif;
pub use table::csv;

/// `ecr-warden.audit/1`.
#[must_use]
pub fn json(audit: &Audit) -> String {
    serde_json::to_string_pretty(audit).unwrap_or_default()
}

#[cfg(test)]
mod tests;
