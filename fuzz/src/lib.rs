//! The bodies of the targets are the tests' own.

#[path = "../../functions/core/tests/hostile/repository.rs"]
mod repository;
#[path = "../../functions/core/tests/hostile/targets.rs"]
pub mod targets;
