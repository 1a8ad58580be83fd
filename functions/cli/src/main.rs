//! The command `ecr-warden`. Its exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error, 130 stopped.

mod approve;
mod ask;
mod audit;
mod completions;
mod compliance;
mod connected;
mod doctor;
mod exempt;
mod explain;
mod failure;
mod fix;
mod help;
mod history;
mod init;
mod man;
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

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

const AFTER_HELP: &str = "Examples:
  ecr-warden audit                  what is wrong, by a built-in policy
  ecr-warden init                   a first policy of your own
  ecr-warden help audit             the options of a command

Exit status: 0 compliant, 1 findings, 2 usage or policy error, 3 AWS error,
130 stopped by Ctrl-C.";

/// Enforces one policy on private Amazon ECR repositories.
#[derive(Parser)]
#[command(
    name = "ecr-warden",
    version,
    arg_required_else_help = true,
    after_help = AFTER_HELP
)]
struct Command {
    /// Print results and errors only: no progress, confirmations or hints.
    #[arg(long, short, global = true)]
    quiet: bool,
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
    Approve(approve::Approve),
    Rollback(rollback::Rollback),
    Resume(rollback::Resume),
    Stop(stop::StopChanges),
    Start(stop::StartChanges),
    History(history::History),
    Exempt(exempt::Exempt),
    Doctor(doctor::Doctor),
    Init(init::Init),
    Completions(completions::Completions),
    Man(man::ManualPages),
}

/// What there is to say beside success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compliance {
    Nothing,
    Findings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let all = help::grouped(Command::command());
    let given = Command::from_arg_matches(&all.clone().get_matches());
    let given = given.unwrap_or_else(|error| error.exit());
    if given.quiet {
        output::be_quiet();
    }
    let result = match given.what {
        What::Policy(command) => command.run(),
        What::Audit(command) => command.run().await,
        What::Rules(command) => command.run(),
        What::Explain(command) => command.run(),
        What::Approve(command) => command.run().await,
        What::Rollback(command) => command.run().await,
        What::Resume(command) => command.run().await,
        What::Stop(command) => command.run().await,
        What::Start(command) => command.run().await,
        What::History(command) => command.run().await,
        What::Exempt(command) => command.run().await,
        What::Doctor(command) => command.run().await,
        What::Init(command) => command.run().await,
        What::Completions(command) => command.run(all),
        What::Man(command) => command.run(all),
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
