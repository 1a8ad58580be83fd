//! The policy: what is asked of repositories, and what may be done about those that do not comply.

pub mod document;
mod reading;

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::repository::{Reads, RepositoryId};
use crate::rules::{Entry, RULES, Rule, RuleMode, entry};
use document::{Content, Node, Place, Problem, parse};
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
    rules: Blocks,
    overrides: Vec<(Match, Blocks)>,
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
#[serde(deny_unknown_fields)]
struct PolicyFile {
    /// The version of this format.
    #[expect(dead_code, reason = "its one value is checked while reading")]
    version: Version,
    mode: Mode,
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
}

impl Match {
    fn is_empty(&self) -> bool {
        self.repositories.is_empty() && self.accounts.is_empty() && self.regions.is_empty()
    }

    fn covers(&self, id: &RepositoryId) -> bool {
        (self.repositories.is_empty()
            || self.repositories.iter().any(|glob| glob.matches(&id.name)))
            && (self.accounts.is_empty() || self.accounts.contains(&id.account))
            && (self.regions.is_empty() || self.regions.contains(&id.region))
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
        for (node, written) in nodes
            .iter()
            .zip(file.iter().flat_map(|file| &file.overrides))
        {
            if written.r#match.is_empty() {
                problems.push(Problem {
                    place: node.place,
                    message: "this override matches every repository: name some under `match`, or put it under `rules`"
                        .to_owned(),
                });
            }
        }
        problems.sort();
        problems.dedup();
        match file {
            Some(file) if problems.is_empty() => Ok(Self {
                mode: file.mode,
                rules,
                overrides: file
                    .overrides
                    .into_iter()
                    .map(|written| written.r#match)
                    .zip(override_blocks)
                    .collect(),
            }),
            _ => Err(InvalidPolicy(problems)),
        }
    }

    /// What the policy says of one repository.
    ///
    /// # Errors
    /// One line, where overrides that are right alone contradict each other together: nothing is changed then.
    pub fn for_repository(&self, id: &RepositoryId) -> Result<Resolved, String> {
        let mut settings = self.rules.clone();
        for (matching, blocks) in &self.overrides {
            if matching.covers(id) {
                lay_over(&mut settings, blocks);
            }
        }
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
                Some(RuleMode::Enforce) => self.mode == Mode::Enforce,
                Some(RuleMode::Monitor) => false,
                None => self.mode == Mode::Enforce,
            };
            rules.push(ActiveRule {
                entry,
                rule,
                enforce,
            });
        }
        Ok(Resolved { rules })
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

fn version_schema(schema: &mut Schema) {
    *schema = json_schema!({ "const": 1, "description": "The version of this format." });
}

#[cfg(test)]
mod tests;
