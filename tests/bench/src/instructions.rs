//! What an event costs of the processor, in instructions: these are the same on a busy machine.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use tokio::process::Command;

use crate::cold_start::{creation_of, push_to};
use crate::lambda::{Lambda, enforcer};
use crate::process::{folder, with_aws_at};
use crate::registry::Registry;
use crate::repositories::{REPOSITORIES, one};
use crate::{Problem, number, root};

/// Events beside the first one.
const MORE: usize = 20;
/// A function that takes so much more than is written down is a regression.
const MOST: f64 = 1.1;
/// Millions of instructions by what is measured.
const KEPT: &str = "tests/bench/instructions.json";

pub(crate) async fn run() -> Result<(), Problem> {
    if Command::new("valgrind")
        .arg("--version")
        .output()
        .await
        .is_err()
    {
        println!(
            "Instructions are counted by valgrind, which is not installed here: they are left out."
        );
        return Ok(());
    }
    let (_, enforcer) = enforcer().await?;
    let registry = Registry::start().await?;
    let (faulty, conforming) = (one(true)?, one(false)?);
    let ignored = std::fs::read_to_string(root().join("events/other-service-call.json"))?;
    let mut found = BTreeMap::new();
    for (what, event) in [
        ("an event that is ignored", ignored),
        ("a new repository that complies", creation_of(conforming)?),
        ("a new repository, repaired", creation_of(faulty)?),
        ("a push", push_to(&conforming.name())),
    ] {
        registry.become_one_of(REPOSITORIES, std::time::Duration::ZERO);
        let first = count(&enforcer, &registry, &event, 1).await?;
        let all = count(&enforcer, &registry, &event, 1 + MORE).await?;
        found.insert(format!("{what}, cold"), first);
        found.insert(format!("{what}, warm"), (all - first) / number(MORE));
    }
    show(&found)
}

/// Millions of instructions from the start of the function to its last answer.
async fn count(
    enforcer: &Path,
    registry: &Registry,
    event: &str,
    events: usize,
) -> Result<f64, Problem> {
    let out = folder()?.join("callgrind.out");
    let mut command = with_aws_at(&registry.endpoint(), "valgrind")?;
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(enforcer);
    let lambda = Lambda::with_events(event.to_owned(), events).await?;
    lambda.start_under(command).await?;
    let profile = std::fs::read_to_string(&out)?;
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "));
    let total: usize = total.ok_or("callgrind counted nothing")?.trim().parse()?;
    Ok(number(total) / 1e6)
}

fn show(found: &BTreeMap<String, f64>) -> Result<(), Problem> {
    let kept = root().join(KEPT);
    if std::env::var_os("UPDATE").is_some() {
        let rounded: BTreeMap<_, _> = found
            .iter()
            .map(|(what, count)| (what, (count * 100.0).round() / 100.0))
            .collect();
        std::fs::write(&kept, serde_json::to_string_pretty(&rounded)? + "\n")?;
    }
    let kept: BTreeMap<String, f64> = match std::fs::read_to_string(&kept) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => {
            println!(
                "{KEPT} is not there: UPDATE=1 keeps these figures, to be compared with later."
            );
            BTreeMap::new()
        }
    };
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "instructions of one event",
        "millions",
        "kept",
        "ratio",
    ]);
    let mut worse = Vec::new();
    for (what, count) in found {
        let before = kept.get(what);
        let ratio = before.map(|before| count / before);
        if let Some(ratio) = ratio.filter(|ratio| *ratio > MOST) {
            worse.push(format!("{what}: {ratio:.2} times"));
        }
        let or_none = |figure: Option<f64>| figure.map_or_else(String::new, |f| format!("{f:.2}"));
        table.add_row([
            what.clone(),
            or_none(Some(*count)),
            or_none(before.copied()),
            or_none(ratio),
        ]);
    }
    println!("{table}");
    println!(
        "Counted by callgrind, the Lambda runtime and the SDK included. Kept: {KEPT}; UPDATE=1 writes it anew."
    );
    if worse.is_empty() {
        Ok(())
    } else {
        Err(format!("more instructions than were kept: {}", worse.join("; ")).into())
    }
}
