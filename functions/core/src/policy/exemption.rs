//! Exemptions: which findings the policy lets stand, until when, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use time::format_description::well_known::Iso8601;
use time::{Date, OffsetDateTime, Time};

use super::matching::Match;
use crate::glob::{Glob, TagGlob};
use crate::rules::{RULES, entry};
use crate::text::one_line;
use crate::yaml::unknown;

/// The key of the tag by which a repository exempts itself, where the policy allows it: `ecr-warden:exempt:<rule>`. Its
/// value is the last day and the reason: `2027-03-31 OPS-1234 moving to immutable tags`.
pub const TAG_PREFIX: &str = "ecr-warden:exempt:";

/// An exemption's end is told of so long before.
pub const ENDS_SOON: i64 = 14 * DAY;
const DAY: i64 = 24 * 60 * 60;
/// The longest reason that is passed on.
const REASON: usize = 300;

/// Findings that may stand until a day. An expired exemption is none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ExemptionFile {
    #[serde(default)]
    repositories: Vec<Glob>,
    #[serde(default)]
    accounts: Vec<String>,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, TagGlob>,
    /// The rules whose findings may stand.
    rules: Vec<RuleId>,
    /// The last day (UTC) on which it holds: 2027-03-31.
    until: Day,
    /// Why, for whoever reads the findings.
    reason: ExemptionReason,
    /// Whom to ask.
    #[serde(default)]
    owner: Option<String>,
}

/// The same, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exemption {
    pub(super) matching: Match,
    pub(super) rules: BTreeSet<&'static str>,
    pub(super) standing: Standing,
}

impl From<ExemptionFile> for Exemption {
    fn from(file: ExemptionFile) -> Self {
        let ExemptionFile {
            repositories,
            accounts,
            regions,
            tags,
            rules,
            until,
            reason,
            owner,
        } = file;
        Self {
            matching: Match {
                repositories,
                accounts,
                regions,
                tags,
            },
            rules: rules.into_iter().map(|rule| rule.0).collect(),
            standing: Standing {
                until,
                reason: reason.0,
                owner: owner.map(|owner| one_line(&owner, REASON)),
            },
        }
    }
}

/// Whether, and for which rules, a repository may exempt itself by a tag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ByTag {
    /// The rules that a tag `ecr-warden:exempt:<rule>` can exempt from. Whoever may tag a repository may then exempt it.
    pub(super) rules: Vec<RuleId>,
    /// How many days from today such an exemption may last.
    #[serde(default = "most_days")]
    pub(super) most_days: u16,
}

fn most_days() -> u16 {
    90
}

impl ByTag {
    /// What the repository's tag for a rule says: an exemption, or why it is none.
    pub(super) fn of(
        &self,
        rule: &str,
        tags: &BTreeMap<String, String>,
        now: i64,
    ) -> Option<Result<Standing, String>> {
        let key = format!("{TAG_PREFIX}{rule}");
        let value = tags.get(&key)?;
        let none = |why: &str| Err(format!("its tag `{key}` is no exemption: {why}"));
        if !self.rules.iter().any(|allowed| allowed.0 == rule) {
            return Some(none("the policy allows no exemption by tag from this rule"));
        }
        let (day, reason) = value.split_once(' ').unwrap_or((value, ""));
        let Ok(until) = Day::try_from(day.to_owned()) else {
            return Some(none(
                "its value must begin with the last day, as 2027-03-31",
            ));
        };
        let Ok(reason) = ExemptionReason::try_from(reason.to_owned()) else {
            return Some(none("its value needs a reason after the day"));
        };
        if until.end() <= now {
            return None;
        }
        if until.end() > now.saturating_add(i64::from(self.most_days).saturating_add(1) * DAY) {
            return Some(none(&format!(
                "it lasts longer than the {} days that the policy allows",
                self.most_days
            )));
        }
        Some(Ok(Standing {
            until,
            reason: reason.0,
            owner: None,
        }))
    }
}

/// An exemption that holds, as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub until: Day,
    pub reason: String,
    pub owner: Option<String>,
}

impl Standing {
    /// Whether people should be told of its end now.
    #[must_use]
    pub fn ends_soon(&self, now: i64) -> bool {
        self.until.end().saturating_sub(now) <= ENDS_SOON
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exempt until {}: {}", self.until, self.reason)?;
        match &self.owner {
            Some(owner) => write!(f, " ({owner})"),
            None => Ok(()),
        }
    }
}

/// A day, until whose end (UTC) something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Day(Date);

impl Day {
    /// The day that is this number of days after a time in seconds since the epoch; `None`: no calendar has it.
    #[must_use]
    pub fn after(now: i64, days: u16) -> Option<Self> {
        let at = now.checked_add(i64::from(days).checked_mul(DAY)?)?;
        Some(Self(OffsetDateTime::from_unix_timestamp(at).ok()?.date()))
    }

    /// Its first second, from the epoch.
    #[must_use]
    pub fn start(self) -> i64 {
        OffsetDateTime::new_utc(self.0, Time::MIDNIGHT).unix_timestamp()
    }

    /// The first second after it, from the epoch.
    #[must_use]
    pub fn end(self) -> i64 {
        self.start().saturating_add(DAY)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Date::parse(&text, &Iso8601::DATE)
            .ok()
            // Only one of ISO 8601's forms.
            .filter(|date| date.to_string() == text)
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "`{}` is not a day: write it as 2027-03-31",
                    one_line(&text, 40)
                )
            })
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date", "description": "A day, as 2027-03-31." })
    }
}

/// Something that says why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub(super) struct ExemptionReason(String);

impl fmt::Display for ExemptionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ExemptionReason> for String {
    fn from(reason: ExemptionReason) -> Self {
        reason.0
    }
}

impl TryFrom<String> for ExemptionReason {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let reason = one_line(text.trim(), REASON);
        if reason.is_empty() {
            Err("the reason is empty; it is shown with each finding".to_owned())
        } else {
            Ok(Self(reason))
        }
    }
}

/// The id of a rule that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleId(pub(super) &'static str);

// Derived, it would ask the document to live as long as the program.
impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl TryFrom<String> for RuleId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        match entry(&id) {
            Some(entry) => Ok(Self(entry.meta.id)),
            None => {
                let ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
                Err(unknown("rule", &id, &ids))
            }
        }
    }
}

impl JsonSchema for RuleId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuleId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
        json_schema!({ "enum": ids })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_day_holds_until_its_end() {
        assert_eq!(day("1970-01-01").end(), DAY);
        assert_eq!(Day::after(DAY - 1, 0), Some(day("1970-01-01")));
        assert_eq!(Day::after(0, 31), Some(day("1970-02-01")));
        assert_eq!(Day::after(i64::MAX, 1), None);
        for wrong in [
            "2027-02-30",
            "20270331",
            "2027-3-1",
            "soon",
            "",
            "+002027-03-31",
        ] {
            assert!(Day::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tag_exempts_only_as_the_policy_lets_it() {
        let by_tag = ByTag {
            rules: vec![RuleId("mutable-tags")],
            most_days: 30,
        };
        let now = day("2027-01-01").end();
        let of = |rule: &str, value: &str| {
            let tags = [(format!("{TAG_PREFIX}{rule}"), value.to_owned())].into();
            by_tag.of(rule, &tags, now)
        };
        let standing = of("mutable-tags", "2027-01-31 OPS-1").unwrap().unwrap();
        assert_eq!(standing.to_string(), "exempt until 2027-01-31: OPS-1");
        for (rule, value, why) in [
            ("public-access", "2027-01-31 x", "no exemption by tag"),
            ("mutable-tags", "2027-01-31", "a reason after the day"),
            ("mutable-tags", "forever x", "the last day"),
            ("mutable-tags", "2027-03-31 x", "longer than"),
        ] {
            let error = of(rule, value).unwrap().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert_eq!(of("mutable-tags", "2026-12-31 x"), None, "expired");
        assert_eq!(by_tag.of("mutable-tags", &BTreeMap::new(), now), None);
    }
}
