//! What the function costs to start, compared with an empty one in the same run.
//!
//! Both are the release builds. AWS answers at once, so that what is measured is the function.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::{Value, json};

use crate::lambda::{Lambda, Start, enforcer};
use crate::registry::Registry;
use crate::repositories::{REPOSITORIES, Repository, one};
use crate::{ACCOUNT, Problem, REGION, mebibytes, median, number, root};

const RUNS: usize = 40;

pub(crate) async fn run() -> Result<(), Problem> {
    let (zip, enforcer) = enforcer().await?;
    let empty = root().join("target/release/empty");
    let registry = Registry::start().await?;
    registry.become_one_of(REPOSITORIES, Duration::ZERO);
    let one = one(false)?;
    let created = Lambda::with_event(creation_of(one)?).await?;
    let pushed = Lambda::with_event(push_to(&one.name())).await?;

    let (mut ours, mut theirs, mut of_push) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that both see the same machine; the first of each warms the disk's cache.
    for run in 0..=RUNS {
        let of_ours = created.start(&enforcer, &registry.endpoint()).await?;
        let of_empty = created.start(&empty, &registry.endpoint()).await?;
        let of_pushed = pushed.start(&enforcer, &registry.endpoint()).await?;
        if run > 0 {
            ours.push(of_ours);
            theirs.push(of_empty);
            of_push.push(of_pushed);
        }
    }

    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(["", "enforcer", "empty function", "ratio"]);
    let mut row = |what: &str, unit: &str, starts: &[Start], of: fn(&Start) -> f64| {
        let a = median(starts.iter().map(of).collect());
        let b = median(theirs.iter().map(of).collect());
        table.add_row([
            what.to_owned(),
            format!("{a:.1} {unit}"),
            format!("{b:.1} {unit}"),
            format!("{:.2}", a / b),
        ]);
    };
    row("start to first /next", "ms", &ours, |start| {
        start.to_next.as_secs_f64() * 1000.0
    });
    let to_answer = |start: &Start| start.to_answer.as_secs_f64() * 1000.0;
    row("to the answer, a new repository", "ms", &ours, to_answer);
    row("to the answer, a push", "ms", &of_push, to_answer);
    row("peak resident", "MiB", &ours, |start| {
        mebibytes(start.peak_kib)
    });
    println!("{table}");
    println!(
        "Medians of {RUNS} starts each, in turn. The repository complies: two calls to AWS at once; of a push three"
    );
    println!(
        "in three turns, of which the last writes it down. The empty function makes one HTTP call."
    );
    let size = usize::try_from(std::fs::metadata(&zip)?.len())?;
    println!("The enforcer's zip: {:.2} MB.", number(size) / 1e6);
    Ok(())
}

/// As CloudTrail records it, with ECR's answer.
pub(crate) fn creation_of(repository: Repository) -> Result<String, Problem> {
    let mut answered = String::new();
    repository.describe(&mut answered);
    let answered: Value = serde_json::from_str(&answered)?;
    let event = json!({
        "source": "aws.ecr", "detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT, "region": REGION,
        "detail": {
            "eventSource": "ecr.amazonaws.com", "eventName": "CreateRepository", "awsRegion": REGION,
            "recipientAccountId": ACCOUNT, "eventTime": "2026-01-01T00:00:00Z",
            "userIdentity": { "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/mary") },
            "requestParameters": { "repositoryName": repository.name() },
            "responseElements": { "repository": answered },
        },
    });
    Ok(event.to_string())
}

pub(crate) fn push_to(repository: &str) -> String {
    json!({
        "source": "aws.ecr", "detail-type": "ECR Image Action", "account": ACCOUNT, "region": REGION,
        "detail": { "action-type": "PUSH", "result": "SUCCESS", "repository-name": repository, "image-tag": "v1" },
    })
    .to_string()
}
