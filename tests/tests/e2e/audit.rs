//! The auditor: everything at once, on demand, on a schedule, and from the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use aws_sdk_ecr::types::{EncryptionConfiguration, EncryptionType, ImageTagMutability};
use aws_sdk_sqs::types::QueueAttributeName;
use ecr_warden_core::defer::MOST_PARTS;
use ecr_warden_tests::eventually;
use ecr_warden_tests::local_aws::root;
use ecr_warden_tests::proxy::Call;
use ecr_warden_tests::relay::Relay;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::careful::{ecr_warden, said};
use crate::support::{World, arn, deferred, status};

/// With `exclusions: in-use` the images of each mutable repository decide, so that all of them are read and an audit takes its time.
const POLICY: &str = "\
version: 1
mode: enforce
changes-per-sweep: 500
rules: { mutable-tags: { allow-exclusions: [latest], exclusions: in-use }, nonconforming-name: {} }
overrides: [{ match: { repositories: [\"payments/**\"] }, rules: { weak-encryption: { require: KMS, when-empty: recreate } } }]
exemptions: [{ repositories: [\"legacy/**\"], rules: [mutable-tags], until: 2100-01-01, reason: OPS-1 }]
";

/// Of each kind some.
const MANY: usize = 2500;

async fn create_many(world: &World) {
    let create = async |n: usize| {
        let space = ["shop/", "payments/", "legacy/", ""][n % 4];
        let mutability = if n.is_multiple_of(3) {
            ImageTagMutability::Mutable
        } else {
            ImageTagMutability::Immutable
        };
        let encryption = if n.is_multiple_of(2) {
            EncryptionType::Kms
        } else {
            EncryptionType::Aes256
        };
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(encryption)
            .build()
            .unwrap();
        world
            .clients
            .ecr
            .create_repository()
            .repository_name(format!("{space}r{n:04}"))
            .image_tag_mutability(mutability)
            .encryption_configuration(encryption)
            .send()
            .await
            .unwrap();
    };
    stream::iter(0..MANY).for_each_concurrent(16, create).await;
}

/// What another program says, which reads ECR with boto3 and knows nothing of ours.
fn independently(world: &World) -> Value {
    let output = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("tests/independent_audit.py"))
        .env("AWS_ENDPOINT_URL", world.local.proxy.endpoint())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn found(audit: &Value) -> BTreeSet<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = audit["findings"].as_array().unwrap();
    let set: BTreeSet<(String, String)> = findings
        .iter()
        .filter(|finding| finding["status"] != "exempt")
        .map(|finding| {
            let arn = text(finding, "repository");
            let name = arn.split_once("repository/").unwrap().1.to_owned();
            (name, text(finding, "rule"))
        })
        .collect();
    let standing = findings.iter().filter(|f| f["status"] != "exempt").count();
    assert_eq!(set.len(), standing, "each once");
    set
}

#[tokio::test]
async fn all_repositories_are_audited_as_an_independent_program_does() {
    let world = World::own();
    world.set_policy(POLICY).await;
    create_many(&world).await;
    let expected: BTreeSet<(String, String)> =
        serde_json::from_value(independently(&world)).unwrap();
    assert!(expected.len() > MANY / 3, "{}", expected.len());
    let before = world.local.proxy.count();
    let audit = world
        .invoke_function(&world.stack.auditor, &json!({}))
        .await
        .unwrap();
    assert_eq!(audit["schema"], "ecr-warden.audit/1");
    assert_eq!(audit["next"], Value::Null);
    assert_eq!(audit["summary"]["repositories"], MANY);
    assert_eq!(found(&audit), expected);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, rule) in &expected {
        *counts.entry(rule).or_default() += 1;
    }
    assert_eq!(audit["summary"]["findings"], json!(counts));
    // Several local AWSes have a function of this name: the largest of all is below the limit, too.
    let peak = world.local.peak_memory_of(&world.stack.auditor).unwrap();
    assert!(
        peak < 64 * 1024 * 1024,
        "{peak} bytes, and the limit is 256 MB"
    );
    // Three pages; the caches; for each mutable one its images; for each weak one the reads of a recreation.
    let calls = world.local.proxy.count() - before;
    assert!(calls < MANY + MANY / 2, "{calls} calls");
    // It changed nothing.
    assert_eq!(
        found(
            &world
                .invoke_function(&world.stack.auditor, &json!({}))
                .await
                .unwrap()
        ),
        expected
    );

    // Part by part, while others are created and deleted, and AWS takes no token of an earlier part: nothing that was there all the
    // time is missed or doubled.
    let proxy = &world.local.proxy;
    let mut parts: BTreeSet<(String, String)> = BTreeSet::new();
    let mut repositories = 0;
    let mut next = Value::Null;
    let mut rounds = 0;
    world.set_timeout_of_auditor(3).await;
    world
        .local
        .proxy
        .delay("DescribeImages", Duration::from_millis(400));
    loop {
        let mut request = json!({ "repositories": ["shop/**", "legacy/**", "r*"] });
        if !next.is_null() {
            request["next"] = next.clone();
        }
        let part = world
            .invoke_function(&world.stack.auditor, &request)
            .await
            .unwrap();
        repositories += part["summary"]["repositories"].as_u64().unwrap();
        let of_part = found(&part);
        assert!(parts.is_disjoint(&of_part), "doubled");
        parts.extend(of_part);
        next = part["next"].clone();
        rounds += 1;
        if next.is_null() {
            break;
        }
        proxy.real_aws(|aws| aws.pages.expire());
        // Sorted before and after where it stands.
        world.create(&format!("aa/new{rounds}")).await;
        world.create(&format!("zz/new{rounds}")).await;
        assert!(rounds < 200, "it does not end");
    }
    assert!(rounds > 1, "`next` was not needed");
    let mut refused = 0;
    proxy.real_aws(|aws| refused = aws.pages.refused);
    assert!(refused > 0, "each token was taken");
    let expected: BTreeSet<(String, String)> = expected
        .into_iter()
        .filter(|(name, _)| !name.starts_with("payments/"))
        .collect();
    assert_eq!(parts, expected);
    assert_eq!(repositories as usize, MANY - MANY / 4);
}

/// The deployed schedule starts one: nothing else does here.
#[tokio::test]
async fn a_schedule_starts_sweeps() {
    let world = World::own_with("SweepSchedule='rate(1 minute)'", |_| {});
    let mut inbox = world.inbox("schedule").await;
    let name = "shop/no-event-came";
    world.create(name).await;
    eventually("the sweep", Duration::from_secs(150), || async {
        let mutability = world.mutability(name).await;
        Ok((mutability == ImageTagMutability::ImmutableWithExclusion).then_some(()))
    })
    .await
    .unwrap();
    let digest = inbox.wait_for("*").await.unwrap();
    assert_eq!(digest["cause"], "sweep", "{digest}");
}

/// More parts than the invocations of a chain that Lambda lets run without `RecursiveLoop: Allow`.
#[tokio::test]
async fn a_sweep_of_many_parts_loses_nothing() {
    const FAULTY: usize = 500;
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {} }\n",
        )
        .await;
    let name = |n| format!("shop/part{n:03}");
    stream::iter(0..FAULTY)
        .for_each_concurrent(16, async |n| drop(world.create(&name(n)).await))
        .await;
    // What is cut short comes back soon.
    let queue = &world.resources()["SweepQueue"].1;
    let set = world.clients.sqs.set_queue_attributes().queue_url(queue);
    let set = set.attributes(QueueAttributeName::VisibilityTimeout, "15");
    set.send().await.unwrap();
    world.set_timeout_of_auditor(10).await;
    let proxy = &world.local.proxy;
    proxy.delay("PutImageTagMutability", Duration::from_millis(1200));
    let request = json!({ "mode": "enforce", "continue": true });
    let first = world.invoke_function(&world.stack.auditor, &request).await;
    assert_ne!(first.unwrap()["next"], Value::Null);
    // Unoptimised functions get through less in each part.
    eventually("the last part", Duration::from_secs(900), || async {
        let answer = world.clients.ecr.describe_repositories().max_results(1000);
        let mut repositories = answer.send().await?.repositories.unwrap_or_default();
        repositories.retain(|repository| {
            repository.image_tag_mutability() != Some(&ImageTagMutability::Immutable)
        });
        Ok(repositories.is_empty().then_some(()))
    })
    .await
    .unwrap();
    let parts = world.count("SendMessage", "enforce");
    assert!(parts > 16, "{parts} parts are too few to show it");
    assert_eq!(world.dead_letters().await, 0);
    // A sweep that does not end is given up, before it does anything.
    let message = deferred("endless", &request, 60, MOST_PARTS);
    let refused = world.invoke_function(&world.stack.auditor, &message).await;
    assert!(refused.unwrap_err().contains("has not ended after"));
}

/// There is more to repair than an invocation has time for: it stops, tells what it did, and the rest goes on from there.
#[tokio::test]
async fn a_sweep_stops_in_time_and_goes_on() {
    const FAULTY: usize = 200;
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {} }\n",
        )
        .await;
    let mut inbox = world.inbox("long-sweep").await;
    let name = |n| format!("shop/late{n:03}");
    stream::iter(0..FAULTY)
        .for_each_concurrent(16, async |n| drop(world.create(&name(n)).await))
        .await;
    world.set_timeout_of_auditor(12).await;
    let proxy = &world.local.proxy;
    proxy.delay("PutImageTagMutability", Duration::from_millis(500));
    let (mut next, mut repositories, mut parts) = (Value::Null, 0, 0);
    loop {
        let mut request = json!({ "mode": "enforce" });
        if !next.is_null() {
            request["next"] = next.clone();
        }
        let auditor = &world.stack.auditor;
        let part = world.invoke_function(auditor, &request).await.unwrap();
        repositories += part["summary"]["repositories"].as_u64().unwrap();
        assert_eq!(part["summary"]["unjudged"], 0, "{part}");
        parts += 1;
        next = part["next"].clone();
        if next.is_null() {
            break;
        }
        assert!(parts < 50, "it does not end");
    }
    assert!(parts > 1, "there was time for everything");
    assert_eq!(repositories, 200, "each once");
    for n in 0..FAULTY {
        let mutability = world.mutability(&name(n)).await;
        assert_eq!(mutability, ImageTagMutability::Immutable, "{n}");
    }
    let digests = inbox.alerts_of_arn("repository/*").await.unwrap();
    assert_eq!(digests.len(), parts, "one for each part");
}

/// A sweep does what the events would have done, finishes what was cut short, and says it in one message.
#[tokio::test]
async fn a_sweep_repairs_and_tells_once() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("sweep").await;
    for n in 0..30 {
        world.create(&format!("shop/s{n}")).await;
    }
    world.create("payments/weak").await;
    world.create("legacy/old").await;
    world.create("unnamed").await;
    let sweep = async || {
        let request = json!({ "mode": "enforce" });
        world
            .invoke_function(&world.stack.auditor, &request)
            .await
            .unwrap()
    };
    let audit = sweep().await;
    assert_eq!(audit["summary"]["repositories"], 33, "{audit}");
    assert_eq!(
        world.mutability("shop/s7").await,
        ImageTagMutability::Immutable
    );
    assert_eq!(world.encryption("payments/weak").await, EncryptionType::Kms);
    assert_eq!(
        world.mutability("legacy/old").await,
        ImageTagMutability::Mutable
    );
    let alerts = inbox.alerts_of_arn("repository/*").await.unwrap();
    assert_eq!(alerts.len(), 1, "one digest: {alerts:#?}");
    let digest = &alerts[0];
    assert_eq!(status(digest, "nonconforming-name"), Some("open"));
    let listed = digest["findings"].as_array().unwrap().len();
    let omitted = digest["omitted"].as_u64().unwrap_or(0) as usize;
    // 32 mutable, one weak, one without a namespace.
    assert_eq!(listed + omitted, 34, "{digest}");
    assert_eq!(digest["findings"][0]["repository"], arn("unnamed"));
    for name in ["shop/s7", "payments/weak", "unnamed"] {
        assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 0, "{name}");
    }
    // Again: nothing to do, nothing to say, what stands is listed.
    let audit = sweep().await;
    assert_eq!(
        audit["summary"]["findings"],
        json!({ "nonconforming-name": 1 }),
        "{audit}"
    );
    assert_eq!(inbox.alerts_of_arn("repository/*").await.unwrap().len(), 1);

    // A wrong request says what is wrong.
    let wrong = json!({ "repositorys": [] });
    let error = world
        .invoke_function(&world.stack.auditor, &wrong)
        .await
        .unwrap_err();
    assert!(error.contains("unknown field `repositorys`"), "{error}");
    let elsewhere = json!({ "accounts": ["111111111111"] });
    let error = world
        .invoke_function(&world.stack.auditor, &elsewhere)
        .await
        .unwrap_err();
    assert!(error.contains("111111111111"), "{error}");
}

/// The registry's scanning changes for all: they are looked at, and told of together.
#[tokio::test]
async fn a_change_of_the_registrys_scanning_is_seen() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { no-scan-on-push: {} }\n",
        )
        .await;
    let mut inbox = world.inbox("registry").await;
    for n in 0..3 {
        world.create(&format!("shop/unscanned{n}")).await;
    }
    let relay = Relay::start(&world.clients).await.unwrap();
    let record = json!({
        "eventSource": "ecr.amazonaws.com", "eventName": "PutRegistryScanningConfiguration", "awsRegion": "us-east-1",
        "userIdentity": { "type": "IAMUser", "arn": "arn:aws:iam::000000000000:user/mary" }, "requestParameters": {},
    });
    relay.recorded(&record).await.unwrap();
    let told = tokio::sync::Mutex::new(&mut inbox);
    let digest = eventually("one message about all", Duration::from_secs(60), || async {
        let mut inbox = told.lock().await;
        Ok(inbox.alerts_of_arn("repository/*").await?.pop())
    })
    .await
    .unwrap();
    assert_eq!(digest["findings"].as_array().unwrap().len(), 3, "{digest}");
    assert_eq!(status(&digest, "no-scan-on-push"), Some("fixed"));
}

/// What the schedule and changes of the registry start at the same time comes to two sweeps: one that runs, and one after it.
#[tokio::test]
async fn two_sweeps_are_one() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {} }\n",
        )
        .await;
    for n in 0..30 {
        world.create(&format!("many/r{n:02}-x")).await;
    }
    let listings = || {
        let calls = world.local.proxy.calls("");
        let lists = |call: &&Call| {
            call.operation == "DescribeRepositories" && call.body.contains("maxResults")
        };
        calls.iter().filter(lists).count()
    };
    let request = json!({ "mode": "enforce", "continue": true });
    let sweeps = (0..6).map(|_| world.invoke_function(&world.stack.auditor, &request));
    let mut ran = 0;
    let mut superfluous = 0;
    for answer in join_all(sweeps).await {
        let answer = answer.unwrap();
        match answer["reason"].as_str() {
            None => {
                ran += 1;
                assert_eq!(answer["summary"]["repositories"], 30, "{answer}");
            }
            Some("covered-by-another-sweep") => superfluous += 1,
            Some(code) => assert_eq!(code, "waits-for-another-sweep"),
        }
    }
    assert_eq!((ran, superfluous), (1, 4));
    assert_eq!(listings(), 1);
    // What comes meanwhile is evaluated by the one that waits.
    world.create("many/late-x").await;
    eventually("the second sweep", Duration::from_secs(120), || async {
        let repaired = world.mutability("many/late-x").await == ImageTagMutability::Immutable;
        Ok(repaired.then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(listings(), 2);
}

#[tokio::test]
async fn the_command_audits_and_changes_nothing() {
    let world = World::own();
    for name in ["shop/mutable", "payments/weak", "other/api"] {
        world.create(name).await;
    }
    let run = |more: &[&str]| {
        let all = [&["audit", "--policy", "infra/policy.yaml"], more].concat();
        ecr_warden(&world, &all)
    };
    let table = said(&run(&[]), 1);
    assert!(
        table.contains("shop/mutable") && table.contains("3 repositories, 0 compliant"),
        "{table}"
    );
    let one = said(&run(&["--repository", "shop/**", "--format", "json"]), 1);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["summary"]["repositories"], 1);
    let priced = said(&run(&["--cost"]), 1);
    assert!(
        priced.contains("Storage costs about 0.00 USD a month"),
        "{priced}"
    );
    said(&run(&["--fail-on", "critical"]), 0);
    let wrong = said(&run(&["--repository", "Shop"]), 2);
    assert!(wrong.contains("matches no repository"), "{wrong}");
    for (format, sign) in [
        ("csv", "repository,rule"),
        ("sarif", "\"2.1.0\""),
        ("ocsf", "\"class_uid\":2003"),
        ("html", "<!doctype html>"),
    ] {
        let text = said(&run(&["--format", format]), 1);
        assert!(text.contains(sign), "{format}");
    }
    assert_eq!(
        world.mutability("shop/mutable").await,
        ImageTagMutability::Mutable
    );
}

#[tokio::test]
async fn costs_are_estimated_where_they_are_asked_for() {
    let world = World::own();
    let policy = "version: 1\nmode: monitor\nrules: { no-lifecycle-policy: { default: { rules: [{ rulePriority: 1, \
                  action: { type: expire }, selection: { tagStatus: any, countType: imageCountMoreThan, countNumber: 1 } }] }, deletes-tagged-images: true } }\n";
    world
        .set_policy(&format!("{policy}costs: {{ usd-per-gb-month: 1000000 }}\n"))
        .await;
    world.create("shop/full").await;
    world.create("shop/empty").await;
    for (tag, layer) in [("v1", "a"), ("v2", "b")] {
        world
            .clients
            .ecr
            .put_image()
            .repository_name("shop/full")
            .image_manifest(format!(
                "{{\"schemaVersion\":2,\"layers\":[],\"annotations\":{{\"n\":\"{layer}\"}}}}"
            ))
            .image_tag(tag)
            .send()
            .await
            .unwrap();
    }
    let auditor = &world.stack.auditor;
    let audit = world.invoke_function(auditor, &json!({})).await.unwrap();
    assert_eq!(audit["summary"]["estimated_monthly_cost_usd"], Value::Null);
    assert_eq!(world.count("DescribeImages", "shop/full"), 0);
    let audit = world
        .invoke_function(auditor, &json!({ "cost": true }))
        .await
        .unwrap();
    let full = &audit["costs"][0];
    assert_eq!(full["repository"], arn("shop/full"), "{audit}");
    assert_eq!(full["images"], 2);
    let (bytes, usd) = (
        full["bytes"].as_f64().unwrap(),
        full["monthly_usd"].as_f64().unwrap(),
    );
    assert!(
        bytes > 50.0 && (usd - bytes / 1e9 * 1e6).abs() < 1e-6,
        "{full}"
    );
    assert_eq!(
        audit["summary"]["estimated_monthly_cost_usd"],
        full["monthly_usd"]
    );
    let saves = full["default_lifecycle_saves_usd"].as_f64().unwrap();
    assert!((saves * 2.0 - usd).abs() < 1e-6, "{full}");
    assert_eq!(audit["costs"][1]["images"], 0);

    let sweep = json!({ "cost": true, "mode": "enforce" });
    let why = world.invoke_function(auditor, &sweep).await.unwrap_err();
    assert!(why.contains("mode: monitor"), "{why}");
    world.set_policy(policy).await;
    let why = world
        .invoke_function(auditor, &json!({ "cost": true }))
        .await
        .unwrap_err();
    assert!(why.contains("usd-per-gb-month"), "{why}");
}

/// By the command, `ecr-warden audit --stack`.
#[tokio::test]
async fn make_audit_asks_the_deployed_auditor() {
    let world = World::own();
    for name in ["shop/one", "shop/two", "other"] {
        world.create(name).await;
    }
    let audit = |request: &str| {
        let output = Command::new("make")
            .current_dir(root())
            .args(["--no-print-directory", "audit"])
            .arg(format!("REQUEST={request}"))
            .arg("ARGS=--format json")
            .env("AWS_ENDPOINT_URL", world.local.proxy.endpoint())
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => (true, text),
            false => (false, text + &error),
        }
    };
    let (succeeded, text) = audit(r#"{"repositories": ["shop/**"]}"#);
    assert!(succeeded, "{text}");
    let answer: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(answer["summary"]["repositories"], 2);
    // No connection is silent for longer than NAT gateways keep one.
    let asked = world.local.proxy.calls("shop/**");
    let asks_for_parts = |call: &Call| call.body.contains("\"seconds\":240");
    assert!(asked.iter().any(asks_for_parts), "{asked:?}");
    let (succeeded, text) = audit(r#"{"seconds": 3}"#);
    assert!(!succeeded && text.contains("ask for at least 10"), "{text}");
    let (succeeded, text) = audit(r#"{"repositorys": []}"#);
    assert!(
        !succeeded && text.contains("unknown field `repositorys`"),
        "{text}"
    );
    let stack = |more: &[&str]| {
        let all = [&["audit", "--stack", "ecr-warden"], more].concat();
        ecr_warden(&world, &all)
    };
    let table = said(&stack(&["--repository", "shop/**"]), 1);
    assert!(
        table.contains("shop/two") && table.contains("2 repositories, 0 compliant"),
        "{table}"
    );
    let missing = said(&stack(&["--repository", "nothing/**"]), 2);
    assert!(missing.contains("`nothing/**`"), "{missing}");
}
