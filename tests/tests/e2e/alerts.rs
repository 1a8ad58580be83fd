//! The message as its readers get it.

use aws_sdk_ecr::types::ImageTagMutability;

use crate::support::{World, arn, call};

#[tokio::test]
async fn an_alert_answers_who_what_and_how() {
    let world = World::shared();
    let mut inbox = world.inbox("alerts-contract").await;
    let name = "shop/told";
    world.create(name).await;
    world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(
        world.mutability(name).await,
        ImageTagMutability::ImmutableWithExclusion
    );
    let alert = inbox.wait_for(name).await.unwrap();
    assert_eq!(alert["schema"], "ecr-warden.alert/1");
    assert_eq!(alert["repository"], arn(name));
    assert_eq!(alert["account"], "000000000000");
    assert_eq!(alert["region"], "us-east-1");
    assert_eq!(alert["cause"], "CreateRepository");
    assert_eq!(alert["actor"], "arn:aws:iam::000000000000:user/mary");
    assert_eq!(alert["occurred_at"], "2026-11-23T08:00:00Z");
    assert_eq!(alert["severity"], "medium");
    assert_eq!(alert["actions"][0]["from"], "MUTABLE");
    assert_eq!(
        alert["actions"][0]["to"],
        "IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)"
    );
    assert_eq!(alert["actions"][0]["result"], "done");
    let iac = &alert["findings"][0]["iac"];
    for (language, line) in [
        (
            "terraform",
            "image_tag_mutability = \"IMMUTABLE_WITH_EXCLUSION\"",
        ),
        (
            "cloudformation",
            "ImageTagMutability: IMMUTABLE_WITH_EXCLUSION",
        ),
    ] {
        let said = iac[language].as_str().unwrap();
        assert!(
            said.starts_with(line) && said.contains("sha256-*"),
            "{said}"
        );
    }
    // What filters of subscriptions use is in the body: SNS delivers no attributes beside `MessageStructure=json`.
    assert_eq!(alert["outcome"], "fixed");
    assert_eq!(alert["rules"], serde_json::json!(["mutable-tags"]));
    assert_eq!(alert["_envelope"].get("MessageAttributes"), None);
    let subject = alert["_envelope"]["Subject"].as_str().unwrap();
    assert_eq!(subject, "[medium] ecr-warden: 1 fixed: shop/told");
}

/// One publish carries a body for each protocol.
#[tokio::test]
async fn one_message_for_every_protocol() {
    let world = World::shared();
    let name = "shop/every-protocol";
    world.create(name).await;
    world.invoke(&call("CreateRepository", name)).await.unwrap();
    let published: Vec<_> = world
        .local
        .proxy
        .calls(name)
        .into_iter()
        .filter(|call| call.operation == "Publish")
        .collect();
    assert_eq!(published.len(), 1);
    assert!(published[0].body.contains("MessageStructure=json"));
    for protocol in ["default", "email", "https", "lambda", "sqs"] {
        assert!(
            published[0].body.contains(&format!("%22{protocol}%22")),
            "{protocol}"
        );
    }
}
