//! The enforcer's result as others read it.

use serde_json::json;

use super::*;
use crate::claim::claims;
use crate::evaluate::evaluate;
use crate::evaluate::tests::{repository, shipped};
use crate::plan::plan;
use crate::record::{Context, Known, Lease, Newer, Said};
use crate::repository::{Encryption, Read, Repository, TagMutability};
use crate::trigger::Origin;

const NOW: i64 = 1_800_000_000;
const ARN: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/payments/api";

/// The whole way from a repository to a result; `went`: how the repairs went.
fn outcome(repository: &Repository, known: &Known, went: &Results) -> serde_json::Value {
    let verdicts = judged(repository, known, went);
    let outcome = Outcome::of(&repository.id, Cause::CreateRepository, &verdicts);
    serde_json::to_value(outcome).unwrap()
}

fn judged(repository: &Repository, known: &Known, went: &Results) -> Vec<Verdict> {
    let policy = shipped()
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    let me = Lease {
        owner: "6f1c2d3e".to_owned(),
        until: NOW + 90,
    };
    let origin = Origin::of(Cause::CreateRepository);
    let context = Context {
        origin: &origin,
        me: &me,
        now: NOW,
        created_at: repository.created_at,
    };
    let findings = evaluate(&policy, repository);
    let plan = plan(&policy, repository, findings, Ok(known), &context);
    let claims = claims(known, &plan, &context);
    verdicts(&policy, &repository.id, &plan, known, &claims, went, NOW)
}

fn mutable() -> Repository {
    Repository {
        mutability: TagMutability::Mutable,
        ..repository()
    }
}

fn went(result: Result<(), &str>) -> Results {
    [(
        "mutable-tags".to_owned(),
        result.map_err(|why| Reason::new(Code::AccessDenied, why)),
    )]
    .into()
}

#[test]
fn ignored() {
    let outcome = Outcome::ignored(
        None,
        None,
        Reason::new(Code::IrrelevantEvent, "from aws.s3, not from ECR"),
    );
    assert_eq!(
        serde_json::to_value(outcome).unwrap(),
        json!({
            "schema": "ecr-warden.outcome/1",
            "repository": null,
            "cause": null,
            "ignored": "from aws.s3, not from ECR",
            "reason": "irrelevant-event",
            "findings": [],
            "actions": [],
        })
    );
    let id = repository().id;
    let outcome = Outcome::ignored(
        Some(&id),
        Some(Cause::PutImage),
        Reason::new(Code::RepositoryGone, "the repository does not exist"),
    );
    let outcome = serde_json::to_value(outcome).unwrap();
    assert_eq!(outcome["repository"], ARN);
    assert_eq!(outcome["cause"], "PutImage");
}

#[test]
fn nothing_found() {
    assert_eq!(
        outcome(&repository(), &Known::default(), &Results::new()),
        json!({
            "schema": "ecr-warden.outcome/1",
            "repository": ARN,
            "cause": "CreateRepository",
            "ignored": null,
            "findings": [],
            "actions": [],
        })
    );
}

#[test]
fn one_fixed_and_one_for_people() {
    let repository = Repository {
        encryption: Encryption::aes256(),
        has_images: Read::Known(true),
        ..mutable()
    };
    assert_eq!(
        outcome(&repository, &Known::default(), &went(Ok(()))),
        json!({
            "schema": "ecr-warden.outcome/1",
            "repository": ARN,
            "cause": "CreateRepository",
            "ignored": null,
            "findings": [
                {
                    "rule": "mutable-tags",
                    "severity": "medium",
                    "status": "fixed",
                    "detail": "tags can be overwritten (MUTABLE)",
                },
                {
                    "rule": "weak-encryption",
                    "severity": "medium",
                    "status": "open",
                    "reason": "no-repair",
                    "detail": "encrypted with AES256, but the policy requires KMS; it holds \
                               images, so it is not recreated; create a repository with the \
                               required encryption, copy the images to it and change the \
                               deployments",
                },
            ],
            "actions": [
                {
                    "action": "set-tag-mutability",
                    "from": "MUTABLE",
                    "to": "IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)",
                    "result": "done",
                },
            ],
        })
    );
}

#[test]
fn a_failed_repair_says_why() {
    let why = "ecr:PutImageTagMutability is missing";
    let outcome = outcome(&mutable(), &Known::default(), &went(Err(why)));
    assert_eq!(outcome["findings"][0]["status"], "failed");
    assert_eq!(outcome["findings"][0]["reason"], "access-denied");
    assert_eq!(
        outcome["findings"][0]["detail"],
        format!("tags can be overwritten (MUTABLE); {why}")
    );
    assert_eq!(outcome["actions"][0]["result"], why);
}

/// Somebody else has claimed it: nothing was done here, and nothing is said to have been.
#[test]
fn what_another_invocation_repairs_is_withheld() {
    let outcome = outcome(&mutable(), &Known::default(), &Results::new());
    assert_eq!(outcome["findings"][0]["status"], "withheld");
    assert_eq!(outcome["findings"][0]["reason"], "repaired-elsewhere");
    assert_eq!(outcome["actions"], json!([]));
}

#[test]
fn what_was_told_before_is_still_known_to_stand_since_then() {
    let repository = Repository {
        encryption: Encryption::aes256(),
        has_images: Read::Known(true),
        ..repository()
    };
    let first = &judged(&repository, &Known::default(), &Results::new())[0];
    assert_eq!((first.news, first.since), (true, Some(NOW)));
    let told = Said {
        status: Status::Open,
        about: format!(
            "{} open: {}; {}",
            repository.created_at.unwrap_or_default(),
            first.detail,
            first.to_do
        ),
        since: NOW - 7,
        version: 1,
        action: None,
        pending: None,
        reported: None,
        pushes: None,
        newer: Newer::default(),
    };
    let known = Known {
        said: [(first.rule.clone(), told)].into(),
        ..Known::default()
    };
    let again = &judged(&repository, &known, &Results::new())[0];
    assert_eq!((again.news, again.since), (false, Some(NOW - 7)));
}

/// Every status and severity has the contract's name.
#[test]
fn names_of_statuses_and_severities() {
    for status in [
        Status::Fixed,
        Status::Open,
        Status::Withheld,
        Status::Exempt,
        Status::Failed,
        Status::Resolved,
    ] {
        assert_eq!(serde_json::to_value(status).unwrap(), status.name());
    }
    for severity in [
        Severity::Informational,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ] {
        assert_eq!(serde_json::to_value(severity).unwrap(), severity.name());
    }
}
