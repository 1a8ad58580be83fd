//! The deployed product on a real local AWS: one file per behaviour.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where it fails"
)]

mod alarms;
mod alerts;
mod approval;
mod audit;
mod bad_luck;
mod brakes;
mod burst;
mod careful;
mod cases;
mod chaos;
mod crash;
mod delivery;
mod deploy;
mod doctor;
mod evasion;
mod events;
mod existing;
mod grace;
mod immutability;
mod interleavings;
mod judge;
mod ledger;
mod lifecycle_safety;
mod monitor;
mod newer_version;
mod permissions;
mod policy_parameter;
mod real_ecr;
mod recreate;
mod recreation_doubt;
mod registry;
mod role;
mod roles;
mod rules;
mod scanning;
mod security_hub;
mod slack;
mod strangers;
mod support;
mod sweep_limit;
mod tags;
mod template;
mod undeploy;
