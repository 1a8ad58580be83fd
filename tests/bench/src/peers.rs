//! The same audit, and the same event, by others: calls, time and memory, in one run against one registry.

use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::audit::{LATENCY, all_rules, audit, shipped};
use crate::lambda::{Lambda, enforcer};
use crate::process::{self, Ran, folder, with_aws_at};
use crate::registry::Registry;
use crate::repositories::{Fault, Repositories};
use crate::{ACCOUNT, Problem, REGION, mebibytes, median, number, root};

const REPOSITORIES: Repositories = Repositories {
    count: 1000,
    rarity: 1,
};
/// Of what takes a moment; of what takes a minute, once is enough.
const RUNS: usize = 5;
const STARTS: usize = 10;

pub(crate) async fn run() -> Result<(), Problem> {
    let registry = Registry::start().await?;
    audits(&registry).await?;
    println!();
    events(&registry).await
}

/// One of the others, where it could be installed.
fn installed(peer: &str, program: &str) -> Option<PathBuf> {
    let folder = root().join(".venv-peers").join(peer);
    let program = folder.join("bin").join(program);
    folder.join("ready").exists().then_some(program)
}

/// A line of the table.
struct Row {
    title: String,
    calls: usize,
    findings: Option<usize>,
    ran: Ran,
}

async fn audits(registry: &Registry) -> Result<(), Problem> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "",
        "calls",
        "findings",
        "seconds",
        "ratio",
        "peak resident",
    ]);
    let mut left_out = Vec::new();
    for (policy, ours) in [("shipped", shipped()), ("all-rules", all_rules())] {
        let mut rows = Vec::new();
        let name = format!("ecr-warden, {}", ours.title);
        let script = script(registry, policy)?;
        rows.push(ours_of(registry, name, &ours.policy).await?);
        match script {
            Some(command) => {
                let title = format!("boto3, 16 threads, {}", ours.title);
                let count = |folder: &Path| lines(&folder.join("boto3.jsonl"));
                rows.push(theirs(registry, "boto3", title, command, count).await?);
            }
            None => left_out.push("boto3"),
        }
        if policy == "shipped" {
            match custodian(registry)? {
                Some(command) => {
                    let title = "Cloud Custodian, as shipped".to_owned();
                    rows.push(theirs(registry, "custodian", title, command, resources).await?);
                }
                None => left_out.push("Cloud Custodian"),
            }
        } else {
            match prowler(registry)? {
                Some(command) => {
                    let title = "Prowler, its checks of ECR".to_owned();
                    rows.push(theirs(registry, "prowler", title, command, |_| None).await?);
                }
                None => left_out.push("Prowler"),
            }
        }
        let first = rows
            .first()
            .map_or(f64::NAN, |row| row.ran.wall.as_secs_f64());
        for row in rows {
            let seconds = row.ran.wall.as_secs_f64();
            table.add_row([
                row.title,
                row.calls.to_string(),
                row.findings
                    .map_or_else(String::new, |count| count.to_string()),
                format!("{seconds:.2}"),
                format!("{:.1}", seconds / first),
                format!("{:.0} MiB", mebibytes(row.ran.peak_kib)),
            ]);
        }
    }
    println!("{table}");
    println!(
        "An audit of {} repositories, {} ms a call. Ratio: to ecr-warden's time above it.",
        REPOSITORIES.count,
        LATENCY.as_millis()
    );
    for peer in left_out {
        println!("Left out, because it could not be installed: {peer}.");
    }
    Ok(())
}

async fn ours_of(registry: &Registry, title: String, policy: &Path) -> Result<Row, Problem> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        registry.become_one_of(REPOSITORIES, LATENCY);
        let audited = audit(registry, policy).await?;
        runs.push((audited, registry.seen().total()));
    }
    runs.sort_by_key(|(audited, _)| audited.ran.wall);
    let (audited, calls) = runs.swap_remove(RUNS / 2);
    Ok(Row {
        title,
        calls,
        findings: Some(audited.findings),
        ran: audited.ran,
    })
}

async fn theirs(
    registry: &Registry,
    name: &str,
    title: String,
    command: Command,
    count: impl Fn(&Path) -> Option<usize>,
) -> Result<Row, Problem> {
    registry.become_one_of(REPOSITORIES, LATENCY);
    let ran = process::run(name, command).await?;
    if ran.code != Some(0) {
        return Err(format!("it failed: see {}/{name}.log", folder()?.display()).into());
    }
    Ok(Row {
        title,
        calls: registry.seen().total(),
        findings: count(&folder()?),
        ran,
    })
}

fn script(registry: &Registry, policy: &str) -> Result<Option<Command>, Problem> {
    let Some(python) = installed("custodian", "python") else {
        return Ok(None);
    };
    let mut command = with_aws_at(&registry.endpoint(), python)?;
    command
        .arg(root().join("tests/peers/boto3_audit.py"))
        .arg(policy)
        .arg(folder()?.join("boto3.jsonl"));
    Ok(Some(command))
}

fn custodian(registry: &Registry) -> Result<Option<Command>, Problem> {
    let Some(custodian) = installed("custodian", "custodian") else {
        return Ok(None);
    };
    let output = folder()?.join("custodian");
    let _ = std::fs::remove_dir_all(&output);
    let mut command = with_aws_at(&registry.endpoint(), custodian)?;
    command
        .args(["run", "--region", REGION])
        // One policy after the other: what the first has read, the second need not read again.
        .args(["--cache", "memory", "--output-dir"])
        .arg(output)
        .arg(root().join("tests/peers/custodian.yml"));
    Ok(Some(command))
}

fn prowler(registry: &Registry) -> Result<Option<Command>, Problem> {
    let Some(prowler) = installed("prowler", "prowler") else {
        return Ok(None);
    };
    let output = folder()?.join("prowler");
    let _ = std::fs::remove_dir_all(&output);
    let mut command = with_aws_at(&registry.endpoint(), prowler)?;
    command
        .args(["aws", "--region", REGION, "--service", "ecr"])
        .args([
            "--output-formats",
            "csv",
            "--no-banner",
            "--ignore-exit-code-3",
        ])
        .arg("--output-directory")
        .arg(output);
    Ok(Some(command))
}

fn lines(file: &Path) -> Option<usize> {
    Some(std::fs::read_to_string(file).ok()?.lines().count())
}

/// What Cloud Custodian's policies have matched.
fn resources(folder: &Path) -> Option<usize> {
    let mut count: usize = 0;
    for policy in ["mutable-tags", "weak-encryption"] {
        let file = folder.join("custodian").join(policy).join("resources.json");
        let matched: Vec<Value> = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        count = count.saturating_add(matched.len());
    }
    Some(count)
}

/// A mutable repository is created; both make its tags immutable. AWS answers at once.
async fn events(registry: &Registry) -> Result<(), Problem> {
    registry.become_one_of(REPOSITORIES, Duration::ZERO);
    let mutable =
        |r: &crate::repositories::Repository| !r.is_sensitive() && r.has(Fault::MutableTags);
    let repository = REPOSITORIES.all().find(mutable).ok_or("none is mutable")?;
    let event = creation_of(&repository.name());
    let file = folder()?.join("event.json");
    std::fs::write(&file, &event)?;
    let Some(python) = installed("custodian", "python") else {
        println!("Left out, because it could not be installed: Cloud Custodian.");
        return Ok(());
    };
    let (_, enforcer) = enforcer().await?;
    let lambda = Lambda::with_event(event).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut calls = (0, 0);
    // The first of each warms the disk's cache.
    for run in 0..=STARTS {
        registry.become_one_of(REPOSITORIES, Duration::ZERO);
        let start = lambda.start(&enforcer, &registry.endpoint()).await?;
        let of_ours = registry.seen();
        registry.become_one_of(REPOSITORIES, Duration::ZERO);
        let mut command = with_aws_at(&registry.endpoint(), &python)?;
        command
            .current_dir(root().join("tests/peers/custodian-lambda"))
            .arg("event.py")
            .arg(&file);
        let ran = process::run("custodian-event", command).await?;
        let of_theirs = registry.seen();
        for (who, seen) in [("ecr-warden", &of_ours), ("Cloud Custodian", &of_theirs)] {
            if !seen.calls.contains_key("PutImageTagMutability") {
                return Err(format!("{who} has not repaired it: {:?}", seen.calls).into());
            }
        }
        calls = (of_ours.total(), of_theirs.total());
        if run > 0 {
            ours.push((start.to_answer.as_secs_f64(), mebibytes(start.peak_kib)));
            theirs.push((ran.wall.as_secs_f64(), mebibytes(ran.peak_kib)));
        }
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_header([
        "",
        "ecr-warden",
        "Cloud Custodian",
        "ratio",
    ]);
    let mut row = |what: &str, unit: &str, of: fn(&(f64, f64)) -> f64| {
        let a = median(ours.iter().map(of).collect());
        let b = median(theirs.iter().map(of).collect());
        table.add_row([
            what.to_owned(),
            format!("{a:.1} {unit}"),
            format!("{b:.1} {unit}"),
            format!("{:.1}", b / a),
        ]);
    };
    row("start to answer", "ms", |(seconds, _)| seconds * 1000.0);
    row("peak resident", "MiB", |(_, mebibytes)| *mebibytes);
    table.add_row([
        "calls".to_owned(),
        calls.0.to_string(),
        calls.1.to_string(),
        format!("{:.1}", number(calls.1) / number(calls.0)),
    ]);
    println!("{table}");
    println!(
        "One CreateRepository event, cold: the function starts, reads the repository and makes its tags immutable. Medians of"
    );
    println!(
        "{STARTS} starts each, in turn; AWS answers at once. ecr-warden also keeps a record and publishes an alert."
    );
    Ok(())
}

fn creation_of(repository: &str) -> String {
    json!({
        "version": "0", "id": "00000000-0000-4000-8000-000000000000", "source": "aws.ecr",
        "detail-type": "AWS API Call via CloudTrail", "account": ACCOUNT, "region": REGION,
        "time": "2026-11-23T08:00:02Z", "resources": [],
        "detail": {
            "eventVersion": "1.11", "eventSource": "ecr.amazonaws.com", "eventName": "CreateRepository",
            "eventTime": "2026-11-23T08:00:02Z", "awsRegion": REGION,
            "userIdentity": {
                "type": "AssumedRole", "accountId": ACCOUNT,
                "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/Deploy/ci"),
            },
            "requestParameters": { "repositoryName": repository },
            "responseElements": { "repository": { "repositoryName": repository, "registryId": ACCOUNT } },
        },
    })
    .to_string()
}
