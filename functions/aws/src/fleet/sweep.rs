//! An audit that acts: it repairs what the policy lets it, and says everything in one message.

mod existing;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use ecr_warden_core::audit::{Audit, Position, Request};
use ecr_warden_core::claim::claims;
use ecr_warden_core::defer::Deferred;
use ecr_warden_core::ledger::Ledger;
use ecr_warden_core::outcome::{Outcome, Verdict};
use ecr_warden_core::reason::Code;
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Invocation, Origin, Trigger};
use ecr_warden_core::{outcome, plan};
use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connect::clients::ConfigError;
use crate::connect::clock::rfc3339_now;
use crate::connect::error::Failure;
use crate::deliver::reports::Reports;
use crate::deliver::security_hub::SecurityHub;
use crate::fleet::audit::{AuditError, Home, Judged, Scanned, audit};
use crate::fleet::survey::survey;
use crate::pipeline::Pipeline;
use crate::pipeline::commit::News;

/// Repositories that are repaired side by side.
const AT_ONCE: usize = 4;
/// Records that are read or written side by side.
const READ_AT_ONCE: usize = 16;
/// Repositories that are looked at before what there is to do about them is done.
const AT_A_TURN: usize = 500;

type Registries = BTreeMap<RepositoryId, Known>;

/// What became of a repository in a sweep.
#[derive(Clone, Copy, Debug)]
pub enum Swept<'v> {
    Judged(&'v [Verdict]),
    /// It was deleted since it was listed.
    Gone,
    /// This time it could not be, for this reason.
    Unjudged(&'v str),
}

/// When and for whom a sweep runs.
#[derive(Clone, Debug)]
pub struct Sweep<'s> {
    pub request: &'s Request,
    pub home: &'s Home,
    /// Where its changes are listed.
    pub reports: &'s Reports,
    /// The invocation's; a retry has the same.
    pub request_id: &'s str,
    /// When to stop reading, so that there is time to repair and to report.
    pub stop_looking: Instant,
    /// When to begin no more repairs, so that there is time to report.
    pub stop_acting: Instant,
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
        let mut request = sweep.request.clone();
        let mut to_do = match &request.next {
            // What is being recreated may be on no list: it is finished first, and once.
            None => of_arns(
                &mut on_record
                    .iter()
                    .filter(|(_, open)| **open)
                    .map(|(arn, _)| arn),
            ),
            Some(next) => {
                let position = Position::read(next).map_err(AuditError::Request)?;
                of_arns(&mut position.left.iter())
            }
        };
        let mut taken_up: BTreeSet<String> = to_do.iter().map(RepositoryId::arn).collect();
        let news = Mutex::new(Vec::new());
        let stopped = loop {
            let mut looked_at = Vec::new();
            let waiting = AtomicUsize::new(to_do.len());
            let enough = || waiting.load(Ordering::Relaxed) >= AT_A_TURN;
            let stopped = audit(
                &self.clients,
                &policy,
                &request,
                sweep.home,
                Some(sweep.stop_looking),
                &enough,
                &mut |seen| {
                    let judged = match seen {
                        Scanned::Judged(judged) => judged.since(since.as_ref()),
                        // The pipeline reports it as it would for its own event.
                        Scanned::Unjudged { id, .. } => {
                            waiting.fetch_add(1, Ordering::Relaxed);
                            to_do.push(id);
                            return;
                        }
                    };
                    let arn = judged.repository.id.arn();
                    match on_record.get(&arn) {
                        Some(true) if taken_up.contains(&arn) => {}
                        Some(true) => to_do.push(judged.repository.id),
                        Some(false) => looked_at.push(judged),
                        None => {
                            match settled_verdicts(&judged, Known::default(), &registries, sweep) {
                                Some(verdicts) => {
                                    each(&judged.repository.id, Swept::Judged(&verdicts));
                                    return;
                                }
                                None => to_do.push(judged.repository.id),
                            }
                        }
                    }
                    waiting.fetch_add(1, Ordering::Relaxed);
                },
            )
            .await?;
            let compared = self.compare_with_records(sweep, &registries, looked_at, each);
            to_do.extend(compared.await);
            taken_up.extend(to_do.iter().map(RepositoryId::arn));
            let left = self
                .act(sweep, std::mem::take(&mut to_do), &origin, &news, each)
                .await;
            match stopped {
                Some(position) if left.is_empty() && Instant::now() < sweep.stop_looking => {
                    request.next = Some(position.write());
                }
                None if left.is_empty() => break None,
                stopped => {
                    let position = stopped.unwrap_or_else(|| Position {
                        listed: true,
                        ..Position::default()
                    });
                    let left = left.iter().map(RepositoryId::arn).collect();
                    break Some(Position { left, ..position });
                }
            }
        };
        let complete = stopped.is_none() && sweep.request.covers_all();
        let ledger = self
            .report_sweep(sweep, &origin, news.into_inner(), complete)
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

    /// Hands over the repositories of which everything was reported; returns the others.
    async fn compare_with_records(
        &self,
        sweep: &Sweep<'_>,
        registries: &Registries,
        looked_at: Vec<Judged>,
        each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
    ) -> Vec<RepositoryId> {
        let mut to_do = Vec::new();
        let mut running = stream::iter(looked_at)
            .map(|judged| async move {
                // What can't be read now is read again on the way.
                let known = self.state.load(&judged.repository.id).await.ok();
                let verdicts =
                    known.and_then(|known| settled_verdicts(&judged, known, registries, sweep));
                (judged.repository.id, verdicts)
            })
            .buffer_unordered(READ_AT_ONCE);
        while let Some((id, verdicts)) = running.next().await {
            match verdicts {
                Some(verdicts) => each(&id, Swept::Judged(&verdicts)),
                None => to_do.push(id),
            }
        }
        to_do
    }

    /// Sends each through the pipeline; answers those that there was no time for.
    async fn act(
        &self,
        sweep: &Sweep<'_>,
        to_do: Vec<RepositoryId>,
        origin: &Origin,
        news: &Mutex<Vec<News>>,
        each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
    ) -> Vec<RepositoryId> {
        let invocation = &Invocation {
            id: sweep.request_id.to_owned(),
            deadline: sweep.ends_at,
            event: None,
            deferred: None,
        };
        let mut left = Vec::new();
        let mut running = stream::iter(to_do)
            .map(|id| async move {
                if Instant::now() >= sweep.stop_acting {
                    return (id, None);
                }
                let trigger = Trigger {
                    repository: id.clone(),
                    origin: origin.clone(),
                    pushed: None,
                    replicated: false,
                };
                let result = self.run_quietly(&trigger, invocation, news).await;
                (id, Some(result))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, result)) = running.next().await {
            match result {
                None => left.push(id),
                Some(Ok((
                    Outcome {
                        ignored: Some(why),
                        reason,
                        ..
                    },
                    _,
                ))) => {
                    if reason == Some(Code::RepositoryGone) {
                        each(&id, Swept::Gone);
                    } else {
                        each(&id, Swept::Unjudged(&why));
                    }
                }
                Some(Ok((_, verdicts))) => each(&id, Swept::Judged(&verdicts)),
                // Its next event or the next sweep tries again.
                Some(Err(error)) => {
                    tracing::warn!(%error, "left for the next sweep");
                    each(&id, Swept::Unjudged(&error.to_string()));
                }
            }
        }
        left
    }
}

/// Without what is on record nothing is swept.
fn unread(failure: &Failure) -> AuditError {
    AuditError::Aws(format!("the state table can't be read: {failure}"))
}

/// What there is to say of a repository about which there is nothing to do: `None`, there is.
fn settled_verdicts(
    judged: &Judged,
    known: Known,
    registries: &Registries,
    sweep: &Sweep<'_>,
) -> Option<Vec<Verdict>> {
    let Judged {
        repository,
        policy,
        findings,
    } = judged;
    let known = match registries.get(&repository.id.registry()) {
        Some(registry) if repository.id.is_registry() => registry.clone(),
        Some(registry) => known.with_registry(policy.registry_rules(), registry),
        None => known,
    };
    let known = &known;
    let me = Lease {
        owner: sweep.request_id.to_owned(),
        until: sweep.ends_at,
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let origin = Origin::of(Cause::Sweep);
    let context = Context {
        origin: &origin,
        me: &me,
        now,
        created_at: repository.created_at,
    };
    let plan = plan::plan(policy, repository, findings.clone(), Ok(known), &context);
    let to_say = claims(known, &plan, &context);
    if known.quarantined() || !to_say.is_empty() || plan.recreation().is_some() {
        return None;
    }
    let nothing = BTreeMap::new();
    Some(outcome::verdicts(
        policy,
        &repository.id,
        &plan,
        known,
        &[],
        &nothing,
        now,
    ))
}
