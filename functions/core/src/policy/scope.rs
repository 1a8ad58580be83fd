//! What a policy is for beyond a single repository: the registry, existing repositories, the rules that it uses, and its share of calls.

use std::collections::BTreeMap;

use super::costs::Costs;
use super::file::Blocks;
use super::{Existing, ExistingBefore, Mode, Policy, Resolved, Settle, lay_over};
use crate::reason::{Code, Reason};
use crate::registry::RegistryReads;
use crate::repository::{Read, Reads, RepositoryId};

impl Policy {
    /// How long a new repository is left alone.
    #[must_use]
    pub fn settle(&self) -> Option<Settle> {
        self.settle
    }

    /// How storage is priced.
    #[must_use]
    pub fn costs(&self) -> Option<&Costs> {
        self.costs.as_ref()
    }

    /// The share of ECR's calls that is granted, in each account and region; `None`: there is no limit.
    #[must_use]
    pub fn ecr_calls_per_second(&self) -> Option<u32> {
        self.ecr_calls_per_second
    }

    /// The time before which repositories are reported and not changed; `None`: all are repaired.
    #[must_use]
    pub fn existing_before(&self) -> Option<ExistingBefore> {
        let monitors = self.existing == Existing::Monitor && self.mode != Mode::Monitor;
        monitors.then(|| match self.existing_before {
            Some(day) => ExistingBefore::Time(day.start()),
            None => ExistingBefore::Deployment,
        })
    }

    /// Why nothing is changed in a repository now; `None`: the rules decide. `now`: seconds since the epoch.
    #[must_use]
    pub fn hold(&self, id: &RepositoryId, now: i64) -> Option<Reason> {
        if let Some(glob) = self
            .brakes
            .never_change
            .iter()
            .find(|glob| glob.matches(&id.name))
        {
            let why = format!("the policy never changes it (`never-change: {glob}`)");
            return Some(Reason::new(Code::NeverChange, why));
        }
        self.brakes
            .freezes
            .iter()
            .find_map(|freeze| freeze.hold(now))
    }

    /// How many repositories one sweep changes at most.
    #[must_use]
    pub fn changes_per_sweep(&self) -> usize {
        self.brakes.changes_per_sweep
    }

    /// How many changes are made within an hour, in each account and region; `None`: any number.
    #[must_use]
    pub fn changes_per_hour(&self) -> Option<u32> {
        self.brakes.changes_per_hour
    }

    /// Whether alerts name owners: then tags are read where there is something to report.
    #[must_use]
    pub fn names_owners(&self) -> bool {
        self.owner.is_some()
    }

    /// Whether the rule of this id is on for any repository.
    #[must_use]
    pub fn uses(&self, rule: &str) -> bool {
        let is_on = |blocks: &Blocks| {
            let mode = blocks.get(rule).map(|block| block.get("mode"));
            mode.is_some_and(|mode| mode.is_none_or(|mode| mode != "off"))
        };
        is_on(&self.rules) || self.overrides.iter().any(|(_, blocks)| is_on(blocks))
    }

    /// What the policy says of a registry: the rules that judge it.
    ///
    /// # Errors
    /// One line, where overrides contradict each other together.
    pub fn for_registry(&self, id: &RepositoryId) -> Result<Resolved, String> {
        let untagged = Read::Known(BTreeMap::new());
        Ok(self.for_repository(id, &untagged)?.of_registry())
    }

    /// What must be read of a registry to evaluate it.
    #[must_use]
    pub fn registry_reads(&self, id: &RepositoryId) -> RegistryReads {
        let mut reads = RegistryReads::default();
        for active in self.for_registry(id).into_iter().flat_map(|it| it.rules) {
            reads.add(active.rule.registry_reads());
        }
        if reads.templates {
            let of_new = self.reads_of_new(id);
            reads.scanning = of_new.scanning;
            reads.keys = of_new.keys;
        }
        reads
    }

    /// What the rules together need to know of repositories that ECR creates in the registry, whichever overrides are for them: each
    /// alone, and all of them.
    fn reads_of_new(&self, registry: &RepositoryId) -> Reads {
        let overrides = self.overrides.iter();
        let overrides = overrides.filter(|(matching, _)| matching.covers_some(registry));
        let mut all = self.rules.clone();
        let mut settings = vec![all.clone()];
        for (_, blocks) in overrides {
            let mut alone = self.rules.clone();
            lay_over(&mut alone, blocks);
            lay_over(&mut all, blocks);
            settings.extend([alone, all.clone()]);
        }
        let mut reads = Reads::default();
        for settings in settings {
            for active in self.active(settings, registry).into_iter().flatten() {
                if active.entry.known_at_creation {
                    reads.add(active.rule.reads());
                }
            }
        }
        reads
    }

    /// Whether its settings need to be read.
    #[must_use]
    pub fn judges_registry(&self, id: &RepositoryId) -> bool {
        self.for_registry(id)
            .is_ok_and(|policy| !policy.rules.is_empty())
    }
}
