//! What was reported, and how it is committed to the state table afterwards.

use ecr_warden_core::claim::{Claim, settled, unreported};
use ecr_warden_core::outcome::{Results, Verdict};
use ecr_warden_core::owner::{Addressees, Owner};
use ecr_warden_core::record::{Context, Lease, Result as RepairResult};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::Origin;
use futures_util::future::join_all;

use crate::state::State;

/// The verdicts on a repository, and what to commit when they are reported.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) id: RepositoryId,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) results: Results,
    pub(crate) lease: Lease,
    pub(crate) now: i64,
    pub(crate) origin: Origin,
    pub(crate) created_at: Option<i64>,
    pub(crate) recorded: bool,
    /// The repository's.
    pub(crate) owner: Option<Owner>,
}

impl News {
    /// Whom an alert about it is for.
    pub(crate) fn addressees<'n>(all: impl IntoIterator<Item = &'n Self>) -> Addressees {
        let news = all
            .into_iter()
            .filter(|news| news.verdicts.iter().any(|verdict| verdict.news));
        Addressees::of(news.map(|news| (&news.id, news.owner.as_ref())))
    }
}

impl State {
    /// Commits what was reported if the topic has a subscriber (`heard`), and records how repairs went in any case. What cannot be
    /// committed here is reported again some day, which is no loss.
    pub(crate) async fn commit(&self, news: &News, heard: bool) {
        if !news.recorded {
            return;
        }
        let context = Context {
            origin: &news.origin,
            me: &news.lease,
            now: news.now,
            created_at: news.created_at,
        };
        let to_commit = news.claims.iter().filter(|claim| !claim.only_counts());
        let writes = to_commit.filter_map(|claim| {
            let verdict = news
                .verdicts
                .iter()
                .find(|verdict| verdict.rule == claim.rule)?;
            let said = if heard {
                settled(claim, verdict.status, &verdict.to_do, &context)
            } else {
                Some(unreported(claim, verdict.status))
            };
            let result = match news.results.get(&claim.rule) {
                Some(Ok(())) => Some(RepairResult::Done),
                Some(Err(why)) => Some(RepairResult::Failed(why.text.clone())),
                None => None,
            };
            let record = claim
                .record
                .as_ref()
                .zip(result)
                .map(|(record, result)| record.with_result(result));
            Some(async move {
                let written = self
                    .settle(&news.id, claim, said.as_ref(), record.as_ref(), news.now)
                    .await;
                if let Err(why) = written {
                    tracing::warn!(repository = %news.id, rule = claim.rule, %why, "reported, but \
                        the report could not be recorded; it may be sent again");
                }
            })
        });
        join_all(writes).await;
    }
}
