//! What is wrong with a repository, and what became of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::advice::Advice;

/// How much a finding matters; the words are Security Hub's.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One line: what is wrong, with the values.
    pub detail: String,
    pub fix: Fix,
}

/// The repair, and how safe it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Nothing that works today stops working, but for what the policy forbids.
    Safe(Action),
    /// The repository is gone for a moment.
    Disruptive(Action),
    /// None: one line with what the operator should do, and why ecr-warden does not.
    Manual(String),
}

impl Violation {
    /// What the operator should do.
    #[must_use]
    pub fn for_people(&self) -> &str {
        match &self.fix {
            Fix::Manual(what) => what,
            Fix::Safe(_) | Fix::Disruptive(_) => "the next event goes on with the repair",
        }
    }
}

/// A violation, under the name of the rule that found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub severity: Severity,
    pub violation: Violation,
    /// What the rule still finds after the repair: it is reported as open.
    pub left: Option<Violation>,
    /// What prevents it, where that depends on more than the rule's settings.
    pub advice: Option<Advice>,
}

/// What became of a finding, as `ecr-warden.outcome/1` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Repaired, and verified.
    Fixed,
    /// Open: ecr-warden does not repair it.
    Open,
    /// The repair was withheld: monitor mode, or doubt.
    Withheld,
    /// The policy exempts it.
    Exempt,
    /// The repair was tried and did not succeed.
    Failed,
    /// It was found before and is not there any more, without a repair of ours.
    Resolved,
}

impl Status {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Open => "open",
            Self::Withheld => "withheld",
            Self::Exempt => "exempt",
            Self::Failed => "failed",
            Self::Resolved => "resolved",
        }
    }

    /// How urgent it is, beside others.
    pub(crate) fn urgency(self) -> u8 {
        match self {
            Self::Failed => 5,
            Self::Open => 4,
            Self::Withheld => 3,
            Self::Fixed => 2,
            Self::Resolved => 1,
            Self::Exempt => 0,
        }
    }
}
