//! `ecr-warden man`: the manual pages.

use std::path::PathBuf;

use clap::Args;

use crate::Compliance;
use crate::failure::CommandError;
use crate::output::{line, note};

const EXAMPLES: &str = "Examples:
  ecr-warden man | man -l -
  ecr-warden man --output ~/.local/share/man/man1";

/// Print the manual page, or write the pages of all commands.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManualPages {
    /// Write a page for each command into this folder, which must exist.
    #[arg(long, short, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl ManualPages {
    pub(crate) fn run(self, all: clap::Command) -> Result<Compliance, CommandError> {
        let wrong =
            |place: &str, error: std::io::Error| CommandError::Usage(format!("{place}: {error}"));
        match self.output {
            Some(folder) => {
                let place = folder.display().to_string();
                clap_mangen::generate_to(all, &folder).map_err(|error| wrong(&place, error))?;
                note!("{place}: the pages are written; `man ecr-warden` shows the first");
            }
            None => {
                let mut page = Vec::new();
                let man = clap_mangen::Man::new(all);
                man.render(&mut page)
                    .map_err(|error| wrong("the manual page", error))?;
                line(String::from_utf8_lossy(&page).trim_end());
            }
        }
        Ok(Compliance::Nothing)
    }
}
