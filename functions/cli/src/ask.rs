//! Questions at the terminal.

use std::io::{BufRead, IsTerminal};

use crate::failure::CommandError;
use crate::output::to_stderr;

/// Whether an operator can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The answer to a question; the default if it is empty.
pub(crate) fn ask(question: &str, default: &str) -> Result<String, CommandError> {
    to_stderr(&format!("{question} [{default}] "));
    let answer = line()?;
    Ok(match answer.trim() {
        "" => default.to_owned(),
        given => given.to_owned(),
    })
}

/// What a question about a number of changes is about.
pub(crate) fn these_changes(changes: usize) -> String {
    match changes {
        1 => "this change".to_owned(),
        n => format!("these {n} changes"),
    }
}

/// Asks the operator for consent.
pub(crate) fn agreed(question: &str) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Usage(
            "stdin is not a terminal; pass --yes to confirm".to_owned(),
        ));
    }
    to_stderr(&format!("{question} [y/N] "));
    Ok(matches!(line()?.trim(), "y" | "Y" | "yes"))
}

fn line() -> Result<String, CommandError> {
    let unreadable = |error: std::io::Error| CommandError::Usage(error.to_string());
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(unreadable)?;
    Ok(answer)
}
