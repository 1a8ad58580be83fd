//! How much one sweep changes, and what no sweep and no event changes.

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::{Value, json};

use crate::support::{World, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nchanges-per-sweep: 2\nnever-change: [\"prod/**\"]\nrules: { mutable-tags: {} }\n";

async fn sweep(world: &World, request: Value) -> Value {
    let swept = world.invoke_function(&world.stack.auditor, &request).await;
    swept.unwrap()
}

async fn immutable(world: &World, names: &[&str]) -> usize {
    let mut count = 0;
    for name in names {
        count += usize::from(world.mutability(name).await == ImageTagMutability::Immutable);
    }
    count
}

/// A sweep that would change more repositories than `changes-per-sweep` changes none, and says how to have it done.
#[tokio::test]
async fn a_sweep_over_its_limit_changes_nothing_and_says_so() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("limit").await;
    let names = ["shop/a", "shop/b", "shop/c"];
    for name in names {
        world.create(name).await;
    }
    let enforce = json!({ "mode": "enforce" });

    let swept = sweep(&world, enforce.clone()).await;
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    let findings = swept["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 3, "{swept}");
    for finding in findings {
        assert_eq!(finding["reason"], "sweep-limit", "{swept}");
    }
    assert_eq!(immutable(&world, &names).await, 0);
    let alert = inbox.wait_for("*").await.unwrap();
    let line = alert["over_limit"].as_str().unwrap();
    assert!(
        line.contains(r#"{"mode": "enforce", "changes": 3}"#),
        "{line}"
    );

    // What fits is changed as ever: an event repairs one, and the sweep the other two.
    let event = world.invoke(&call("PutImage", "shop/a")).await.unwrap();
    assert_eq!(status(&event, "mutable-tags"), Some("fixed"), "{event}");
    let swept = sweep(&world, enforce.clone()).await;
    assert_eq!(swept["summary"]["fixed"]["mutable-tags"], 2, "{swept}");
    assert_eq!(immutable(&world, &names).await, 3);

    // Who has read what a sweep would change may ask for that many.
    let more = ["more/a", "more/b", "more/c", "more/d"];
    for name in more {
        world.create(name).await;
    }
    let too_few = sweep(&world, json!({ "mode": "enforce", "changes": 3 })).await;
    assert_eq!(too_few["summary"]["fixed"], json!({}), "{too_few}");
    let enough = sweep(&world, json!({ "mode": "enforce", "changes": 4 })).await;
    assert_eq!(enough["summary"]["fixed"]["mutable-tags"], 4, "{enough}");
    let far_too_many = json!({ "mode": "enforce", "changes": 501 });
    let refused = world.invoke_function(&world.stack.auditor, &far_too_many);
    assert!(refused.await.unwrap_err().contains("501"));
}

/// Neither an event nor a sweep changes what `never-change` names.
#[tokio::test]
async fn protected_repositories_are_reported_only() {
    let world = World::own();
    world.set_policy(POLICY).await;
    world.create("prod/api").await;
    let event = world.invoke(&call("PutImage", "prod/api")).await.unwrap();
    assert_eq!(event["findings"][0]["reason"], "never-change", "{event}");
    let swept = sweep(&world, json!({ "mode": "enforce", "changes": 500 })).await;
    assert_eq!(swept["findings"][0]["reason"], "never-change", "{swept}");
    assert_eq!(immutable(&world, &["prod/api"]).await, 0);
}
