//! ECR acts and answers an error, refuses for a moment, or shows late what was done: a recreation believes what it sees, not what it is told.

use std::time::Duration;

use aws_sdk_ecr::types::EncryptionType;
use ecr_warden_tests::proxy::{Fault, Refusal};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::crash::traced;
use crate::recreate::{assert_everything, create_with_everything};
use crate::support::{World, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-empty: recreate } }\n";

const SCP: &str = "User: arn:aws:sts::000000000000:assumed-role/warden/f is not authorized to perform: ecr:DeleteRepository on resource: \
                   arn:aws:ecr:us-east-1:000000000000:repository/x with an explicit deny in a service control policy: \
                   arn:aws:organizations::000000000000:policy/o-a/service_control_policy/p-b";

async fn world() -> World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    traced(&WORLD, POLICY).await
}

/// The call of that number, from nought, of an operation about a repository goes so.
fn plan(world: &World, name: &str, operation: &'static str, nth: usize, fault: Fault) {
    let mut calls = 0;
    world.local.proxy.plan(name, move |call| {
        if call.operation != operation {
            return None;
        }
        calls += 1;
        (calls == nth + 1).then_some(fault)
    });
}

/// Delivers it until it is dealt with, with the time between that leases are held for, and sweeps.
async fn come_to_an_end(world: &World, name: &str) -> Vec<Result<Value, String>> {
    let event = call("CreateRepository", name);
    let mut all = Vec::new();
    for _ in 0..3 {
        let outcome = world
            .invoke_message(&world.stack.enforcer, name, &event)
            .await;
        let done = outcome
            .as_ref()
            .is_ok_and(|outcome| outcome["ignored"].is_null());
        all.push(outcome);
        if done {
            break;
        }
        world.let_leases_run_out(name).await;
    }
    world.let_leases_run_out(name).await;
    let sweep = json!({ "mode": "enforce", "repositories": [name] });
    let auditor = &world.stack.auditor;
    world.invoke_function(auditor, &sweep).await.unwrap();
    world.local.proxy.calm(name);
    all
}

/// Every write of a recreation is done and answered with an error, in three ways.
#[tokio::test]
async fn what_is_done_but_answered_with_an_error_loses_nothing() {
    let world = world().await;
    // The rehearsal makes each write but the deletion first.
    let writes = [
        ("DeleteRepository", 0),
        ("CreateRepository", 1),
        ("SetRepositoryPolicy", 1),
        ("PutLifecyclePolicy", 1),
        ("UntagResource", 1),
    ];
    let errors = [
        Refusal::kms("KMSInvalidStateException"),
        Refusal::denied(SCP),
        Refusal::fault(),
    ];
    let mut tries = Vec::new();
    for (operation, nth) in writes {
        for (n, error) in errors.into_iter().enumerate() {
            let name = format!("weak/done-{operation}-{n}-x").to_lowercase();
            tries.push((name, operation, nth, error));
        }
    }
    let one = async |(name, operation, nth, error): (String, &'static str, usize, Refusal)| {
        let mut inbox = world.inbox(&name.replace('/', "-")).await;
        create_with_everything(&world, &name).await;
        plan(&world, &name, operation, nth, Fault::DoneBut(error));
        let outcomes = come_to_an_end(&world, &name).await;
        let shown = format!("{operation} {error:?}: {outcomes:#?}");
        assert_everything(&world, &name, &EncryptionType::Kms).await;
        assert_eq!(world.state(&name).await, ["fix#weak-encryption"], "{shown}");
        let alerts = inbox.alerts_of(&name).await.unwrap();
        let mut alerts = alerts
            .into_iter()
            .chain(inbox.alerts_of_arn("repository/*").await.unwrap());
        assert!(
            alerts.any(|alert| alert.to_string().contains("weak-encryption")),
            "{shown}"
        );
    };
    futures_util::future::join_all(tries.into_iter().map(one)).await;
}

/// The deletion is refused and the repository is there: a later attempt, whose reads are newer, takes the intent back and reports why.
#[tokio::test]
async fn a_deletion_that_is_denied_is_reported_with_who_denies_it() {
    let world = world().await;
    let name = "weak/denied-x";
    let mut inbox = world.inbox("doubt-denied").await;
    create_with_everything(&world, name).await;
    world.local.proxy.plan(name, |call| {
        (call.operation == "DeleteRepository").then_some(Fault::Refuse(Refusal::denied(SCP)))
    });
    let outcomes = come_to_an_end(&world, name).await;
    assert_everything(&world, name, &EncryptionType::Aes256).await;
    assert!(!world.state(name).await.contains(&"recreate".to_owned()));
    let told = serde_json::to_string(&inbox.alerts_of(name).await.unwrap()).unwrap();
    assert!(
        told.contains("service control policy"),
        "{told} {outcomes:?}"
    );
    assert!(told.contains("service_control_policy/p-b"), "{told}");
}

/// What is deleted is in the log, so that it can be put back should everything else fail.
#[tokio::test]
async fn what_is_deleted_is_in_the_log() {
    let world = world().await;
    let name = "weak/logged-x";
    create_with_everything(&world, name).await;
    world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    let parts = [
        "deleting the repository",
        name,
        "payments",
        "rulePriority",
        "readers",
    ];
    assert!(world.local.log_of(&parts));
}

/// KMS is busy for a moment when the new repository is created: that is no refusal.
#[tokio::test]
async fn a_temporary_fault_of_kms_is_no_refusal() {
    let world = world().await;
    for error in [
        "ThrottlingException",
        "KMSInternalException",
        "DependencyTimeoutException",
    ] {
        let name = &format!("weak/temporary-{error}-x").to_lowercase();
        create_with_everything(&world, name).await;
        let refused = Fault::Refuse(Refusal::kms(error));
        plan(&world, name, "CreateRepository", 1, refused);
        let outcomes = come_to_an_end(&world, name).await;
        assert_everything(&world, name, &EncryptionType::Kms).await;
        let last = outcomes.last().unwrap().as_ref().unwrap();
        assert_eq!(
            status(last, "weak-encryption"),
            Some("fixed"),
            "{outcomes:?}"
        );
    }
}

/// The new key is refused for good when the original is gone: the repository comes back with its old encryption, the alert is critical,
/// and it is not tried again for a day.
#[tokio::test]
async fn a_key_that_is_refused_for_good_is_reported_and_not_tried_again() {
    let world = world().await;
    let name = "weak/fallback-x";
    let mut inbox = world.inbox("doubt-fallback").await;
    create_with_everything(&world, name).await;
    let refused = Fault::Refuse(Refusal::kms("DisabledException"));
    plan(&world, name, "CreateRepository", 1, refused);
    let event = call("CreateRepository", name);
    for n in 0..3 {
        world
            .deliver_as(&format!("fallback-{n}"), &event)
            .await
            .unwrap();
    }
    world.local.proxy.calm(name);
    let sweep = json!({ "mode": "enforce", "repositories": [name] });
    let auditor = &world.stack.auditor;
    world.invoke_function(auditor, &sweep).await.unwrap();
    assert_everything(&world, name, &EncryptionType::Aes256).await;
    assert_eq!(
        world.count("DeleteRepository", name),
        1,
        "it is tried once a day"
    );
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["severity"], "critical", "{alerts:#?}");
    let told = alerts[0].to_string();
    assert!(told.contains("DisabledException"), "{told}");
}

/// ECR shows for seconds what was there before: few calls, and no alert of anything but the repair.
#[tokio::test]
async fn what_shows_late_costs_few_calls_and_no_alert() {
    let world = World::own();
    world.set_policy(POLICY).await;
    // The name is free later than reads show that nothing is there.
    world.local.proxy.real_aws(|aws| {
        aws.visibility.lag = Duration::from_secs(2);
        aws.visibility.name_lag = Duration::from_secs(4);
    });
    let name = "weak/late-x";
    let mut inbox = world.inbox("doubt-late").await;
    create_with_everything(&world, name).await;
    let outcome = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("fixed"),
        "{outcome}"
    );
    assert_everything(&world, name, &EncryptionType::Kms).await;
    let mut early = std::collections::HashMap::<String, usize>::new();
    world
        .local
        .proxy
        .real_aws(|aws| early.clone_from(&aws.visibility.answers));
    // The name is taken for two seconds more; it waits a quarter of a second after each try.
    let creations = early.get("CreateRepository").copied();
    assert!(creations.is_some_and(|n| n <= 9), "{early:?}");
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
}
