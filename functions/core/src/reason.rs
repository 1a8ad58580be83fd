//! Why ecr-warden did not make a change or a report: a stable code for programs beside a sentence for readers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The code of a reason. It is public: outcomes, alerts and audits have it as `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    // Ignored events.
    /// The repository does not exist.
    RepositoryGone,
    /// Another invocation recreates the repository.
    LeasedElsewhere,
    /// The repository is younger than `settle`.
    Settling,
    /// `ecr-calls-per-second` is used up, or the repository was evaluated a moment ago.
    RateLimited,
    /// An earlier event of the repository waits and covers this one.
    CoveredByEarlierEvent,
    /// The sweep waits for the end of another one.
    WaitsForAnotherSweep,
    /// Another sweep waits and covers this one.
    CoveredByAnotherSweep,
    /// The repository belongs to another account.
    ForeignAccount,
    /// ecr-warden made the change.
    OwnChange,
    /// The call only reads.
    ReadOnlyCall,
    /// The call, or the push, failed.
    FailedCall,
    /// The event says nothing about a setting or an image.
    IrrelevantEvent,
    /// The event cannot be understood.
    UnreadableEvent,

    // Withheld repairs.
    /// The policy monitors.
    MonitorMode,
    /// The repository existed before, and the policy monitors those.
    ExistingRepository,
    /// The policy never changes the repository.
    NeverChange,
    /// The policy changes nothing at this time.
    Frozen,
    /// An operator has stopped all changes.
    Stopped,
    /// As many changes were made as `changes-per-hour` allows.
    HourlyLimit,
    /// The sweep would change more repositories than `changes-per-sweep` allows.
    SweepLimit,
    /// The sweep found it after it had counted what it changes.
    NotCounted,
    /// The rule has a grace period (`enforce-after`).
    GracePeriod,
    /// The policy asks for someone's approval (`mode: approve`).
    ApprovalRequired,
    /// The state table, or the rule's item in it, cannot be read.
    RecordUnreadable,
    /// Another repair changes the same setting first.
    SamePart,
    /// Another invocation makes the repair.
    RepairedElsewhere,
    /// The repair was reverted as often as `repair-limit` allows.
    RevertLimit,
    /// An operator has rolled the repair back.
    RolledBack,
    /// The lifecycle policy would expire images, or its effect is not known.
    ExpiresImages,

    // Findings that ecr-warden does not repair.
    /// The rule has no repair for it.
    NoRepair,
    /// AWS refused the new encryption, and the repository has its old one.
    FellBack,
    /// AWS refused the deletion that a recreation begins with.
    DeletionRefused,
    /// The repository holds images.
    HoldsImages,
    /// The repository was changed at the same time.
    ChangedMeanwhile,
    /// AWS refused a rehearsal of the recreation.
    RehearsalRefused,
    /// A CloudFormation stack owns the repository.
    OwnedByStack,
    /// The recreation could not be recorded.
    NotRecorded,

    // Failed repairs.
    /// ecr-warden's role lacks a permission, or a policy denies the call.
    AccessDenied,
    /// A policy of the organization forbids the change.
    OrganizationPolicy,
    /// AWS refused the change, or the version in force cannot make it.
    Refused,
    /// AWS accepted the change and does not show it.
    NotShown,
    /// The repository has the tag of a recreation.
    Marked,
    /// Another change of the same setting failed before it.
    EarlierStepFailed,
}

impl Code {
    /// Whether only this sweep leaves the repair to a later one.
    pub(crate) fn is_of_sweep(self) -> bool {
        matches!(self, Self::SweepLimit | Self::NotCounted)
    }
}

/// A code that a newer version answers is left out: the sentence beside it is there.
pub(crate) fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Code>, D::Error> {
    let code = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(code).ok())
}

/// A code, and its sentence with the values of the case: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub code: Code,
    pub text: String,
}

impl Reason {
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_each_code() {
        let page = include_str!("../../../docs/alerts.md");
        let schema = schemars::schema_for!(Code).to_value();
        let codes = schema["oneOf"].as_array().unwrap();
        assert!(codes.len() > 20, "{schema}");
        for code in codes {
            let code = code["const"].as_str().unwrap();
            assert!(
                page.contains(&format!("\n| `{code}` | ")),
                "docs/alerts.md lacks `{code}`"
            );
        }
    }
}
