//! `make demo`: the whole thing at work on a local AWS, told to a person in a terminal.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a demo is what it prints"
)]

mod report;
mod scenes;
mod screen;
mod telling;

use std::process::ExitCode;
use std::time::Instant;

use ecr_warden_tests::Problem;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{LocalAws, REGION, Stack};
use ecr_warden_tests::samples::overrides;

use scenes::Stage;
use screen::Screen;

const POLICY: &str = include_str!("policy.yaml");
/// Where the policy of the demo is.
const PARAMETER: &str = "/ecr-warden/policy";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let screen = Screen::of_this_terminal();
    match demo(&screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            screen.failure(&problem.to_string());
            ExitCode::FAILURE
        }
    }
}

async fn demo(screen: &Screen) -> Result<(), Problem> {
    screen.title("ecr-warden on a local AWS");
    let began = Instant::now();
    let local = LocalAws::start()?;
    screen.timed(began, &format!("a local AWS runs at {}", local.endpoint));
    let policy = POLICY.to_owned() + &overrides();
    let value = ["--type", "String", "--value", &policy];
    local.cli(&[&["ssm", "put-parameter", "--name", PARAMETER][..], &value].concat())?;
    let stack = local.make_deploy("ecr-warden", &format!("PolicyParameterName={PARAMETER}"))?;
    screen.timed(began, "`make deploy` deployed infra/template.yaml to it");
    let clients = local.clients();
    let inbox = Inbox::open(&clients, &stack.topic_arn, "alerts").await?;
    screen.timed(began, "a queue is subscribed to the alert topic");

    let mut stage = Stage::new(screen, &local, clients, inbox);
    let told = stage.play().await;
    if told.is_err() {
        screen.note(&format!("the end of its log:\n{}", local.log_end()));
    }
    told?;
    let (audit, file) = report::write(&local, &policy).await?;
    screen.title("An audit of all repositories");
    screen.plain(&format!(
        "{} repositories, {} compliant. The report, for a browser:\n{}",
        audit.summary.repositories,
        audit.summary.compliant,
        file.display()
    ));
    if std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0") {
        keep(screen, &local, &stack).await?;
    }
    Ok(())
}

/// Leaves it running until Ctrl-C. The relay goes on, so that what is created by hand is repaired, too.
async fn keep(screen: &Screen, local: &LocalAws, stack: &Stack) -> Result<(), Problem> {
    let endpoint = &local.endpoint;
    screen.title("It runs until Ctrl-C. In another terminal, in this folder:");
    screen.plain(&format!(
        "export AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={REGION}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
alias aws=$PWD/.venv/bin/aws

aws ecr create-repository --repository-name payments/mine
aws ecr describe-repositories --repository-names payments/mine
aws sqs receive-message --endpoint-url {endpoint} \\
    --queue-url {endpoint}/000000000000/alerts
aws dynamodb scan --table-name {table}
aws lambda invoke --function-name {function} \\
    --payload file://events/create-repository-by-role.json answer.json",
        table = stack.state_table,
        function = stack.enforcer,
    ));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
