//! Every sample event, through the deployed function.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_core::trigger::{Decoded, decode};
use ecr_warden_tests::eventually;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION, root};
use ecr_warden_tests::relay::Relay;
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

/// The account of the samples, and the role that is ours in them.
const SAMPLE_ACCOUNT: &str = "123456789012";
const SAMPLE_ROLE: &str = "ecr-warden-EnforcerRole-ABC";

#[tokio::test]
async fn each_kind_of_event_leads_to_what_it_should() {
    let world = World::shared();
    let own_role = own_role(&world).await;
    let mut seen = 0;
    let mut replicas = BTreeSet::new();
    for file in std::fs::read_dir(root().join("events")).unwrap() {
        let path = file.unwrap().path();
        let label = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace(SAMPLE_ACCOUNT, ACCOUNT)
            .replace(SAMPLE_ROLE, own_role.rsplit('/').next().unwrap());
        let mut event: Value = serde_json::from_str(&text).unwrap();
        if event.get("region").is_some() {
            event["region"] = json!(REGION);
        }
        let before = world.local.proxy.count();
        match decode(&event, Some(&own_role)) {
            // Nothing of it is asked for: no rule of the shipped policy judges the registry.
            Decoded::Trigger(trigger) if trigger.repository.is_registry() => {
                let outcome = world.deliver(&event).await.unwrap();
                let registry = trigger.repository.arn();
                assert_eq!(outcome["repository"], registry, "{label}: {outcome}");
                assert_eq!(outcome["findings"], json!([]), "{label}: {outcome}");
            }
            Decoded::Trigger(trigger) => {
                let name = &trigger.repository.name;
                let _ = world
                    .clients
                    .ecr
                    .create_repository()
                    .repository_name(name)
                    .send()
                    .await;
                let outcome = world.deliver(&event).await.unwrap();
                assert_eq!(outcome["ignored"], Value::Null, "{label}: {outcome}");
                assert_eq!(outcome["repository"], arn(name), "{label}: {outcome}");
                assert_eq!(
                    outcome["cause"],
                    trigger.origin.cause.name(),
                    "{label}: {outcome}"
                );
                let there = world.describe(name).await.unwrap();
                let mutability = there.image_tag_mutability.unwrap();
                // Some samples are about one repository; once replication fills it, it stays as it is.
                if trigger.replicated {
                    replicas.insert(name.clone());
                }
                let expected = if replicas.contains(name) {
                    ["MUTABLE", "IMMUTABLE_WITH_EXCLUSION"].as_slice()
                } else {
                    &["IMMUTABLE_WITH_EXCLUSION"]
                };
                assert!(
                    expected.contains(&mutability.as_str()),
                    "{label}: {mutability}"
                );
                assert!(world.local.proxy.count() > before, "{label}");
            }
            Decoded::Ignored { reason, repository } => {
                let of = |name: &str| world.local.proxy.calls(name).len();
                let calls_before = repository.as_ref().map(|r| of(&r.name));
                let outcome = world.deliver(&event).await.unwrap();
                assert_eq!(outcome["ignored"], json!(reason.text), "{label}: {outcome}");
                assert_eq!(outcome["reason"], json!(reason.code), "{label}: {outcome}");
                // No call is made for what is ignored.
                assert_eq!(
                    repository.as_ref().map(|r| of(&r.name)),
                    calls_before,
                    "{label}"
                );
            }
            Decoded::Unreadable(why) => {
                let outcome = world.deliver(&event).await.unwrap();
                let ignored = outcome["ignored"].as_str().unwrap();
                assert_eq!(outcome["reason"], "unreadable-event", "{label}: {outcome}");
                assert!(ignored.contains(&why), "{label}: {outcome}");
            }
        }
        seen += 1;
    }
    assert!(seen > 10, "{seen} samples");
}

/// A repository that replication created, of which there is ECR's own event alone; and a push whose parameters CloudTrail omits.
#[tokio::test]
async fn what_aws_says_little_about_is_evaluated() {
    // Its relay would also carry the events of other tests' repositories.
    let world = World::own();
    let (replica, large) = ("events/replica", "events/large-manifest");
    for name in [replica, large] {
        world.create(name).await;
    }
    // It begins after the creations: their events would have both repaired before the events that this test is about.
    let relay = Relay::start(&world.clients).await.unwrap();
    relay.replicated(replica, "v1").await.unwrap();
    let mut pushed = call("PutImage", large)["detail"].clone();
    pushed["requestParameters"]["imageManifest"] = json!("x".repeat(200 * 1024));
    pushed["resources"] = json!([{ "ARN": arn(large), "accountId": ACCOUNT }]);
    relay.recorded(&pushed).await.unwrap();
    eventually(large, Duration::from_secs(60), || async {
        let repaired = world.mutability(large).await == ImageTagMutability::ImmutableWithExclusion;
        Ok(repaired.then_some(()))
    })
    .await
    .unwrap();
    // That it is evaluated shows in what is on record: it is left to people, and stays so for events and sweeps that do not say who
    // fills it.
    eventually(replica, Duration::from_secs(60), || async {
        let on_record = world.state(replica).await;
        let evaluated = ["finding#mutable-tags", "replica"];
        let has = |kind: &&str| on_record.iter().any(|known| known == kind);
        Ok(evaluated.iter().all(has).then_some(()))
    })
    .await
    .unwrap();
    let outcome = world.invoke(&call("PutImage", replica)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("open"), "{outcome}");
    let sweep = json!({ "mode": "enforce", "repositories": [replica] });
    let swept = world.invoke_function(&world.stack.auditor, &sweep).await;
    let swept = swept.unwrap().to_string();
    assert!(swept.contains("replication fills it"), "{swept}");
    assert_eq!(world.mutability(replica).await, ImageTagMutability::Mutable);
}

/// An ignored event costs no call; on a local AWS of its own, so that every call counts.
#[tokio::test]
async fn ignored_events_make_no_call() {
    let world = World::own();
    let own_role = own_role(&world).await;
    let session = format!(
        "arn:aws:sts::{ACCOUNT}:assumed-role/{}/x",
        own_role.rsplit('/').next().unwrap()
    );
    let mut ours = crate::support::call("PutImageTagMutability", "shop/own");
    ours["detail"]["userIdentity"] = json!({ "type": "AssumedRole", "arn": session });
    let mut failed = crate::support::call("CreateRepository", "shop/failed");
    failed["detail"]["errorCode"] = json!("RepositoryAlreadyExistsException");
    let deleted = crate::support::call("DeleteRepository", "shop/deleted");
    for event in [
        ours,
        failed,
        deleted,
        json!({ "source": "aws.s3" }),
        json!(7),
        json!({}),
    ] {
        let outcome = world.invoke(&event).await.unwrap();
        assert_ne!(outcome["ignored"], Value::Null, "{outcome}");
    }
    assert_eq!(world.local.proxy.count(), 0);
}

async fn own_role(world: &World) -> String {
    let lambda = &world.clients.lambda;
    let configuration = lambda
        .get_function_configuration()
        .function_name(&world.stack.enforcer)
        .send()
        .await
        .unwrap();
    configuration.role.unwrap()
}
