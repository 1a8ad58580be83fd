//! What a sweep changed is listed, and all of it can be rolled back.

use std::collections::BTreeSet;

use aws_sdk_ecr::types::ImageTagMutability;
use serde_json::{Value, json};

use crate::careful::{ecr_warden, said};
use crate::support::{World, arn};

const MANY: usize = 60;

#[tokio::test]
async fn all_changes_of_a_sweep_are_listed_and_rolled_back() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {} }\n",
        )
        .await;
    let mut inbox = world.inbox("ledger").await;
    let names: Vec<String> = (0..MANY).map(|n| format!("many/r{n:02}-x")).collect();
    for name in &names {
        world.create(name).await;
    }
    let request = json!({ "mode": "enforce", "continue": true });
    let sweep = world.invoke_function(&world.stack.auditor, &request);
    let answer = sweep.await.unwrap();
    let location = answer["ledger"]["location"].as_str().unwrap();
    assert_eq!(answer["ledger"]["changes"], MANY, "{answer}");

    let text = world.local.cli(&["s3", "cp", location, "-"]).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), MANY);
    let listed: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["repository"].as_str().unwrap())
        .collect();
    let all: BTreeSet<String> = names.iter().map(|name| arn(name)).collect();
    assert_eq!(listed, all.iter().map(String::as_str).collect());
    let (schema, change) = ("ecr-warden.change/1", ["MUTABLE", "IMMUTABLE"]);
    for line in &lines {
        assert_eq!(line["schema"], schema, "{line}");
        assert_eq!([&line["from"], &line["to"]], change, "{line}");
    }
    let alerts = inbox.take().await.unwrap();
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0]["ledger"]["location"], location);

    // Somebody decides otherwise about one of them, and one is gone.
    let (changed, gone) = (&names[3], &names[4]);
    let mutability = world.clients.ecr.put_image_tag_mutability();
    let mutability = mutability.repository_name(changed);
    let mutable = mutability.image_tag_mutability(ImageTagMutability::Mutable);
    mutable.send().await.unwrap();
    let delete = world.clients.ecr.delete_repository();
    delete.repository_name(gone).send().await.unwrap();

    let rollback = |more: &[&str]| {
        let arguments = ["rollback", "--sweep", location];
        ecr_warden(&world, &[&arguments, more].concat())
    };
    let refused = rollback(&[]);
    assert_eq!(refused.status.code(), Some(2), "nobody is there to ask");
    assert_eq!(
        world.mutability(&names[0]).await,
        ImageTagMutability::Immutable
    );

    let first = rollback(&["--yes"]);
    assert_eq!(first.status.code(), Some(3), "two cannot be rolled back");
    let shown = String::from_utf8(first.stdout).unwrap();
    assert!(
        shown.contains("58 of 60 changes were rolled back"),
        "{shown}"
    );
    for name in [changed, gone] {
        let why = format!("not rolled back  {name}, mutable-tags: ");
        assert!(shown.contains(&why), "{shown}");
    }
    for name in names.iter().filter(|name| *name != gone) {
        assert_eq!(
            world.mutability(name).await,
            ImageTagMutability::Mutable,
            "{name}"
        );
    }

    // What was rolled back is left alone, by sweeps, too; the others are still on record.
    let sweep = world.invoke_function(&world.stack.auditor, &request);
    let answer = sweep.await.unwrap();
    assert_eq!(
        answer["ledger"]["changes"], 1,
        "only the one that somebody changed: {answer}"
    );
    let second = rollback(&["--yes"]);
    let shown = String::from_utf8(second.stdout).unwrap();
    assert_eq!(
        shown.matches("it was rolled back already").count(),
        58,
        "{shown}"
    );

    // A location that lists no changes.
    let nothing = format!("{}/none.jsonl", location.rsplit_once('/').unwrap().0);
    let missing = ecr_warden(&world, &["rollback", "--sweep", &nothing]);
    assert_eq!(missing.status.code(), Some(3));
    let list = said(&ecr_warden(&world, &["rollback", &names[0]]), 0);
    assert!(list.contains("because of rollback"), "{list}");
}
