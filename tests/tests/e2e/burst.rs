//! Bursts: pushes to repositories that were just found conforming do not have them read again, and ECR is called no more often
//! than the policy grants. `EVENTS=10000` for a large one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_ecr::types::{ImageTagMutability, Repository};
use aws_sdk_sqs::types::QueueAttributeName;
use ecr_warden_tests::eventually;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::support::{World, call, status};

const POLICY: &str =
    "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-image-tag: {} }\n";

/// The calls to ECR about a repository so far.
fn reads(world: &World, name: &str) -> usize {
    let state = ["Query", "PutItem", "TransactWriteItems", "Publish"];
    let calls = world.local.proxy.calls(name);
    let of_ecr = |operation: &str| !state.contains(&operation) && !operation.starts_with('/');
    calls.iter().filter(|call| of_ecr(&call.operation)).count()
}

fn push(name: &str, tag: &str) -> Value {
    let mut event = call("PutImage", name);
    event["detail"]["requestParameters"]["imageTag"] = json!(tag);
    event
}

#[tokio::test]
async fn pushes_to_a_conforming_repository_are_judged_without_reading_it() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("burst").await;
    let name = "shop/busy";
    world.create(name).await;
    let ecr = &world.clients.ecr;
    let set = async |mutability| {
        ecr.put_image_tag_mutability()
            .repository_name(name)
            .image_tag_mutability(mutability)
            .send()
            .await
            .unwrap();
    };

    // While there is something to repair it is read.
    let outcome = world.deliver(&push(name, "v1.0.0-abc1234")).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));
    inbox.wait_for(name).await.unwrap();
    let before = reads(&world, name);
    for n in 0..40 {
        let tag = format!("v1.0.{n}-abc1234");
        let outcome = world.deliver(&push(name, &tag)).await.unwrap();
        assert_eq!(outcome["findings"], json!([]), "{outcome}");
    }
    let made = reads(&world, name) - before;
    assert_eq!(made, 1, "calls to ECR for 40 pushes: the description");

    // The push itself is judged, and told once however often its event comes.
    let before = reads(&world, name);
    for _ in 0..2 {
        let outcome = world.deliver(&push(name, "latest")).await.unwrap();
        assert_eq!(status(&outcome, "nonconforming-image-tag"), Some("open"));
    }
    let alerts = inbox.alerts_of(name).await.unwrap();
    assert_eq!(alerts.len(), 2, "the repair, and one push");
    assert_eq!(status(&alerts[1], "nonconforming-image-tag"), Some("open"));
    assert_eq!(reads(&world, name), before);

    // A change of a setting has it read and repaired.
    set(ImageTagMutability::Mutable).await;
    let outcome = world
        .deliver(&call("PutImageTagMutability", name))
        .await
        .unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));

    // Another policy has it read, too.
    set(ImageTagMutability::Mutable).await;
    world
        .set_policy("version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n")
        .await;
    let outcome = world.deliver(&push(name, "v2.0.0-abc1234")).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"));
}

/// What a run of the whole test suite has time for.
const EVENTS: usize = 1000;
/// Repositories that are pushed to.
const BUSY: usize = 200;
/// The policy's share of ECR's calls a second, and what ECR takes: builds need some, too.
const SHARE: u32 = 40;
const TAKEN: u32 = 60;
/// Invocations side by side: Lambda's queue lets the others wait.
const AT_ONCE: usize = 40;

/// All repositories: ministack answers with one page of any size.
async fn everything(world: &World) -> Vec<Repository> {
    let request = world.clients.ecr.describe_repositories();
    let answer = request.max_results(1_000_000).send().await.unwrap();
    answer.repositories.unwrap_or_default()
}

async fn dead_letters(world: &World) -> String {
    let request = world.clients.sqs.get_queue_attributes();
    let answer = request
        .queue_url(&world.stack.dead_letters)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .send()
        .await
        .unwrap();
    let number = QueueAttributeName::ApproximateNumberOfMessages;
    answer.attributes().unwrap()[&number].clone()
}

/// Four of five are pushes to some repositories, and every fifth is a new repository: all at the same time.
#[tokio::test]
async fn a_burst_loses_nothing_and_keeps_to_its_share_of_ecrs_calls() {
    let events = std::env::var("EVENTS").map_or(EVENTS, |text| text.parse().unwrap());
    let world = World::own();
    world
        .set_policy(&format!("{POLICY}ecr-calls-per-second: {SHARE}\n"))
        .await;
    let mut inbox = world.inbox("burst-of-many").await;
    let ecr = &world.clients.ecr;
    let create = async |name: String, mutability| {
        let request = ecr.create_repository().repository_name(name);
        request
            .image_tag_mutability(mutability)
            .send()
            .await
            .unwrap();
    };
    let busy = |n: usize| format!("shop/busy-{:03}-x", n % BUSY);
    let new = |n: usize| format!("shop/new-{n:05}-x");
    let is_new = |n: usize| n % 5 == 4;
    stream::iter(0..BUSY)
        .for_each_concurrent(AT_ONCE, |n| create(busy(n), ImageTagMutability::Immutable))
        .await;
    stream::iter((0..events).filter(|n| is_new(*n)))
        .for_each_concurrent(AT_ONCE, |n| create(new(n), ImageTagMutability::Mutable))
        .await;

    world.local.proxy.limit_ecr(TAKEN);
    let began = Instant::now();
    // A number that has no factor in common with theirs takes the repositories in turn, and out of order.
    let failed: Vec<String> = stream::iter(0..events)
        .map(async |n| {
            let event = if is_new(n) {
                call("CreateRepository", &new(n))
            } else {
                push(&busy(n.wrapping_mul(7919)), &format!("v1.0.{n}-abc1234"))
            };
            assert!(world.is_matched_by_a_rule(&event).await, "{event}");
            // As Lambda's queue: two retries.
            let mut last = world.invoke(&event).await;
            for _ in 0..2 {
                if last.is_err() {
                    last = world.invoke(&event).await;
                }
            }
            last.err()
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |failed| failed)
        .collect()
        .await;
    assert_eq!(
        failed,
        Vec::<String>::new(),
        "they would end in the dead-letter queue"
    );

    // What was put off comes back by itself.
    let longest = Duration::from_secs(60 + u64::try_from(events).unwrap() / 10);
    eventually("all repositories conform", longest, || async {
        let mutable = everything(&world).await.into_iter().filter(|repository| {
            repository.image_tag_mutability() != Some(&ImageTagMutability::Immutable)
        });
        Ok((mutable.count() == 0).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(everything(&world).await.len(), BUSY + events / 5);
    let wanted: BTreeSet<String> = (0..events).filter(|n| is_new(*n)).map(new).collect();
    let mut told = BTreeSet::new();
    let cell = tokio::sync::Mutex::new((&mut inbox, &mut told));
    eventually("an alert of each", Duration::from_secs(60), || async {
        let (inbox, told) = &mut *cell.lock().await;
        for alert in inbox.alerts_of_arn("").await? {
            let arn = alert["repository"].as_str().unwrap_or_default().to_owned();
            told.extend(arn.split_once('/').map(|(_, name)| name.to_owned()));
        }
        Ok(told.is_superset(&wanted).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(dead_letters(&world).await, "0");

    // Arrivals can be later than their turns and never earlier: so many at the most since it began. Turns are taken for the four
    // reads of a repository at once, and two clocks are compared: the functions' and this one.
    let arrivals = world.local.proxy.ecr_calls();
    for (made, at) in arrivals.iter().enumerate() {
        let elapsed = at.duration_since(began).as_secs_f64();
        let granted = elapsed * f64::from(SHARE) * 1.02 + 10.0;
        let made = f64::from(u32::try_from(made).unwrap());
        assert!(made <= granted, "{made} calls where {granted} are granted");
    }
    let of_pushes: usize = (0..BUSY).map(|n| reads(&world, &busy(n))).sum();
    let first: usize = BUSY * 2;
    let later = events * 4 / 5 - BUSY;
    let per_push = of_pushes.saturating_sub(first) as f64 / later as f64;
    print(&format!(
        "{events} events in {:.0} s: {} calls of ECR, {:.1} a second of {SHARE} granted; {per_push:.3} for each push after the first",
        began.elapsed().as_secs_f64(),
        arrivals.len(),
        arrivals.len() as f64 / arrivals.last().unwrap().duration_since(began).as_secs_f64(),
    ));
    assert!(
        per_push < 0.1,
        "{of_pushes} calls, {per_push} for each push after the first"
    );
}

#[expect(clippy::print_stdout, reason = "`make burst` shows it")]
fn print(line: &str) {
    println!("{line}");
}
