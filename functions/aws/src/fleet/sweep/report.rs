//! The one message of a sweep, its list of changes, and the weekly sign of life.

use ecr_warden_core::alert::Alert;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::ledger::{self, Ledger};
use ecr_warden_core::outcome::Verdict;
use ecr_warden_core::reminder::{SignOfLife, sign_of_life};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Origin};
use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;

use super::run::{READ_AT_ONCE, Sweep};
use crate::connect::clock::rfc3339_now;
use crate::fleet::audit::{AuditError, Home};
use crate::pipeline::Pipeline;
use crate::pipeline::commit::News;

impl Pipeline {
    /// One message about all that is new; then it is written down. `complete`: the sweep of all repositories ends here.
    pub(super) async fn report_sweep(
        &self,
        sweep: &Sweep<'_>,
        origin: &Origin,
        news: Vec<News>,
        over_limit: Option<String>,
        complete: bool,
    ) -> Result<Option<Ledger>, AuditError> {
        let verdicts: Vec<(&RepositoryId, &[Verdict])> = news
            .iter()
            .map(|news| (&news.id, news.verdicts.as_slice()))
            .collect();
        let Home { account, region } = sweep.home;
        let digest = Alert::digest(account, region, sweep.request_id, origin, &verdicts);
        let published = digest.is_some();
        let changes = ledger::changes(&origin.occurred_at, &verdicts);
        let kept = sweep.reports.keep_changes(&changes, sweep.request_id).await;
        // The state table has each of them; the message matters more than their list.
        let ledger = kept.unwrap_or_else(|why| {
            tracing::error!(ledger_failed = true, %why, changes = changes.len(), "the changes of the sweep are not listed");
            None
        });
        if let Some(alert) = digest {
            let alert = alert.with_dead_letters(self.dead_letters().await);
            let alert = alert
                .with_addressees(News::addressees(&news))
                .with_ledger(ledger.clone())
                .with_over_limit(over_limit);
            self.topic.publish(&alert).await.map_err(AuditError::Aws)?;
        }
        let heard = self.topic.is_heard_now().await;
        stream::iter(&news)
            .for_each_concurrent(READ_AT_ONCE, |news| self.state.commit(news, heard))
            .await;
        if complete && heard {
            self.give_sign_of_life(sweep, origin, published).await;
        }
        Ok(ledger)
    }

    /// Once a week, where sweeps have found nothing to report. What fails here is tried again by the next sweep.
    async fn give_sign_of_life(&self, sweep: &Sweep<'_>, origin: &Origin, published: bool) {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let given = async {
            let last = self
                .state
                .last_sign_of_life()
                .await
                .map_err(|failure| failure.to_string())?;
            let decision = sign_of_life(last, published, now);
            if decision == SignOfLife::Nothing {
                return Ok(());
            }
            if decision == SignOfLife::Send {
                let Home { account, region } = sweep.home;
                let letters = self.dead_letters().await;
                let alert = Alert::alive(account, region, sweep.request_id, origin, letters);
                self.topic.publish(&alert).await?;
            }
            let recorded = self.state.record_sign_of_life(now).await;
            recorded.map_err(|failure| failure.to_string())
        };
        let given: Result<(), String> = given.await;
        if let Err(why) = given {
            tracing::error!(%why, "the weekly sign of life is not sent; the next sweep tries again");
        }
    }

    /// How many dead letters lie there; `None`: it is unknown.
    async fn dead_letters(&self) -> Option<u64> {
        match self.dead_letters.as_ref()?.count().await {
            Ok(count) => count,
            Err(why) => {
                tracing::error!(%why, "the dead letters can't be counted");
                None
            }
        }
    }

    /// Publishes the open findings of an audit that it has not reported itself: for a new subscriber.
    ///
    /// # Errors
    /// The alert can't be published.
    pub async fn repeat(
        &self,
        audit: &Audit,
        home: &Home,
        request_id: &str,
    ) -> Result<(), AuditError> {
        let origin = Origin {
            occurred_at: rfc3339_now(),
            ..Origin::of(Cause::Repeat)
        };
        let open = audit.to_repeat();
        let all: Vec<(&RepositoryId, &[Verdict])> = open
            .iter()
            .map(|(id, verdicts)| (id, verdicts.as_slice()))
            .collect();
        if let Some(alert) = Alert::digest(&home.account, &home.region, request_id, &origin, &all) {
            let alert = alert.with_dead_letters(self.dead_letters().await);
            self.topic.publish(&alert).await.map_err(AuditError::Aws)?;
        }
        self.topic.is_heard_now().await;
        Ok(())
    }
}
