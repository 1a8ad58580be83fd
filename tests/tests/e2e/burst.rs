//! Bursts: pushes to repositories that were just found conforming do not have them read again, and ECR is called no more often
//! than the policy grants. `EVENTS=10000` for a large one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_ecr::types::{ImageTagMutability, Repository};
use aws_sdk_sqs::types::QueueAttributeName;
use ecr_warden_core::defer::{DEFERRALS, FIRST_DEFERRED_AT, LONGEST_WAIT};
use ecr_warden_tests::caller::Ask;
use ecr_warden_tests::eventually;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::support::{World, call, deferred, status};

const POLICY: &str = "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {}, nonconforming-image-tag: {} }\n";

/// The calls to ECR about a repository so far.
fn reads(world: &World, name: &str) -> usize {
    let state = [
        "Query",
        "PutItem",
        "UpdateItem",
        "TransactWriteItems",
        "Publish",
        "SendMessage",
    ];
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
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\nrules: { mutable-tags: {} }\n",
        )
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
    assert_eq!(world.dead_letters().await, 0);

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

/// A caller who may tag a repository can cause any number of events. They neither use up the rate limit nor are they lost.
#[tokio::test]
async fn one_repository_does_not_keep_others_waiting() {
    let world = World::own();
    let policy = "version: 1\nmode: enforce\nchanges-per-sweep: 500\necr-calls-per-second: 5\nrules: { mutable-tags: {}, public-access: {} }\n";
    world.set_policy(policy).await;
    let flooded = "sandbox/flooded-x";
    world.create(flooded).await;
    let (ended, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let event = || {
        let mut event = call("TagResource", flooded);
        event["id"] = json!(sent.fetch_add(1, Ordering::SeqCst));
        event
    };
    let flood = join_all((0..8).map(async |_| {
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        while !ended.load(Ordering::SeqCst) {
            pace.tick().await;
            world.invoke(&event()).await.unwrap();
        }
    }));
    let is_repaired = async |name: &str| {
        let mutability = world.mutability(name).await;
        mutability == ImageTagMutability::Immutable
    };
    let others = async {
        eventually("the flood", Duration::from_secs(60), || async {
            Ok((sent.load(Ordering::SeqCst) > 50).then_some(()))
        })
        .await
        .unwrap();
        let names: Vec<String> = (0..5).map(|n| format!("shop/other-{n}-x")).collect();
        for name in &names {
            world.create(name).await;
            world.invoke(&call("CreateRepository", name)).await.unwrap();
        }
        let repaired = eventually("the others' repairs", Duration::from_secs(100), || async {
            let mut left = names.len();
            for name in &names {
                left -= usize::from(is_repaired(name).await);
            }
            Ok((left == 0).then_some(()))
        });
        repaired.await.unwrap();
        assert!(is_repaired(flooded).await);
        // The last event of the flood is about something.
        let mutable = world.clients.ecr.put_image_tag_mutability();
        let mutable = mutable.repository_name(flooded);
        let mutable = mutable.image_tag_mutability(ImageTagMutability::Mutable);
        mutable.send().await.unwrap();
        ended.store(true, Ordering::SeqCst);
        world.invoke(&event()).await.unwrap();
    };
    tokio::join!(flood, others);
    eventually("the last event", Duration::from_secs(100), || async {
        Ok(is_repaired(flooded).await.then_some(()))
    })
    .await
    .unwrap();
    let (sent, read) = (sent.load(Ordering::SeqCst), reads(&world, flooded));
    assert!(read < sent / 2, "{read} calls of ECR for {sent} events");
    assert_eq!(world.dead_letters().await, 0);
}

const LIMITED: &str = "version: 1\nmode: enforce\nchanges-per-sweep: 500\necr-calls-per-second: 1\nrules: { mutable-tags: {} }\n";

/// Seventeen deferrals of one event: Lambda takes them for a loop, unless the template allows it.
#[tokio::test]
async fn lambda_drops_an_event_that_is_often_deferred_unless_the_template_allows_it() {
    let world = World::own();
    world.set_policy(LIMITED).await;
    for (allowed, name, lost) in [(true, "shop/patient-x", 0), (false, "shop/dropped-x", 1)] {
        if !allowed {
            let proxy = &world.local.proxy;
            proxy.real_aws(|aws| aws.recursion.allowed.clear());
        }
        world.create(name).await;
        let event = push(name, "v1.0.0-abc1234");
        for hop in 1..=17 {
            world.use_up_the_rate_limit().await;
            let message = deferred(&format!("{name}-{hop}"), &event, 60, hop);
            let outcome = world.invoke_function(&world.stack.enforcer, &message);
            let outcome = outcome.await.unwrap();
            assert_eq!(outcome["deferred"]["count"], hop + 1, "{outcome}");
        }
        eventually("its dead letters", Duration::from_secs(20), || async {
            Ok((world.dead_letters().await == lost).then_some(()))
        })
        .await
        .unwrap();
        let proxy = &world.local.proxy;
        proxy.real_aws(|aws| assert_eq!(aws.recursion.stopped, lost, "{name}"));
    }
}

#[tokio::test]
async fn event_that_is_deferred_for_too_long_is_given_up_loudly() {
    let world = World::own();
    world.set_policy(LIMITED).await;
    let name = "shop/given-up-x";
    world.create(name).await;
    let event = call("CreateRepository", name);
    let longest = LONGEST_WAIT.unsigned_abs();
    world.use_up_the_rate_limit().await;
    let message = deferred("not-yet", &event, longest - 60, 30);
    let outcome = world.invoke_function(&world.stack.enforcer, &message);
    assert_eq!(outcome.await.unwrap()["deferred"]["count"], 31);

    // The queue tries it again, and makes it a dead letter.
    let role = world.roles().remove("EnforcerRole").unwrap();
    let queue = &world.resources()["RevisitQueue"].1;
    let set = world.clients.sqs.set_queue_attributes().queue_url(queue);
    let dead = format!(
        "arn:aws:sqs:us-east-1:000000000000:{}",
        world.stack.dead_letters.rsplit('/').next().unwrap()
    );
    let redrive = json!({ "deadLetterTargetArn": dead, "maxReceiveCount": 2 }).to_string();
    set.attributes(QueueAttributeName::VisibilityTimeout, "1")
        .attributes(QueueAttributeName::RedrivePolicy, redrive)
        .send()
        .await
        .unwrap();
    let event = push(name, "v1.0.0-abc1234");
    let message = deferred("", &event, longest + 1, 30);
    let attribute = |name: &str| {
        let value = &message["Records"][0]["messageAttributes"][name]["stringValue"];
        json!({ "DataType": "Number", "StringValue": value })
    };
    let body = json!({
        "QueueUrl": queue, "MessageBody": event.to_string(),
        "MessageAttributes": {
            FIRST_DEFERRED_AT: attribute(FIRST_DEFERRED_AT), DEFERRALS: attribute(DEFERRALS),
        },
    });
    world.use_up_the_rate_limit().await;
    let ask = Ask::Json("AmazonSQS.SendMessage", &body);
    let session = role.session(&world).await;
    let answer = session.ask(&world.local.endpoint, "sqs", &ask).await;
    assert_eq!(answer.unwrap().status, 200);
    eventually("the dead letter", Duration::from_secs(25), || async {
        Ok((world.dead_letters().await == 1).then_some(()))
    })
    .await
    .unwrap();
    for said in [&["\"GivenUp\":1"][..], &["given_up", "deferred event"]] {
        assert!(world.local.log_of(said), "{said:?}");
    }
}

/// A machine with a fast clock has used `audit --fix --state-table`.
#[tokio::test]
async fn a_permit_far_ahead_is_not_believed() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nchanges-per-sweep: 500\necr-calls-per-second: 20\nrules: { mutable-tags: {} }\n",
        )
        .await;
    let name = "shop/late-x";
    world.create(name).await;
    world.set_free_at(Duration::from_secs(240)).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(world.count("SendMessage", name), 0);
}

#[expect(clippy::print_stdout, reason = "`make burst` shows it")]
fn print(line: &str) {
    println!("{line}");
}
