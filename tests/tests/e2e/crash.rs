//! Each call of each scenario fails once, in each way: after the retries and one sweep nothing is lost.

mod alone;
mod scenarios;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::proxy::{Fault, Refusal};
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::chaos::weather::ClaimsUnderWay;
use crate::support::{World, arn};
use scenarios::Scenario;

/// More calls than any scenario makes.
const MOST_CALLS: usize = 150;
/// Repositories that are tried at the same time.
const SIDE_BY_SIDE: usize = 12;

pub(crate) const FAULTS: [Fault; 8] = [
    Fault::Kill,
    Fault::DropAnswer,
    Fault::Cut,
    Fault::Throttle,
    Fault::ServerError,
    Fault::Delay(Duration::from_millis(300)),
    Fault::Late,
    Fault::DoneBut(Refusal::kms("KMSInvalidStateException")),
];

/// One of its own for all scenarios: each has its own repositories and its part of the policy.
async fn world() -> World {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    traced(&WORLD, scenarios::POLICY).await
}

/// A local AWS for some tests, with a policy, where each call says which invocation made it.
pub(crate) async fn traced(world: &'static OnceCell<World>, policy: &str) -> World {
    let begin = async || {
        let world = World::own();
        world.set_policy(policy).await;
        world.trace().await;
        world
    };
    world.get_or_init(begin).await.again()
}

/// What a failing call came to.
struct Tried {
    hit: bool,
    wrong: Option<String>,
}

/// The call of that number fails. A read that happens just when a change becomes visible can spare or cost a call, so that a scenario may
/// end before its last one: then it is tried again.
async fn fail_at(
    world: &World,
    scenario: Scenario,
    fault: Fault,
    nth: usize,
    inbox: &Mutex<Inbox>,
) -> Tried {
    for again in 0..3 {
        let tried = fail_one(world, scenario, fault, nth, again, inbox).await;
        if tried.hit || tried.wrong.is_some() {
            return tried;
        }
    }
    Tried {
        hit: false,
        wrong: None,
    }
}

/// One repository, of which one call fails.
async fn fail_one(
    world: &World,
    scenario: Scenario,
    fault: Fault,
    nth: usize,
    again: usize,
    inbox: &Mutex<Inbox>,
) -> Tried {
    let label = format!("{fault:?}").to_lowercase();
    let label = label.split('(').next().unwrap_or_default();
    let name = format!("{}/{label}-{nth}-{again}-x", scenario.space());
    scenario.prepare(world, &name).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let hit = Arc::new(AtomicBool::new(false));
    // A repair that a dead function did not claim is told by nobody: docs/decisions/0002.
    let excused = Arc::new(AtomicBool::new(false));
    let (counted, was_hit, is_excused) =
        (Arc::clone(&calls), Arc::clone(&hit), Arc::clone(&excused));
    let mut claims = ClaimsUnderWay::default();
    world.local.proxy.plan(&name, move |call| {
        let at = counted.fetch_add(1, Ordering::SeqCst);
        // Calls that are made side by side come in any order, and only a write can be done although its answer is an error.
        let now = match fault {
            Fault::DoneBut(_) => {
                at >= nth && !only_reads(&call.operation) && !was_hit.load(Ordering::SeqCst)
            }
            _ => at == nth,
        };
        let acts = !now || !matches!(fault, Fault::Throttle | Fault::ServerError | Fault::Cut);
        let unclaimed = claims.may_be_unclaimed(call, acts);
        if now {
            was_hit.store(true, Ordering::SeqCst);
            is_excused.store(unclaimed && fault == Fault::Kill, Ordering::SeqCst);
        }
        now.then_some(fault)
    });
    let first = scenario.run(world, &name, "first").await;
    let hit = hit.load(Ordering::SeqCst);
    world.local.proxy.calm(&name);
    world.let_leases_run_out(&name).await;
    for also in scenario.also(&name) {
        world.let_leases_run_out(&also).await;
    }
    scenario.sweep(world, &name).await;
    let mut wrong = scenario.wrong(world, &name).await;
    let told = told(&name, inbox).await;
    if !excused.load(Ordering::SeqCst) {
        let untold = scenario
            .finds()
            .iter()
            .filter(|rule| !told.iter().any(|told| told == **rule));
        wrong.extend(untold.map(|rule| format!("nobody was told of {rule}: {told:?}")));
    }
    let killed = first
        .as_ref()
        .is_err_and(|why| why.contains("Runtime exited"));
    if hit && fault == Fault::Kill && scenario.is_waited_for() && !killed {
        wrong.push("the function is not dead".to_owned());
    }
    let wrong = (!wrong.is_empty())
        .then(|| format!("{scenario:?}, {fault:?} at call {nth}: {wrong:#?}, {first:?}"));
    Tried { hit, wrong }
}

/// The rules that people were told of, of a repository and of those beneath its name.
async fn told(name: &str, inbox: &Mutex<Inbox>) -> Vec<String> {
    let mut inbox = inbox.lock().await;
    let alerts = inbox.alerts_of_arn("").await.unwrap();
    let about = |alert: &Value, finding: &Value| {
        let of = finding.get("repository").unwrap_or(&alert["repository"]);
        let of = of.as_str().unwrap_or_default().to_owned();
        of.strip_prefix(&arn(name))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut told = Vec::new();
    for alert in &alerts {
        for finding in alert["findings"].as_array().unwrap() {
            if about(alert, finding) {
                told.push(finding["rule"].as_str().unwrap().to_owned());
            }
        }
    }
    told
}

fn only_reads(operation: &str) -> bool {
    let reads = ["Query", "Scan", "Describe", "Get", "List"];
    reads.iter().any(|read| operation.starts_with(read))
}

/// Whether a call is to fail so. Only a write can be done although its answer is an error. Reads are many, and most ways in which one
/// fails are the same to the function: by default each fails in one way, in turn, and in most scenarios the function is killed at
/// each. `EVERY_FAULT=1` for all ways.
fn is_due(scenario: Scenario, nth: usize, operation: &str, fault: usize) -> bool {
    if !only_reads(operation) {
        return true;
    }
    let of_reads = FAULTS
        .iter()
        .filter(|fault| !matches!(fault, Fault::DoneBut(_)));
    let in_turn = nth % of_reads.count() == fault;
    let killed = FAULTS[fault] == Fault::Kill && scenario != Scenario::Swept;
    let every = std::env::var_os("EVERY_FAULT").is_some();
    (in_turn || killed || every) && !matches!(FAULTS[fault], Fault::DoneBut(_))
}

/// Goes through it where nothing fails. Answers its calls' operations: of three runs the fewest, because a read that happens just when a
/// change becomes visible is made once more.
async fn calls_of(world: &World, scenario: Scenario) -> Vec<String> {
    let mut fewest: Option<Vec<String>> = None;
    for n in 0..3 {
        let name = format!("{}/calm-{n}-x", scenario.space());
        scenario.prepare(world, &name).await;
        let before = world.local.proxy.calls(&name).len();
        scenario
            .run(world, &name, &format!("calm-{n}"))
            .await
            .unwrap();
        let calls = world.local.proxy.calls(&name).into_iter().skip(before);
        let calls: Vec<String> = calls.map(|call| call.operation).collect();
        if fewest
            .as_ref()
            .is_none_or(|fewest| calls.len() < fewest.len())
        {
            fewest = Some(calls);
        }
    }
    fewest.unwrap()
}

async fn whatever_fails(scenario: Scenario) {
    whatever_fails_in(&world().await, scenario).await;
}

async fn whatever_fails_in(world: &World, scenario: Scenario) {
    let inbox = world.inbox(&format!("crash-{}", scenario.space())).await;
    let inbox = Mutex::new(inbox);
    let calls = calls_of(world, scenario).await;
    let due = calls.iter().enumerate().flat_map(|(nth, operation)| {
        let faults = 0..FAULTS.len();
        let due = faults.filter(move |fault| is_due(scenario, nth, operation, *fault));
        due.map(move |fault| (nth, FAULTS[fault]))
    });
    let due: Vec<(usize, Fault)> = due.collect();
    let tries = due.iter();
    let tries = tries.map(|(nth, fault)| fail_at(world, scenario, *fault, *nth, &inbox));
    let tried: Vec<Tried> = stream::iter(tries)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let missed = tried.iter().filter(|one| !one.hit).count();
    let wrong: Vec<String> = tried.into_iter().filter_map(|one| one.wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(missed, 0, "of {} calls of {scenario:?}", calls.len());
}

#[tokio::test]
async fn a_recreation() {
    whatever_fails(Scenario::Recreation).await;
}

#[tokio::test]
async fn a_repair_of_several_settings() {
    whatever_fails(Scenario::Several).await;
}

#[tokio::test]
async fn a_quarantine_that_is_imposed() {
    whatever_fails(Scenario::Imposed).await;
}

#[tokio::test]
async fn a_quarantine_that_is_lifted() {
    whatever_fails(Scenario::Lifted).await;
}

#[tokio::test]
async fn a_sweep_over_what_was_left_behind() {
    whatever_fails(Scenario::Swept).await;
}
