//! The policy as it is for a single repository.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::costs::Costs;
use super::exemption::{ByTag, Exemption, Standing};
use super::file::MOST_REPAIRS;
use super::grace::Grace;
use super::paired;
use crate::action::Action;
use crate::finding::{Finding, Severity};
use crate::owner::Owner;
use crate::quarantine::STALE_QUARANTINE;
use crate::reason::{Code, Reason};
use crate::repository::{Read, Reads, Repository};
use crate::rule::{Entry, Rule, Subject};

const SPARED: &str = "the policy does not change existing repositories (`existing: monitor`)";

/// The policy as it is for a single repository.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub rules: Vec<ActiveRule>,
    /// Whether the policy as a whole repairs.
    pub enforce: bool,
    /// Why nothing is changed although the policy repairs. One reason need not stop what another one does: see [`Self::hold_of`].
    pub holds: Vec<Reason>,
    /// See `repair-limit`.
    pub repair_limit: usize,
    /// How storage is priced, where the policy says so.
    pub costs: Option<Costs>,
    /// The repository's owner, where the policy has a tag for it.
    pub owner: Option<Owner>,
    pub(super) exemptions: Vec<Exemption>,
    pub(super) by_tag: Option<ByTag>,
    pub(super) non_negotiable: BTreeSet<&'static str>,
    /// Whether `untrusted-access` is on because `public-access` is: what exempts from the latter does from the former.
    pub(super) untrusted_follows: bool,
}

/// A rule that is on for this repository, with its settings.
#[derive(Clone, Debug)]
pub struct ActiveRule {
    pub entry: &'static Entry,
    pub rule: Arc<dyn Rule>,
    /// Whether repairs are made; otherwise they are reported.
    pub enforce: bool,
    /// Whether each repair is made only when someone has approved it.
    pub asks: bool,
    /// How long a finding is only reported before it is repaired; `None`: it is repaired at once.
    pub grace: Option<Grace>,
}

impl Resolved {
    /// No rule at all, for where none can be asked.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            rules: Vec::new(),
            enforce: false,
            holds: Vec::new(),
            repair_limit: MOST_REPAIRS,
            costs: None,
            owner: None,
            exemptions: Vec::new(),
            by_tag: None,
            non_negotiable: BTreeSet::new(),
            untrusted_follows: false,
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
        match self.exemption_from(rule, tags, now) {
            Ok(None) if self.untrusted_follows && rule == paired::UNTRUSTED => {
                self.exemption_from(paired::PUBLIC, tags, now)
            }
            found => found,
        }
    }

    fn exemption_from(
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

    /// Whether nothing exempts from this rule.
    #[must_use]
    pub fn is_non_negotiable(&self, rule: &str) -> bool {
        self.non_negotiable.contains(rule)
    }

    /// The same, asking only the rules of severity high or above: a repository that settles does not escape them.
    #[must_use]
    pub fn urgent(mut self) -> Self {
        self.rules
            .retain(|active| active.entry.meta.severity >= Severity::High);
        self
    }

    /// A rule that is on, by its id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&ActiveRule> {
        self.rules.iter().find(|active| active.entry.meta.id == id)
    }

    /// Whether a rule's repairs are made only when someone has approved them.
    #[must_use]
    pub fn asks(&self, rule: &str) -> bool {
        self.rule(rule).is_some_and(|active| active.asks)
    }

    /// The same, asking only the rules about pushes. They need nothing of the repository.
    #[must_use]
    pub fn of_pushes(mut self) -> Self {
        self.rules
            .retain(|active| active.entry.meta.subject == Subject::Push);
        self
    }

    /// The same, asking only the rules that judge the registry.
    #[must_use]
    pub fn of_registry(mut self) -> Self {
        self.rules.retain(|active| active.entry.judges_registry);
        self
    }

    /// The same, repairing nothing.
    #[must_use]
    pub fn monitored(mut self) -> Self {
        self.enforce = false;
        for active in &mut self.rules {
            active.enforce = false;
        }
        self
    }

    /// The same for a repository created at a time (milliseconds since the epoch): one that existed before `since` (seconds) is not
    /// repaired, nor is one of which that is not known. `since` may be why it cannot be read.
    #[must_use]
    pub fn since(self, since: Result<i64, &str>, created_at: Option<i64>) -> Self {
        let existed = |since: i64| created_at.is_none_or(|at| at.div_euclid(1000) < since);
        let existing = match since {
            Ok(since) if existed(since) => SPARED.to_owned(),
            Ok(_) => return self,
            Err(why) => format!("{SPARED}, and when ecr-warden was deployed cannot be read: {why}"),
        };
        self.held(Some(Reason::new(Code::ExistingRepository, existing)))
    }

    /// Why this repair is not made, if something stops it. The limit of a sweep counts repositories: a change of the registry is one change,
    /// whichever repository asks for it. A quarantine of ecr-warden's own is lifted in any case but for that limit and the operator's switch,
    /// because it blocks pushes.
    #[must_use]
    pub fn hold_of(&self, rule: &str, action: &Action) -> Option<&Reason> {
        self.holds.iter().find(|hold| {
            if hold.code.is_of_sweep() {
                !action.is_of_registry()
            } else {
                rule != STALE_QUARANTINE || hold.code == Code::Stopped
            }
        })
    }

    /// The same, repairing nothing for this reason, too, if there is one.
    #[must_use]
    pub fn held(mut self, hold: Option<Reason>) -> Self {
        self.holds.extend(hold);
        self
    }

    /// The same without grace periods and approvals: an operator sees each repair and asks for it.
    #[must_use]
    pub fn for_operator(mut self) -> Self {
        for active in &mut self.rules {
            active.grace = None;
            active.asks = false;
        }
        self
    }

    /// The rules whose repair changes the registry.
    pub fn registry_rules(&self) -> impl Iterator<Item = &'static str> {
        let of_registry = self
            .rules
            .iter()
            .filter(|active| active.rule.repairs_registry());
        of_registry.map(|active| active.entry.meta.id)
    }

    /// What the rules together need to know when DescribeRepositories has answered.
    #[must_use]
    pub fn reads_after(&self, described: &Repository) -> Reads {
        self.reads_by(|rule| rule.reads_after(described))
    }

    /// The same but for what only adds to the words of findings.
    #[must_use]
    pub fn reads_to_judge(&self, described: &Repository) -> Reads {
        self.reads_by(|rule| rule.reads_to_judge(described))
    }

    fn reads_by(&self, of: impl Fn(&dyn Rule) -> Reads) -> Reads {
        let mut reads = Reads::default();
        for active in &self.rules {
            reads.add(active.with_repair(of(active.rule.as_ref())));
        }
        reads
    }

    /// Whether one of these findings is about the repository's tags: of tags that are out of date it must not be reported.
    #[must_use]
    pub fn finds_fault_with_tags(&self, findings: &[Finding]) -> bool {
        let of = |finding: &Finding| self.rule(finding.rule);
        let mut rules = findings.iter().filter_map(of);
        rules.any(|active| active.rule.judges_tags())
    }
}

impl ActiveRule {
    /// What the rule reads, and what its repair requires: a default lifecycle policy is put without more reads only where there is
    /// no image.
    pub(super) fn with_repair(&self, mut reads: Reads) -> Reads {
        reads.images |= self.enforce && self.rule.default_lifecycle().is_some();
        reads
    }
}
