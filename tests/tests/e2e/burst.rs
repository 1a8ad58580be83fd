//! Pushes to repositories that were just found conforming do not have them read again.

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::{Value, json};

use crate::support::{World, call, status};

const POLICY: &str =
    "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-image-tag: {} }\n";

/// The calls to ECR about a repository so far.
fn reads(world: &World, name: &str) -> usize {
    let state = ["Query", "PutItem", "TransactWriteItems", "Publish"];
    let calls = world.local.proxy.calls(name);
    let of_ecr = |operation: &str| !state.contains(&operation) && !operation.starts_with('/');
    calls.iter().filter(|call| of_ecr(&call.operation)).count()
}

fn push(name: &str, tag: &str) -> Value {
    let mut event = call("PutImage", name);
    event["detail"]["requestParameters"]["imageTag"] = json!(tag);
    event
}

#[tokio::test]
async fn pushes_to_a_conforming_repository_are_judged_without_reading_it() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("burst").await;
    let name = "shop/busy";
    world.create(name).await;
    let ecr = &world.clients.ecr;
    let set = async |mutability| {
        ecr.put_image_tag_mutability()
            .repository_name(name)
            .image_tag_mutability(mutability)
            .send()
            .await
            .unwrap();
    };

    // While there is something to repair it is read.
    let outcome = world.deliver(&push(name, "v1.0.0-abc1234")).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));
    inbox.wait_for(name).await.unwrap();
    let before = reads(&world, name);
    for n in 0..40 {
        let tag = format!("v1.0.{n}-abc1234");
        let outcome = world.deliver(&push(name, &tag)).await.unwrap();
        assert_eq!(outcome["findings"], json!([]), "{outcome}");
    }
    let made = reads(&world, name) - before;
    assert!((1..4).contains(&made), "{made} calls to ECR for 40 pushes");

    // The push itself is judged, and told once however often its event comes.
    let before = reads(&world, name);
    for _ in 0..2 {
        let outcome = world.deliver(&push(name, "latest")).await.unwrap();
        assert_eq!(status(&outcome, "nonconforming-image-tag"), Some("open"));
    }
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 2, "the repair, and one push");
    assert_eq!(status(&alerts[1], "nonconforming-image-tag"), Some("open"));
    assert_eq!(reads(&world, name), before);

    // A change of a setting has it read and repaired.
    set(ImageTagMutability::Mutable).await;
    let outcome = world
        .deliver(&call("PutImageTagMutability", name))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));

    // Another policy has it read, too.
    set(ImageTagMutability::Mutable).await;
    world
        .set_policy("version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n")
        .await;
    let outcome = world.deliver(&push(name, "v2.0.0-abc1234")).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));
}
