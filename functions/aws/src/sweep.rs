//! An audit that acts: it repairs what the policy lets it, and says everything in one message.

use std::collections::BTreeMap;

use ecr_warden_core::alert::{Alert, Occasion};
use ecr_warden_core::audit::{Audit, Position, Request};
use ecr_warden_core::outcome::Verdict;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::state::{Context, Known, Lease, claims};
use ecr_warden_core::{outcome, plan};
use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::audit::{AuditError, Home, Judged, Seen, audit};
use crate::clients::ConfigError;
use crate::pipeline::{News, Occurrence, Pipeline};
use crate::reports::Reports;
use crate::security_hub::SecurityHub;
use crate::survey::survey;

/// Repositories that are repaired side by side.
const AT_ONCE: usize = 4;

/// When and for whom a sweep runs.
#[derive(Clone, Debug)]
pub struct Sweep<'s> {
    pub request: &'s Request,
    pub home: &'s Home,
    /// The invocation's; a retry has the same.
    pub request_id: &'s str,
    /// When to stop looking, so that there is time to act and to tell.
    pub stop_looking: Instant,
    /// Seconds since the epoch at which the invocation is ended.
    pub ends_at: i64,
}

impl Pipeline {
    /// Looks at everything that is asked for and changes nothing: see [`survey`].
    ///
    /// # Errors
    /// As there; and no policy is in force.
    pub async fn survey(
        &self,
        request: &Request,
        home: &Home,
        deadline: Option<Instant>,
    ) -> Result<Audit, AuditError> {
        let policy = self.policy.look().await.policy.map_err(AuditError::Aws)?;
        survey(&self.clients, &policy, request, home, deadline, &mut |_| {}).await
    }

    /// Has a request come back at once, as an invocation of its own.
    ///
    /// # Errors
    /// It can't be sent, in one line.
    pub async fn put_off(&self, request: &serde_json::Value) -> Result<(), String> {
        let revisits = self
            .revisits
            .as_ref()
            .ok_or("the environment variable REVISIT_QUEUE_URL is not set")?;
        revisits
            .send(request, 0)
            .await
            .map_err(|failure| format!("the rest of the audit could not be put off: {failure}"))
    }

    /// # Errors
    /// The system has no usable certificates.
    pub fn security_hub(&self, account: &str) -> Result<SecurityHub, ConfigError> {
        SecurityHub::new(&self.clients, account.to_owned())
    }

    /// Where reports are kept.
    #[must_use]
    pub fn reports(&self, bucket: String) -> Reports {
        Reports::new(&self.clients, bucket)
    }

    /// Looks at everything that is asked for, does what the policy says, and hands over each repository once with what became
    /// of its findings. `Some`: it stopped before its end, there.
    ///
    /// # Errors
    /// The request can't be met, or nothing can be read or told.
    pub async fn sweep(
        &self,
        sweep: &Sweep<'_>,
        each: &mut (dyn FnMut(&RepositoryId, &[Verdict]) + Send),
    ) -> Result<Option<Position>, AuditError> {
        if sweep.request.cost {
            return Err(AuditError::Request(
                "`cost` goes with `mode: monitor`: ask for it in an audit of its own".to_owned(),
            ));
        }
        let now = OffsetDateTime::now_utc();
        let occurred_at = now
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap_or_default();
        let occurrence = |id: RepositoryId| Occurrence {
            repository: id,
            cause: "sweep".to_owned(),
            actor: None,
            occurred_at: occurred_at.clone(),
            pushed: None,
            young: false,
            request_id: sweep.request_id.to_owned(),
            deadline: sweep.ends_at,
            event: serde_json::Value::Null,
        };
        let home = RepositoryId {
            account: sweep.home.account.clone(),
            region: sweep.home.region.clone(),
            name: String::new(),
        };
        let policy = self
            .policy(&occurrence(home))
            .await
            .map_err(AuditError::Aws)?;
        let mut known = self.state.scan().await.map_err(|failure| {
            AuditError::Aws(format!("the state table can't be read: {failure}"))
        })?;
        // What is being recreated may be on no list: it is finished first, and once.
        let mut to_do: Vec<RepositoryId> = Vec::new();
        if sweep.request.next.is_none() {
            let interrupted = known.iter().filter(|(_, known)| known.intent.is_some());
            to_do.extend(
                interrupted
                    .filter_map(|(arn, _)| RepositoryId::from_arn(arn))
                    .filter(|id| sweep.request.covers(id)),
            );
        }
        let me = Lease {
            owner: sweep.request_id.to_owned(),
            until: sweep.ends_at,
        };
        let stopped = audit(
            &self.clients,
            &policy,
            sweep.request,
            sweep.home,
            Some(sweep.stop_looking),
            &mut |seen| {
                let judged = match seen {
                    Seen::Judged(judged) => *judged,
                    // It is told of as an event of it would be.
                    Seen::Unjudged { id, .. } => {
                        to_do.push(id);
                        return;
                    }
                };
                let id = judged.repository.id.clone();
                let known = known.remove(&id.arn()).unwrap_or_default();
                if known.intent.is_some() {
                    // It is among those to do already, or another one's business.
                    return;
                }
                match settled_verdicts(judged, &known, &me, now.unix_timestamp()) {
                    Some(verdicts) => each(&id, &verdicts),
                    None => to_do.push(id),
                }
            },
        )
        .await?;
        let news = Mutex::new(Vec::new());
        let mut running = stream::iter(to_do)
            .map(|id| {
                let (occurrence, news) = (occurrence(id.clone()), &news);
                async move { (id, self.run_quietly(&occurrence, news).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, result)) = running.next().await {
            match result {
                Ok(verdicts) => each(&id, &verdicts),
                // The next sweep tries again, and so does its next event.
                Err(error) => tracing::warn!(%error, "left for the next sweep"),
            }
        }
        drop(running);
        self.tell_all(sweep, &occurred_at, news.into_inner())
            .await?;
        Ok(stopped)
    }

    /// One message about all that is new; then it is written down.
    async fn tell_all(
        &self,
        sweep: &Sweep<'_>,
        occurred_at: &str,
        news: Vec<News>,
    ) -> Result<(), AuditError> {
        let occasion = Occasion {
            id: sweep.request_id,
            cause: "sweep",
            actor: None,
            occurred_at,
        };
        let told: Vec<(&RepositoryId, &[Verdict])> = news
            .iter()
            .map(|news| (&news.id, news.verdicts.as_slice()))
            .collect();
        let Home { account, region } = sweep.home;
        if let Some(alert) = Alert::digest(account, region, &occasion, &told) {
            self.publish(&alert).await.map_err(AuditError::Aws)?;
        }
        for news in &news {
            self.settle_news(news).await;
        }
        Ok(())
    }
}

/// What there is to say of a repository about which there is nothing to do: `None`, there is.
fn settled_verdicts(judged: Judged, known: &Known, me: &Lease, now: i64) -> Option<Vec<Verdict>> {
    let Judged {
        repository,
        policy,
        findings,
    } = judged;
    let context = Context {
        me,
        now,
        cause: "sweep",
        actor: None,
        created_at: repository.created_at,
    };
    let plan = plan::plan(&policy, &repository, findings, Ok(known), &context);
    let to_say = claims(known, &plan, &context);
    if known.quarantined() || !to_say.is_empty() || plan.recreation().is_some() {
        return None;
    }
    let nothing = BTreeMap::new();
    Some(outcome::verdicts(
        &policy,
        &repository.id,
        &plan,
        &[],
        &nothing,
        now,
    ))
}
