//! A rule with a grace period.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: { enforce-after: 7d } }\n";
const DAY: i64 = 24 * 60 * 60;

impl World {
    /// Records that the finding was first seen that many seconds earlier.
    async fn first_seen_earlier(&self, name: &str, by: i64) {
        let key = [("pk", arn(name)), ("sk", "finding#mutable-tags".to_owned())];
        let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let dynamodb = &self.clients.dynamodb;
        let table = &self.stack.state_table;
        let get = dynamodb
            .get_item()
            .table_name(table)
            .set_key(Some(key.into()));
        let mut item = get.send().await.unwrap().item.unwrap();
        let mut said: Value = serde_json::from_str(item["body"].as_s().unwrap()).unwrap();
        said["since"] = json!(said["since"].as_i64().unwrap() - by);
        item.insert("body".to_owned(), AttributeValue::S(said.to_string()));
        let put = dynamodb.put_item().table_name(table).set_item(Some(item));
        put.send().await.unwrap();
    }
}

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
    world.first_seen_earlier("grace/api", 6 * DAY).await;
    let swept = world
        .invoke_function(&world.stack.auditor, &sweep)
        .await
        .unwrap();
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    assert_eq!(
        world.mutability("grace/api").await,
        ImageTagMutability::Mutable
    );

    world.first_seen_earlier("grace/api", DAY).await;
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
