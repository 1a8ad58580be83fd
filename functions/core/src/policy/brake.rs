//! What stops changes before any rule is asked: repositories that are never changed, freezes, and how much may be changed in a sweep and in
//! an hour.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use super::freeze::Freeze;
use crate::glob::Glob;

/// What stops changes before any rule is asked.
#[derive(Clone, Debug)]
pub(super) struct PolicyBrakes {
    pub(super) never_change: Vec<Glob>,
    pub(super) freezes: Vec<Freeze>,
    pub(super) changes_per_sweep: usize,
    /// `None`: any number.
    pub(super) changes_per_hour: Option<u32>,
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

/// Changes within an hour, in each account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = hourly_schema)]
pub(super) struct ChangesPerHour(pub(super) u32);

/// A registry holds no more repositories (ECR, service quotas).
const MOST_PER_HOUR: u32 = 100_000;

impl TryFrom<u64> for ChangesPerHour {
    type Error = String;

    fn try_from(changes: u64) -> Result<Self, String> {
        u32::try_from(changes)
            .ok()
            .filter(|changes| (1..=MOST_PER_HOUR).contains(changes))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "changes-per-hour is 1 to {MOST_PER_HOUR}, not {changes}; `mode: monitor` changes nothing"
                )
            })
    }
}

fn hourly_schema(schema: &mut Schema) {
    *schema = json_schema!({ "type": "integer", "description": "Changes within an hour, in each account and region.", "minimum": 1, "maximum": MOST_PER_HOUR });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::reason::Code;
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
    fn changes_per_sweep_are_bounded() {
        assert_eq!(policy("").changes_per_sweep(), CHANGES);
        assert_eq!(policy("changes-per-sweep: 0").changes_per_sweep(), 0);
        assert_eq!(policy("changes-per-sweep: 500").changes_per_sweep(), 500);
        assert!(problem("changes-per-sweep: 501").contains("0 to 500"));
    }

    #[test]
    fn changes_per_hour_are_bounded() {
        assert_eq!(policy("").changes_per_hour(), None);
        assert_eq!(policy("changes-per-hour: 1").changes_per_hour(), Some(1));
        assert!(problem("changes-per-hour: 0").contains("mode: monitor"));
        assert!(problem("changes-per-hour: 100001").contains("1 to 100000"));
    }
}
