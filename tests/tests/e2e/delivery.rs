//! Nothing counts as delivered while nobody is subscribed, what is grave is reported again, and a dead product is noticed.

use std::process::Command;

use aws_sdk_dynamodb::types::AttributeValue;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION, root};
use serde_json::{Value, json};

use crate::support::{World, arn, call, status};

const DAY: i64 = 24 * 60 * 60;

impl World {
    /// What a sweep of everything answers.
    pub(crate) async fn sweep(&self) -> Value {
        self.request(&json!({ "mode": "enforce" })).await
    }

    async fn request(&self, request: &Value) -> Value {
        let auditor = &self.stack.auditor;
        self.invoke_function(auditor, request).await.unwrap()
    }

    /// An item of the state table, as JSON of its own.
    pub(crate) async fn item(&self, name: &str, kind: &str) -> Option<Value> {
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let get = self.clients.dynamodb.get_item();
        let get = get.table_name(&self.stack.state_table);
        let get = get.key("pk", key(&arn(name))).key("sk", key(kind));
        let item = get.send().await.unwrap().item?;
        let body = item.get("body").unwrap().as_s().unwrap();
        Some(serde_json::from_str(body).unwrap())
    }

    /// Takes a finding off the record, as if it was never reported.
    pub(crate) async fn forget_finding(&self, name: &str, rule: &str) {
        let key = |text: String| AttributeValue::S(text);
        let delete = self.clients.dynamodb.delete_item();
        let delete = delete.table_name(&self.stack.state_table);
        let delete = delete.key("pk", key(arn(name)));
        let delete = delete.key("sk", key(format!("finding#{rule}")));
        delete.send().await.unwrap();
    }

    /// Makes the last report of a finding older.
    async fn age_report(&self, name: &str, rule: &str, by: i64) {
        let kind = format!("finding#{rule}");
        self.age(name, &kind, "/reported", by).await;
    }
}

/// The findings of a digest or an alert that are about a repository.
fn about<'a>(alerts: &'a [Value], name: &str) -> Vec<&'a Value> {
    let of_digests = alerts
        .iter()
        .flat_map(|alert| alert["findings"].as_array().unwrap());
    of_digests
        .filter(|finding| finding["repository"] == arn(name))
        .collect()
}

/// Alerts, one after the other: what is received so far.
async fn received(inbox: &mut Inbox) -> Vec<Value> {
    inbox.take().await.unwrap()
}

#[tokio::test]
async fn what_nobody_receives_is_reported_again_to_the_first_subscriber() {
    let world = World::own_without_subscribers();
    world
        .set_policy(
            "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-name: {} }\n",
        )
        .await;
    let (swept, by_event) = ("unheard", "by-event");
    for name in [swept, by_event] {
        world.create(name).await;
    }
    // The address has not confirmed.
    let subscribe = ["sns", "subscribe", "--topic-arn", &world.stack.topic_arn];
    let address = [
        "--protocol",
        "email",
        "--notification-endpoint",
        "a@b.example",
    ];
    world
        .local
        .cli(&[&subscribe[..], &address].concat())
        .unwrap();
    let lines = world.local.log_lines();
    world
        .invoke(&call("CreateRepository", by_event))
        .await
        .unwrap();
    world.sweep().await;
    let said = world.local.said_since(lines);
    assert!(said.contains("nobody_listens"), "{said}");
    for name in [swept, by_event] {
        assert_eq!(
            world.mutability(name).await,
            aws_sdk_ecr::types::ImageTagMutability::Immutable
        );
        let record = world.item(name, "fix#mutable-tags").await.unwrap();
        assert_eq!(record["history"][0]["result"], "done", "{record}");
        let finding = world.item(name, "finding#nonconforming-name").await;
        assert!(finding.unwrap()["pending"].is_object());
    }
    let mut inbox = world.inbox("first").await;
    world.sweep().await;
    let alerts = received(&mut inbox).await;
    for name in [swept, by_event] {
        let found = about(&alerts, name);
        let of = |rule: &str| found.iter().find(|finding| finding["rule"] == rule);
        assert_eq!(of("mutable-tags").unwrap()["status"], "fixed", "{alerts:?}");
        assert_eq!(of("nonconforming-name").unwrap()["status"], "open");
        let finding = world.item(name, "finding#nonconforming-name").await;
        assert!(finding.unwrap().get("pending").is_none());
    }
    world.sweep().await;
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());

    // A new subscriber gets what is open; it does not count for anything else.
    let mut second = world.inbox("second").await;
    for mode in ["monitor", "enforce"] {
        world
            .request(&json!({ "mode": mode, "repeat": true }))
            .await;
        let alerts = received(&mut second).await;
        for name in [swept, by_event] {
            let found = about(&alerts, name);
            assert_eq!(found.len(), 1, "{mode}: {alerts:?}");
            assert_eq!(found[0]["rule"], "nonconforming-name");
        }
        assert_eq!(alerts[0]["cause"], "repeat");
    }
    world.sweep().await;
    assert_eq!(received(&mut second).await, Vec::<Value>::new());
}

/// Where the attribute can't be read, alerts are taken for delivered, and the log says so.
#[tokio::test]
async fn subscriptions_that_can_not_be_read_are_logged() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { nonconforming-name: {} }\n")
        .await;
    let name = "unreadable";
    world.create(name).await;
    let topic = world.stack.topic_arn.clone();
    world.local.proxy.plan(&topic, |call| {
        let refusal = ecr_warden_tests::proxy::Refusal::fault();
        (call.operation == "GetTopicAttributes")
            .then_some(ecr_warden_tests::proxy::Fault::Refuse(refusal))
    });
    let lines = world.local.log_lines();
    world.sweep().await;
    let said = world.local.said_since(lines);
    assert!(said.contains("subscriptions can't be read"), "{said}");
    assert!(!said.contains("nobody_listens"), "{said}");
    let finding = world.item(name, "finding#nonconforming-name").await;
    assert!(finding.unwrap().get("pending").is_none());
}

#[tokio::test]
async fn pushes_lead_to_one_alert_an_hour_and_a_sweep_counts_them() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { nonconforming-image-tag: {}, blocked-push: {}, nonconforming-name: {} }\n")
        .await;
    let mut inbox = world.inbox("k").await;
    let name = "noisy";
    world.create(name).await;
    let push = |tag: String, refused: bool| {
        let mut event = call("PutImage", name);
        event["detail"]["requestParameters"]["imageTag"] = json!(tag);
        if refused {
            event["detail"]["errorCode"] = json!("ImageTagAlreadyExistsException");
        }
        event
    };
    for n in 0..25 {
        let event = push(format!("build-{n}"), false);
        world.invoke(&event).await.unwrap();
    }
    let alerts = received(&mut inbox).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    // Nothing of another rule waits for it.
    assert_eq!(status(&alerts[0], "nonconforming-image-tag"), Some("open"));
    assert_eq!(status(&alerts[0], "nonconforming-name"), Some("open"));
    for n in 0..25 {
        let event = push(format!("v1.0.{n}-abc1234"), true);
        world.invoke(&event).await.unwrap();
    }
    let alerts = received(&mut inbox).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(status(&alerts[0], "blocked-push"), Some("open"));
    // The next sweep says how many there were.
    world.sweep().await;
    let alerts = received(&mut inbox).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    for rule in ["nonconforming-image-tag", "blocked-push"] {
        let found = about(&alerts, name);
        let of = found.iter().find(|finding| finding["rule"] == rule);
        let detail = of.unwrap()["detail"].as_str().unwrap();
        assert!(detail.starts_with("24 pushes since"), "{detail}");
    }
    world.sweep().await;
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());
    // And so does the next push after the hour.
    world
        .invoke(&push("later-1".to_owned(), false))
        .await
        .unwrap();
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());
    world
        .age_report(name, "nonconforming-image-tag", 60 * 60)
        .await;
    world
        .invoke(&push("later-2".to_owned(), false))
        .await
        .unwrap();
    let alerts = received(&mut inbox).await;
    let detail = alerts[0]["findings"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("1 more since the last report"), "{detail}");
}

/// By an event and by a sweep, and by neither twice a day.
#[tokio::test]
async fn what_is_grave_is_reported_daily() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: monitor\nrules: { public-access: {}, mutable-tags: {} }\n")
        .await;
    let mut inbox = world.inbox("daily").await;
    let name = "shop/public";
    world.create(name).await;
    let everyone = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}}"#;
    let set = world.clients.ecr.set_repository_policy();
    let set = set.repository_name(name).policy_text(everyone);
    set.send().await.unwrap();
    let event = call("SetRepositoryPolicy", name);
    for (by_sweep, reports) in [(false, 1), (false, 0), (true, 0)] {
        assert_eq!(
            once(&world, &mut inbox, &event, by_sweep).await.len(),
            reports
        );
    }
    for by_sweep in [false, true] {
        for rule in ["public-access", "mutable-tags"] {
            world.age_report(name, rule, DAY).await;
        }
        let alerts = once(&world, &mut inbox, &event, by_sweep).await;
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert_eq!(status(&alerts[0], "public-access"), Some("withheld"));
        // It is of medium severity.
        assert_eq!(status(&alerts[0], "mutable-tags"), None);
        for again in [false, true] {
            let alerts = once(&world, &mut inbox, &event, again).await;
            assert_eq!(alerts, Vec::<Value>::new());
        }
    }
}

async fn once(world: &World, inbox: &mut Inbox, event: &Value, by_sweep: bool) -> Vec<Value> {
    if by_sweep {
        world.sweep().await;
    } else {
        world.invoke(event).await.unwrap();
    }
    received(inbox).await
}

/// The filter that docs/alerts.md advises, on the body: attributes do not arrive.
#[tokio::test]
async fn a_subscription_filtered_by_severity_gets_the_alert() {
    let page = include_str!("../../../docs/alerts.md");
    let filter = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("FILTER='")?.strip_suffix('\''))
        .expect("docs/alerts.md shows a filter");
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: monitor\nrules: { public-access: {}, nonconforming-name: {} }\n",
        )
        .await;
    let mut all = world.inbox("all").await;
    let mut grave = world.inbox("grave").await;
    let subscriptions = world.clients.sns.list_subscriptions_by_topic();
    let subscriptions = subscriptions.topic_arn(&world.stack.topic_arn).send().await;
    let subscriptions = subscriptions.unwrap();
    let of_grave = subscriptions
        .subscriptions()
        .iter()
        .find(|one| one.endpoint().is_some_and(|arn| arn.ends_with(":grave")))
        .and_then(|one| one.subscription_arn())
        .unwrap()
        .to_owned();
    for (name, value) in [
        ("FilterPolicyScope", "MessageBody"),
        ("FilterPolicy", filter),
    ] {
        let set = world.clients.sns.set_subscription_attributes();
        let set = set.subscription_arn(&of_grave).attribute_name(name);
        set.attribute_value(value).send().await.unwrap();
    }
    world.create("little-wrong").await;
    world
        .invoke(&call("CreateRepository", "little-wrong"))
        .await
        .unwrap();
    let everyone = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}}"#;
    world.create("shop/open").await;
    let set = world.clients.ecr.set_repository_policy();
    let set = set.repository_name("shop/open").policy_text(everyone);
    set.send().await.unwrap();
    world
        .invoke(&call("SetRepositoryPolicy", "shop/open"))
        .await
        .unwrap();
    assert_eq!(received(&mut all).await.len(), 2);
    let alerts = received(&mut grave).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["repository"], arn("shop/open"));
    assert_eq!(alerts[0]["_envelope"].get("MessageAttributes"), None);
}

#[tokio::test]
async fn a_quiet_week_ends_with_a_sign_of_life() {
    let world = World::own();
    let mut inbox = world.inbox("alive").await;
    world.sweep().await;
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());
    let key = || AttributeValue::S("sign-of-life".to_owned());
    let at = async || {
        let get = world.clients.dynamodb.get_item();
        let get = get.table_name(&world.stack.state_table);
        let item = get.key("pk", key()).key("sk", key()).send().await.unwrap();
        let at = item.item.unwrap()["at"].as_n().unwrap().clone();
        at.parse::<i64>().unwrap()
    };
    let recorded = at().await;
    let update = world.clients.dynamodb.update_item();
    let update = update.table_name(&world.stack.state_table);
    let update = update.key("pk", key()).key("sk", key());
    let update = update.update_expression("SET #at = :at");
    let update = update.expression_attribute_names("#at", "at");
    let old = AttributeValue::N((recorded - 7 * DAY).to_string());
    let update = update.expression_attribute_values(":at", old);
    update.send().await.unwrap();
    let send = world.clients.sqs.send_message();
    let send = send.queue_url(&world.stack.dead_letters);
    send.message_body("given up").send().await.unwrap();
    // A part of the registry says nothing about the rest.
    world
        .request(&json!({ "mode": "enforce", "repositories": ["shop/**"] }))
        .await;
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());
    world.sweep().await;
    let alerts = received(&mut inbox).await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(status(&alerts[0], "alive"), Some("resolved"));
    assert_eq!(alerts[0]["dead_letters"], 1);
    assert!(at().await >= recorded);
    world.sweep().await;
    assert_eq!(received(&mut inbox).await, Vec::<Value>::new());
    // A digest has the dead letters, too.
    world.create("shop/news").await;
    world.sweep().await;
    let alerts = received(&mut inbox).await;
    assert_eq!(alerts[0]["dead_letters"], 1, "{alerts:?}");
    assert!(world.local.log_of(&["\"SweepsCompleted\":1"]));
}

/// With the command that subscribes.
#[test]
fn a_deployment_without_subscribers_warns() {
    let local = LocalAws::start().unwrap();
    let deploy = |parameters: &str| {
        let output = Command::new("make")
            .current_dir(root())
            .args(["--no-print-directory", "deploy"])
            .arg(format!("PARAMETERS={parameters}"))
            .env("AWS_ENDPOINT_URL", local.endpoint())
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        errors
    };
    let warning = deploy("");
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:ecr-warden-AlertTopic-");
    let command = format!("aws sns subscribe --topic-arn {topic}");
    assert!(warning.contains(&command), "{warning}");
    // ministack confirms it at once.
    let calm = deploy("AlertEmail=a@b.example");
    assert!(!calm.contains("aws sns subscribe"), "{calm}");
}

/// A test of the proxy: an address that has not confirmed is none that listens.
#[tokio::test]
async fn an_address_that_has_not_confirmed_is_pending() {
    let world = World::own_without_subscribers();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { nonconforming-name: {} }\n")
        .await;
    let name = "pending";
    world.create(name).await;
    let subscribe = ["sns", "subscribe", "--topic-arn", &world.stack.topic_arn];
    let address = [
        "--protocol",
        "email",
        "--notification-endpoint",
        "a@b.example",
    ];
    world
        .local
        .cli(&[&subscribe[..], &address].concat())
        .unwrap();
    for (confirmed, pending) in [(false, true), (true, false)] {
        world.local.proxy.real_aws(|aws| {
            aws.subscriptions.emails_are_confirmed = confirmed;
        });
        world.sweep().await;
        let finding = world.item(name, "finding#nonconforming-name").await;
        let is_pending = finding.unwrap().get("pending").is_some();
        assert_eq!(is_pending, pending, "{confirmed}");
    }
}
