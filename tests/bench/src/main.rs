//! `bench cold-start|events|instructions|audit|peers`: what is measured is measured in one run and compared within it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark is what it prints"
)]

mod audit;
mod cold_start;
mod events;
mod instructions;
mod lambda;
mod peers;
mod process;
mod registry;
mod repositories;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What goes wrong: one line.
type Problem = Box<dyn std::error::Error + Send + Sync>;

const ACCOUNT: &str = "000000000000";
const REGION: &str = "us-east-1";

#[tokio::main]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("cold-start") => cold_start::run().await,
        Some("events") => events::run().await,
        Some("instructions") => instructions::run().await,
        Some("audit") => audit::run().await,
        Some("peers") => peers::run().await,
        _ => Err("usage: bench cold-start|events|instructions|audit|peers".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    tests
        .and_then(Path::parent)
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// For figures that are printed: they are far from where it would matter.
#[expect(clippy::cast_precision_loss, reason = "a figure that is printed")]
fn number(count: usize) -> f64 {
    count as f64
}

fn mebibytes(kibibytes: usize) -> f64 {
    number(kibibytes) / 1024.0
}
