//! The policy: what is asked of repositories, and what may be done about those that do not comply.

pub mod add_exemption;
mod brake;
pub mod costs;
pub mod exemption;
mod existing;
mod file;
mod freeze;
mod grace;
mod matching;
mod owners;
mod paired;
mod reads;
mod resolved;
mod scope;
mod shorthand;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

use crate::repository::{Read, RepositoryId};
use crate::rule::RuleMode;
use crate::rules::{RULES, entry};
use crate::text::{LONGEST, one_line};
use crate::yaml::document::{Node, Problem, parse};
use crate::yaml::{MOST_PROBLEMS, read, unknown};
pub use brake::MOST_CHANGES;
use brake::PolicyBrakes;
use costs::Costs;
use exemption::{ByTag, Day, Exemption};
pub use existing::{Existing, ExistingBefore};
use file::{Blocks, PolicyFile};
pub use file::{Mode, Settle, schema};
pub use grace::Grace;
pub use matching::Match;
use matching::unread_tags;
use owners::OwnerLookup;
pub use resolved::{ActiveRule, Resolved};
use shorthand::{no_settings, written_out};

/// A policy that was read and found right.
#[derive(Clone, Debug)]
pub struct Policy {
    fingerprint: u64,
    mode: Mode,
    settle: Option<Settle>,
    existing: Existing,
    existing_before: Option<Day>,
    brakes: PolicyBrakes,
    repair_limit: usize,
    ecr_calls_per_second: Option<u32>,
    rules: Blocks,
    overrides: Vec<(Match, Blocks)>,
    exemptions: Vec<Exemption>,
    by_tag: Option<ByTag>,
    non_negotiable: BTreeSet<&'static str>,
    costs: Option<Costs>,
    owner: Option<OwnerLookup>,
}

/// All that is wrong with a policy, in its order. Never empty.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub struct InvalidPolicy(pub Vec<Problem>);

/// The longest that is said of one problem: it may quote the file.
const PROBLEM: usize = 500;

impl InvalidPolicy {
    fn of(mut problems: Vec<Problem>) -> Self {
        problems.truncate(MOST_PROBLEMS);
        for problem in &mut problems {
            problem.message = one_line(&problem.message, PROBLEM);
        }
        Self(problems)
    }
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl Policy {
    /// Reads a policy from YAML.
    ///
    /// # Errors
    /// Everything that is wrong, with places and suggestions.
    pub fn parse(text: &str) -> Result<Self, InvalidPolicy> {
        let document = parse(text).map_err(|problem| InvalidPolicy::of(vec![problem]))?;
        let mut problems = Vec::new();
        let mut file = match read::<PolicyFile>(&document) {
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
        let (exemptions, fixed) = file.as_mut().map_or_else(Default::default, |file| {
            let exemptions = std::mem::take(&mut file.exemptions);
            let exemptions: Vec<Exemption> = exemptions.into_iter().map(Exemption::from).collect();
            let fixed: BTreeSet<&str> = file.non_negotiable.iter().map(|rule| rule.0).collect();
            (exemptions, fixed)
        });
        for (node, exemption) in nodes.iter().zip(&exemptions) {
            if exemption.matching.is_empty() {
                let instead = "name some under `repositories`, or switch the rule off";
                problems.push(whole(node, "exemption", instead));
            }
            for rule in exemption.rules.intersection(&fixed) {
                problems.push(Problem {
                    place: node.place,
                    message: format!("`{rule}` is `non-negotiable`; it allows no exemptions"),
                });
            }
        }
        if let (Some(node), Some(file)) = (document.get("existing-before"), &file)
            && file.existing == Existing::Enforce
        {
            problems.push(Problem {
                place: node.place,
                message: "`existing-before` has no effect without `existing: monitor`".to_owned(),
            });
        }
        problems.extend(owners::problem(&document));
        problems.sort();
        problems.dedup();
        match file {
            Some(file) if problems.is_empty() => Ok(Self {
                fingerprint: fingerprint(text),
                mode: file.mode,
                settle: file.settle,
                existing: file.existing,
                existing_before: file.existing_before,
                brakes: file.brakes(),
                owner: OwnerLookup::of_file(file.owner_tag.as_ref(), &file.owners),
                repair_limit: file.repair_limit.0,
                ecr_calls_per_second: file.ecr_calls_per_second.map(|calls| calls.0),
                rules,
                overrides: file
                    .overrides
                    .into_iter()
                    .map(|written| written.r#match)
                    .zip(override_blocks)
                    .collect(),
                exemptions,
                by_tag: file.exemptions_by_tag,
                non_negotiable: fixed,
                costs: file.costs,
            }),
            _ => Err(InvalidPolicy::of(problems)),
        }
    }

    /// Another policy, or another version of this program, most likely has another one.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
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
        let untrusted_follows = paired::pair(&mut settings);
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
            enforce: self.mode != Mode::Monitor,
            repair_limit: self.repair_limit,
            costs: self.costs.clone(),
            owner: self.owner.as_ref().and_then(|lookup| lookup.find(tags)),
            exemptions,
            by_tag: self.by_tag.clone(),
            non_negotiable: self.non_negotiable.clone(),
            untrusted_follows,
            holds: Vec::new(),
        })
    }

    fn active(&self, mut settings: Blocks, id: &RepositoryId) -> Result<Vec<ActiveRule>, String> {
        let mut rules = Vec::new();
        for entry in RULES {
            let Some(mut block) = settings.remove(entry.meta.id) else {
                continue;
            };
            let grace = Grace::take(&mut block);
            let wrong = |what: &str, why: &str| {
                let (rule, name) = (entry.meta.id, id.label());
                let line = format!("the policy's settings of `{rule}` for {name}{what}: {why}");
                one_line(&line, LONGEST)
            };
            let rule = entry.build(block).map_err(|why| wrong("", &why))?;
            if let Some(why) = rule.contradictions().into_iter().next() {
                return Err(wrong(" contradict each other", &why));
            }
            // Of the policy's mode and the rule's, the more careful one holds.
            let (enforce, asks) = match (self.mode, rule.mode()) {
                (_, Some(RuleMode::Off)) => continue,
                (Mode::Monitor, _) | (_, Some(RuleMode::Monitor)) => (false, false),
                (Mode::Approve, _) | (_, Some(RuleMode::Approve)) => (true, true),
                (Mode::Enforce, Some(RuleMode::Enforce) | None) => (true, false),
            };
            rules.push(ActiveRule {
                entry,
                rule: Arc::from(rule),
                enforce,
                asks,
                grace,
            });
        }
        Ok(rules)
    }
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), text).hash(&mut hasher);
    hasher.finish()
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

/// The blocks under a `rules:` key: each is checked alone, and laid over the others for what its settings mean together.
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
        if let Some(message) = no_settings(id, &block.content) {
            problems.push(Problem {
                place: block.place,
                message,
            });
            continue;
        }
        let block = written_out(block);
        let wrong = entry.problems(&Grace::split(&block, problems));
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
        Grace::take(&mut together);
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

#[cfg(test)]
mod tests;
