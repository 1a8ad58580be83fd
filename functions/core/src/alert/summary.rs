//! All findings of a message about many repositories, in numbers and groups.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::finding::{Severity, Status};
use crate::outcome::Verdict;
use crate::repository::RepositoryId;
use crate::text::one_line;

/// How much of each text is kept where a message would be too large: in it everything stands several times.
pub(super) const SHORTER: [usize; 4] = [200, 100, 50, 20];

/// As many repositories and changes as a group names.
const NAMED: usize = 3;

/// Where those are to be found that a message does not name.
pub(crate) const REST: &str =
    "`ecr-warden rollback REPOSITORY` lists what was changed in one; an audit lists what is open.";

/// All findings of a message, in numbers and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DigestSummary {
    pub repositories: usize,
    pub findings: usize,
    /// By status.
    pub tally: BTreeMap<&'static str, usize>,
    /// The most urgent status comes first.
    pub groups: Vec<DigestGroup>,
}

/// The findings of one rule of which the same became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DigestGroup {
    pub rule: String,
    pub severity: Severity,
    pub status: Status,
    /// Of findings, which is of repositories, too.
    pub count: usize,
    /// Names of the first few.
    pub repositories: Vec<String>,
    /// The first one's, with how many others there are.
    pub detail: String,
    pub to_do: String,
    /// The first few different ones.
    pub changes: Vec<DigestChange>,
    pub other_changes: usize,
}

/// From what to what a setting was changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DigestChange {
    pub from: String,
    pub to: String,
}

impl DigestSummary {
    pub(super) fn of(news: &[(&RepositoryId, &Verdict)]) -> Self {
        let touched: BTreeSet<&RepositoryId> = news.iter().map(|(id, _)| *id).collect();
        let mut tally = BTreeMap::new();
        let mut groups: BTreeMap<_, Vec<(&RepositoryId, &Verdict)>> = BTreeMap::new();
        for (id, verdict) in news {
            let count: &mut usize = tally.entry(verdict.status.name()).or_default();
            *count = count.saturating_add(1);
            let gravity = Reverse((verdict.status.urgency(), verdict.severity));
            let key = (gravity, verdict.rule.as_str());
            groups.entry(key).or_default().push((id, verdict));
        }
        Self {
            repositories: touched.len(),
            findings: news.len(),
            tally,
            groups: groups
                .values()
                .filter_map(|of| DigestGroup::of(of))
                .collect(),
        }
    }

    pub(super) fn count(&self, status: Status) -> usize {
        self.tally.get(status.name()).copied().unwrap_or(0)
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &String> {
        self.groups.iter().map(|group| &group.rule)
    }

    /// Where those are to be found that no group names.
    pub(super) fn rest(&self) -> Option<&'static str> {
        self.groups
            .iter()
            .any(|group| group.count > group.repositories.len())
            .then_some(REST)
    }

    pub(super) fn shortened(self, longest: usize) -> Self {
        let short = |text: &str| one_line(text, longest);
        let groups = self.groups.into_iter().map(|group| DigestGroup {
            detail: short(&group.detail),
            to_do: short(&group.to_do),
            changes: group
                .changes
                .iter()
                .map(|change| DigestChange {
                    from: short(&change.from),
                    to: short(&change.to),
                })
                .collect(),
            ..group
        });
        Self {
            groups: groups.collect(),
            ..self
        }
    }
}

impl DigestGroup {
    fn of(findings: &[(&RepositoryId, &Verdict)]) -> Option<Self> {
        let (_, first) = findings.first()?;
        let verdicts = || findings.iter().map(|(_, verdict)| *verdict);
        // What failed changed nothing.
        let changed = verdicts().filter(|verdict| verdict.status != Status::Failed);
        let changes: BTreeSet<DigestChange> = changed
            .filter_map(|verdict| verdict.action.as_ref())
            .map(|action| DigestChange {
                from: action.from(),
                to: action.to(),
            })
            .collect();
        Some(Self {
            rule: first.rule.clone(),
            severity: first.severity,
            status: first.status,
            count: findings.len(),
            repositories: findings
                .iter()
                .take(NAMED)
                .map(|(id, _)| id.label())
                .collect(),
            detail: first_of(verdicts().map(|verdict| verdict.detail.as_str())),
            to_do: first_of(verdicts().map(|verdict| verdict.to_do.as_str())),
            other_changes: changes.len().saturating_sub(NAMED),
            changes: changes.into_iter().take(NAMED).collect(),
        })
    }

    /// `missing-tags: 100 fixed`.
    pub(super) fn head(&self) -> String {
        format!("{}: {} {}", self.rule, self.count, self.status.name())
    }

    /// `a, b, c … and 97 more`.
    pub(super) fn places(&self) -> String {
        let names = self.repositories.join(", ");
        match self.count.saturating_sub(self.repositories.len()) {
            0 => names,
            more => format!("{names} … and {more} more"),
        }
    }
}

/// The first text, and how many different ones there are besides.
fn first_of<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let [longest, ..] = SHORTER;
    let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    let different: BTreeSet<&str> = texts.iter().copied().collect();
    let first = texts.first().copied().unwrap_or_default();
    match different.len().saturating_sub(1) {
        0 => first.to_owned(),
        others => {
            let others = format!(" (and {others} others)");
            let room = longest.saturating_sub(others.len());
            format!("{}{others}", one_line(first, room))
        }
    }
}
