//! Why a command did not do what it was asked to.

use std::path::Path;

use ecr_warden_aws::NotConnected;

/// In one line, or in one line each.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// A wrong argument, a file or a policy that can't be used, something that must not be done.
    Usage(String),
    Aws(String),
    /// By Ctrl-C.
    Stopped(String),
}

impl CommandError {
    /// What it says, and the exit status.
    pub(crate) fn parts(&self) -> (&str, u8) {
        match self {
            Self::Usage(text) => (text, 2),
            Self::Aws(text) => (text, 3),
            Self::Stopped(text) => (text, 130),
        }
    }
}

impl From<NotConnected> for CommandError {
    fn from(error: NotConnected) -> Self {
        match error {
            NotConnected::Usage(why) => Self::Usage(why),
            NotConnected::Aws(why) => Self::Aws(why),
        }
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, CommandError> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))
}
