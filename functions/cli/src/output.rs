//! All output of the command: to terminals, to pipes and into files.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};

use crate::failure::CommandError;

/// Where standard output has failed, it is not written to again.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// A line to standard output, as `println!` but for a reader that has gone: `| head` is no failure.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(&format!($($text)*)) };
}

/// Writes a line to standard error.
macro_rules! remark {
    ($($text:tt)*) => { $crate::output::to_stderr(&format!("{}\n", format_args!($($text)*))) };
}

/// Writes a line to standard output that is no result: a confirmation, or what to do next. Not with --quiet.
macro_rules! note {
    ($($text:tt)*) => { if !$crate::output::is_quiet() { $crate::output::line(&format!($($text)*)) } };
}

pub(crate) use {note, remark, say};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Results and errors only from now on.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// How a command that prints no table prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

pub(crate) fn line(text: &str) {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    if failed.is_some() {
        return;
    }
    let mut out = std::io::stdout().lock();
    *failed = writeln!(out, "{text}").and_then(|()| out.flush()).err();
}

pub(crate) fn to_stderr(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = error
        .write_all(text.as_bytes())
        .and_then(|()| error.flush());
}

/// Succeeds if all output was written, or its reader went away.
pub(crate) fn written() -> Result<(), CommandError> {
    let mut failed = FAILED.lock().unwrap_or_else(PoisonError::into_inner);
    match failed.take() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::Usage(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Standard output, or a file that is seen to be writable before there is something to write.
pub(crate) struct Target(Option<Destination>);

struct Destination {
    /// As it was given.
    path: PathBuf,
    file: File,
    /// It is written beside what was there before, and takes its place at the end.
    rename: Option<(PathBuf, PathBuf)>,
}

impl Target {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, CommandError> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let wrong =
            |error: std::io::Error| CommandError::Usage(format!("{}: {error}", path.display()));
        // What a link leads to is replaced, not the link.
        let at = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let before = std::fs::metadata(&at).ok();
        let in_place = || OpenOptions::new().write(true).open(&at);
        let into = |file, rename| {
            Self(Some(Destination {
                path: path.to_owned(),
                file,
                rename,
            }))
        };
        // A device or a pipe.
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            return Ok(into(in_place().map_err(wrong)?, None));
        }
        let name = at.file_name().unwrap_or_default().to_string_lossy();
        let beside = at.with_file_name(format!(".{name}.{}", std::process::id()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside);
        match (file, before) {
            (Ok(file), before) => {
                if let Some(before) = before {
                    let _ = file.set_permissions(before.permissions());
                }
                Ok(into(file, Some((beside, at))))
            }
            // A file may be writable where its folder is not.
            (Err(_), Some(_)) => Ok(into(in_place().map_err(wrong)?, None)),
            (Err(error), None) => Err(wrong(error)),
        }
    }

    pub(crate) fn write(mut self, text: &str) -> Result<(), CommandError> {
        let Some(into) = &mut self.0 else {
            line(text.trim_end());
            return Ok(());
        };
        let write = |into: &mut Destination| {
            if into.rename.is_none() && into.file.metadata()?.is_file() {
                into.file.set_len(0)?;
            }
            into.file.write_all(text.as_bytes())?;
            match &into.rename {
                Some((beside, at)) => std::fs::rename(beside, at),
                None => Ok(()),
            }
        };
        write(into)
            .map_err(|error| CommandError::Usage(format!("{}: {error}", into.path.display())))?;
        into.rename = None;
        Ok(())
    }
}

impl Drop for Target {
    /// Nothing is left of what was not finished.
    fn drop(&mut self) {
        if let Some((beside, _)) = self.0.take().and_then(|into| into.rename) {
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Who a table is shown to.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// A table as wide as the terminal; in a pipe one line a row, as wide as it needs and without rules, for `grep` and `less -S`.
pub(crate) fn table(header: &[&str], to: Stream) -> Table {
    let terminal = match to {
        Stream::Output => std::io::stdout().is_terminal(),
        Stream::Error => std::io::stderr().is_terminal(),
    };
    let mut table = Table::new();
    table.set_header(header);
    if let Stream::Error = to {
        table.use_stderr();
    }
    if terminal {
        let columns = width(table.width());
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    } else {
        table
            .force_no_tty()
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
    }
    table
}

/// The columns of the terminal that a stream leads to.
pub(crate) fn columns(of: Stream) -> usize {
    let mut table = Table::new();
    if let Stream::Error = of {
        table.use_stderr();
    }
    usize::from(width(table.width()))
}

/// A terminal that says 0 does not know.
fn width(said: Option<u16>) -> u16 {
    said.filter(|width| *width > 0).unwrap_or(80)
}

/// Its lines, without blanks at their ends.
pub(crate) fn lines(table: &Table) -> String {
    table.trim_fmt()
}

/// `1 repository`, `2 repositories`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_of_no_columns_has_eighty() {
        assert_eq!(width(Some(0)), 80);
        assert_eq!(width(None), 80);
        assert_eq!(width(Some(120)), 120);
    }

    #[test]
    fn what_is_one_is_said_in_the_singular() {
        assert_eq!(count(1, "repository", "repositories"), "1 repository");
        assert_eq!(count(0, "repository", "repositories"), "0 repositories");
    }
}
