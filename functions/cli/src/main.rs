//! The command `ecr-warden`. Its exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error.

#![allow(clippy::print_stderr, reason = "a command is what it prints")]

mod audit;
mod explain;
mod failure;
mod fix;
mod policy;
mod rollback;
mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps private Amazon ECR repositories inside one written policy.
#[derive(Parser)]
#[command(
    name = "ecr-warden",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error."
)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(subcommand)]
    Policy(policy::Policy),
    Audit(audit::AuditCommand),
    Rules(rules::Rules),
    Explain(explain::Explain),
    Rollback(rollback::Rollback),
    Resume(rollback::Resume),
}

/// Writes to standard output. A reader that has gone away, such as `head`, has read enough.
fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = out
        .write_all(text.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
}

/// What there is to say beside success.
enum Found {
    Nothing,
    Findings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Command::parse().what {
        What::Policy(command) => command.run(),
        What::Audit(command) => command.run().await,
        What::Rules(command) => command.run(),
        What::Explain(command) => command.run(),
        What::Rollback(command) => command.run().await,
        What::Resume(command) => command.run().await,
    };
    match result {
        Ok(Found::Nothing) => ExitCode::SUCCESS,
        Ok(Found::Findings) => ExitCode::from(1),
        Err(failure) => failure.report(),
    }
}
