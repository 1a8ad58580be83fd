//! What must be read of a repository to judge it.

use super::matching::Match;
use super::{Policy, lay_over, paired};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::rule::Rule;

impl Policy {
    /// What must be read of a repository to judge it, as far as that depends on its name. Settings that depend on its tags can need
    /// more, which [`super::Resolved::reads_after`] then says.
    #[must_use]
    pub fn reads(&self, id: &RepositoryId) -> Reads {
        let mut reads = self.reads_by(id, |rule| rule.reads());
        reads.tags |= self.names_owners();
        reads
    }

    /// The same when DescribeRepositories has answered: less.
    #[must_use]
    pub fn reads_after(&self, described: &Repository) -> Reads {
        self.reads_by(&described.id, |rule| rule.reads_after(described))
    }

    /// The same but for what only adds to the words of findings.
    #[must_use]
    pub fn reads_to_judge(&self, described: &Repository) -> Reads {
        self.reads_by(&described.id, |rule| rule.reads_to_judge(described))
    }

    /// Whether what the policy says of the repository depends on its tags, rules about tags left aside.
    #[must_use]
    pub fn depends_on_tags(&self, id: &RepositoryId) -> bool {
        let mut exemptions = self.exemptions.iter();
        self.by_tag.is_some()
            || self.is_overridden_by_tag(id)
            || exemptions.any(|exemption| by_tag(&exemption.matching, id))
    }

    fn is_overridden_by_tag(&self, id: &RepositoryId) -> bool {
        let mut overrides = self.overrides.iter();
        overrides.any(|(matching, _)| by_tag(matching, id))
    }

    fn reads_by(&self, id: &RepositoryId, of: impl Fn(&dyn Rule) -> Reads) -> Reads {
        let overridden = self.is_overridden_by_tag(id);
        let mut reads = Reads {
            tags: self.depends_on_tags(id),
            ..Reads::default()
        };
        // With none of the overrides by tag, and with all of them.
        let both = [false, true];
        for by_tag in both.into_iter().take(if overridden { 2 } else { 1 }) {
            let mut settings = self.rules.clone();
            for (matching, blocks) in &self.overrides {
                if matching.covers_name(id) && (by_tag || matching.tags.is_empty()) {
                    lay_over(&mut settings, blocks);
                }
            }
            paired::pair(&mut settings);
            for active in self.active(settings, id).into_iter().flatten() {
                reads.add(active.with_repair(of(active.rule.as_ref())));
            }
        }
        reads
    }
}

/// Whether it asks for tags of a repository with this name.
fn by_tag(matching: &Match, id: &RepositoryId) -> bool {
    !matching.tags.is_empty() && matching.covers_name(id)
}
