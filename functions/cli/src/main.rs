//! The command `ecr-warden`. Its exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error, 130 stopped.

mod audit;
mod compliance;
mod connected;
mod doctor;
mod exempt;
mod explain;
mod failure;
mod fix;
mod history;
mod output;
mod page;
mod policy;
mod progress;
mod rollback;
mod rollback_sweep;
mod rules;
mod signals;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Enforces one policy on private Amazon ECR repositories.
#[derive(Parser)]
#[command(
    name = "ecr-warden",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error, 130 stopped by Ctrl-C."
)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    Audit(audit::AuditCommand),
    Rules(rules::Rules),
    Explain(explain::Explain),
    Rollback(rollback::Rollback),
    Resume(rollback::Resume),
    Stop(stop::StopChanges),
    Start(stop::StartChanges),
    History(history::History),
    Exempt(exempt::Exempt),
    Doctor(doctor::Doctor),
}

/// What there is to say beside success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compliance {
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
        What::Stop(command) => command.run().await,
        What::Start(command) => command.run().await,
        What::History(command) => command.run().await,
        What::Exempt(command) => command.run().await,
        What::Doctor(command) => command.run().await,
    };
    let written = output::written();
    match result.and_then(|found| written.map(|()| found)) {
        Ok(Compliance::Nothing) => ExitCode::SUCCESS,
        Ok(Compliance::Findings) => ExitCode::from(1),
        Err(failure) => {
            let (text, status) = failure.parts();
            output::remark!("{text}");
            ExitCode::from(status)
        }
    }
}
