//! The policy: what is asked of repositories, and what may be done about those that do not comply.

pub mod document;
pub mod exemption;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use wildmatch::WildMatch;

use crate::repository::{Read, Reads, RepositoryId};
use crate::rules::{Entry, RULES, Rule, RuleMode, entry};
use document::{Content, Node, Place, Problem, parse};
use exemption::{ByTag, Exemption, ExemptionFile, RuleId, Standing};
pub(crate) use reading::read;
use reading::unknown;

/// Whether what can be repaired is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Enforce,
    /// Report, and change nothing.
    Monitor,
}

/// A policy that was read and found right.
#[derive(Clone, Debug)]
pub struct Policy {
    mode: Mode,
    settle: Option<Settle>,
    repair_limit: usize,
    rules: Blocks,
    overrides: Vec<(Match, Blocks)>,
    exemptions: Vec<Exemption>,
    by_tag: Option<ByTag>,
    non_negotiable: BTreeSet<&'static str>,
}

/// The settings of each rule that is mentioned, as far as they are given.
type Blocks = BTreeMap<&'static str, Map<String, Value>>;

/// All that is wrong with a policy, in its order. Never empty.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub struct InvalidPolicy(pub Vec<Problem>);

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// The file's own shape. The blocks of rules are read by the rules.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PolicyFile {
    /// The version of this format.
    #[expect(dead_code, reason = "its one value is checked while reading")]
    version: Version,
    mode: Mode,
    /// How long a new repository is left alone, so that its creator can finish: `90s`, `5m`, at most `15m`. Off without it.
    #[serde(default)]
    settle: Option<Settle>,
    /// How often a rule repairs one repository within 24 hours. What is set back more often is fought over: then it is
    /// reported, and left to people.
    #[serde(default)]
    repair_limit: RepairLimit,
    #[serde(default)]
    #[schemars(schema_with = "blocks_schema")]
    #[expect(
        dead_code,
        reason = "read from the document, so that problems have places"
    )]
    rules: BTreeMap<String, Value>,
    /// Other settings for some repositories; the last match wins, key by key.
    #[serde(default)]
    overrides: Vec<Override>,
    /// Findings that may stand for a time.
    #[serde(default)]
    exemptions: Vec<ExemptionFile>,
    /// Lets repositories exempt themselves by a tag.
    #[serde(default)]
    exemptions_by_tag: Option<ByTag>,
    /// Rules that nothing exempts from, neither this file nor a tag.
    #[serde(default)]
    non_negotiable: Vec<RuleId>,
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
struct RepairLimit(usize);

/// More are not remembered.
const MOST_REPAIRS: usize = 10;

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

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(transform = version_schema)]
struct Version;

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
struct Override {
    r#match: Match,
    #[schemars(schema_with = "blocks_schema")]
    #[expect(
        dead_code,
        reason = "read from the document, so that problems have places"
    )]
    rules: BTreeMap<String, Value>,
}

/// Which repositories an override is for: all that is given must match, and in each list one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Globs over names: `*` stays within a part of the name, `**` does not.
    pub repositories: Vec<Glob>,
    /// Account ids, quoted.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    /// Resource tags by key, all of which must be there; values may contain `*`.
    pub tags: BTreeMap<String, TagGlob>,
}

impl Match {
    fn is_empty(&self) -> bool {
        let Self {
            repositories,
            accounts,
            regions,
            tags,
        } = self;
        repositories.is_empty() && accounts.is_empty() && regions.is_empty() && tags.is_empty()
    }

    /// Whether it matches as far as the name tells.
    fn covers_name(&self, id: &RepositoryId) -> bool {
        (self.repositories.is_empty()
            || self.repositories.iter().any(|glob| glob.matches(&id.name)))
            && (self.accounts.is_empty() || self.accounts.contains(&id.account))
            && (self.regions.is_empty() || self.regions.contains(&id.region))
    }

    fn covers(&self, id: &RepositoryId, tags: &Read<BTreeMap<String, String>>) -> Result<bool, String> {
        if !self.covers_name(id) || self.tags.is_empty() {
            return Ok(self.covers_name(id));
        }
        let tags = tags.required().map_err(unread_tags)?;
        Ok(self
            .tags
            .iter()
            .all(|(key, glob)| tags.get(key).is_some_and(|value| glob.matches(value))))
    }
}

fn unread_tags(why: String) -> String {
    format!("the policy depends on its tags, which could not be read: {why}")
}

/// A tag's value, in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TagGlob(String);

impl TagGlob {
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.0 == value || (self.0.contains('*') && WildMatch::new(&self.0).matches(value))
    }
}

/// A glob over repository names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(glob: String) -> Result<Self, String> {
        let fits = (1..=256).contains(&glob.len())
            && glob.bytes().all(|b| {
                matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'*' | b'?')
            });
        if fits {
            Ok(Self(glob))
        } else {
            Err(format!(
                "`{}` matches no repository: names have lower-case letters, digits, `.`, `_`, `-`, `/`; wildcards are \
                 `*`, `**` and `?`",
                crate::text::one_line(&glob, 80)
            ))
        }
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl Glob {
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        fast_glob::glob_match(&self.0, name)
    }
}

/// The policy for one repository.
#[derive(Debug)]
pub struct Resolved {
    pub rules: Vec<ActiveRule>,
    /// Whether the policy as a whole repairs.
    pub enforce: bool,
    /// See `repair-limit`.
    pub repair_limit: usize,
    exemptions: Vec<Exemption>,
    by_tag: Option<ByTag>,
    non_negotiable: BTreeSet<&'static str>,
}

/// A rule that is on for this repository, with its settings.
#[derive(Debug)]
pub struct ActiveRule {
    pub entry: &'static Entry,
    pub rule: Box<dyn Rule>,
    /// Whether repairs are made; otherwise they are reported.
    pub enforce: bool,
}

impl Resolved {
    /// No rule at all, for where none can be asked.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            rules: Vec::new(),
            enforce: false,
            repair_limit: MOST_REPAIRS,
            exemptions: Vec::new(),
            by_tag: None,
            non_negotiable: BTreeSet::new(),
        }
    }

    /// The exemption from a rule that holds now, the one that ends last; or why the repository's own tag is none.
    ///
    /// # Errors
    /// One line, about a tag that looks like an exemption and is none.
    pub fn exemption(
        &self,
        rule: &str,
        tags: &Read<BTreeMap<String, String>>,
        now: i64,
    ) -> Result<Option<Standing>, String> {
        if self.non_negotiable.contains(rule) {
            return Ok(None);
        }
        let by_tag = match (&self.by_tag, tags.known()) {
            (Some(by_tag), Some(tags)) => by_tag.of(rule, tags, now),
            _ => None,
        };
        let (of_tag, wrong) = match by_tag {
            Some(Ok(standing)) => (Some(standing), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let last = self
            .exemptions
            .iter()
            .filter(|exemption| exemption.rules.contains(rule))
            .map(|exemption| exemption.standing.clone())
            .chain(of_tag)
            .filter(|standing| standing.until.end() > now)
            .max_by_key(|standing| standing.until);
        match (last, wrong) {
            (None, Some(why)) => Err(why),
            (last, _) => Ok(last),
        }
    }

    /// What the rules together need to know.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::default();
        for active in &self.rules {
            reads.add(active.rule.reads());
        }
        reads
    }
}

impl Policy {
    /// Reads a policy from YAML.
    ///
    /// # Errors
    /// Everything that is wrong, with places and suggestions.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let document = parse(text).map_err(|problem| InvalidPolicy(vec![problem]))?;
        let mut problems = Vec::new();
        let file = match read::<PolicyFile>(&document) {
            Ok(file) => Some(file),
            Err(found) => {
                problems.extend(found);
                None
            }
        };
        let base = Blocks::new();
        let rules = document
            .get("rules")
            .map_or_else(Blocks::new, |node| blocks(node, &base, &mut problems));
        let nodes = document.get("overrides").map_or(&[][..], Node::items);
        let override_blocks: Vec<Blocks> = nodes
            .iter()
            .map(|node| {
                node.get("rules")
                    .map_or_else(Blocks::new, |node| blocks(node, &rules, &mut problems))
            })
            .collect();
        let whole = |node: &Node, what: &str, instead: &str| Problem {
            place: node.place,
            message: format!("this {what} matches every repository: {instead}"),
        };
        for (node, written) in nodes
            .iter()
            .zip(file.iter().flat_map(|file| &file.overrides))
        {
            if written.r#match.is_empty() {
                let instead = "name some under `match`, or put it under `rules`";
                problems.push(whole(node, "override", instead));
            }
        }
        let nodes = document.get("exemptions").map_or(&[][..], Node::items);
        if let Some(file) = &file {
            let fixed: BTreeSet<&str> = file.non_negotiable.iter().map(|rule| rule.0).collect();
            for (node, written) in nodes.iter().zip(&file.exemptions) {
                if written.matches_everything() {
                    let instead = "name some under `repositories`, or switch the rule off";
                    problems.push(whole(node, "exemption", instead));
                }
                for rule in written.rules().filter(|rule| fixed.contains(rule)) {
                    problems.push(Problem {
                        place: node.place,
                        message: format!("`{rule}` is `non-negotiable`: nothing exempts from it"),
                    });
                }
            }
        }
        problems.sort();
        problems.dedup();
        match file {
            Some(file) if problems.is_empty() => Ok(Self {
                mode: file.mode,
                settle: file.settle,
                repair_limit: file.repair_limit.0,
                rules,
                overrides: file
                    .overrides
                    .into_iter()
                    .map(|written| written.r#match)
                    .zip(override_blocks)
                    .collect(),
                exemptions: file.exemptions.into_iter().map(Exemption::from).collect(),
                by_tag: file.exemptions_by_tag,
                non_negotiable: file.non_negotiable.iter().map(|rule| rule.0).collect(),
            }),
            _ => Err(InvalidPolicy(problems)),
        }
    }

    /// How long a new repository is left alone.
    #[must_use]
    pub fn settle(&self) -> Option<Settle> {
        self.settle
    }

    /// What must be read of a repository to judge it, as far as its name tells. Settings that depend on its tags can need
    /// more, which [`Resolved::reads`] then says.
    #[must_use]
    pub fn reads(&self, id: &RepositoryId) -> Reads {
        let mut reads = Reads {
            tags: self.by_tag.is_some()
                || self
                    .overrides
                    .iter()
                    .map(|(matching, _)| matching)
                    .chain(self.exemptions.iter().map(|exemption| &exemption.matching))
                    .any(|matching| !matching.tags.is_empty() && matching.covers_name(id)),
            ..Reads::default()
        };
        // With none of the overrides by tag, and with all of them.
        for by_tag in [false, true] {
            let mut settings = self.rules.clone();
            for (matching, blocks) in &self.overrides {
                if matching.covers_name(id) && (by_tag || matching.tags.is_empty()) {
                    lay_over(&mut settings, blocks);
                }
            }
            for active in self.active(settings, id).into_iter().flatten() {
                reads.add(active.rule.reads());
            }
        }
        reads
    }

    /// What the policy says of one repository.
    ///
    /// # Errors
    /// One line, where overrides that are right alone contradict each other together, or depend on tags that could not be
    /// read: nothing is changed then.
    pub fn for_repository(
        &self,
        id: &RepositoryId,
        tags: &Read<BTreeMap<String, String>>,
    ) -> Result<Resolved, String> {
        let mut settings = self.rules.clone();
        for (matching, blocks) in &self.overrides {
            if matching.covers(id, tags)? {
                lay_over(&mut settings, blocks);
            }
        }
        let mut exemptions = Vec::new();
        for exemption in &self.exemptions {
            if exemption.matching.covers(id, tags)? {
                exemptions.push(exemption.clone());
            }
        }
        if self.by_tag.is_some() {
            tags.required().map_err(unread_tags)?;
        }
        Ok(Resolved {
            rules: self.active(settings, id)?,
            enforce: self.mode == Mode::Enforce,
            repair_limit: self.repair_limit,
            exemptions,
            by_tag: self.by_tag.clone(),
            non_negotiable: self.non_negotiable.clone(),
        })
    }

    fn active(&self, mut settings: Blocks, id: &RepositoryId) -> Result<Vec<ActiveRule>, String> {
        let mut rules = Vec::new();
        for entry in RULES {
            let Some(block) = settings.remove(entry.meta.id) else {
                continue;
            };
            let rule = entry.build(block).map_err(|why| {
                format!(
                    "the policy's settings of `{}` for {}: {why}",
                    entry.meta.id, id.name
                )
            })?;
            if let Some(why) = rule.contradictions().into_iter().next() {
                return Err(format!(
                    "the policy's settings of `{}` for {} contradict each other: {why}",
                    entry.meta.id, id.name
                ));
            }
            let enforce = match rule.mode() {
                Some(RuleMode::Off) => continue,
                Some(RuleMode::Enforce) | None => self.mode == Mode::Enforce,
                Some(RuleMode::Monitor) => false,
            };
            rules.push(ActiveRule {
                entry,
                rule,
                enforce,
            });
        }
        Ok(rules)
    }
}

fn lay_over(settings: &mut Blocks, blocks: &Blocks) {
    for (rule, block) in blocks {
        settings.entry(rule).or_default().extend(
            block
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }
}

/// The blocks under a `rules:` key, laid over others: each is checked alone for its keys and values, and laid over
/// for what its settings mean together.
fn blocks(node: &Node, under: &Blocks, problems: &mut Vec<Problem>) -> Blocks {
    let ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
    let mut found = Blocks::new();
    for (place, id, block) in node.entries() {
        let Some(entry) = entry(id) else {
            problems.push(Problem {
                place: *place,
                message: unknown("rule", id, &ids),
            });
            continue;
        };
        let block = written_out(block);
        let wrong = entry.problems(&block);
        if !wrong.is_empty() {
            problems.extend(wrong);
            continue;
        }
        let Value::Object(settings) = block.value() else {
            problems.push(Problem {
                place: block.place,
                message: format!("expected the settings of `{id}`, or `off`"),
            });
            continue;
        };
        let mut together = under.get(entry.meta.id).cloned().unwrap_or_default();
        together.extend(settings.clone());
        match entry.build(together) {
            Ok(rule) => problems.extend(rule.contradictions().into_iter().map(|message| Problem {
                place: *place,
                message,
            })),
            Err(message) => problems.push(Problem {
                place: *place,
                message,
            }),
        }
        found.insert(entry.meta.id, settings);
    }
    found
}

/// `rule: off` is short for `rule: { mode: off }`.
fn written_out(block: &Node) -> Node {
    let Content::Text(mode) = &block.content else {
        return block.clone();
    };
    let at = |content| Node {
        place: block.place,
        content,
    };
    let key: (Place, String, Node) = (
        block.place,
        "mode".to_owned(),
        at(Content::Text(mode.clone())),
    );
    at(Content::Mapping(vec![key]))
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
            let settings = entry.schema(generator);
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
    *schema = json_schema!({ "type": "integer", "minimum": 1, "maximum": MOST_REPAIRS, "default": 3 });
}

fn version_schema(schema: &mut Schema) {
    *schema = json_schema!({ "const": 1, "description": "The version of this format." });
}

#[cfg(test)]
mod tests;
