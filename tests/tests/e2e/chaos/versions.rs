//! The functions of this version and, where `EARLIER_ZIPS` names a folder with an earlier version's zips, those beside them, at the same state
//! table: as during a deployment, and after it was rolled back.

use std::path::Path;

use ecr_warden_tests::Problem;
use ecr_warden_tests::local_aws::LocalAws;
use serde_json::Value;

use crate::support::World;

/// The functions' names, of each version.
pub(super) struct Versions {
    enforcers: Vec<String>,
    auditors: Vec<String>,
}

impl Versions {
    pub(super) fn at(world: &World) -> Self {
        let stack = &world.stack;
        let mut versions = Self {
            enforcers: vec![stack.enforcer.clone()],
            auditors: vec![stack.auditor.clone()],
        };
        if let Some(zips) = std::env::var_os("EARLIER_ZIPS") {
            let zip = |name: &str| Path::new(&zips).join(name).join("bootstrap.zip");
            let add = |function: &str, name| add(&world.local, function, &zip(name)).unwrap();
            versions.enforcers.push(add(&stack.enforcer, "enforcer"));
            versions.auditors.push(add(&stack.auditor, "auditor"));
        }
        versions
    }

    /// One of the enforcers: numbers that follow each other are of different versions, if there are several.
    pub(super) fn enforcer(&self, n: usize) -> &str {
        &self.enforcers[n % self.enforcers.len()]
    }

    /// The same of the auditors.
    pub(super) fn auditor(&self, n: usize) -> &str {
        &self.auditors[n % self.auditors.len()]
    }
}

/// Adds a function with the settings of another one and this code.
fn add(local: &LocalAws, like: &str, zip: &Path) -> Result<String, Problem> {
    let asked = [
        "lambda",
        "get-function-configuration",
        "--function-name",
        like,
    ];
    let settings: Value = serde_json::from_str(&local.cli(&asked)?)?;
    let name = format!("{like}-earlier");
    let text = |key: &str| settings[key].as_str().unwrap_or_default().to_owned();
    let (role, runtime, handler) = (text("Role"), text("Runtime"), text("Handler"));
    let architecture = settings["Architectures"][0].as_str().unwrap_or_default();
    let (timeout, memory) = (
        settings["Timeout"].to_string(),
        settings["MemorySize"].to_string(),
    );
    let environment = settings["Environment"].to_string();
    let zip = format!("fileb://{}", zip.display());
    local.cli(&[
        "lambda",
        "create-function",
        "--function-name",
        &name,
        "--role",
        &role,
        "--runtime",
        &runtime,
        "--handler",
        &handler,
        "--architectures",
        architecture,
        "--timeout",
        &timeout,
        "--memory-size",
        &memory,
        "--environment",
        &environment,
        "--tracing-config",
        "Mode=Active",
        "--zip-file",
        &zip,
    ])?;
    Ok(name)
}
