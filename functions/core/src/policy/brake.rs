//! What stops changes before any rule is asked: repositories that are never changed, freezes, and how much one sweep may change.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use super::exemption::{Day, ExemptionReason};
use crate::reason::{Code, Reason};

/// Days on which nothing is changed, as the file has them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FreezeFile {
    /// The first day (UTC): 2026-12-20.
    from: Day,
    /// The last day (UTC): 2027-01-06.
    until: Day,
    /// Why. It is shown with each finding.
    reason: ExemptionReason,
}

/// Days on which nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "FreezeFile")]
#[schemars(with = "FreezeFile")]
pub(super) struct Freeze {
    from: Day,
    until: Day,
    reason: ExemptionReason,
}

impl TryFrom<FreezeFile> for Freeze {
    type Error = String;

    fn try_from(file: FreezeFile) -> Result<Self, String> {
        let FreezeFile {
            from,
            until,
            reason,
        } = file;
        if until < from {
            return Err(format!(
                "this freeze ends before it begins: `until` is {until}, before `from`, {from}"
            ));
        }
        Ok(Self {
            from,
            until,
            reason,
        })
    }
}

impl Freeze {
    /// Why nothing is changed at this time, in seconds since the epoch, if it holds then.
    pub(super) fn hold(&self, now: i64) -> Option<Reason> {
        let holds = (self.from.start()..self.until.end()).contains(&now);
        let (until, reason) = (self.until, &self.reason);
        holds.then(|| {
            let why = format!("the policy changes nothing until {until} (`freezes`: {reason})");
            Reason::new(Code::Frozen, why)
        })
    }
}

/// Repositories that one sweep changes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = changes_schema)]
pub(super) struct ChangesPerSweep(pub(super) usize);

/// A sweep that goes on in another invocation takes the names along in a message.
pub const MOST_CHANGES: usize = 500;
const CHANGES: usize = 20;

impl Default for ChangesPerSweep {
    fn default() -> Self {
        Self(CHANGES)
    }
}

impl TryFrom<u64> for ChangesPerSweep {
    type Error = String;

    fn try_from(changes: u64) -> Result<Self, String> {
        usize::try_from(changes)
            .ok()
            .filter(|changes| *changes <= MOST_CHANGES)
            .map(Self)
            .ok_or_else(|| format!("changes-per-sweep is 0 to {MOST_CHANGES}, not {changes}"))
    }
}

fn changes_schema(schema: &mut Schema) {
    *schema = json_schema!({ "type": "integer", "description": "Repositories that one sweep changes at most.", "minimum": 0, "maximum": MOST_CHANGES, "default": CHANGES });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::repository::RepositoryId;

    fn policy(more: &str) -> Policy {
        Policy::parse(&format!("version: 1\nmode: enforce\n{more}")).unwrap()
    }

    fn problem(more: &str) -> String {
        let parsed = Policy::parse(&format!("version: 1\nmode: enforce\n{more}"));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn protected_repositories_and_frozen_days_are_held() {
        let id = |name| RepositoryId::new("123456789012", "eu-central-1", name).unwrap();
        let policy = policy(
            "never-change: [\"prod/**\"]\nfreezes: [{ from: 2026-12-20, until: 2027-01-06, reason: \"end of year\" }]",
        );
        let first = 1_797_724_800;
        let last = 1_799_279_999;
        for (name, now, expected) in [
            ("prod/api", 0, Some(Code::NeverChange)),
            ("shop/api", first - 1, None),
            ("shop/api", first, Some(Code::Frozen)),
            ("shop/api", last, Some(Code::Frozen)),
            ("shop/api", last + 1, None),
        ] {
            let hold = policy.hold(&id(name), now);
            assert_eq!(hold.map(|hold| hold.code), expected, "{name} at {now}");
        }
        let hold = policy.hold(&id("shop/api"), first).unwrap();
        assert!(hold.text.contains("2027-01-06"), "{hold}");
        assert!(hold.text.contains("end of year"), "{hold}");
    }

    #[test]
    fn a_freeze_ends_after_it_begins() {
        let problem = problem("freezes: [{ from: 2027-01-06, until: 2026-12-20, reason: x }]");
        assert!(problem.contains("line 3, column 11"), "{problem}");
        assert!(problem.contains("before"), "{problem}");
    }

    #[test]
    fn changes_per_sweep_are_bounded() {
        assert_eq!(policy("").changes_per_sweep(), CHANGES);
        assert_eq!(policy("changes-per-sweep: 0").changes_per_sweep(), 0);
        assert_eq!(policy("changes-per-sweep: 500").changes_per_sweep(), 500);
        assert!(problem("changes-per-sweep: 501").contains("0 to 500"));
    }
}
