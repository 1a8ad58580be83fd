//! Whatever comes from outside, nothing breaks: each target on thousands of inputs made from good ones, the same ones each
//! time. `fuzz/` goes on where this stops.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test reads its seeds, stops where it fails, and says on what"
)]

mod mutation;
#[expect(unreachable_pub, reason = "the fuzz targets use it, too")]
mod repository;
#[expect(unreachable_pub, reason = "the fuzz targets use them, too")]
mod targets;
#[expect(unreachable_pub, reason = "an example measures them, too")]
mod worst;

use std::path::{Path, PathBuf};

use mutation::{Chance, mutated};

/// The good inputs of a target, in one order.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = match target {
        "event" => root.join("../../events"),
        other => root.join("tests/hostile/seeds").join(other),
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    if target == "policy" {
        files.push(root.join("../../infra/policy.yaml"));
        files.push(root.join("../../tests/examples/demo/policy.yaml"));
    }
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn tried(name: &str, times: usize) {
    let (_, target) = targets::ALL.iter().find(|(it, _)| *it == name).unwrap();
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let mut chance = Chance(1);
    for n in 0..times {
        let input = mutated(&mut chance, &seeds);
        let told = Told { n, input: &input };
        target(&input);
        std::mem::forget(told);
    }
}

/// Says which input it was, where a target panics.
struct Told<'i> {
    n: usize,
    input: &'i [u8],
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let shown = String::from_utf8_lossy(self.input);
        println!(
            "input {}: {}",
            self.n,
            shown.chars().take(1000).collect::<String>()
        );
    }
}

#[test]
fn events() {
    tried("event", 10_000);
}

#[test]
fn policies() {
    tried("policy", 6000);
}

#[test]
fn repository_policies() {
    tried("repository-policy", 10_000);
}

#[test]
fn alerts() {
    tried("alert", 700);
}

#[test]
fn reports() {
    tried("report", 500);
}

/// What they cost is measured by `examples/hostile.rs`.
#[test]
fn the_largest() {
    for (_, run) in worst::all() {
        run();
    }
}
