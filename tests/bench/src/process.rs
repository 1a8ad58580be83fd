//! Runs a program, and sees how long it takes and how much memory.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::{Problem, REGION, number, root};

/// So often a program's peak is looked at: it never falls, so that only the last moments are missed.
const LOOKS: Duration = Duration::from_millis(5);

pub(crate) struct Ran {
    pub(crate) wall: Duration,
    pub(crate) peak_kib: usize,
    /// Of the processor, in seconds.
    pub(crate) processor: f64,
    pub(crate) code: Option<i32>,
}

/// Where what programs leave behind is put.
pub(crate) fn folder() -> Result<PathBuf, Problem> {
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A program that finds AWS at the endpoint and nothing else of this machine's configuration.
pub(crate) fn with_aws_at(endpoint: &str, program: impl Into<PathBuf>) -> Result<Command, Problem> {
    let mut command = Command::new(program.into());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder()?)
        .envs([
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]);
    Ok(command)
}

/// Runs it to its end; what it says goes to `target/bench/NAME.log`.
pub(crate) async fn run(name: &str, mut command: Command) -> Result<Ran, Problem> {
    let log = File::create(folder()?.join(format!("{name}.log")))?;
    command.stdout(log.try_clone()?).stderr(log);
    let began = Instant::now();
    let mut child = command.kill_on_drop(true).spawn()?;
    let pid = child.id().unwrap_or_default();
    let (mut peak_kib, mut processor) = (0, 0.0);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            () = tokio::time::sleep(LOOKS) => {
                peak_kib = peak(pid).max(peak_kib);
                processor = processor_time(pid).max(processor);
            }
        }
    };
    Ok(Ran {
        wall: began.elapsed(),
        peak_kib,
        processor,
        code: status.code(),
    })
}

/// The most memory that a running program has had resident, in KiB.
pub(crate) fn peak(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default()
}

/// Linux counts it in hundredths of a second (`proc_pid_stat(5)`, utime and stime).
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let times = after_name.split_whitespace().skip(11).take(2);
    let ticks: usize = times.filter_map(|ticks| ticks.parse::<usize>().ok()).sum();
    number(ticks) / 100.0
}
