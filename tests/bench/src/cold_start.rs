//! What the function costs to start, compared with an empty one in the same run.
//!
//! Both are the release builds. AWS answers at once, so that what is measured is the function.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::json;

use crate::lambda::{Lambda, Start, enforcer};
use crate::registry::Registry;
use crate::repositories::{Fault, Repositories};
use crate::{ACCOUNT, Problem, REGION, mebibytes, median, number, root};

const RUNS: usize = 40;

pub(crate) async fn run() -> Result<(), Problem> {
    let (zip, enforcer) = enforcer().await?;
    let empty = root().join("target/release/empty");
    let registry = Registry::start().await?;
    let repositories = Repositories {
        count: 100,
        rarity: 1,
    };
    registry.become_one_of(repositories, Duration::ZERO);
    let complies =
        |r: &crate::repositories::Repository| !r.is_sensitive() && !r.has(Fault::MutableTags);
    let repository = repositories.all().find(complies).ok_or("none complies")?;
    let lambda = Lambda::with_event(push_to(&repository.name())).await?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turn, so that both see the same machine; the first of each warms the disk's cache.
    for run in 0..=RUNS {
        let of_ours = lambda.start(&enforcer, &registry.endpoint()).await?;
        let of_empty = lambda.start(&empty, &registry.endpoint()).await?;
        if run > 0 {
            ours.push(of_ours);
            theirs.push(of_empty);
        }
    }

    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(["", "enforcer", "empty function", "ratio"]);
    let mut row = |what: &str, unit: &str, of: fn(&Start) -> f64| {
        let a = median(ours.iter().map(of).collect());
        let b = median(theirs.iter().map(of).collect());
        table.add_row([
            what.to_owned(),
            format!("{a:.1} {unit}"),
            format!("{b:.1} {unit}"),
            format!("{:.2}", a / b),
        ]);
    };
    row("start to first /next", "ms", |start| {
        start.to_next.as_secs_f64() * 1000.0
    });
    row("start to first answer", "ms", |start| {
        start.to_answer.as_secs_f64() * 1000.0
    });
    row("peak resident", "MiB", |start| mebibytes(start.peak_kib));
    println!("{table}");
    println!(
        "Medians of {RUNS} starts each, in turn. First event: a repository that complies, four calls to AWS at once;"
    );
    println!("the empty function makes one HTTP call.");
    let size = usize::try_from(std::fs::metadata(&zip)?.len())?;
    println!("The enforcer's zip: {:.2} MB.", number(size) / 1e6);
    Ok(())
}

fn push_to(repository: &str) -> String {
    json!({
        "source": "aws.ecr", "detail-type": "ECR Image Action", "account": ACCOUNT, "region": REGION,
        "detail": { "action-type": "PUSH", "result": "SUCCESS", "repository-name": repository, "image-tag": "v1" },
    })
    .to_string()
}
