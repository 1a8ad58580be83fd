//! `ecr-warden policy`: checks a policy, and prints the schema for editors.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use ecr_warden_core::policy::{self, InvalidPolicy};
use serde_json::{Value, json};

use crate::Compliance;
use crate::failure::{CommandError, read};
use crate::output::{OutputFormat, count, note, say};

const EXAMPLES: &str = "Examples:
  ecr-warden policy check policy.yaml
  ecr-warden policy schema >policy.schema.json
  ecr-warden policy built-in";

/// Work on the policy file.
#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum PolicyCommand {
    /// List all mistakes in policies, with line and column.
    Check {
        /// The policies; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// `json`: `ecr-warden.policy-check/1`.
        #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
        format: OutputFormat,
    },
    /// Print the JSON Schema of policies, for editors.
    Schema,
    /// Print the policy that `audit` uses without --policy, to begin your own with.
    BuiltIn,
}

/// The policy of an audit without one: each rule that needs no settings reports.
const BUILT_IN: &str = include_str!("built-in.yaml");

impl PolicyCommand {
    pub(crate) fn run(self) -> Result<Compliance, CommandError> {
        match self {
            Self::Check {
                files,
                format: OutputFormat::Text,
            } => check(&files)?,
            Self::Check { files, .. } => check_as_json(&files)?,
            Self::Schema => {
                let schema = serde_json::to_string_pretty(&policy::schema())
                    .map_err(|error| CommandError::Usage(error.to_string()))?;
                say!("{schema}");
            }
            Self::BuiltIn => say!("{}", BUILT_IN.trim_end()),
        }
        Ok(Compliance::Nothing)
    }
}

/// Checks each file, and says everything that is wrong with all of them.
fn check(files: &[PathBuf]) -> Result<(), CommandError> {
    let mut wrong = Vec::new();
    for file in files {
        match load(file) {
            Ok(_) => note!("{}: valid", file.display()),
            Err(CommandError::Usage(mistakes)) => wrong.push(mistakes),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Usage(wrong.join("\n")))
    }
}

/// The same for programs. The exit status is the same, too.
fn check_as_json(files: &[PathBuf]) -> Result<(), CommandError> {
    let mut wrong = 0_usize;
    let mut checked: Vec<Value> = Vec::new();
    for file in files {
        let problems: Vec<Value> = match policy::Policy::parse(&read(file)?) {
            Ok(_) => Vec::new(),
            Err(InvalidPolicy(problems)) => problems
                .iter()
                .map(|problem| {
                    let place = problem.place;
                    json!({ "line": place.line, "column": place.column, "message": problem.message })
                })
                .collect(),
        };
        wrong = wrong.saturating_add(usize::from(!problems.is_empty()));
        let path = file.display().to_string();
        checked.push(json!({ "file": path, "valid": problems.is_empty(), "problems": problems }));
    }
    say!(
        "{}",
        json!({ "schema": "ecr-warden.policy-check/1", "files": checked })
    );
    if wrong == 0 {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "{} not valid",
        count(wrong, "policy is", "policies are")
    )))
}

/// The policy in a file; the built-in one without a file.
pub(crate) fn load_or_built_in(file: Option<&Path>) -> Result<policy::Policy, CommandError> {
    match file {
        Some(file) => load(file),
        None => parse(Path::new("built-in"), BUILT_IN),
    }
}

/// The policy in a file, or all that is wrong with it as compilers say it: `file:line:column: what`.
pub(crate) fn load(file: &Path) -> Result<policy::Policy, CommandError> {
    parse(file, &read(file)?)
}

fn parse(file: &Path, text: &str) -> Result<policy::Policy, CommandError> {
    policy::Policy::parse(text).map_err(|InvalidPolicy(problems)| {
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| {
                let place = problem.place;
                format!(
                    "{}:{}:{}: {}",
                    file.display(),
                    place.line,
                    place.column,
                    problem.message
                )
            })
            .collect();
        CommandError::Usage(lines.join("\n"))
    })
}
