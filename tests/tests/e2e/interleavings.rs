//! Two at the same repository: each test stops one at a certain call, has the other come to its end, and lets the first go on.

mod late;
mod same_delivery;
mod switch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use ecr_warden_tests::eventually;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::proxy::Fault;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::chaos::faulty::{Faulty, look};
use crate::chaos::people::Change;
use crate::crash::traced;
use crate::recreate::{assert_everything, create_with_everything};
use crate::support::{World, call, status};

/// The last one asks for encryption alone.
const POLICY: &str = r#"
version: 1
mode: enforce
changes-per-hour: 100000
overrides:
  - match: { repositories: ["both/**"] }
    rules:
      mutable-tags: {}
      weak-encryption: { require: KMS, when-empty: recreate }
      public-access: {}
      missing-tags: { require: { data: { default: sensitive } } }
      no-lifecycle-policy:
        default:
          rules:
            - rulePriority: 1
              selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
              action: { type: expire }
  - match: { repositories: ["weak/**"] }
    rules: { weak-encryption: { require: KMS, when-empty: recreate } }
"#;

/// All that a repository is read by.
const READS: &[&str] = &[
    "DescribeRepositories",
    "ListTagsForResource",
    "GetRepositoryPolicy",
    "GetLifecyclePolicy",
    "DescribeImages",
];

async fn world() -> World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    traced(&WORLD, POLICY).await
}

/// Stops whoever makes a call, until it is let go.
struct Stopped {
    about: String,
    reached: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
}

impl Stopped {
    /// At the call of that number, from nought, of an operation about a repository. Others pass.
    fn at(world: &World, about: &str, operation: &'static str, nth: usize) -> Self {
        Self::at_any(world, about, &[operation], nth)
    }

    /// The same of several operations.
    fn at_any(world: &World, about: &str, operations: &[&'static str], nth: usize) -> Self {
        let operations = operations.to_vec();
        let reached = Arc::new(AtomicBool::new(false));
        let go_on = Arc::new(AtomicBool::new(false));
        let (is_reached, may_go_on) = (Arc::clone(&reached), Arc::clone(&go_on));
        let (mut calls, mut first) = (0, None);
        world.local.proxy.plan(about, move |call| {
            if may_go_on.load(Ordering::SeqCst) || operations.iter().all(|o| *o != call.operation) {
                return None;
            }
            if first.is_none() {
                calls += 1;
                if calls <= nth {
                    return None;
                }
                first = Some(call.invocation.clone());
                is_reached.store(true, Ordering::SeqCst);
            }
            (first.as_ref() == Some(&call.invocation)).then_some(Fault::Hold)
        });
        Self {
            about: about.to_owned(),
            reached,
            go_on,
        }
    }

    /// Has something happen while it stands there and everything before it has been done.
    async fn meanwhile<T>(self, world: &World, what: impl Future<Output = T>) -> T {
        self.stands(world).await;
        let came_to = what.await;
        self.let_go();
        came_to
    }

    async fn stands(&self, world: &World) {
        eventually("the call", Duration::from_secs(20), || async {
            let is_there = self.reached.load(Ordering::SeqCst);
            let at_rest = world.local.proxy.is_at_rest(&self.about);
            Ok((is_there && at_rest).then_some(()))
        })
        .await
        .unwrap();
    }

    /// The same while another one stands elsewhere.
    async fn is_reached(&self) {
        eventually("the call", Duration::from_secs(20), || async {
            Ok(self.reached.load(Ordering::SeqCst).then_some(()))
        })
        .await
        .unwrap();
    }

    fn let_go(&self) {
        self.go_on.store(true, Ordering::SeqCst);
    }
}

async fn told(inbox: &mut Inbox, name: &str) -> Vec<String> {
    let mut alerts = inbox.alerts_of(name).await.unwrap();
    alerts.extend(inbox.alerts_of_arn("repository/*").await.unwrap());
    let findings = alerts
        .iter()
        .flat_map(|alert| alert["findings"].as_array().unwrap());
    let mut rules: Vec<String> = findings
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect();
    rules.sort();
    rules.dedup();
    rules
}

fn deletions(world: &World, name: &str) -> usize {
    world.count("DeleteRepository", name)
}

/// One has repaired and is about to claim that when another one looks, and claims what is left. What the first has repaired is on
/// no record then, and it alone knows of it.
#[tokio::test]
async fn what_one_has_repaired_is_told_though_another_one_claims_first() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-claims").await;
    let name = "both/claims-x";
    // It can't be recreated, and that is what both have to tell.
    let faulty = Faulty {
        pushed: true,
        ..Faulty::in_every_way()
    };
    faulty.create(&world, name).await;
    let event = call("PutImage", name);
    let claim = Stopped::at(&world, name, "TransactWriteItems", 0);
    let first = world.deliver_as("claims-first", &event);
    let second = claim.meanwhile(&world, async {
        eventually("the repairs", Duration::from_secs(20), || async {
            let found = look(&world, name).await.unwrap();
            let is_repaired = faulty.missing(&found).is_empty()
                && world.mutability(name).await == ImageTagMutability::Immutable;
            Ok(is_repaired.then_some(()))
        })
        .await
        .unwrap();
        world.deliver_as("claims-second", &event).await.unwrap()
    });
    let (first, second) = tokio::join!(first, second);
    world.local.proxy.calm(name);
    assert_eq!(status(&second, "weak-encryption"), Some("open"), "{second}");
    assert_eq!(status(&second, "mutable-tags"), None, "{second}");
    let first = first.unwrap();
    let expected = faulty.wrong().into_iter().collect::<Vec<_>>();
    assert_eq!(told(&mut inbox, name).await, expected, "{first}");
    let remembered = world.state(name).await;
    let open: Vec<&String> = remembered
        .iter()
        .filter(|k| k.starts_with("finding#"))
        .collect();
    assert_eq!(open, ["finding#weak-encryption"]);
    // On record, so that they can be put back.
    assert!(
        remembered.contains(&"fix#mutable-tags".to_owned()),
        "{remembered:?}"
    );
}

/// One has looked, and its record is read when another one has repaired and told: that is not what somebody has set back.
#[tokio::test]
async fn what_another_one_repairs_after_the_look_was_not_set_back() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-after-the-look").await;
    let name = "both/after-the-look-x";
    let faulty = Faulty {
        encrypted: true,
        ..Faulty::in_every_way()
    };
    faulty.create(&world, name).await;
    let event = call("CreateRepository", name);
    let records = Stopped::at(&world, name, "Query", 0);
    let first = world.deliver_as("after-the-look-first", &event);
    let second = records.meanwhile(&world, async {
        world.deliver_as("after-the-look-second", &event).await
    });
    let (first, second) = tokio::join!(first, second);
    world.local.proxy.calm(name);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(status(&second, "mutable-tags"), Some("fixed"), "{second}");
    assert_eq!(first["findings"], json!([]), "{first}");
    assert_eq!(world.count("PutImageTagMutability", name), 1);
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
}

/// The event twice, and a sweep: one recreates, wherever it stands when the other comes.
#[tokio::test]
async fn one_recreates_and_the_others_leave_it_alone() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-recreation").await;
    for (n, operation) in [
        "PutItem",
        "DescribeImages",
        "UntagResource",
        "DeleteRepository",
        "CreateRepository",
        "SetRepositoryPolicy",
        "TransactWriteItems",
        "Publish",
    ]
    .into_iter()
    .enumerate()
    {
        for by_sweep in [false, true] {
            let name = &format!("weak/one-{n}-{by_sweep}-x");
            create_with_everything(&world, name).await;
            let event = call("CreateRepository", name);
            // The rehearsal creates and sets first, and the recreation does it again.
            let nth = usize::from(matches!(
                operation,
                "CreateRepository" | "SetRepositoryPolicy"
            ));
            let stopped = Stopped::at(&world, name, operation, nth);
            let first = world.deliver_as(name, &event);
            let second = stopped.meanwhile(&world, async {
                if by_sweep {
                    let sweep = json!({ "mode": "enforce", "repositories": [name] });
                    let auditor = &world.stack.auditor;
                    world.invoke_function(auditor, &sweep).await
                } else {
                    world.deliver_as(&format!("{name}-second"), &event).await
                }
            });
            let (first, second) = tokio::join!(first, second);
            world.local.proxy.calm(name);
            assert!(
                first.is_ok() && second.is_ok(),
                "{operation}: {first:?}, {second:?}"
            );
            assert_everything(&world, name, &EncryptionType::Kms).await;
            assert_eq!(deletions(&world, name), 1, "{operation}, {by_sweep}");
            assert_eq!(
                told(&mut inbox, name).await,
                ["weak-encryption"],
                "{operation}"
            );
            inbox.take().await.unwrap();
        }
    }
}

/// One has asked for the records before a recreation began, and is slow: what it reads of the repository is what a recreation that
/// was killed has made so far. The lifecycle policy that is missing there is put back by the retry.
#[tokio::test]
async fn a_default_is_not_put_into_what_is_half_made() {
    let world = world().await;
    let name = "both/half-made-x";
    create_with_everything(&world, name).await;
    let event = call("CreateRepository", name);
    let looks = Stopped::at_any(&world, name, READS, 0);
    let is_done = tokio::sync::Notify::new();
    let slow = async {
        let outcome = world.deliver_as("half-made-slow", &event).await;
        is_done.notify_one();
        outcome
    };
    let recreates = async {
        looks.stands(&world).await;
        // The rehearsal creates, too.
        let mut creations = 0;
        world.local.proxy.plan("half-made-x", move |call| {
            if call.operation != "CreateRepository" {
                return None;
            }
            creations += 1;
            (creations == 2).then_some(Fault::Kill)
        });
        let id = "half-made-recreates";
        let killed = world.invoke_message(&world.stack.enforcer, id, &event);
        killed.await.expect_err("it was killed");
        world.local.proxy.calm("half-made-x");
        looks.let_go();
        is_done.notified().await;
        let claims = world.count("TransactWriteItems", name);
        assert_eq!(claims, 0, "of what is half made nothing is missing");
        world.let_leases_run_out(name).await;
        world.deliver_as(id, &event).await.unwrap()
    };
    let (slow, recreated) = tokio::join!(slow, recreates);
    world.local.proxy.calm(name);
    let status = status(&recreated, "weak-encryption");
    assert_eq!(status, Some("fixed"), "{recreated}");
    assert_everything(&world, name, &EncryptionType::Kms).await;
    assert_eq!(deletions(&world, name), 1);
    // The retry sees the recreation on record.
    let slow = slow.unwrap();
    assert_eq!(slow["reason"], "leased-elsewhere", "{slow}");
}

/// A repository is deleted and its maker dies; then somebody creates another one of that name. That one is left as it is, and people
/// are told what the first one had, because nothing else knows of it any more.
#[tokio::test]
async fn what_somebody_else_creates_is_left_and_what_was_there_is_told() {
    let world = world().await;
    let mut inbox = world.inbox("interleavings-superseded").await;
    let name = "weak/superseded-x";
    create_with_everything(&world, name).await;
    let event = call("CreateRepository", name);
    world.local.proxy.plan(name, |call| {
        (call.operation == "DeleteRepository").then_some(Fault::Kill)
    });
    let killed = world.invoke_message(&world.stack.enforcer, "superseded", &event);
    killed.await.expect_err("it was killed");
    world.local.proxy.calm(name);
    // The local AWS tells repositories apart by the second in which they were created.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.create(name).await;
    world.let_leases_run_out(name).await;
    let outcome = world.deliver_as("superseded", &event).await.unwrap();
    let alerts = inbox.alerts_of(name).await.unwrap();
    let told = alerts
        .iter()
        .flat_map(|alert| alert["findings"].as_array().unwrap())
        .find(|finding| finding["rule"] == "superseded-recreation");
    let told = told.unwrap_or_else(|| panic!("{alerts:#?}")).to_string();
    let all = serde_json::to_string(&alerts).unwrap();
    assert!(!all.contains("resolved"), "nothing was put back: {all}");
    assert!(told.contains("critical"), "{told}");
    assert!(
        told.contains("IMMUTABLE, scan on push, a repository policy, a lifecycle policy, tags data=sensitive, team=payments"),
        "{told}"
    );
    // It is a repository like any other: empty, and encrypted with less than is asked.
    let recreated = status(&outcome, "weak-encryption");
    assert_eq!(recreated, Some("fixed"), "{outcome}");
    let found = look(&world, name).await.expect("it is there");
    assert_eq!(found.tags, [""; 0].map(str::to_owned).into());
    assert!(!world.state(name).await.contains(&"recreate".to_owned()));
}

/// Before each step of a recreation somebody changes something: it stands, or the recreation is not made. After the last look,
/// which is what nothing is promised of, there is only the deletion.
#[tokio::test]
async fn what_somebody_changes_before_the_last_look_stands() {
    let world = world().await;
    for (n, (operation, nth)) in [
        ("PutItem", 0),
        ("CreateRepository", 0),
        ("CreateRepository", 1),
        ("UntagResource", 1),
        ("TransactWriteItems", 0),
    ]
    .into_iter()
    .enumerate()
    {
        for change in [Change::Tag, Change::Push, Change::Mutability] {
            let name = &format!("weak/changed-{n}-{change:?}-x").to_lowercase();
            create_with_everything(&world, name).await;
            let stopped = Stopped::at(&world, name, operation, nth);
            let event = call("CreateRepository", name);
            let first = world.deliver_as(name, &event);
            let (first, made) =
                tokio::join!(first, stopped.meanwhile(&world, change.make(&world, name)));
            world.local.proxy.calm(name);
            let first = first.unwrap();
            let found = look(&world, name).await.expect("it is there");
            // While it is deleted nothing can be changed.
            assert_eq!(made.is_none(), (operation, nth) == ("CreateRepository", 1));
            let Some(made) = made else { continue };
            let calls = world.local.proxy.calls(name);
            let excused = made.came_after_the_last_look(&calls);
            assert!(!excused, "{change:?} before {operation} {nth}: {calls:#?}");
            let lost = made.lost(&found, &calls);
            assert_eq!(lost, None, "before {operation} {nth}: {first}");
            if change == Change::Mutability {
                // The policy says nothing of it here.
                let mutability = world.mutability(name).await;
                assert_eq!(mutability, ImageTagMutability::Mutable, "{operation} {nth}");
            }
        }
    }
}
