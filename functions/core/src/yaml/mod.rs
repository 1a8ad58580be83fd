//! YAML read into types, with all mistakes at once and the place of each.

pub mod document;
mod quote;
mod reader;

pub(crate) use quote::in_quotes;
pub(crate) use reader::{MOST_PROBLEMS, read, unknown};
