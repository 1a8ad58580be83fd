//! Reads and judges many repositories with few calls, as fast as ECR lets it.

mod judge;
mod listing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use ecr_warden_core::audit::{Position, Request};
use ecr_warden_core::evaluate::evaluate_registry;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::{Repository, RepositoryId};
use futures_util::stream::{FuturesUnordered, StreamExt};
use time::OffsetDateTime;
use tokio::time::Instant;

pub(crate) use self::judge::Since;
pub use self::judge::{Judged, Scanned};
use self::judge::{Waiting, judge};
use crate::connect::clients::{Clients, Regional};
use crate::ecr::load::{IfUnavailable, LoadError, Surroundings, calls_of_registry, registry};
use crate::fleet::page_cursor::{Pace, PageCursor};

/// ECR's largest page.
const PAGE: i32 = 1000;
/// The next page is listed while fewer than so many repositories wait.
const AHEAD: usize = 1000;
/// So many calls for a page's scan frequencies are made side by side.
const AT_ONCE: usize = 8;
/// A repository that can't be read so often is reported as such.
const TRIES: usize = 6;
/// After being throttled.
const PAUSE: Duration = Duration::from_millis(500);

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It asks for what can't be had.
    #[error("{0}")]
    Request(String),
    #[error("{0}")]
    Aws(String),
}

/// Where an audit runs: the account whose credentials it has, and the region that is meant where none is named.
#[derive(Clone, Debug)]
pub struct Home {
    pub account: String,
    pub region: String,
}

impl Home {
    /// What is on record about its registry has this id.
    #[must_use]
    pub fn registry(&self) -> RepositoryId {
        RepositoryId::of_registry(&self.account, &self.region)
    }
}

/// How far an audit goes.
pub(crate) struct Bounds<'e> {
    pub(crate) deadline: Option<Instant>,
    /// Whether it stops now.
    pub(crate) enough: &'e (dyn Fn() -> bool + Sync),
    /// The number of repositories of a region of which is read what only adds to the words of findings. `None`: all.
    pub(crate) explained: Option<usize>,
}

/// Audits everything that is asked for, and hands over each repository once. `Some`: it stopped at the deadline, or because it
/// was `enough`, there.
///
/// # Errors
/// The request can't be met, or the repositories can't be listed.
pub(crate) async fn audit(
    clients: &Clients,
    policy: &Policy,
    request: &Request,
    home: &Home,
    bounds: &Bounds<'_>,
    each: &mut (dyn FnMut(Scanned) + Send),
) -> Result<Option<Position>, AuditError> {
    if let Some(other) = request
        .accounts
        .iter()
        .find(|account| **account != home.account)
    {
        return Err(AuditError::Request(format!(
            "account {other} can't be audited from {}: audit it there",
            home.account
        )));
    }
    if request.cost && policy.costs().is_none() {
        return Err(AuditError::Request(
            "cannot estimate costs: the policy has no `costs`; add it, for example `costs: { \
             usd-per-gb-month: 0.10 }`"
                .to_owned(),
        ));
    }
    clients.grant(policy.ecr_calls_per_second());
    let mut regions = if request.regions.is_empty() {
        vec![home.region.clone()]
    } else {
        request.regions.clone()
    };
    regions.sort();
    regions.dedup();
    let mut position = match &request.next {
        Some(text) => Position::read(text).map_err(AuditError::Request)?,
        None => Position::default(),
    };
    if position.listed {
        return Ok(None);
    }
    for region in regions {
        // An earlier part has done these.
        if region < position.region {
            continue;
        }
        let start = if region == position.region {
            std::mem::take(&mut position)
        } else {
            Position::default()
        };
        RepositoryId::new(&home.account, &region, "any")
            .map_err(|error| AuditError::Request(error.to_string()))?;
        let aws = clients
            .of(&home.account, &region)
            .map_err(|error| AuditError::Request(error.to_string()))?;
        let of_region = RegionAudit {
            aws,
            policy,
            request,
            account: &home.account,
            region,
            bounds,
            explained: AtomicUsize::new(0),
            without_index: AtomicBool::new(false),
        };
        let mut around = Arc::default();
        if let Some(stopped) = of_region.run(start, &mut around, each).await? {
            return Ok(Some(stopped));
        }
        // Only now, so that of several parts one hands it over.
        if let Some(registry) = of_region.registry(Arc::unwrap_or_clone(around)).await {
            each(registry);
        }
    }
    Ok(None)
}

struct RegionAudit<'a> {
    aws: Regional,
    policy: &'a Policy,
    request: &'a Request,
    account: &'a str,
    region: String,
    bounds: &'a Bounds<'a>,
    /// Repositories of which was read what only explains findings.
    explained: AtomicUsize,
    /// The index of tags may not be asked, or does not answer.
    without_index: AtomicBool,
}

impl RegionAudit<'_> {
    /// While a page is judged the next one is listed, and neither waits for the other.
    async fn run(
        &self,
        start: Position,
        around: &mut Arc<Surroundings>,
        each: &mut (dyn FnMut(Scanned) + Send),
    ) -> Result<Option<Position>, AuditError> {
        let mut progress = PageCursor::from(start);
        let mut pace = Pace::default();
        let mut throttled_at = None;
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let (mut listing, mut running) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let over = self.is_over();
            if let Some(token) = progress.unlisted()
                && listing.is_empty()
                && waiting.len() < AHEAD
                && !over
            {
                listing.push(self.list(
                    token.clone(),
                    progress.last().cloned(),
                    Arc::clone(around),
                ));
            }
            while running.len() < pace.at_once && !over {
                let Some(one) = waiting.pop_front() else {
                    break;
                };
                running.push(async move {
                    if let Some(until) = one.not_before {
                        tokio::time::sleep_until(until).await;
                    }
                    let seen = judge(&self.aws, self.policy, &one).await;
                    (one, seen)
                });
            }
            let (mut one, seen) = tokio::select! {
                Some(judged) = running.next() => judged,
                Some(listed) = listing.next(), if !over => {
                    let listed = listed?;
                    *around = listed.around;
                    let names = listed.repositories.iter().map(|(described, _)| described.id.name.clone());
                    let left = progress.listed(names, listed.last, listed.next);
                    for (described, reads) in listed.repositories {
                        if left.contains(&described.id.name) {
                            let around = Arc::clone(around);
                            waiting.push_back(Waiting { described, reads, around, tries: 0, not_before: None });
                        }
                    }
                    continue;
                }
                else => break,
            };
            let seen = match seen {
                Err(LoadError::Unavailable(_)) if one.tries < TRIES => {
                    let now = Instant::now();
                    // What was under way when it was throttled first is throttled, too, and says nothing new.
                    if throttled_at.is_none_or(|at: Instant| now.duration_since(at) > PAUSE) {
                        pace.was_throttled();
                        throttled_at = Some(now);
                    }
                    one.tries = one.tries.saturating_add(1);
                    one.not_before = Some(now + PAUSE);
                    waiting.push_back(one);
                    continue;
                }
                // It was deleted since it was listed.
                Err(LoadError::Gone) => None,
                Err(error) => Some(Scanned::Unjudged {
                    id: one.described.id.clone(),
                    why: error.to_string(),
                }),
                Ok(seen) => Some(seen),
            };
            pace.went_well();
            progress.did(&one.described.id.name);
            if let Some(seen) = seen {
                each(seen);
            }
        }
        Ok(progress.position(&self.region))
    }

    /// What holds for all its repositories; `None`: it is not asked for, or no rule judges it.
    async fn registry(&self, mut around: Surroundings) -> Option<Scanned> {
        let id = RepositoryId::of_registry(self.account, &self.region);
        if !self.request.covers(&id) || !self.policy.judges_registry(&id) {
            return None;
        }
        let policy = self.policy.for_registry(&id).ok()?;
        let reads = self.policy.registry_reads(&id);
        let mut tries: usize = 1;
        let read = loop {
            let if_unavailable = if tries < TRIES {
                IfUnavailable::ReadAgain
            } else {
                IfUnavailable::Unreadable
            };
            let _ = self.aws.turns.take(calls_of_registry(&reads), None).await;
            match registry(&self.aws, &id, &reads, &mut around, if_unavailable).await {
                Err(LoadError::Unavailable(_)) if tries < TRIES => {
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(PAUSE).await;
                }
                read => break read,
            }
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        Some(match read {
            Err(error) => Scanned::Unjudged {
                id,
                why: error.to_string(),
            },
            Ok(registry) => Scanned::Judged(Box::new(Judged {
                findings: evaluate_registry(self.policy, &policy, &registry, now),
                policy,
                repository: Repository::unread(&id, None, None),
            })),
        })
    }

    fn is_over(&self) -> bool {
        let late = |deadline| Instant::now() >= deadline;
        self.bounds.deadline.is_some_and(late) || (self.bounds.enough)()
    }
}
