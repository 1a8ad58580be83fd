//! The lines that prevent a finding.

use serde::Serialize;

/// What prevents the finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// One sentence.
    #[serde(skip)]
    pub text: String,
    pub terraform: String,
    pub cloudformation: String,
    /// The command that repairs one repository, for a shell in which `$REPOSITORY` names it and `AWS_REGION` is its
    /// region: so the advice for many is the same.
    #[serde(skip)]
    pub cli: String,
}
