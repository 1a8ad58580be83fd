//! Checks the policy that is built in: a mistake fails the build, with its line and column.

use ecr_warden_core::policy::{InvalidPolicy, Policy};

const POLICY: &str = "../../infra/policy.yaml";

fn main() {
    println!("cargo::rerun-if-changed={POLICY}");
    match std::fs::read_to_string(POLICY) {
        Err(error) => println!("cargo::error=infra/policy.yaml can't be read: {error}"),
        Ok(text) => {
            if let Err(InvalidPolicy(problems)) = Policy::parse(&text) {
                for problem in problems {
                    println!("cargo::error=infra/policy.yaml: {problem}");
                }
            }
        }
    }
}
