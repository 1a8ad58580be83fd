//! `ecr-warden rules`: the catalogue.

use clap::Args;
use ecr_warden_core::rules::{RULES, entry};

use crate::Compliance;
use crate::failure::CommandError;
use crate::output::{Stream, lines, say, table};

/// List the rules, or explain one.
#[derive(Args)]
pub(crate) struct Rules {
    /// Explain this one.
    rule: Option<String>,
}

impl Rules {
    pub(crate) fn run(self) -> Result<Compliance, CommandError> {
        match self.rule {
            Some(id) => {
                let entry = entry(&id).ok_or_else(|| {
                    CommandError::Usage(format!(
                        "unknown rule `{id}`; `ecr-warden rules` lists all rules"
                    ))
                })?;
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
                say!("{}", lines(&table));
            }
        }
        Ok(Compliance::Nothing)
    }
}
