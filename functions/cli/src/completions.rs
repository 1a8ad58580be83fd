//! `ecr-warden completions`: what a shell needs to complete the command.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::Compliance;
use crate::failure::CommandError;
use crate::output::line;

const EXAMPLES: &str = "Examples:
  ecr-warden completions bash >~/.local/share/bash-completion/completions/ecr-warden
  ecr-warden completions zsh >\"${fpath[1]}/_ecr-warden\"
  ecr-warden completions fish >~/.config/fish/completions/ecr-warden.fish";

/// Print completions for a shell.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut all: clap::Command) -> Result<Compliance, CommandError> {
        let mut script = Vec::new();
        generate(self.shell, &mut all, "ecr-warden", &mut script);
        line(String::from_utf8_lossy(&script).trim_end());
        Ok(Compliance::Nothing)
    }
}
