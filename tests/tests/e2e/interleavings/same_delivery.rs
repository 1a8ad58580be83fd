//! One event is delivered twice at the same time under one identity, as Lambda and SQS may.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_ecr::types::EncryptionType;
use ecr_warden_tests::proxy::Fault;

use super::{Stopped, deletions, told, world};
use crate::recreate::{assert_everything, create_with_everything};
use crate::support::{World, call};

/// After everything, one retry and one sweep: the repository is there with every setting, nothing is left on record but the repair, and
/// the repair was reported.
async fn assert_recreated(world: &World, name: &str, id: &str) {
    let mut inbox = world.inbox(&id.replace('/', "-")).await;
    world.let_leases_run_out(name).await;
    world
        .deliver_as(id, &call("CreateRepository", name))
        .await
        .unwrap();
    let sweep = serde_json::json!({ "mode": "enforce", "repositories": [name] });
    let auditor = &world.stack.auditor;
    world.invoke_function(auditor, &sweep).await.unwrap();
    assert_everything(world, name, &EncryptionType::Kms).await;
    assert_eq!(world.state(name).await, ["fix#weak-encryption"]);
    let _ = inbox.take().await;
}

/// Both put the intent on record before either goes on. The one that is second must not go on: it would take the deletion for somebody
/// else's and clear the record of what was there.
#[tokio::test]
async fn two_deliveries_that_begin_together_lose_nothing() {
    let world = world().await;
    for throttled in [false, true] {
        let name = &format!("weak/together-{throttled}-x");
        let id = &format!("together-{throttled}");
        let mut inbox = world.inbox(&format!("{id}-told")).await;
        create_with_everything(&world, name).await;
        let event = call("CreateRepository", name);
        let begun: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let deleted = AtomicBool::new(false);
        world.local.proxy.plan(name, move |call| {
            let mut begun = begun.lock().unwrap();
            match call.operation.as_str() {
                "PutItem" if call.body.contains("\"recreate\"") => {
                    begun.insert(call.invocation.clone());
                    (begun.len() < 2).then_some(Fault::Hold)
                }
                "DeleteRepository" => {
                    deleted.store(true, Ordering::SeqCst);
                    None
                }
                "CreateRepository" => {
                    let is_gone = deleted.load(Ordering::SeqCst);
                    (throttled && is_gone).then_some(Fault::Throttle)
                }
                _ => None,
            }
        });
        let enforcer = &world.stack.enforcer;
        let first = world.invoke_message(enforcer, id, &event);
        let second = world.invoke_message(enforcer, id, &event);
        let (first, second) = tokio::join!(first, second);
        world.local.proxy.calm(name);
        // One of the two works, the other comes back.
        let outcomes = format!("{first:?} {second:?}");
        assert!(outcomes.contains("deferred"), "{outcomes}");
        assert_recreated(&world, name, id).await;
        assert_eq!(deletions(&world, name), 1, "{outcomes}");
        assert_eq!(told(&mut inbox, name).await, ["weak-encryption"]);
    }
}

/// One stands before its deletion while the other is delivered, and deletes then: what the other one made meanwhile would be gone.
#[tokio::test]
async fn a_late_deletion_meets_nothing_that_another_delivery_made() {
    let world = world().await;
    for killed in [false, true] {
        let name = &format!("weak/late-deletion-{killed}-x");
        let id = &format!("late-deletion-{killed}");
        let mut inbox = world.inbox(&format!("{id}-told")).await;
        create_with_everything(&world, name).await;
        let event = call("CreateRepository", name);
        let stands: Arc<Mutex<Option<String>>> = Arc::default();
        let go_on = Arc::new(AtomicBool::new(false));
        let (standing, may_go_on) = (Arc::clone(&stands), Arc::clone(&go_on));
        world.local.proxy.plan(name, move |call| {
            if call.operation != "DeleteRepository" {
                return None;
            }
            let mut first = standing.lock().unwrap();
            let first = first.get_or_insert_with(|| call.invocation.clone());
            if *first != call.invocation {
                return None;
            }
            if !may_go_on.load(Ordering::SeqCst) {
                return Some(Fault::Hold);
            }
            killed.then_some(Fault::Kill)
        });
        let enforcer = &world.stack.enforcer;
        let first = world.invoke_message(enforcer, id, &event);
        let second = async {
            while stands.lock().unwrap().is_none() {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let second = world.invoke_message(enforcer, id, &event).await;
            go_on.store(true, Ordering::SeqCst);
            second
        };
        let (first, second) = tokio::join!(first, second);
        world.local.proxy.calm(name);
        let second = second.unwrap().to_string();
        assert!(second.contains("deferred"), "{first:?} {second}");
        assert_eq!(first.is_err(), killed, "{first:?}");
        assert_recreated(&world, name, id).await;
        assert_eq!(deletions(&world, name), 1, "{first:?} {second}");
        assert_eq!(told(&mut inbox, name).await, ["weak-encryption"]);
    }
}

/// Two find a recreation whose lease has run out. While the first stands before it takes the recreation over, the second has taken it and
/// works at it: the first must not.
#[tokio::test]
async fn of_two_that_take_a_recreation_over_one_works() {
    let world = world().await;
    let mut inbox = world.inbox("two-takers").await;
    let name = "weak/two-takers-x";
    create_with_everything(&world, name).await;
    let event = call("CreateRepository", name);
    world.local.proxy.plan(name, |call| {
        (call.operation == "DeleteRepository").then_some(Fault::Kill)
    });
    let enforcer = &world.stack.enforcer;
    let killed = world.invoke_message(enforcer, "two-takers-killed", &event);
    killed.await.expect_err("it was killed");
    world.local.proxy.calm(name);
    world.let_leases_run_out(name).await;
    let takes = Stopped::at(&world, name, "UpdateItem", 0);
    let first = world.invoke_message(enforcer, "two-takers-first", &event);
    let creates = Stopped::at(&world, "two-takers-x", "CreateRepository", 0);
    let first_is_done = tokio::sync::Notify::new();
    let first = async {
        let outcome = first.await;
        first_is_done.notify_one();
        outcome
    };
    let second = async {
        takes.is_reached().await;
        world
            .invoke_message(enforcer, "two-takers-second", &event)
            .await
    };
    let in_order = async {
        creates.is_reached().await;
        takes.let_go();
        first_is_done.notified().await;
        creates.let_go();
    };
    let (first, second, ()) = tokio::join!(first, second, in_order);
    world.local.proxy.calm(name);
    world.local.proxy.calm("two-takers-x");
    let first = first.unwrap().to_string();
    assert!(first.contains("deferred"), "{first} {second:?}");
    assert_recreated(&world, name, "two-takers-second").await;
    assert_eq!(deletions(&world, name), 1);
    assert_eq!(told(&mut inbox, name).await, ["weak-encryption"]);
}
