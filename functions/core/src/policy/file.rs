//! The policy file's shape, and its JSON Schema.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::brake::{ChangesPerHour, ChangesPerSweep, PolicyBrakes};
use super::costs::Costs;
use super::exemption::{ByTag, Day, ExemptionFile, RuleId};
use super::existing::Existing;
use super::freeze::Freeze;
use super::grace::Grace;
use super::matching::Match;
use super::owners::Contacts;
use crate::glob::Glob;
use crate::rules::RULES;

/// Whether what can be repaired is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Enforce,
    /// Report, and make each repair when someone approves it: `ecr-warden approve`.
    Approve,
    /// Report, and change nothing.
    Monitor,
}

/// The settings of each rule that is mentioned, as far as they are given.
pub(super) type Blocks = BTreeMap<&'static str, Map<String, Value>>;

/// The file's own shape. The blocks of rules are read by the rules.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PolicyFile {
    /// The version of this format.
    #[expect(dead_code, reason = "its one value is checked while reading")]
    pub(super) version: Version,
    pub(super) mode: Mode,
    /// Whether repositories that were created before are repaired, too. With `monitor` they are reported and not changed.
    #[serde(default)]
    pub(super) existing: Existing,
    /// The day before which a repository is an existing one. Without it, the day on which ecr-warden was deployed.
    #[serde(default)]
    pub(super) existing_before: Option<Day>,
    /// Repositories that are never changed, only reported.
    #[serde(default)]
    pub(super) never_change: Vec<Glob>,
    /// Days, or hours of each week, in which nothing is changed.
    #[serde(default)]
    pub(super) freezes: Vec<Freeze>,
    /// How many repositories one sweep changes at most. Where it would change more, it changes none and reports them.
    #[serde(default)]
    pub(super) changes_per_sweep: ChangesPerSweep,
    /// How many changes all functions together make within an hour, in each account and region. Then none is made for an hour, or until
    /// `ecr-warden resume --brake`.
    #[serde(default)]
    pub(super) changes_per_hour: Option<ChangesPerHour>,
    /// How long a new repository is left alone, so that its creator can finish: `90s`, `5m`, at most `15m`. Off without it.
    #[serde(default)]
    pub(super) settle: Option<Settle>,
    /// How often a rule repairs one repository within 24 hours. What is set back more often is fought over: then it is
    /// reported, and left to people.
    #[serde(default)]
    pub(super) repair_limit: RepairLimit,
    /// How many calls of ECR all functions together make in a second, in each account and region: their share of what ECR
    /// takes from the account. Off without it: as many as ECR takes, and fewer when it throttles.
    #[serde(default)]
    pub(super) ecr_calls_per_second: Option<CallsPerSecond>,
    #[serde(default)]
    #[schemars(schema_with = "blocks_schema")]
    #[expect(
        dead_code,
        reason = "read from the document, so that problems have places"
    )]
    pub(super) rules: BTreeMap<String, Value>,
    /// Other settings for some repositories; the last match wins, key by key.
    #[serde(default)]
    pub(super) overrides: Vec<Override>,
    /// Findings that may stand for a time.
    #[serde(default)]
    pub(super) exemptions: Vec<ExemptionFile>,
    /// Lets repositories exempt themselves by a tag.
    #[serde(default)]
    pub(super) exemptions_by_tag: Option<ByTag>,
    /// Rules that nothing exempts from, neither this file nor a tag.
    #[serde(default)]
    pub(super) non_negotiable: Vec<RuleId>,
    /// The key of the tag that names a repository's owner. Alerts then have the owner.
    #[serde(default)]
    pub(super) owner_tag: Option<String>,
    /// How owners are reached, by the values of that tag.
    #[serde(default)]
    pub(super) owners: Contacts,
    /// What storage costs, for audits that are asked for it.
    #[serde(default)]
    pub(super) costs: Option<Costs>,
}

impl PolicyFile {
    pub(super) fn brakes(&self) -> PolicyBrakes {
        PolicyBrakes {
            never_change: self.never_change.clone(),
            freezes: self.freezes.clone(),
            changes_per_sweep: self.changes_per_sweep.0,
            changes_per_hour: self.changes_per_hour.map(|limit| limit.0),
        }
    }
}

/// Seconds that a new repository is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(transform = settle_schema)]
pub struct Settle(u16);

/// A message to a queue can be delayed by no more (SQS, DelaySeconds).
const LONGEST_SETTLE: u16 = 900;

impl Settle {
    #[must_use]
    pub fn seconds(self) -> i64 {
        i64::from(self.0)
    }
}

impl TryFrom<String> for Settle {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let seconds = match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(seconds), _) => seconds.parse::<u16>().ok(),
            (_, Some(minutes)) => minutes.parse::<u16>().ok().and_then(|m| m.checked_mul(60)),
            _ => None,
        };
        seconds
            .filter(|seconds| (1..=LONGEST_SETTLE).contains(seconds))
            .map(Self)
            .ok_or_else(|| {
                format!(
                    "`{}` is not a time to settle: write it as 90s or 5m, at most 15m",
                    crate::text::one_line(&text, 40)
                )
            })
    }
}

/// Repairs of one repository by one rule within 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = repair_limit_schema)]
pub(super) struct RepairLimit(pub(super) usize);

/// More are not remembered.
pub(super) const MOST_REPAIRS: usize = 10;

impl Default for RepairLimit {
    fn default() -> Self {
        Self(3)
    }
}

impl TryFrom<u64> for RepairLimit {
    type Error = String;

    fn try_from(limit: u64) -> Result<Self, String> {
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=MOST_REPAIRS).contains(limit))
            .map(Self)
            .ok_or_else(|| format!("repair-limit is 1 to {MOST_REPAIRS}, not {limit}"))
    }
}

/// A share of ECR's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = calls_schema)]
pub(super) struct CallsPerSecond(pub(super) u32);

/// Turns are taken one after the other from one item of the state table, which takes a thousand writes a second (DynamoDB, "Burst
/// and adaptive capacity").
const MOST_CALLS: u32 = 500;

impl TryFrom<u64> for CallsPerSecond {
    type Error = String;

    fn try_from(calls: u64) -> Result<Self, String> {
        u32::try_from(calls)
            .ok()
            .filter(|calls| (1..=MOST_CALLS).contains(calls))
            .map(Self)
            .ok_or_else(|| format!("ecr-calls-per-second is 1 to {MOST_CALLS}, not {calls}"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = version_schema)]
pub(super) struct Version;

impl TryFrom<u64> for Version {
    type Error = String;

    fn try_from(version: u64) -> Result<Self, String> {
        (version == 1)
            .then_some(Self)
            .ok_or_else(|| format!("version {version} is not known to this ecr-warden, expected 1"))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    pub(super) r#match: Match,
    #[schemars(schema_with = "blocks_schema")]
    #[expect(
        dead_code,
        reason = "read from the document, so that problems have places"
    )]
    pub(super) rules: BTreeMap<String, Value>,
}

/// The JSON Schema of a policy file, made from the types, for editors.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<PolicyFile>();
    schema.insert("title".to_owned(), "ecr-warden policy".into());
    schema
}

fn blocks_schema(generator: &mut SchemaGenerator) -> Schema {
    let properties: Map<String, Value> = RULES
        .iter()
        .map(|entry| {
            let mut settings = entry.schema(generator);
            Grace::add_to(&mut settings);
            let either = json_schema!({
                "description": entry.meta.summary,
                "anyOf": [settings, { "const": "off" }],
            });
            (entry.meta.id.to_owned(), either.to_value())
        })
        .collect();
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn settle_schema(schema: &mut Schema) {
    *schema = json_schema!({ "type": "string", "pattern": "^[1-9][0-9]*[sm]$", "description": "90s, 5m; at most 15m." });
}

fn repair_limit_schema(schema: &mut Schema) {
    *schema =
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST_REPAIRS, "default": 3 });
}

fn calls_schema(schema: &mut Schema) {
    *schema = json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST_CALLS });
}

fn version_schema(schema: &mut Schema) {
    *schema = json_schema!({ "const": 1, "description": "The version of this format." });
}
