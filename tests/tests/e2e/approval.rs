//! Repairs that someone must approve.

use std::time::Duration;

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::{Value, json};

use crate::careful::{ecr_warden, said};
use crate::support::{World, arn, call, status};

const POLICY: &str = "
version: 1
mode: enforce
rules:
  mutable-tags: { mode: approve }
  missing-tags: { require: { data: { default: sensitive } } }
";
const DAY: i64 = 24 * 60 * 60;

impl World {
    async fn created(&self, name: &str) {
        self.create(name).await;
        let event = call("CreateRepository", name);
        let outcome = self.invoke(&event).await.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("withheld"),
            "{outcome}"
        );
        assert_eq!(status(&outcome, "missing-tags"), Some("fixed"), "{outcome}");
    }
}

/// What the command prints with `--format json`: repository, result.
fn answers(world: &World, arguments: &[&str], exit: i32) -> Vec<(String, String)> {
    let output = ecr_warden(
        world,
        &[&["approve", "--format", "json"], arguments].concat(),
    );
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["schema"], "ecr-warden.approval/1");
    let text = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let changes = printed["changes"].as_array().unwrap().iter();
    changes
        .map(|change| (text(change, "repository"), text(change, "result")))
        .collect()
}

/// Neither an event nor a sweep makes it before that. It is made once: who reverts it has it offered again.
#[tokio::test]
async fn a_repair_is_made_when_someone_approves_it() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("approval").await;
    let name = "approval/api";
    world.created(name).await;
    let alerts = inbox.alerts_of(name).await.unwrap();
    let finding = alerts[0]["findings"].as_array().unwrap().iter();
    let mut finding = finding.filter(|it| it["rule"] == "mutable-tags");
    assert_eq!(
        finding.next().unwrap()["reason"],
        "approval-required",
        "{alerts:?}"
    );
    assert!(
        alerts[0]
            .to_string()
            .contains("ecr-warden approve approval/api --rule mutable-tags")
    );
    let swept = world.sweep().await;
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);

    let waits = vec![(arn(name), "waits".to_owned())];
    assert_eq!(answers(&world, &["--list"], 0), waits);
    assert_eq!(answers(&world, &["other/**", "--yes"], 0), vec![]);
    let made = vec![(arn(name), "made".to_owned())];
    assert_eq!(answers(&world, &[name, "--yes"], 0), made);
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
    let alerts = inbox.take().await.unwrap();
    let named = alerts
        .iter()
        .any(|alert| alert.to_string().contains("; approved by arn:aws:"));
    assert!(named, "{alerts:?}");
    let history = said(
        &ecr_warden(&world, &["history", "--rule", "mutable-tags"]),
        0,
    );
    assert!(history.contains("done, approved by arn:aws:"), "{history}");
    assert_eq!(answers(&world, &["--list"], 0), vec![]);

    world
        .set_mutability(name, ImageTagMutability::Mutable)
        .await;
    let event = call("PutImageTagMutability", name);
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("withheld"),
        "{outcome}"
    );
    assert_eq!(answers(&world, &["--list"], 0), waits);
}

/// Of two that wait, the one that has changed since is not approved. An approval that is a day old approves nothing.
#[tokio::test]
async fn only_what_was_seen_is_approved_and_for_a_day() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let _inbox = world.inbox("approval").await;
    for name in ["approval/changed", "approval/late", "approval/gone"] {
        world.created(name).await;
    }
    world
        .set_mutability("approval/changed", ImageTagMutability::Immutable)
        .await;
    let gone = world.clients.ecr.delete_repository();
    let gone = gone.repository_name("approval/gone").force(true);
    gone.send().await.unwrap();
    // Times of creation are whole seconds here.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.create("approval/gone").await;
    said(&ecr_warden(&world, &["stop", "--reason", "OPS-1"]), 0);
    let results = answers(&world, &["--yes"], 3);
    let expected = [("approval/late", "not-made")];
    assert_eq!(
        results,
        expected.map(|(name, result)| (arn(name), result.to_owned()))
    );
    said(&ecr_warden(&world, &["start"]), 0);
    world
        .age("approval/late", "fix#mutable-tags", "/approved/at", DAY)
        .await;
    let swept = world.sweep().await;
    let findings = swept["findings"].as_array().unwrap().iter();
    let late = findings.filter(|it| it["repository"] == json!(arn("approval/late")));
    let late: Vec<&Value> = late.collect();
    assert_eq!(late.len(), 1, "{swept}");
    assert_eq!(late[0]["reason"], "approval-required", "{swept}");
    assert!(
        late[0]["to_do"].as_str().unwrap().contains("only 24 hours"),
        "{swept}"
    );
    assert_eq!(
        world.mutability("approval/late").await,
        ImageTagMutability::Mutable
    );
    assert_eq!(
        world.mutability("approval/gone").await,
        ImageTagMutability::Mutable
    );
}
