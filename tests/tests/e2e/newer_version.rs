//! Two versions at one table: what a newer one has written is left to it, and withholds nothing but its own rule.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION};
use serde_json::json;

use crate::support::{World, arn, call, status};

const RULES: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {}, missing-tags: { require: { data: { default: sensitive } } } }\n";

async fn put(world: &World, name: &str, kind: &str, body: &serde_json::Value) {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let item: HashMap<String, AttributeValue> = [
        ("pk", text(&arn(name))),
        ("sk", text(kind)),
        ("version", AttributeValue::N("1".to_owned())),
        ("id", text(body["id"].as_str().unwrap_or_default())),
        ("owner", text("a dead invocation")),
        ("until", AttributeValue::N("0".to_owned())),
        ("body", text(&body.to_string())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    world.put(item).await;
}

/// A record with an action that this version does not know: what a deployment that was rolled back finds.
#[tokio::test]
async fn an_item_of_a_newer_version_withholds_its_own_rule_alone() {
    let world = World::own();
    world.set_policy(RULES).await;
    let mut inbox = world.inbox("newer").await;
    let newer = json!({ "version": 1, "forgiven": 0, "history": [{
        "action": { "set-pull-time-update-exclusion": { "from": true, "to": false } },
        "result": "done", "at": 1_795_000_000, "cause": "PutImage",
    }] });
    let other = "shop/newer-other-x";
    world.create(other).await;
    put(&world, other, "fix#some-new-rule", &newer).await;
    let outcome = world
        .invoke(&call("CreateRepository", other))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");

    let own = "shop/newer-own-x";
    world.create(own).await;
    put(&world, own, "fix#mutable-tags", &newer).await;
    for _ in 0..3 {
        let outcome = world.invoke(&call("CreateRepository", own)).await.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("withheld"),
            "{outcome}"
        );
        let tags = status(&outcome, "missing-tags");
        assert!(matches!(tags, Some("fixed") | None), "{outcome}");
    }
    assert_eq!(world.mutability(own).await, ImageTagMutability::Mutable);
    assert!(
        world
            .state(own)
            .await
            .contains(&"fix#mutable-tags".to_owned())
    );
    let alerts = inbox.alerts_of(own).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
}

/// A recreation that a newer version began and did not finish: the repository comes back, and what is missing of it is reported.
#[tokio::test]
async fn a_recreation_that_a_newer_version_began_is_finished() {
    let world = World::own();
    world.set_policy(RULES).await;
    let mut inbox = world.inbox("newer-recreation").await;
    let name = "shop/newer-recreation";
    let record = json!({
        "id": "r-1", "rule": "weak-encryption", "cause": "CreateRepository", "started-at": 1_795_000_000,
        "to": { "kind": "kms" },
        "before": {
            "id": { "account": ACCOUNT, "region": REGION, "name": name },
            "created-at": 1_795_000_000_000_i64, "mutability": "immutable", "scan-on-push": true,
            "encryption": { "kind": "aes256" }, "tags": { "known": { "data": "public" } },
            "policy": { "known": null }, "lifecycle": { "known": null }, "has-images": { "known": false },
            "archival": { "after-days": 30 },
        },
    });
    put(&world, name, "recreate", &record).await;
    world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
    assert!(!world.state(name).await.contains(&"recreate".to_owned()));
    let alerts = inbox.alerts_of(name).await.unwrap();
    let reported = serde_json::to_string(&alerts).unwrap();
    assert!(
        reported.contains("unknown-settings") && reported.contains("before.archival"),
        "{reported}"
    );
    assert!(
        alerts.iter().any(|alert| alert["severity"] == "critical"),
        "{reported}"
    );
}
