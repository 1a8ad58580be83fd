//! Repositories from before the deployment, under a policy that leaves them as they are.

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::json;

use crate::support::{World, call, status};

/// Events and sweeps repair what was created since the deployment, and report the rest.
#[tokio::test]
async fn repositories_from_before_the_deployment_are_reported_only() {
    let world = World::own_after(|local| {
        let create = ["ecr", "create-repository", "--repository-name", "shop/old"];
        local.cli(&create).unwrap();
        String::new()
    });
    world
        .set_policy("version: 1\nmode: enforce\nexisting: monitor\nrules: { mutable-tags: {} }\n")
        .await;
    let mut inbox = world.inbox("existing").await;
    for name in ["shop/new", "shop/swept"] {
        world.create(name).await;
    }
    let new = world.invoke(&call("PutImage", "shop/new")).await.unwrap();
    assert_eq!(status(&new, "mutable-tags"), Some("fixed"), "{new}");
    let old = world.invoke(&call("PutImage", "shop/old")).await.unwrap();
    assert_eq!(status(&old, "mutable-tags"), Some("withheld"), "{old}");
    assert_eq!(old["findings"][0]["reason"], "existing-repository", "{old}");
    let alerts = inbox.alerts_of("shop/old").await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert!(
        alerts[0].to_string().contains("existing: monitor"),
        "{alerts:?}"
    );

    let request = json!({ "mode": "enforce" });
    let swept = world.invoke_function(&world.stack.auditor, &request).await;
    let summary = &swept.unwrap()["summary"];
    assert_eq!(summary["fixed"]["mutable-tags"], 1, "{summary}");
    for (name, expected) in [
        ("shop/old", ImageTagMutability::Mutable),
        ("shop/new", ImageTagMutability::Immutable),
        ("shop/swept", ImageTagMutability::Immutable),
    ] {
        assert_eq!(world.mutability(name).await, expected, "{name}");
    }
}
