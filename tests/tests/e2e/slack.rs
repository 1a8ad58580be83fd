//! Alerts in Slack, by the real topic, queue and function, with a server in Slack's place.

use std::time::Duration;

use ecr_warden_tests::eventually;
use ecr_warden_tests::webhook::{Answer, SECRET, Webhook};
use serde_json::Value;

use crate::support::{World, call};

fn world_with(webhook: &Webhook) -> World {
    World::own_after(|local| {
        // The CLI would fetch what looks like a URL.
        let secret = serde_json::json!({ "url": webhook.url() }).to_string();
        let value = ["--secret-string", &secret];
        let of = [
            "secretsmanager",
            "create-secret",
            "--name",
            "slack",
            "--query",
            "ARN",
            "--output",
            "text",
        ];
        let arn = local.cli(&[&of[..], &value].concat()).unwrap();
        format!("SlackWebhookSecretArn={}", arn.trim())
    })
}

async fn wait_for_messages(webhook: &Webhook, count: usize) -> Vec<Value> {
    eventually("Slack's messages", Duration::from_secs(90), || async {
        let taken = webhook.taken();
        Ok((taken.len() >= count).then_some(taken))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn alerts_reach_slack_whatever_it_answers_first() {
    let webhook = Webhook::start().unwrap();
    let world = world_with(&webhook);
    webhook.answer(&[Answer::TooMany, Answer::Status(500), Answer::Hang]);
    let name = "shop/mutable";
    world.create(name).await;
    world.invoke(&call("CreateRepository", name)).await.unwrap();
    let taken = wait_for_messages(&webhook, 1).await;
    let text = taken[0].to_string();
    for part in [
        "shop/mutable",
        "mutable-tags",
        "MUTABLE → IMMUTABLE",
        "user/mary",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(webhook.calls(), 4);

    // While Slack takes none, the others wait, and then share a message.
    webhook.answer(&[Answer::TooMany; 6]);
    for n in 0..12 {
        world.create(&format!("shop/many{n}")).await;
    }
    for n in 0..12 {
        let event = call("CreateRepository", &format!("shop/many{n}"));
        world.invoke(&event).await.unwrap();
    }
    let told = async || {
        let taken = webhook.taken();
        let all: String = taken.iter().map(Value::to_string).collect();
        (0..12).all(|n| all.contains(&format!("shop/many{n}")))
    };
    eventually("all of them in Slack", Duration::from_secs(90), || async {
        Ok(told().await.then_some(()))
    })
    .await
    .unwrap();
    assert!(
        webhook.taken().len() < 13,
        "{} messages",
        webhook.taken().len()
    );

    // What Slack refuses stays in the queue, is loud, and comes when Slack takes it again.
    let before = webhook.taken().len();
    webhook.answer(&[Answer::Status(404)]);
    world.create("shop/refused").await;
    world
        .invoke(&call("CreateRepository", "shop/refused"))
        .await
        .unwrap();
    eventually(
        "the refusal in the log",
        Duration::from_secs(60),
        || async {
            let log = world.local.log_of(&["slack_refused", "404"]);
            Ok(log.then_some(()))
        },
    )
    .await
    .unwrap();
    assert_eq!(webhook.taken().len(), before);
    assert!(!world.local.log_of(&[SECRET]), "the URL is in no log");
}

/// Alarms come by the same topic. What Slack refuses for what is in it keeps no other back.
#[tokio::test]
async fn alarms_and_what_nobody_knows_reach_slack() {
    let webhook = Webhook::start().unwrap();
    let world = world_with(&webhook);
    let alarm = serde_json::json!({
        "AlarmName": "ecr-warden-Errors", "AlarmDescription": "the enforcer keeps failing", "AWSAccountId": "000000000000",
        "NewStateValue": "ALARM", "NewStateReason": "Threshold Crossed", "Region": "US East (N. Virginia)",
        "AlarmArn": "arn:aws:cloudwatch:us-east-1:000000000000:alarm:ecr-warden-Errors",
    });
    // The one message for both, and then the first alone.
    webhook.answer(&[Answer::Status(400), Answer::Status(400)]);
    let publish = |text: &str| {
        let topic = &world.stack.topic_arn;
        let of = ["sns", "publish", "--topic-arn", topic, "--message", text];
        world.local.cli(&of).unwrap();
    };
    publish(&alarm.to_string());
    publish("somebody says hello");
    // The queue gives again what was refused.
    let told = async || {
        let all: String = webhook.taken().iter().map(Value::to_string).collect();
        let told = |part: &str| all.contains(part);
        told("ALARM · ecr-warden-Errors") && told("somebody says hello")
    };
    eventually("both in Slack", Duration::from_secs(240), || async {
        Ok(told().await.then_some(()))
    })
    .await
    .unwrap();
}
