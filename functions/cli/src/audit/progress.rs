//! What an audit is doing, on standard error, while it does it.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::count;

/// Regions that are named as under way, at most.
const NAMED: usize = 4;

/// One line that changes; only at a terminal.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn begin(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
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

    pub(super) fn set(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// How far an audit of regions is.
#[derive(Default)]
pub(super) struct OfRegions {
    pub(super) all: usize,
    pub(super) done: usize,
    pub(super) repositories: usize,
    /// The regions that are being audited.
    pub(super) under_way: Vec<String>,
}

impl OfRegions {
    pub(super) fn text(&self) -> String {
        let repositories = count(self.repositories, "repository", "repositories");
        let named: Vec<&str> = self.under_way.iter().map(String::as_str).collect();
        let named = named.get(..NAMED).unwrap_or(&named).join(", ");
        let named = if named.is_empty() { "regions" } else { &named };
        match self.all {
            0 | 1 => format!("auditing {named}: {repositories}"),
            all => format!(
                "auditing {named}: {} of {all} regions done, {repositories}",
                self.done
            ),
        }
    }
}

/// What the deployed auditor is being asked for.
pub(super) fn of_parts(function: &str, part: usize, repositories: usize) -> String {
    if part == 1 {
        return format!("asking {function}");
    }
    format!(
        "asking {function} for part {part}, {} so far",
        count(repositories, "repository", "repositories")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_under_way() {
        let mut of = OfRegions {
            all: 1,
            under_way: vec!["eu-west-1".to_owned()],
            ..OfRegions::default()
        };
        assert_eq!(of.text(), "auditing eu-west-1: 0 repositories");
        of.all = 17;
        of.done = 3;
        of.repositories = 1;
        of.under_way.push("eu-west-2".to_owned());
        assert_eq!(
            of.text(),
            "auditing eu-west-1, eu-west-2: 3 of 17 regions done, 1 repository"
        );
        assert_eq!(of_parts("auditor", 1, 0), "asking auditor");
        assert_eq!(
            of_parts("auditor", 2, 1000),
            "asking auditor for part 2, 1000 repositories so far"
        );
    }
}
