//! Ways to keep a verdict from being carried out, tried by callers who may write the repository's settings.

use aws_sdk_ecr::types::Tag;
use ecr_warden_core::repository::MARKER_TAG;
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

const POLICY: &str =
    "version: 1\nmode: enforce\nrules: { public-access: {} }\nnon-negotiable: [public-access]\n";

const PUBLIC: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}"#;

async fn publish(world: &World, name: &str, text: &str) {
    let set = world.clients.ecr.set_repository_policy();
    set.repository_name(name)
        .policy_text(text)
        .send()
        .await
        .unwrap();
}

/// The outcome of the event that a repository policy was set.
async fn policy_set(world: &World, name: &str) -> Value {
    let event = call("SetRepositoryPolicy", name);
    world.invoke(&event).await.unwrap()
}

async fn policy_of(world: &World, name: &str) -> Option<String> {
    let get = world.clients.ecr.get_repository_policy();
    let answer = get.repository_name(name).send().await.ok()?;
    answer.policy_text
}

fn severity<'v>(report: &'v Value, rule: &str) -> Option<&'v str> {
    let findings = report["findings"].as_array()?;
    let finding = findings.iter().find(|finding| finding["rule"] == rule)?;
    finding["severity"].as_str()
}

#[tokio::test]
async fn a_repair_that_is_reverted_again_and_again_backs_off_and_is_critical() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("reverted").await;
    let name = "shop/reverted";
    world.create(name).await;
    for _ in 0..3 {
        publish(&world, name, PUBLIC).await;
        let outcome = policy_set(&world, name).await;
        assert_eq!(status(&outcome, "public-access"), Some("fixed"));
        assert_eq!(policy_of(&world, name).await, None);
    }
    publish(&world, name, PUBLIC).await;
    for _ in 0..2 {
        let outcome = policy_set(&world, name).await;
        assert_eq!(status(&outcome, "public-access"), Some("withheld"));
        assert_eq!(severity(&outcome, "public-access"), Some("critical"));
        assert!(
            outcome
                .to_string()
                .contains("the next repair is made after"),
            "{outcome}"
        );
    }
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 4, "{alerts:?}");
    world.repaired_earlier(name, "public-access", 60 * 60).await;
    let outcome = policy_set(&world, name).await;
    assert_eq!(
        status(&outcome, "public-access"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(policy_of(&world, name).await, None);
}

#[tokio::test]
async fn a_repository_policy_that_denies_ecr_warden_is_critical() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("blinded").await;
    let role = world.local.role_of(&world.stack.enforcer).unwrap();
    let name = "shop/blinded";
    for (n, denied) in [json!("ecr:*"), json!(["ecr:GetRepositoryPolicy"])]
        .into_iter()
        .enumerate()
    {
        let name = &format!("{name}-{n}");
        let text = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage" },
            { "Sid": "blind", "Effect": "Deny", "Principal": { "AWS": format!("arn:aws:iam::000000000000:role/{role}") }, "Action": denied },
        ] });
        world.create(name).await;
        publish(&world, name, &text.to_string()).await;
        let outcome = policy_set(&world, name).await;
        assert_eq!(status(&outcome, "blinded"), Some("open"), "{outcome}");
        assert_eq!(severity(&outcome, "blinded"), Some("critical"));
        let alerts = inbox.alerts_of(name).await.unwrap();
        let said = serde_json::to_string(&alerts).unwrap();
        assert!(said.contains("aws ecr get-repository-policy"), "{said}");
        assert!(said.contains("Deny statement"), "{said}");
    }
}

#[tokio::test]
async fn a_marker_without_a_record_does_not_shield_a_public_repository() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let name = "shop/marked";
    world.create(name).await;
    let tag = Tag::builder().key(MARKER_TAG).value("x").build().unwrap();
    let tagged = world.clients.ecr.tag_resource().resource_arn(arn(name));
    tagged.tags(tag).send().await.unwrap();
    publish(&world, name, PUBLIC).await;
    let outcome = policy_set(&world, name).await;
    assert_eq!(
        status(&outcome, "public-access"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(policy_of(&world, name).await, None);
}

#[tokio::test]
async fn conditions_and_companions_do_not_shield_a_public_statement() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let everyone = json!({ "Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage" });
    let with = |condition: Value| {
        let mut statement = everyone.clone();
        statement["Condition"] = condition;
        statement
    };
    let own = "arn:aws:iam::000000000000:root";
    let beside = json!({ "Effect": "Allow", "Principal": { "AWS": ["*", own] }, "Action": "ecr:BatchGetImage" });
    let doubtful = with(json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }));
    for (name, statements, found, left) in [
        (
            "shop/secure-transport",
            json!([with(json!({ "Bool": { "aws:SecureTransport": "true" } }))]),
            "fixed",
            None,
        ),
        (
            "shop/null",
            json!([with(json!({ "Null": { "aws:PrincipalArn": "false" } }))]),
            "fixed",
            None,
        ),
        ("shop/beside", json!([beside]), "fixed", Some(own)),
        (
            "shop/doubtful",
            json!([everyone, doubtful]),
            "open",
            Some("10.0.0.0/8"),
        ),
    ] {
        world.create(name).await;
        let text = json!({ "Version": "2012-10-17", "Statement": statements });
        publish(&world, name, &text.to_string()).await;
        let outcome = policy_set(&world, name).await;
        assert_eq!(status(&outcome, "public-access"), Some(found), "{outcome}");
        let now = policy_of(&world, name).await;
        match (now, left) {
            (None, None) => {}
            (Some(now), Some(left)) => {
                assert!(now.contains(left), "{name}: {now}");
                let now: Value = serde_json::from_str(&now).unwrap();
                let statements = now["Statement"].as_array().unwrap();
                assert_eq!(statements.len(), 1, "{name}: {now}");
                let whole = statements[0]["Condition"].is_null();
                assert!(!whole || !now.to_string().contains('*'), "{name}: {now}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_new_repository_that_settles_is_closed_at_once() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nsettle: 15m\nrules: { public-access: {}, mutable-tags: {} }\n")
        .await;
    let mut inbox = world.inbox("settles").await;
    let name = "shop/settles";
    world.create(name).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert!(outcome["ignored"].is_string(), "{outcome}");
    publish(&world, name, PUBLIC).await;
    let before = world.count("SendMessage", "");
    let outcome = policy_set(&world, name).await;
    assert_eq!(
        status(&outcome, "public-access"),
        Some("fixed"),
        "{outcome}"
    );
    assert_eq!(status(&outcome, "mutable-tags"), None, "{outcome}");
    assert_eq!(policy_of(&world, name).await, None);
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 1);
    let deferred = world.count("SendMessage", "") - before;
    assert_eq!(deferred, 1, "the rest is evaluated later");
}
