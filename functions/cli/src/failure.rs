//! Why a command did not do what it was asked to.

use std::path::Path;
use std::process::ExitCode;

use ecr_warden_aws::NotConnected;

use crate::output::remark;

/// In one line, or in one line each.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A wrong argument, a file or a policy that can't be used, something that must not be done.
    Usage(String),
    Aws(String),
    /// By Ctrl-C.
    Stopped(String),
}

impl Failure {
    pub(crate) fn report(&self) -> ExitCode {
        let (text, status) = match self {
            Self::Usage(text) => (text, 2),
            Self::Aws(text) => (text, 3),
            Self::Stopped(text) => (text, 130),
        };
        remark!("{text}");
        ExitCode::from(status)
    }
}

impl From<NotConnected> for Failure {
    fn from(error: NotConnected) -> Self {
        match error {
            NotConnected::Usage(why) => Self::Usage(why),
            NotConnected::Aws(why) => Self::Aws(why),
        }
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))
}
