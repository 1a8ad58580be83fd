//! Repairs that are as careful as a person would be: they do not fight, they wait, they can be put back.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::time::Duration;

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability, Tag};
use ecr_warden_core::repository::MARKER_TAG;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION, root};
use ecr_warden_tests::proxy::{Fault, Refusal};
use ecr_warden_tests::{eventually, oci};
use serde_json::{Value, json};
use time::{Date, OffsetDateTime};

use crate::support::{World, arn, call, created_immutable, status};

const MUTABLE_TAGS: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";

/// A call by somebody.
fn by(operation: &str, repository: &str, actor: &str) -> Value {
    let mut event = call(operation, repository);
    event["detail"]["userIdentity"]["arn"] = json!(actor);
    event
}

/// The command, built with what the tests of the workspace are built with: with its own package alone cargo would choose other features of
/// the libraries, and compile them all again.
static COMMAND: LazyLock<PathBuf> = LazyLock::new(|| {
    let build = ["test", "--workspace", "--test", "offline", "--no-run"];
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(build)
        .args(["--quiet", "--message-format", "json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == "ecr-warden";
        let executable = message["executable"].as_str().filter(|_| is_it)?;
        Some(PathBuf::from(executable))
    });
    built.expect("cargo names the command that it has built")
});

/// The command as people run it.
pub(crate) fn ecr_warden(world: &World, arguments: &[&str]) -> Output {
    command(world, arguments).output().unwrap()
}

/// The same, not yet started.
pub(crate) fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(&*COMMAND);
    command
        .current_dir(root())
        .args(arguments)
        .env("AWS_ENDPOINT_URL", &world.local.endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("ECR_WARDEN_STATE_TABLE", &world.stack.state_table);
    command
}

#[track_caller]
pub(crate) fn said(output: &Output, exit: i32) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{text}");
    text
}

impl World {
    pub(crate) async fn set_mutability(&self, name: &str, to: ImageTagMutability) {
        self.clients
            .ecr
            .put_image_tag_mutability()
            .repository_name(name)
            .image_tag_mutability(to)
            .send()
            .await
            .unwrap();
    }
}

/// Something sets it back after each repair: at the third time it is left to people, who are told once, and by whom.
#[tokio::test]
async fn a_fight_is_left_to_people() {
    let world = World::own();
    world
        .set_policy(&format!("{MUTABLE_TAGS}repair-limit: 2\n"))
        .await;
    let mut inbox = world.inbox("fight").await;
    let name = "shop/fought-over";
    world.create(name).await;
    let terraform = "arn:aws:iam::000000000000:user/terraform";
    for round in 0..4 {
        world
            .set_mutability(name, ImageTagMutability::Mutable)
            .await;
        let event = by("PutImageTagMutability", name, terraform);
        let outcome = world.invoke(&event).await.unwrap();
        let expected = if round < 2 { "fixed" } else { "withheld" };
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some(expected),
            "{round}: {outcome}"
        );
    }
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 3, "{alerts:#?}");
    let advice = alerts[2]["findings"][0]["advice"].as_str().unwrap();
    assert!(
        advice.contains("reverted each time") && advice.contains(terraform),
        "{advice}"
    );

    // The operator has ended it, resumes the repairs, and is on record for that.
    said(&ecr_warden(&world, &["resume", name, "mutable-tags"]), 0);
    let listed = said(&ecr_warden(&world, &["rollback", name]), 0);
    assert!(
        listed.contains("repairs by `mutable-tags` were resumed at 20")
            && listed.contains(" by arn:aws:"),
        "{listed}"
    );
    let event = by("PutImageTagMutability", name, "mary");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let nothing = said(&ecr_warden(&world, &["resume", name, "mutable-tags"]), 2);
    assert!(nothing.contains("are not suspended"), "{nothing}");
}

/// The marker says that what is missing is about to be put back. Where nothing is on record, any caller may have set it, so the
/// repair is made: until now it failed, which kept a public repository public.
#[tokio::test]
async fn a_marker_that_somebody_has_set_hides_nothing() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nrules:\n  mutable-tags: {}\n  no-lifecycle-policy: { default: { rules: \
             [{ rulePriority: 1, selection: { tagStatus: untagged, countType: imageCountMoreThan, countNumber: 3 }, \
             action: { type: expire } }] } }\n",
        )
        .await;
    let mut inbox = world.inbox("marker").await;
    let name = "shop/marked";
    world.create(name).await;
    let ecr = &world.clients.ecr;
    let tag = Tag::builder().key(MARKER_TAG).value("x").build().unwrap();
    let tagged = ecr.tag_resource().resource_arn(arn(name)).tags(tag);
    tagged.send().await.unwrap();
    let event = call("CreateRepository", name);
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let lifecycle = status(&outcome, "no-lifecycle-policy");
    assert_eq!(lifecycle, Some("fixed"), "{outcome}");
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 1);
}

fn in_days(days: i64) -> Date {
    (OffsetDateTime::now_utc() + time::Duration::days(days)).date()
}

#[tokio::test]
async fn an_expired_exemption_is_none() {
    let world = World::own();
    let mut inbox = world.inbox("exemptions").await;
    let until = |day: Date| {
        format!(
            "{MUTABLE_TAGS}exemptions: [{{ repositories: [\"legacy/**\"], rules: [mutable-tags], until: {day}, \
             reason: OPS-1234, owner: platform }}]\n"
        )
    };
    let name = "legacy/app";
    world.create(name).await;
    let event = call("CreateRepository", name);
    world.set_policy(&until(in_days(100))).await;
    for _ in 0..2 {
        let outcome = world.invoke(&event).await.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("exempt"),
            "{outcome}"
        );
        assert!(
            outcome.to_string().contains("OPS-1234 (platform)"),
            "{outcome}"
        );
    }
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 0);
    // It ends soon: that is told once.
    world.set_policy(&until(in_days(10))).await;
    for _ in 0..2 {
        let outcome = world.invoke(&event).await.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("exempt"),
            "{outcome}"
        );
    }
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["severity"], "informational");
    assert!(
        alerts[0].to_string().contains("the exemption ends soon"),
        "{}",
        alerts[0]
    );
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    // It has ended.
    world.set_policy(&until(in_days(-1))).await;
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 2);
}

/// A tag decides which settings are asked for, and exempts where the policy lets it.
#[tokio::test]
async fn tags_decide_what_is_asked() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n\
             overrides: [{ match: { tags: { data: sensitive } }, rules: { weak-encryption: { require: KMS, when-empty: recreate } } }]\n\
             exemptions-by-tag: { rules: [mutable-tags] }\n",
        )
        .await;
    let tagged = async |name: &str, key: &str, value: &str| {
        let tag = aws_sdk_ecr::types::Tag::builder()
            .key(key)
            .value(value)
            .build()
            .unwrap();
        world
            .clients
            .ecr
            .create_repository()
            .repository_name(name)
            .tags(tag)
            .send()
            .await
            .unwrap();
        world.invoke(&call("CreateRepository", name)).await.unwrap()
    };
    let outcome = tagged("shop/ledger", "data", "sensitive").await;
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(world.encryption("shop/ledger").await, EncryptionType::Kms);
    let outcome = tagged("shop/web", "data", "public").await;
    assert_eq!(status(&outcome, "weak-encryption"), None, "{outcome}");
    let value = format!("{} OPS-1234", in_days(30));
    let outcome = tagged("shop/old", "ecr-warden:exempt:mutable-tags", &value).await;
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("exempt"),
        "{outcome}"
    );
    let outcome = tagged("shop/sly", "ecr-warden:exempt:mutable-tags", "forever").await;
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert!(outcome.to_string().contains("is no exemption"), "{outcome}");
}

/// The creator gets time; then the event comes back by itself, and nothing is lost.
#[tokio::test]
async fn a_new_repository_may_settle() {
    let world = World::own();
    world
        .set_policy(&format!("{MUTABLE_TAGS}settle: 6s\n"))
        .await;
    let mut inbox = world.inbox("settle").await;
    let name = "shop/new";
    world.create(name).await;
    let outcome = world
        .invoke(&by(
            "CreateRepository",
            name,
            "arn:aws:iam::000000000000:user/terraform",
        ))
        .await
        .unwrap();
    assert_eq!(outcome["reason"], "settling", "{outcome}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    eventually(
        "the repair after the time to settle",
        Duration::from_secs(60),
        || async {
            let repaired = world.mutability(name).await == ImageTagMutability::Immutable;
            Ok(repaired.then_some(()))
        },
    )
    .await
    .unwrap();
    let alert = inbox.wait_for(name).await.unwrap();
    assert_eq!(alert["actor"], "arn:aws:iam::000000000000:user/terraform");
    assert_eq!(status(&alert, "mutable-tags"), Some("fixed"), "{alert}");
}

/// What is made again by us need not settle: there is nobody to wait for, and something to tell.
#[tokio::test]
async fn a_recreated_repository_does_not_settle_again() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nsettle: 4s\nrules: { weak-encryption: { require: KMS, when-empty: recreate } }\n",
        )
        .await;
    let mut inbox = world.inbox("settle-recreated").await;
    let name = "shop/settles";
    world.create(name).await;
    world.invoke(&call("CreateRepository", name)).await.unwrap();
    let alert = inbox.wait_for(name).await.unwrap();
    assert_eq!(status(&alert, "weak-encryption"), Some("fixed"), "{alert}");
    assert_eq!(world.encryption(name).await, EncryptionType::Kms);
}

#[tokio::test]
async fn a_change_can_be_put_back() {
    let world = World::own();
    world.set_policy(MUTABLE_TAGS).await;
    let mut inbox = world.inbox("rollback").await;
    let name = "shop/rolled-back";
    world.create(name).await;
    let event = by(
        "CreateRepository",
        name,
        "arn:aws:iam::000000000000:user/mary",
    );
    world.invoke(&event).await.unwrap();
    let list = said(&ecr_warden(&world, &["rollback", name]), 0);
    for part in ["MUTABLE", "IMMUTABLE", "mutable-tags", "user/mary", "done"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    // Nobody is there to be asked.
    said(&ecr_warden(&world, &["rollback", name, "--change", "1"]), 2);
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
    let put_back = ["rollback", name, "--change", "1", "--yes"];
    said(&ecr_warden(&world, &put_back), 0);
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);

    // The rollback is an event, too, and is not repaired; it is told once.
    for _ in 0..2 {
        let outcome = world
            .invoke(&by("PutImageTagMutability", name, "mary"))
            .await
            .unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("withheld"),
            "{outcome}"
        );
        assert!(outcome.to_string().contains("rolled back by"), "{outcome}");
    }
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 2);

    // What somebody has changed since is not put back.
    let again = said(
        &ecr_warden(&world, &["rollback", name, "--change", "2", "--yes"]),
        2,
    );
    assert!(again.contains("it was changed since"), "{again}");

    said(&ecr_warden(&world, &["resume", name, "mutable-tags"]), 0);
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let missing = said(
        &ecr_warden(&world, &["rollback", name, "--change", "9", "--yes"]),
        2,
    );
    assert!(missing.contains("no change number 9"), "{missing}");

    // All of it is on record: the repairs, the rollback and the resumption.
    let history = |more: &[&str]| {
        let arguments = [&["history", "--format", "json", "--repository", name], more].concat();
        let lines = said(&ecr_warden(&world, &arguments), 0);
        let entries = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        entries.collect::<Vec<Value>>()
    };
    let all = history(&[]);
    let events: Vec<&str> = all.iter().filter_map(|it| it["event"].as_str()).collect();
    assert_eq!(
        events.iter().filter(|it| **it == "resumption").count(),
        1,
        "{all:?}"
    );
    assert!(all.iter().any(|it| it["cause"] == "rollback"), "{all:?}");
    assert!(
        all.iter()
            .any(|it| it["to"] == "IMMUTABLE" && it["detail"] == "done"),
        "{all:?}"
    );
    assert_eq!(history(&["--rule", "public-access"]), Vec::<Value>::new());
    assert_eq!(history(&["--until", "2020-01-01"]), Vec::<Value>::new());
    assert_eq!(history(&["--since", "1d"]), all);
    said(&ecr_warden(&world, &["history", "--since", "yesterday"]), 2);
}

const TEAM: &str = r#"{"Sid":"team","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}"#;

/// A repository with images can't be recreated: nothing more is pushed to it, until it is empty and conforms.
#[tokio::test]
async fn a_quarantine_is_imposed_and_lifted() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-empty: recreate, when-not-empty: quarantine } }\n",
        )
        .await;
    let mut inbox = world.inbox("quarantine").await;
    let name = "shop/full";
    world.create(name).await;
    let own = format!(r#"{{"Version":"2012-10-17","Statement":[{TEAM}]}}"#);
    world
        .clients
        .ecr
        .set_repository_policy()
        .repository_name(name)
        .policy_text(&own)
        .send()
        .await
        .unwrap();
    oci::push(&world.local, name, "v1", "an image")
        .await
        .unwrap();
    for _ in 0..2 {
        let outcome = world.invoke(&call("PutImage", name)).await.unwrap();
        assert_eq!(
            status(&outcome, "weak-encryption"),
            Some("open"),
            "{outcome}"
        );
    }
    let policy = async || {
        let answer = world
            .clients
            .ecr
            .get_repository_policy()
            .repository_name(name)
            .send()
            .await;
        answer.ok().and_then(|answer| answer.policy_text)
    };
    let quarantined = policy().await.unwrap();
    assert!(quarantined.contains("EcrWardenQuarantine"), "{quarantined}");
    assert!(
        quarantined.contains(TEAM),
        "the others keep their bytes: {quarantined}"
    );
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    assert_eq!(alerts[0]["actions"][0]["action"], "set-repository-policy");

    // The image goes, the empty repository is made anew, and the quarantine has no reason any more.
    let image = aws_sdk_ecr::types::ImageIdentifier::builder()
        .image_tag("v1")
        .build();
    world
        .clients
        .ecr
        .batch_delete_image()
        .repository_name(name)
        .image_ids(image)
        .send()
        .await
        .unwrap();
    let outcome = world
        .deliver(&call("SetRepositoryPolicy", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "weak-encryption"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(
        status(&outcome, "stale-quarantine"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(world.encryption(name).await, EncryptionType::Kms);
    assert_eq!(policy().await.unwrap(), own);
}

/// The rule is off by now: what it did is still seen to.
#[tokio::test]
async fn a_quarantine_goes_when_the_policy_asks_for_none() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-not-empty: quarantine } }\n")
        .await;
    let name = "shop/exempted";
    world.create(name).await;
    oci::push(&world.local, name, "v1", "another image")
        .await
        .unwrap();
    world.invoke(&call("PutImage", name)).await.unwrap();
    world.set_policy("version: 1\nmode: enforce\n").await;
    let outcome = world.invoke(&call("PutImage", name)).await.unwrap();
    assert_eq!(
        status(&outcome, "stale-quarantine"),
        Some("fixed"),
        "{outcome}"
    );
    let policy = world
        .clients
        .ecr
        .get_repository_policy()
        .repository_name(name);
    assert!(policy.send().await.is_err(), "none is left");
}

/// All repositories together change the registry no more often than one of them may, and wait for it in one message. They are more than a sweep
/// may change, and the registry is none of them.
#[tokio::test]
async fn a_fight_over_the_registry() {
    let world = World::own();
    let put = "PutRegistryScanningConfiguration";
    let rule = "no-scan-on-push: { fix: registry, registry-filters: [\"*\"] }";
    world
        .set_policy(&format!(
            "version: 1\nmode: enforce\nrepair-limit: 1\nchanges-per-sweep: 3\nrules: {{ {rule} }}\n"
        ))
        .await;
    let mut inbox = world.inbox("registry-fight").await;
    let names: Vec<String> = (0..12).map(|n| format!("reg/r{n:02}-x")).collect();
    for name in &names {
        world.create(name).await;
    }
    let puts = || world.count(put, "");
    for round in 0..3 {
        world.local.proxy.reset_registry_scanning();
        let request = json!({ "mode": "enforce" });
        let sweep = world.invoke_function(&world.stack.auditor, &request);
        let sweep = sweep.await.unwrap();
        assert_eq!(sweep["summary"]["unjudged"], 0, "{sweep}");
        for name in &names {
            let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
            let found = status(&outcome, "no-scan-on-push");
            assert_eq!(found, (round > 0).then_some("withheld"), "{outcome}");
        }
        assert_eq!(puts(), 1, "round {round}");
    }
    let alerts = inbox.take().await.unwrap();
    let cause = |alert: &Value| alert["cause"].as_str().unwrap_or_default().to_owned();
    let causes: Vec<String> = alerts.iter().map(cause).collect();
    assert_eq!(
        causes,
        ["sweep", "sweep"],
        "the repair, and that it is withheld"
    );
    assert!(
        alerts[1].to_string().contains("reverted each time"),
        "{}",
        alerts[1]
    );

    // By the name of any repository.
    let list = said(&ecr_warden(&world, &["rollback", &names[7]]), 0);
    assert!(list.contains("no-scan-on-push: done"), "{list}");

    // A change of our own starts no sweep; one of anybody else does.
    let own = world.local.role_of(&world.stack.auditor).unwrap();
    let session = json!({ "type": "AssumedRole", "sessionContext": { "sessionIssuer": { "arn": format!("arn:aws:iam::{ACCOUNT}:role/{own}") } } });
    let other = json!({ "type": "AssumedRole", "sessionContext": { "sessionIssuer": { "arn": format!("arn:aws:iam::{ACCOUNT}:role/terraform") } } });
    let user = json!({ "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/mary") });
    for (who, matched) in [(session, false), (other, true), (user, true)] {
        let event = json!({
            "version": "0", "id": "1", "source": "aws.ecr", "detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT,
            "region": "us-east-1", "time": "2026-11-23T08:00:00Z", "resources": [],
            "detail": { "eventSource": "ecr.amazonaws.com", "eventName": put, "userIdentity": who },
        });
        assert_eq!(world.is_matched_by_a_rule(&event).await, matched, "{event}");
    }
}

const BY_NAME_AND_OWNER: &str = "version: 1\nmode: enforce\nowner-tag: team\nrules: { mutable-tags: {}, nonconforming-name: {} }\n";

fn reads(operation: &str) -> bool {
    ["Describe", "Get", "List"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

/// What ECR was asked about it.
fn asked(world: &World, name: &str) -> Vec<String> {
    let calls = world.local.proxy.calls(name).into_iter();
    let calls = calls.map(|call| call.operation);
    calls.filter(|operation| reads(operation)).collect()
}

/// What the record of a creation says decides how much is read at once, and not what is found.
#[tokio::test]
async fn of_what_is_created_conforming_only_the_description_is_read() {
    let world = World::own();
    world.set_policy(MUTABLE_TAGS).await;
    for name in ["shop/as-recorded", "shop/changed-since"] {
        world.create(name).await;
    }
    let name = "shop/as-recorded";
    world
        .set_mutability(name, ImageTagMutability::Immutable)
        .await;
    let outcome = world.invoke(&created_immutable(name)).await.unwrap();
    assert_eq!(outcome["findings"], json!([]), "{outcome}");
    assert_eq!(asked(&world, name), ["DescribeRepositories"]);

    let name = "shop/changed-since";
    let outcome = world.invoke(&created_immutable(name)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
}

/// Another part of ECR may not show it yet: nothing that was described is taken for gone.
#[tokio::test]
async fn a_creation_that_shows_late_is_read_with_patience() {
    let world = World::own();
    world.set_policy(BY_NAME_AND_OWNER).await;
    let name = "unnamed";
    world.create(name).await;
    world
        .set_mutability(name, ImageTagMutability::Immutable)
        .await;
    let mut seen = HashSet::new();
    // Each is asked for twice until it is there.
    world.local.proxy.plan(name, move |call| {
        let first = reads(&call.operation) && seen.insert(call.operation.clone());
        let refusal = Refusal {
            code: "RepositoryNotFoundException",
            ..Refusal::denied("it is not shown yet")
        };
        first.then_some(Fault::Refuse(refusal))
    });
    let outcome = world.invoke(&created_immutable(name)).await.unwrap();
    let found = status(&outcome, "nonconforming-name");
    assert_eq!(found, Some("open"), "{outcome}");
    let asked = asked(&world, name);
    let times = |operation: &str| asked.iter().filter(|it| *it == operation).count();
    assert!(
        times("DescribeRepositories") > 1 && times("ListTagsForResource") > 1,
        "{asked:?}"
    );
}
