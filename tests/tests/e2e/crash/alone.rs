//! What has no repository's name in its calls, or has the functions begin anew: one try after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ecr::types::ImageTagMutability;
use aws_sdk_sqs::types::QueueAttributeName;
use ecr_warden_tests::local_aws::LocalAws;
use ecr_warden_tests::proxy::{Call, Fault};
use std::sync::Arc;
use tokio::sync::Mutex;

use super::{FAULTS, MOST_CALLS, Scenario, told, whatever_fails_in};
use crate::support::{World, call, status};

/// It comes back from the queue after this time, and again after that when it failed.
const SETTLES: &str = "version: 1\nmode: enforce\nchanges-per-hour: 100000\nsettle: 2s\nrules: { mutable-tags: {} }\n";
const VISIBLE_AGAIN: &str = "8";

#[tokio::test]
async fn an_event_that_is_put_off() {
    let world = World::own();
    world.set_policy(SETTLES).await;
    world.trace().await;
    let queues = world.clients.sqs.list_queues().send().await.unwrap();
    let mut queues = queues.queue_urls().iter();
    let queue = queues.find(|url| url.contains("RevisitQueue")).unwrap();
    let request = world.clients.sqs.set_queue_attributes().queue_url(queue);
    let request = request.attributes(QueueAttributeName::VisibilityTimeout, VISIBLE_AGAIN);
    request.send().await.unwrap();
    whatever_fails_in(&world, Scenario::Settling).await;
}

/// Fails the calls that are meant, each once in each way, and hands over what it takes to try one.
async fn each(
    world: &World,
    faults: &[Fault],
    meant: fn(&Call) -> bool,
    mut try_one: impl AsyncFnMut(&str) -> Vec<String>,
) {
    let mut wrong = Vec::new();
    for fault in faults.iter().copied() {
        for nth in 0.. {
            assert!(nth < MOST_CALLS, "more calls than that");
            let hit = Arc::new(AtomicBool::new(false));
            let was_hit = Arc::clone(&hit);
            let mut calls = 0;
            world.local.proxy.plan("", move |call| {
                let now = meant(call) && calls == nth;
                calls += usize::from(meant(call));
                was_hit.fetch_or(now, Ordering::SeqCst);
                now.then_some(fault)
            });
            let found = try_one(&format!("alone/{nth}-x")).await;
            if !found.is_empty() {
                wrong.push(format!("{fault:?} at call {nth}: {found:#?}"));
            }
            if !hit.load(Ordering::SeqCst) {
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The answers that nobody waits for cost six seconds each, and these come one after the other.
fn quick() -> Vec<Fault> {
    let mut faults = FAULTS.to_vec();
    faults.retain(|fault| *fault != Fault::Late);
    faults
}

#[tokio::test]
async fn a_repair_of_the_registrys_scanning() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-hour: 100000\nrules: { no-scan-on-push: { fix: registry, registry-filters: [\"alone/*\"] } }\n",
        )
        .await;
    let inbox = Mutex::new(world.inbox("crash-registry").await);
    each(
        &world,
        &quick(),
        |_| true,
        async |name| {
            world.local.proxy.reset_registry_scanning();
            world.create(name).await;
            let event = call("CreateRepository", name);
            let _ = world.deliver_as(&format!("event-{name}"), &event).await;
            world.local.proxy.calm("");
            world.let_leases_run_out(name).await;
            Scenario::Several.sweep(&world, name).await;
            let mut wrong = Vec::new();
            if world.local.proxy.registry_filters().is_empty() {
                wrong.push("the registry does not scan".to_owned());
            }
            if !told(name, &inbox)
                .await
                .contains(&"no-scan-on-push".to_owned())
            {
                wrong.push("nobody was told".to_owned());
            }
            inbox.lock().await.take().await.unwrap();
            world.forget(name).await;
            world.forget_registry("no-scan-on-push").await;
            wrong
        },
    )
    .await;
}

const PARAMETER: &str = "/ecr-warden/policy";
const GOOD: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
const BROKEN: &str = "version: 1\nmode: enforce\nrules: { mutable-tag: {} }\n";

/// The last valid policy stays in force, and people are told of the one that is not.
#[tokio::test]
async fn a_policy_parameter_that_is_not_valid() {
    let put = |local: &LocalAws, policy: &str| {
        let value = ["--value", policy, "--type", "String", "--overwrite"];
        let put = ["ssm", "put-parameter", "--name", PARAMETER];
        local.cli(&[&put[..], &value].concat()).unwrap();
    };
    let parameter = format!("PolicyParameterName={PARAMETER}");
    let world = World::own_with(&parameter, |local| put(local, GOOD));
    put(&world.local, BROKEN);
    let inbox = Mutex::new(world.inbox("crash-parameter").await);
    let mut begun = 0;
    let of_the_parameter = |call: &Call| call.body.contains(PARAMETER);
    each(&world, &quick(), of_the_parameter, async |name| {
        // Nobody knows of it, and the functions have not read it yet.
        begun += 1;
        world.set_variable("BEGUN", &begun.to_string()).await;
        let key = [
            ("pk", format!("policy#{PARAMETER}")),
            ("sk", "finding#invalid-policy".to_owned()),
        ];
        let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let untold = world.clients.dynamodb.delete_item();
        let untold = untold.table_name(&world.stack.state_table);
        untold.set_key(Some(key.into())).send().await.unwrap();
        world.create(name).await;
        let event = call("CreateRepository", name);
        let _ = world.deliver_as(&format!("event-{name}"), &event).await;
        world.local.proxy.calm("");
        world.let_leases_run_out(name).await;
        Scenario::Several.sweep(&world, name).await;
        let mut wrong = Vec::new();
        if world.mutability(name).await != ImageTagMutability::Immutable {
            wrong.push("the last valid policy is not in force".to_owned());
        }
        if told(name, &inbox).await != ["mutable-tags"] {
            wrong.push("nobody was told of the repository".to_owned());
        }
        let alerts = inbox.lock().await.take().await.unwrap();
        let told = |alert: &&serde_json::Value| status(alert, "invalid-policy") == Some("open");
        if alerts.iter().find(told).is_none() {
            wrong.push(format!("nobody was told of the policy: {alerts:#?}"));
        }
        world.forget(name).await;
        wrong
    })
    .await;
}

/// What a sweep asks of all: the list, and what is remembered.
#[tokio::test]
async fn a_sweep_that_can_hardly_begin() {
    let world = World::own();
    world.set_policy(GOOD).await;
    let inbox = Mutex::new(world.inbox("crash-sweep").await);
    let of_all = |call: &Call| !call.body.contains("alone/");
    each(&world, &FAULTS, of_all, async |name| {
        world.create(name).await;
        let request = super::scenarios::sweep_of(&[name.to_owned()]);
        for _ in 0..3 {
            let function = &world.stack.auditor;
            let id = format!("sweep-{name}");
            if world.invoke_message(function, &id, &request).await.is_ok() {
                break;
            }
        }
        world.local.proxy.calm("");
        world.let_leases_run_out(name).await;
        Scenario::Several.sweep(&world, name).await;
        let mut wrong = Vec::new();
        if world.mutability(name).await != ImageTagMutability::Immutable {
            wrong.push("it is not repaired".to_owned());
        }
        if told(name, &inbox).await.is_empty() {
            wrong.push("nobody was told".to_owned());
        }
        inbox.lock().await.take().await.unwrap();
        world.forget(name).await;
        wrong
    })
    .await;
}

/// Long enough for three tries of an event that comes from the queue.
pub(super) const COMES_BACK_WITHIN: Duration = Duration::from_secs(40);
