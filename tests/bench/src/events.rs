//! What an event costs in round trips to AWS, and what many events cost in memory.

use std::path::Path;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use crate::cold_start::{creation_of, push_to};
use crate::lambda::{Lambda, enforcer};
use crate::registry::Registry;
use crate::repositories::{REPOSITORIES, Repository, one};
use crate::{Problem, mebibytes, number};

/// Long enough that the function's own time does not count.
const LATENCY: Duration = Duration::from_millis(200);

pub(crate) async fn run() -> Result<(), Problem> {
    let (_, enforcer) = enforcer().await?;
    let registry = Registry::start().await?;
    let (faulty, conforming) = (one(true)?, one(false)?);

    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "round trips",
        "until the alert is out",
        "in all",
        "calls",
    ]);
    for (what, event) in [
        ("a new repository, repaired", creation_of(faulty)?),
        ("a new repository that complies", creation_of(conforming)?),
        ("a push, repaired", push_to(&faulty.name())),
        (
            "the first push to one that complies",
            push_to(&conforming.name()),
        ),
    ] {
        registry.become_one_of(REPOSITORIES, LATENCY);
        let lambda = Lambda::with_event(event).await?;
        let start = lambda.start(&enforcer, &registry.endpoint()).await?;
        let given = start.given_at.duration_since(start.began_at);
        let trips = |took: Duration| format!("{:.2}", took.as_secs_f64() / LATENCY.as_secs_f64());
        let seen = registry.seen();
        let told = seen.told_at.map(|at| at.duration_since(start.given_at));
        table.add_row([
            what.to_owned(),
            told.map_or_else(String::new, trips),
            trips(start.to_answer.saturating_sub(given)),
            seen.total().to_string(),
        ]);
    }
    println!("{table}");
    println!(
        "{} ms a call, a cold function. What is written down after the alert is the difference.\n",
        LATENCY.as_millis()
    );

    registry.become_one_of(REPOSITORIES, Duration::ZERO);
    let few = peak(&enforcer, &registry, faulty, 10).await?;
    let many = peak(&enforcer, &registry, faulty, 1000).await?;
    println!(
        "Peak resident memory: {few:.1} MiB after 10 events, {many:.1} MiB after 1,000: {:.2} ×.",
        many / few
    );
    Ok(())
}

async fn peak(
    enforcer: &Path,
    registry: &Registry,
    repository: Repository,
    events: usize,
) -> Result<f64, Problem> {
    let lambda = Lambda::with_events(creation_of(repository)?, events).await?;
    let start = lambda.start(enforcer, &registry.endpoint()).await?;
    if registry.seen().total() < events {
        return Err(format!("{} events made fewer calls", number(events)).into());
    }
    Ok(mebibytes(start.peak_kib))
}
