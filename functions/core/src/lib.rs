//! The engine of ecr-warden, without any I/O.
//!
//! | stage | module | from | to |
//! |---|---|---|---|
//! | trigger | [`trigger`] | an EventBridge event | which repository, what happened, who did it |
//! | evaluate | [`evaluate`](mod@evaluate), [`rules`] | a snapshot ([`repository`]) and a [`policy`] | findings ([`finding`]) |
//! | plan | [`plan`](mod@plan) | findings and the [`record`] | a decision on each: repair, withhold, suspend, exempt, report |
//! | claim | [`claim`] | a plan and the record | what this invocation reports |
//! | report | [`outcome`], [`alert`] | what was planned, claimed and done | verdicts, and the alert |
//!
//! [`reconcile`] decides what happens next with one repository, and [`recreate`] the steps of a recreation.
//!
//! Nothing here calls AWS, reads a clock or the environment. Input from them is passed as a value, so that a dry run, a test and
//! production read the same plan.
//!
//! ```
//! use ecr_warden_core::evaluate::evaluate;
//! use ecr_warden_core::plan::plan;
//! use ecr_warden_core::policy::Policy;
//! use ecr_warden_core::record::{Context, Known, Lease};
//! use ecr_warden_core::repository::{Read, Repository, RepositoryId, TagMutability};
//! use ecr_warden_core::trigger::{Cause, Origin};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::parse("version: 1\nmode: enforce\nrules: { mutable-tags: {} }")?;
//!
//! let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api")?;
//! let repository = Repository {
//!     mutability: TagMutability::Mutable,
//!     recent_tags: Read::Known([].into()),
//!     pull_through: Read::Known(false),
//!     ..Repository::unread(&id, None, None)
//! };
//! let policy = policy.for_repository(&id, &repository.tags)?;
//! let findings = evaluate(&policy, &repository);
//! assert_eq!(findings[0].violation.detail, "tags can be overwritten (MUTABLE)");
//!
//! let context = Context {
//!     origin: &Origin::of(Cause::CreateRepository),
//!     me: &Lease { owner: "request-1".to_owned(), until: 1_800_000_090 },
//!     now: 1_800_000_000,
//!     created_at: None,
//! };
//! let plan = plan(&policy, &repository, findings, Ok(&Known::default()), &context);
//! let (rule, repair) = plan.repairs().next().ok_or("no repair")?;
//! assert_eq!(rule, "mutable-tags");
//! assert_eq!((repair.from(), repair.to()), ("MUTABLE".to_owned(), "IMMUTABLE".to_owned()));
//! # Ok(())
//! # }
//! ```

pub mod access;
pub mod action;
pub mod advice;
pub mod alert;
pub mod approval;
pub mod asff;
pub mod audit;
pub mod brakes;
pub mod claim;
pub mod defer;
pub mod denial;
pub mod doctor;
pub mod evaluate;
pub mod finding;
pub mod glob;
pub mod history;
pub mod image;
pub mod init;
pub mod ledger;
pub mod lifecycle;
pub mod metrics;
pub mod outcome;
pub mod owner;
pub mod plan;
pub mod policy;
pub mod quarantine;
pub mod reason;
pub mod reconcile;
pub mod record;
pub mod recreate;
pub mod reference;
pub mod registry;
pub mod reminder;
pub mod report;
pub mod repository;
pub mod rule;
pub mod rules;
pub mod single_flight;
pub mod slack;
pub mod storage;
pub mod sweep_limit;
pub mod trigger;
pub mod yaml;

#[cfg(test)]
mod chance;
mod document;
mod repository_policy;
mod requirements;
pub mod text;
pub mod units;
