//! Why a call to AWS has no answer that a check can use.

use std::fmt;

use crate::text::one_line;

/// The longest reason that is shown, in characters.
const LONGEST: usize = 400;

/// What to do about a resource that was deleted outside of CloudFormation, which does not create it again.
pub(super) const DEPLOY_AGAIN: &str = "delete the stack and deploy it again with `ExistingStateTable`, as docs/deploy.md says under \"Deploy it again\": the state table and its records stay";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The caller may not make the call. The permission, and the sentence that names it.
    Denied { permission: String, why: String },
    /// What was asked about does not exist.
    Gone,
    /// Another error, or AWS is out of reach.
    Other(String),
    /// The check before it found nothing to ask about.
    NotAsked(String),
}

impl NoAnswer {
    /// What to do to get an answer.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Denied { permission, .. } => Some(format!(
                "allow {} for these credentials, or run the command with others",
                one_line(permission, LONGEST)
            )),
            Self::Other(_) => Some("run the command again".to_owned()),
            Self::Gone | Self::NotAsked(_) => None,
        }
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it does not exist"),
            Self::Denied { why, .. } | Self::Other(why) => f.write_str(&one_line(why, LONGEST)),
            Self::NotAsked(why) => write!(f, "not checked: {}", one_line(why, LONGEST)),
        }
    }
}
