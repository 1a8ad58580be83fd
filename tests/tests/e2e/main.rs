//! The deployed product on a real local AWS: one file per behaviour.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod alerts;
mod bad_luck;
mod crash;
mod events;
mod immutability;
mod monitor;
mod permissions;
mod recreate;
mod role;
mod rules;
mod support;
