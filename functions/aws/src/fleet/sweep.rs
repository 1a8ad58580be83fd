//! An audit that acts: it repairs what the policy lets it, and says everything in one message.

mod act;
mod braked;
mod compare;
mod existing;
mod report;
mod run;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecr_warden_core::audit::{Audit, Position, Request};
use ecr_warden_core::defer::Deferred;
use ecr_warden_core::ledger::Ledger;
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::sweep_limit::SweepLimit;
use ecr_warden_core::trigger::{Cause, Origin};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::compare::{Looked, look};
use self::run::Registries;
pub use self::run::{Sweep, Swept};
use crate::connect::clients::ConfigError;
use crate::connect::clock::rfc3339_now;
use crate::connect::error::Failure;
use crate::deliver::reports::Reports;
use crate::deliver::security_hub::SecurityHub;
use crate::fleet::audit::{AuditError, Bounds, Home, Scanned, audit};
use crate::fleet::survey::survey;
use crate::pipeline::Pipeline;

/// Repositories that are looked at before what there is to do about them is done.
const AT_A_TURN: usize = 500;

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

    /// Continues a sweep in another invocation, after this number of seconds. `part`: the deferrals that this part's message counts.
    ///
    /// # Errors
    /// SQS does not take the message, in one line.
    pub async fn put_off(
        &self,
        request: &serde_json::Value,
        part: Option<Deferred>,
        seconds: i64,
    ) -> Result<(), String> {
        let revisits = self
            .revisits
            .as_ref()
            .ok_or("the environment variable REVISIT_QUEUE_URL is not set")?;
        let next = Deferred::next(part, OffsetDateTime::now_utc().unix_timestamp());
        revisits
            .send(request, seconds, next)
            .await
            .map_err(|failure| {
                format!("cannot continue the sweep in another invocation: {failure}")
            })
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
    /// of it. Answers where it stopped before its end, and where its changes are listed.
    ///
    /// It works in batches: a number of repositories is read, then repaired, so that neither memory nor the number of repairs that are not
    /// reported yet grows with the registry.
    ///
    /// # Errors
    /// The request is invalid, or the registry cannot be read, or the alert cannot be published.
    pub async fn sweep(
        &self,
        sweep: &Sweep<'_>,
        each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
    ) -> Result<(Option<Position>, Option<Ledger>), AuditError> {
        if sweep.request.cost {
            return Err(AuditError::Request(
                "`cost` requires `mode: monitor`; run a separate audit for it".to_owned(),
            ));
        }
        let origin = Origin {
            occurred_at: rfc3339_now(),
            ..Origin::of(Cause::Sweep)
        };
        let policy = self
            .policy(&sweep.home.registry(), sweep.request_id, &origin)
            .await
            .map_err(AuditError::Aws)?;
        let on_record = self.state.on_record().await.map_err(|why| unread(&why))?;
        let of_arns = |arns: &mut dyn Iterator<Item = &String>| -> Vec<RepositoryId> {
            arns.filter_map(|arn| RepositoryId::from_arn(arn))
                .filter(|id| sweep.request.covers(id))
                .collect()
        };
        let registries = self.registries(sweep).await?;
        let since = self.existing_before(&policy).await?;
        let braked = self.braked(sweep, &registries, &origin).await?;
        let mut request = sweep.request.clone();
        let earlier = match &request.next {
            Some(next) => Position::read(next).map_err(AuditError::Request)?,
            None => Position::default(),
        };
        let mut limit = SweepLimit::new(sweep.limit(&policy)?, &earlier, sweep.request);
        let mut others = match &request.next {
            // What is being recreated may be on no list: it is finished first, and once.
            None => of_arns(
                &mut on_record
                    .iter()
                    .filter(|(_, open)| **open)
                    .map(|(arn, _)| arn),
            ),
            Some(_) => of_arns(&mut earlier.left.iter()),
        };
        let mut taken_up: BTreeSet<String> = others.iter().map(RepositoryId::arn).collect();
        let news = Mutex::new(Vec::new());
        let stopped = loop {
            let mut on_record_too = Vec::new();
            let waiting = AtomicUsize::new(others.len());
            let enough = || waiting.load(Ordering::Relaxed) >= AT_A_TURN;
            let stopped = audit(
                &self.clients,
                &policy,
                &request,
                sweep.home,
                &Bounds {
                    deadline: Some(sweep.stop_looking),
                    enough: &enough,
                    // What was reported is compared word for word.
                    explained: None,
                },
                &mut |seen| {
                    let judged = match seen {
                        Scanned::Judged(judged) => {
                            let braked = braked.get(&judged.repository.id.registry());
                            judged.since(since.as_ref()).held(braked)
                        }
                        // The pipeline reports it as it would for its own event.
                        Scanned::Unjudged { id, .. } => {
                            waiting.fetch_add(1, Ordering::Relaxed);
                            others.push(id);
                            return;
                        }
                    };
                    let arn = judged.repository.id.arn();
                    match on_record.get(&arn) {
                        Some(true) if taken_up.contains(&arn) => {}
                        Some(true) => others.push(judged.repository.id),
                        Some(false) => on_record_too.push(judged),
                        None => {
                            let hold = limit.exceeded().then(|| limit.hold());
                            let known = Known::default();
                            let looked = look(&judged, known, &registries, sweep, hold.as_ref());
                            let id = judged.repository.id;
                            others.extend(place(id, looked, &mut limit, each));
                        }
                    }
                    let all = others.len().saturating_add(on_record_too.len());
                    waiting.store(all, Ordering::Relaxed);
                },
            )
            .await?;
            let hold = limit.exceeded().then(|| limit.hold());
            let compared =
                self.compare_with_records(sweep, &registries, on_record_too, hold.as_ref());
            for (id, looked) in compared.await {
                others.extend(place(id, looked, &mut limit, each));
            }
            if limit.exceeded() {
                others.extend(limit.take());
            }
            taken_up.extend(others.iter().map(RepositoryId::arn));
            // A recreation that was begun is finished.
            let held = |id: RepositoryId| {
                let begun = on_record.get(&id.arn()) == Some(&true);
                let brake = braked.get(&id.registry()).cloned();
                let hold = (!begun).then(|| brake.unwrap_or_else(|| limit.hold()));
                (id, hold)
            };
            let held: Vec<_> = std::mem::take(&mut others).into_iter().map(held).collect();
            let left = self.act(sweep, held, &origin, &news, each).await;
            if stopped.is_none() && left.is_empty() {
                // Everything was looked at, and it is few enough.
                let changed = limit.take().into_iter().map(|id| (id, None));
                limit.put_back(self.act(sweep, changed, &origin, &news, each).await);
            }
            match stopped {
                Some(position) if left.is_empty() && Instant::now() < sweep.stop_looking => {
                    request.next = Some(position.write());
                }
                None if left.is_empty() && limit.is_done() => break None,
                stopped => {
                    let position = stopped.unwrap_or_else(|| Position {
                        listed: true,
                        ..Position::default()
                    });
                    let left = left.iter().map(RepositoryId::arn).collect();
                    break Some(limit.write_to(Position { left, ..position }));
                }
            }
        };
        let complete = stopped.is_none() && sweep.request.covers_all();
        let over_limit = limit.line(sweep.request, stopped.is_none());
        let ledger = self
            .report_sweep(sweep, &origin, news.into_inner(), over_limit, complete)
            .await?;
        Ok((stopped, ledger))
    }

    /// What is on record about each registry that is swept.
    async fn registries(&self, sweep: &Sweep<'_>) -> Result<Registries, AuditError> {
        let home = std::slice::from_ref(&sweep.home.region);
        let regions = match sweep.request.regions.as_slice() {
            [] => home,
            regions => regions,
        };
        let mut registries = Registries::new();
        for region in regions {
            let registry = RepositoryId::of_registry(&sweep.home.account, region);
            let known = self.state.load(&registry).await;
            let known = known.map_err(|why| unread(&why))?;
            registries.insert(registry, known);
        }
        Ok(registries)
    }
}

/// Hands over a repository about which there is nothing to do, and counts one that would be changed; returns one that is to be acted on now.
fn place(
    id: RepositoryId,
    looked: Looked,
    limit: &mut SweepLimit,
    each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
) -> Option<RepositoryId> {
    // What another invocation is about to repair is not counted.
    let counts = looked.would_change && (looked.settled.is_none() || limit.exceeded());
    let waits = counts && limit.count(&id);
    match looked.settled {
        Some(verdicts) => each(&id, Swept::Judged(&verdicts)),
        None if waits => {}
        None => return Some(id),
    }
    None
}

/// Without what is on record nothing is swept.
fn unread(failure: &Failure) -> AuditError {
    AuditError::Aws(format!("the state table can't be read: {failure}"))
}
