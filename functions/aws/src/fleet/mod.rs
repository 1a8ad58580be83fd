//! Many repositories: audits, which change nothing, and sweeps, which repair and report.

pub(crate) mod audit;
mod page_cursor;
#[cfg(feature = "profiles")]
pub(crate) mod regions;
pub(crate) mod single_flight;
pub(crate) mod survey;
pub(crate) mod sweep;
