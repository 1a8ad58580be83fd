//! What a command is doing, on standard error, while it does it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::is_quiet;

/// One line that changes; only at a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn begin(what: &str) -> Self {
        if is_quiet() || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed}  {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self(bar);
        progress.set(what);
        progress
    }

    pub(crate) fn set(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
