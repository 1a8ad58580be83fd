//! One message about many repositories: everything is counted, and grouped by rule and status; some are listed one by one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Alert, AlertAction, AlertFinding, SHORTER, alert_id, essence, finding, weight, worst};
use crate::finding::{Severity, Status};
use crate::outcome::Verdict;
use crate::repository::{RepositoryId, partition};
use crate::text::{counted, one_line};
use crate::trigger::{Cause, Origin};

/// As many findings as are listed one by one.
const LISTED: usize = 20;
/// As many of them as are kept for changes, where there are that many: what is open does not crowd them out.
const LISTED_CHANGES: usize = 8;
/// As many repositories and changes as a group names.
const NAMED: usize = 3;

/// Where those are to be found that a message does not name.
pub(crate) const REST: &str =
    "`ecr-warden rollback REPOSITORY` lists what was changed in one; an audit lists what is open.";

/// All findings of a message, in numbers and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub repositories: usize,
    pub findings: usize,
    /// By status.
    pub tally: BTreeMap<&'static str, usize>,
    /// The most urgent status comes first.
    pub groups: Vec<Group>,
}

/// The findings of one rule of which the same became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
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
    pub changes: Vec<Change>,
    pub other_changes: usize,
}

/// From what to what a setting was changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    pub from: String,
    pub to: String,
}

impl Alert {
    /// One message about many repositories: what is new in each. `None` where nothing is.
    #[must_use]
    pub fn digest(
        account: &str,
        region: &str,
        invocation: &str,
        origin: &Origin,
        repositories: &[(&RepositoryId, &[Verdict])],
    ) -> Option<Self> {
        let mut news: Vec<(&RepositoryId, &Verdict)> = repositories
            .iter()
            .flat_map(|(id, verdicts)| verdicts.iter().map(move |verdict| (*id, verdict)))
            .filter(|(_, verdict)| verdict.news)
            .collect();
        let severity = worst(news.iter().map(|(_, verdict)| *verdict))?;
        news.sort_by(|(id, verdict), (other_id, other)| {
            let gravity = |verdict: &Verdict| Reverse((weight(verdict.status), verdict.severity));
            gravity(verdict)
                .cmp(&gravity(other))
                .then_with(|| id.name.cmp(&other_id.name))
        });
        let summary = Summary::of(&news);
        let listed = listed(&news);
        let [longest, ..] = SHORTER;
        let alert = Self {
            schema: "ecr-warden.alert/1",
            id: alert_id(
                invocation,
                news.iter().map(|(id, verdict)| (id, essence(verdict))),
            ),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: format!(
                "arn:{}:ecr:{region}:{account}:repository/*",
                partition(region)
            ),
            parameter: None,
            cause: origin.cause,
            actor: origin.actor.clone(),
            occurred_at: origin.occurred_at.clone(),
            severity,
            findings: listed
                .iter()
                .map(|(id, verdict)| AlertFinding {
                    repository: Some(id.arn()),
                    ..finding(verdict)
                })
                .collect(),
            omitted: news.len().saturating_sub(listed.len()),
            actions: listed
                .iter()
                .filter_map(|(id, verdict)| {
                    Some(AlertAction {
                        repository: Some(id.arn()),
                        ..AlertAction::of(verdict)?
                    })
                })
                .collect(),
            name: counted(summary.repositories, "repository", "repositories"),
            summary: Some(summary),
            dead_letters: None,
            ledger: None,
            standing: Vec::new(),
        };
        Some(alert.shortened(longest))
    }

    /// `ecr-warden sweep: 200 findings in 100 repositories (100 open, 100 fixed), account 123456789012, us-east-1`.
    pub(super) fn digest_headline(&self) -> String {
        let findings = self.summary.as_ref().map_or(0, |summary| summary.findings);
        let of = if self.cause == Cause::Sweep {
            " sweep"
        } else {
            ""
        };
        format!(
            "ecr-warden{of}: {} in {} ({}), account {}, {}",
            counted(findings, "finding", "findings"),
            self.name,
            self.tally(),
            self.account,
            self.region
        )
    }
}

/// The worst, and some of what was changed; in the order in which they came.
fn listed<'v>(news: &[(&'v RepositoryId, &'v Verdict)]) -> Vec<(&'v RepositoryId, &'v Verdict)> {
    let changed = |verdict: &Verdict| verdict.status == Status::Fixed;
    let changes = news.iter().filter(|(_, verdict)| changed(verdict)).count();
    let for_changes = changes.min(LISTED_CHANGES);
    // What the others leave free is for changes, too.
    let others = news
        .len()
        .saturating_sub(changes)
        .min(LISTED.saturating_sub(for_changes));
    let (mut changes_left, mut others_left) = (LISTED.saturating_sub(others), others);
    news.iter()
        .filter(|(_, verdict)| {
            let left = if changed(verdict) {
                &mut changes_left
            } else {
                &mut others_left
            };
            let room = *left > 0;
            *left = left.saturating_sub(1);
            room
        })
        .copied()
        .collect()
}

impl Summary {
    fn of(news: &[(&RepositoryId, &Verdict)]) -> Self {
        let touched: BTreeSet<&RepositoryId> = news.iter().map(|(id, _)| *id).collect();
        let mut tally = BTreeMap::new();
        let mut groups: BTreeMap<_, Vec<(&RepositoryId, &Verdict)>> = BTreeMap::new();
        for (id, verdict) in news {
            let count: &mut usize = tally.entry(verdict.status.name()).or_default();
            *count = count.saturating_add(1);
            let gravity = Reverse((weight(verdict.status), verdict.severity));
            let key = (gravity, verdict.rule.as_str());
            groups.entry(key).or_default().push((id, verdict));
        }
        Self {
            repositories: touched.len(),
            findings: news.len(),
            tally,
            groups: groups.values().filter_map(|of| Group::of(of)).collect(),
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
        let groups = self.groups.into_iter().map(|group| Group {
            detail: short(&group.detail),
            to_do: short(&group.to_do),
            changes: group
                .changes
                .iter()
                .map(|change| Change {
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

impl Group {
    fn of(findings: &[(&RepositoryId, &Verdict)]) -> Option<Self> {
        let (_, first) = findings.first()?;
        let verdicts = || findings.iter().map(|(_, verdict)| *verdict);
        // What failed changed nothing.
        let changed = verdicts().filter(|verdict| verdict.status != Status::Failed);
        let changes: BTreeSet<Change> = changed
            .filter_map(|verdict| verdict.action.as_ref())
            .map(|action| Change {
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
                .map(|(id, _)| id.name.clone())
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

#[cfg(test)]
mod tests;
