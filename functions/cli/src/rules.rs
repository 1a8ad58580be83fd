//! `ecr-warden rules`: the catalogue.

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use ecr_warden_core::rules::{RULES, entry};

use crate::Found;
use crate::failure::Failure;

/// List the rules, or explain one.
#[derive(Args)]
pub(crate) struct Rules {
    /// Explain this one.
    rule: Option<String>,
}

impl Rules {
    pub(crate) fn run(self) -> Result<Found, Failure> {
        match self.rule {
            Some(id) => {
                let entry = entry(&id).ok_or_else(|| {
                    Failure::Usage(format!(
                        "there is no rule `{id}`: `ecr-warden rules` lists them"
                    ))
                })?;
                let meta = &entry.meta;
                crate::say(&format!(
                    "{} ({})\n{}.\n\n{}",
                    meta.id,
                    meta.severity.name(),
                    meta.summary,
                    meta.explanation
                ));
                if !meta.controls.is_empty() {
                    crate::say(&format!(
                        "\nThe same elsewhere: {}.",
                        meta.controls.join(", ")
                    ));
                }
                crate::say(&format!(
                    "\n{}",
                    ecr_warden_core::reference::settings(entry)
                ));
            }
            None => {
                let mut table = table(&["rule", "severity", "finds", "Security Hub"]);
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
                crate::say(&format!("{table}"));
            }
        }
        Ok(Found::Nothing)
    }
}

/// A table as wide as the terminal; in a pipe as wide as it needs.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}
