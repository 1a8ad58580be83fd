//! One message about many repositories: everything is counted, and grouped by rule and status; some are listed one by one.

use std::cmp::Reverse;

use super::model::{Alert, AlertAction, AlertFinding, alert_id, essence, finding, worst};
use super::summary::{DigestSummary, SHORTER};
use crate::finding::Status;
use crate::outcome::Verdict;
use crate::owner::Addressees;
use crate::repository::{RepositoryId, partition};
use crate::text::counted;
use crate::trigger::{Cause, Origin};

/// As many findings as are listed one by one.
const LISTED: usize = 20;
/// As many of them as are kept for changes, where there are that many: what is open does not crowd them out.
const LISTED_CHANGES: usize = 8;

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
            let gravity = |verdict: &Verdict| Reverse((verdict.status.urgency(), verdict.severity));
            gravity(verdict)
                .cmp(&gravity(other))
                .then_with(|| id.name.cmp(&other_id.name))
        });
        let summary = DigestSummary::of(&news);
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
            over_limit: None,
            addressees: Addressees::of(news.iter().map(|(id, _)| (*id, None))),
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

#[cfg(test)]
mod tests;
