//! What the worst inputs cost: `cargo run --release -p ecr-warden-core --example hostile`. Each runs in a process of its own,
//! which says the processor time of the quickest of three runs, and the most memory it ever had.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it measures"
)]

#[expect(unreachable_pub, reason = "shared with the tests")]
#[path = "../tests/hostile/repository.rs"]
mod repository;
#[expect(dead_code, unreachable_pub, reason = "shared with the tests")]
#[path = "../tests/hostile/targets.rs"]
mod targets;
#[expect(unreachable_pub, reason = "shared with the tests")]
#[path = "../tests/hostile/worst.rs"]
mod worst;

use std::process::Command;
use std::time::Instant;

fn main() {
    let cases = worst::all();
    let Some(wanted) = std::env::args().nth(1) else {
        for (n, (name, _)) in cases.iter().enumerate() {
            let itself = std::env::current_exe().unwrap();
            let done = Command::new(itself).arg(n.to_string()).status().unwrap();
            if !done.success() {
                println!("FAILED    {name}");
            }
        }
        return;
    };
    let (name, run) = &cases[wanted.parse::<usize>().unwrap()];
    let quickest = (0..3)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap_or("?").trim();
    println!(
        "{:9.2} ms  {peak:>10}  {name}",
        quickest.as_secs_f64() * 1000.0
    );
}
