//! A rule with a grace period.

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::json;

use crate::support::{World, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: { enforce-after: 7d } }\n";
const DAY: i64 = 24 * 60 * 60;

/// By an event and by sweeps: reported once with the day, and repaired when the time is over. Nothing is said in between.
#[tokio::test]
async fn a_finding_is_repaired_when_its_grace_period_is_over() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("grace").await;
    world.create("grace/api").await;
    let outcome = world
        .invoke(&call("CreateRepository", "grace/api"))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("withheld"),
        "{outcome}"
    );
    assert_eq!(
        outcome["findings"][0]["reason"], "grace-period",
        "{outcome}"
    );
    let alerts = inbox.alerts_of("grace/api").await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0].to_string().contains("enforce-after: 7d"),
        "{alerts:?}"
    );

    let sweep = json!({ "mode": "enforce" });
    world
        .age("grace/api", "finding#mutable-tags", "/since", 6 * DAY)
        .await;
    let swept = world
        .invoke_function(&world.stack.auditor, &sweep)
        .await
        .unwrap();
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    assert_eq!(
        world.mutability("grace/api").await,
        ImageTagMutability::Mutable
    );

    world
        .age("grace/api", "finding#mutable-tags", "/since", DAY)
        .await;
    let swept = world
        .invoke_function(&world.stack.auditor, &sweep)
        .await
        .unwrap();
    assert_eq!(swept["summary"]["fixed"]["mutable-tags"], 1, "{swept}");
    assert_eq!(
        world.mutability("grace/api").await,
        ImageTagMutability::Immutable
    );
}
