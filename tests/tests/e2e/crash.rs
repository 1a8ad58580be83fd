//! The function is killed after each single call of a recreation; the event comes again; nothing is lost.

use aws_sdk_ecr::types::EncryptionType;
use ecr_warden_tests::proxy::Fault;

use crate::recreate::{assert_everything, create_with_everything};
use crate::support::{World, call};

/// More calls than a recreation makes.
const MOST_CALLS: usize = 120;

async fn fail_at(world: &World, fault: Fault, label: &str) {
    let mut inbox = world.inbox(&format!("crash-{label}")).await;
    let mut reached_the_end = false;
    for nth in 0..MOST_CALLS {
        let name = format!("payments/{label}-{nth}-x");
        create_with_everything(world, &name).await;
        let mut calls = 0;
        let hit = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let was_hit = std::sync::Arc::clone(&hit);
        world.local.proxy.plan(&name, move |_| {
            calls += 1;
            let now = calls == nth + 1;
            was_hit.fetch_or(now, std::sync::atomic::Ordering::SeqCst);
            now.then_some(fault)
        });
        let event = call("CreateRepository", &name);
        let first = world.invoke(&event).await;
        if fault == Fault::Kill && hit.load(std::sync::atomic::Ordering::SeqCst) {
            let death = first.as_ref().expect_err("the function is dead");
            assert!(death.contains("Runtime exited"), "call {nth}: {death}");
        }
        let mut last = first.clone();
        for _ in 0..3 {
            if settled(world, &name).await {
                break;
            }
            world.let_leases_run_out(&name).await;
            last = world.invoke(&event).await;
        }
        world.local.proxy.calm(&name);
        assert!(
            settled(world, &name).await,
            "call {nth}: {first:?}, then {last:?}"
        );
        assert_everything(world, &name, &EncryptionType::Kms).await;
        let alerts = inbox.alerts_of(&name).await.unwrap();
        assert!(
            !alerts.is_empty(),
            "call {nth}: nobody was told: {first:?}, then {last:?}"
        );
        if !hit.load(std::sync::atomic::Ordering::SeqCst) {
            reached_the_end = true;
            break;
        }
    }
    assert!(
        reached_the_end,
        "a recreation makes fewer than {MOST_CALLS} calls"
    );
}

/// Encrypted as asked, and nothing on record that waits.
async fn settled(world: &World, name: &str) -> bool {
    let there = world.describe(name).await.is_some();
    there
        && world.encryption(name).await == EncryptionType::Kms
        && world.state(name).await == ["fix#weak-encryption"]
}

#[tokio::test]
async fn killed_after_each_call() {
    // On its own: a killed function may have been given another test's event by then.
    fail_at(&World::own(), Fault::Kill, "kill").await;
}

#[tokio::test]
async fn the_answer_to_each_call_is_lost() {
    fail_at(&World::shared(), Fault::DropAnswer, "drop").await;
}

#[tokio::test]
async fn the_connection_of_each_call_is_cut() {
    fail_at(&World::shared(), Fault::Cut, "cut").await;
}

#[tokio::test]
async fn each_call_is_throttled_once() {
    fail_at(&World::shared(), Fault::Throttle, "throttle").await;
}

#[tokio::test]
async fn each_call_fails_once() {
    fail_at(&World::shared(), Fault::ServerError, "error").await;
}
