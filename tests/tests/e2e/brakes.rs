//! The brakes: how many changes an hour allows, the switch that stops all changes, and freezes of each week.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::careful::{ecr_warden, said};
use crate::support::{World, call, status};

const HOURLY: &str =
    "version: 1\nmode: enforce\nchanges-per-hour: 2\nrules: { mutable-tags: {} }\n";
const ALWAYS: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
const HOUR: i64 = 60 * 60;

impl World {
    /// Sets the time at which the brake opened, and that at which the hour began, back.
    async fn opened_earlier(&self, by: i64) {
        let dynamodb = &self.clients.dynamodb;
        let table = &self.stack.state_table;
        let key =
            ["pk", "sk"].map(|name| (name.to_owned(), AttributeValue::S("brakes".to_owned())));
        let get = dynamodb
            .get_item()
            .table_name(table)
            .set_key(Some(key.into()));
        let mut item = get.send().await.unwrap().item.unwrap();
        for what in ["opened", "began"] {
            let name = format!("{what}#{ACCOUNT}/{REGION}");
            let at: i64 = item[&name].as_n().unwrap().parse().unwrap();
            item.insert(name, AttributeValue::N((at - by).to_string()));
        }
        let put = dynamodb.put_item().table_name(table).set_item(Some(item));
        put.send().await.unwrap();
    }

    async fn pushed(&self, name: &str) -> Value {
        self.invoke(&call("PutImage", name)).await.unwrap()
    }
}

fn reason(outcome: &Value) -> &str {
    outcome["findings"][0]["reason"].as_str().unwrap_or("none")
}

/// By events and by a sweep: one alert says that it is open. It closes after its time, and by an operator.
#[tokio::test]
async fn the_brake_opens_once_and_closes() {
    let world = World::own();
    world.set_policy(HOURLY).await;
    let mut inbox = world.inbox("brakes").await;
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        world.create(&format!("brakes/{name}")).await;
    }
    for name in ["brakes/a", "brakes/b"] {
        let outcome = world.pushed(name).await;
        assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    }
    for name in ["brakes/c", "brakes/d", "brakes/c"] {
        let outcome = world.pushed(name).await;
        assert_eq!(reason(&outcome), "hourly-limit", "{outcome}");
        assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    }
    let sweep = json!({ "mode": "enforce" });
    let swept = world.invoke_function(&world.stack.auditor, &sweep).await;
    let swept = swept.unwrap();
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    for finding in swept["findings"].as_array().unwrap() {
        assert_eq!(finding["reason"], "hourly-limit", "{swept}");
    }
    let line = swept["brakes"][0].as_str().unwrap();
    assert!(line.contains("ecr-warden resume --brake"), "{line}");
    let about_the_brake = |alerts: &[Value]| {
        let of = |alert: &&Value| alert["rules"] == json!(["changes-per-hour"]);
        alerts.iter().filter(of).count()
    };
    assert_eq!(about_the_brake(&inbox.take().await.unwrap()), 1);

    // After its time, and then it opens once more.
    world.opened_earlier(HOUR).await;
    for (name, expected) in [
        ("brakes/c", "fixed"),
        ("brakes/d", "fixed"),
        ("brakes/e", "withheld"),
        ("brakes/f", "withheld"),
    ] {
        let outcome = world.pushed(name).await;
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some(expected),
            "{name} {outcome}"
        );
    }
    assert_eq!(about_the_brake(&inbox.take().await.unwrap()), 1);

    // By an operator, once.
    let resume = ["resume", "--brake"];
    said(&ecr_warden(&world, &resume), 0);
    let again = said(&ecr_warden(&world, &resume), 2);
    assert!(again.contains("is not open"), "{again}");
    let swept = world.invoke_function(&world.stack.auditor, &sweep).await;
    let swept = swept.unwrap();
    assert_eq!(swept["summary"]["fixed"]["mutable-tags"], 2, "{swept}");
    assert_eq!(about_the_brake(&inbox.take().await.unwrap()), 1);
}

/// The hour begins with one of them, and the brake opens by another one.
#[tokio::test]
async fn events_at_the_same_time_share_the_hour() {
    let world = World::own();
    let policy = HOURLY.replace("changes-per-hour: 2", "changes-per-hour: 5");
    world.set_policy(&policy).await;
    let mut inbox = world.inbox("at-once").await;
    let names: Vec<String> = (0..12).map(|n| format!("at-once/{n}")).collect();
    for name in &names {
        world.create(name).await;
    }
    let outcomes = join_all(names.iter().map(|name| world.pushed(name))).await;
    let with = |expected: &str| {
        let outcomes = outcomes.iter();
        outcomes
            .filter(|outcome| status(outcome, "mutable-tags") == Some(expected))
            .count()
    };
    assert_eq!((with("fixed"), with("withheld")), (5, 7), "{outcomes:#?}");
    let mut immutable = 0;
    for name in &names {
        immutable += usize::from(world.mutability(name).await == ImageTagMutability::Immutable);
    }
    assert_eq!(immutable, 5);
    let alerts = inbox.take().await.unwrap();
    let about_the_brake = alerts
        .iter()
        .filter(|alert| alert["rules"] == json!(["changes-per-hour"]));
    assert_eq!(about_the_brake.count(), 1, "{alerts:#?}");
}

/// Events, a sweep and the command change nothing, and say who has stopped them and why.
#[tokio::test]
async fn the_switch_stops_all_changes_and_says_so() {
    let world = World::own();
    world.set_policy(ALWAYS).await;
    let mut inbox = world.inbox("switch").await;
    for name in ["switch/a", "switch/b"] {
        world.create(name).await;
    }
    let empty = said(&ecr_warden(&world, &["stop", "--reason", " "]), 2);
    assert!(empty.contains("--reason is empty"), "{empty}");
    let stop = ["stop", "--reason", "INC-7: builds fail"];
    said(&ecr_warden(&world, &stop), 0);
    for _ in 0..2 {
        let outcome = world.pushed("switch/a").await;
        assert_eq!(reason(&outcome), "stopped", "{outcome}");
    }
    let sweep = json!({ "mode": "enforce" });
    let swept = world.invoke_function(&world.stack.auditor, &sweep).await;
    let swept = swept.unwrap();
    assert_eq!(swept["summary"]["fixed"], json!({}), "{swept}");
    assert_eq!(swept["findings"][0]["reason"], "stopped", "{swept}");
    assert!(
        swept["brakes"][0].as_str().unwrap().contains("INC-7"),
        "{swept}"
    );
    let alerts = inbox.take().await.unwrap();
    let of_the_switch: Vec<&Value> = alerts
        .iter()
        .filter(|alert| alert["rules"] == json!(["all-changes-stopped"]))
        .collect();
    assert_eq!(of_the_switch.len(), 1, "{alerts:#?}");
    let detail = of_the_switch[0]["findings"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("INC-7: builds fail") && detail.contains("arn:aws:"),
        "{detail}"
    );
    let audit = ecr_warden(&world, &["audit", "--stack", "ecr-warden"]);
    let audit = String::from_utf8_lossy(&audit.stderr).into_owned();
    assert!(audit.contains("INC-7"), "{audit}");
    for name in ["switch/a", "switch/b"] {
        assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    }

    said(&ecr_warden(&world, &["start"]), 0);
    let again = said(&ecr_warden(&world, &["start"]), 2);
    assert!(again.contains("not stopped"), "{again}");
    let swept = world.invoke_function(&world.stack.auditor, &sweep).await;
    let swept = swept.unwrap();
    assert_eq!(swept["summary"]["fixed"]["mutable-tags"], 2, "{swept}");
}

/// An event waits in the delay queue when the freeze begins. Each week has the freeze, around now.
#[tokio::test]
async fn a_freeze_holds_against_an_event_that_waits() {
    let world = World::own();
    world.set_policy(&format!("{ALWAYS}settle: 5s\n")).await;
    let mut inbox = world.inbox("freeze").await;
    world.create("freeze/api").await;
    let event = call("CreateRepository", "freeze/api");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(outcome["reason"], "settling", "{outcome}");
    let always = "[\"+00:00\", \"+06:00\", \"+12:00\", \"-06:00\"]";
    let frozen = format!(
        "{ALWAYS}freezes:\n  - {{ from: mon 00:01, until: mon 00:00, utc-offsets: {always}, reason: release week }}\n"
    );
    world.set_policy(&frozen).await;
    let alert = inbox.wait_for("freeze/api").await.unwrap();
    assert_eq!(alert["findings"][0]["reason"], "frozen", "{alert}");
    assert!(alert.to_string().contains("release week"), "{alert}");
    assert_eq!(
        world.mutability("freeze/api").await,
        ImageTagMutability::Mutable
    );
}
