//! `ecr-warden rules`: the catalogue.

use clap::Args;
use comfy_table::ColumnConstraint;
use ecr_warden_core::rule::Entry;
use ecr_warden_core::rules::{RULES, entry, unknown_rule};
use serde_json::{Value, json};

use crate::Compliance;
use crate::failure::CommandError;
use crate::output::{OutputFormat, Stream, lines, say, table};

const EXAMPLES: &str = "Examples:
  ecr-warden rules
  ecr-warden rules mutable-tags";

/// List the rules, or explain one.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Rules {
    /// Explain this one.
    rule: Option<String>,
    /// `json`: `ecr-warden.rules/1`.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
}

fn catalogue(entries: &[&Entry]) -> Value {
    let rules = entries.iter().map(|entry| {
        let meta = &entry.meta;
        json!({
            "rule": meta.id,
            "severity": meta.severity.name(),
            "summary": meta.summary,
            "explanation": meta.explanation,
            "example": meta.example,
            "related": entry.related(),
        })
    });
    json!({ "schema": "ecr-warden.rules/1", "rules": rules.collect::<Vec<_>>() })
}

impl Rules {
    pub(crate) fn run(self) -> Result<Compliance, CommandError> {
        match self.rule {
            Some(id) => {
                let entry = entry(&id).ok_or_else(|| CommandError::Usage(unknown_rule(&id)))?;
                if self.format == OutputFormat::Json {
                    say!("{}", catalogue(&[entry]));
                    return Ok(Compliance::Nothing);
                }
                let meta = &entry.meta;
                say!(
                    "{} ({})\n{}.\n\n{}",
                    meta.id,
                    meta.severity.name(),
                    meta.summary,
                    meta.explanation
                );
                if !meta.controls.is_empty() {
                    say!("\nThe same elsewhere: {}.", meta.controls.join(", "));
                }
                say!("\n{}", ecr_warden_core::reference::settings(entry));
            }
            None if self.format == OutputFormat::Json => {
                say!("{}", catalogue(&RULES.iter().collect::<Vec<_>>()));
            }
            None => {
                let mut table = table(
                    &["rule", "severity", "finds", "Security Hub"],
                    Stream::Output,
                );
                for entry in RULES {
                    let meta = &entry.meta;
                    let hub = meta
                        .controls
                        .iter()
                        .find_map(|control| control.strip_prefix("AWS Security Hub "));
                    table.add_row([
                        meta.id,
                        meta.severity.name(),
                        meta.summary,
                        hub.unwrap_or_default(),
                    ]);
                }
                // An id is copied whole.
                if let Some(ids) = table.column_mut(0) {
                    ids.set_constraint(ColumnConstraint::ContentWidth);
                }
                say!("{}", lines(&table));
            }
        }
        Ok(Compliance::Nothing)
    }
}
