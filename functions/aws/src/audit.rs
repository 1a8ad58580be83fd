//! Reads and judges many repositories with few calls, as fast as ECR lets it.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use ecr_warden_core::audit::{Position, Request};
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::Finding;
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::repository::{Reads, Repository, RepositoryId};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::clients::{Clients, Regional};
use crate::failure::Failure;
use crate::load::{LoadError, Surroundings, bare, details, load_once};

/// ECR's largest page.
const PAGE: i32 = 1000;
/// Repositories that are read side by side: ECR says no rate, so it begins low and goes up until it is throttled.
const SLOWEST: usize = 1;
const FIRST: usize = 16;
const FASTEST: usize = 64;
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

/// A repository, looked at.
#[derive(Debug)]
pub enum Seen {
    Judged(Box<Judged>),
    /// It could not be read, or what the policy asks of it can't be told.
    Unjudged {
        id: RepositoryId,
        why: String,
    },
}

/// What was found in a repository.
#[derive(Clone, Debug)]
pub struct Judged {
    pub repository: Repository,
    pub policy: Resolved,
    pub findings: Vec<Finding>,
}

/// Where an audit runs: the account whose credentials it has, and the region that is meant where none is named.
#[derive(Clone, Debug)]
pub struct Home {
    pub account: String,
    pub region: String,
}

/// Audits everything that is asked for, and hands over each repository once. `Some`: it stopped at the deadline, there.
///
/// # Errors
/// The request can't be met, or the repositories can't be listed.
pub(crate) async fn audit(
    clients: &Clients,
    policy: &Policy,
    request: &Request,
    home: &Home,
    deadline: Option<Instant>,
    each: &mut (dyn FnMut(Seen) + Send),
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
            "what images cost can't be told: the policy has no `costs`, for one `costs: { usd-per-gb-month: 0.10 }`"
                .to_owned(),
        ));
    }
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
        let mut of_region = RegionAudit {
            aws,
            policy,
            request,
            account: &home.account,
            region,
            deadline,
            around: Surroundings::default(),
            at_once: FIRST,
        };
        if let Some(stopped) = of_region.run(start, each).await? {
            return Ok(Some(stopped));
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
    deadline: Option<Instant>,
    around: Surroundings,
    /// How many repositories are read side by side now.
    at_once: usize,
}

impl RegionAudit<'_> {
    async fn run(
        &mut self,
        start: Position,
        each: &mut (dyn FnMut(Seen) + Send),
    ) -> Result<Option<Position>, AuditError> {
        let mut page = start.page;
        let mut done: BTreeSet<String> = start.done.into_iter().collect();
        loop {
            if self.is_over() {
                return Ok(Some(self.position(page, done)));
            }
            let answer = self.list(page.clone()).await?;
            let described = answer.repositories();
            let mut to_judge = Vec::new();
            for repository in described {
                let name = repository.repository_name().unwrap_or_default();
                let Ok(id) = RepositoryId::new(self.account, &self.region, name) else {
                    tracing::warn!(name, "a repository with a name that ECR does not allow");
                    continue;
                };
                if self.request.covers(&id) && !done.contains(name) {
                    to_judge.push(bare(&id, repository));
                }
            }
            if !self.judge_all(to_judge, &mut done, each).await? {
                return Ok(Some(self.position(page, done)));
            }
            done.clear();
            page = answer.next_token;
            if page.is_none() {
                return Ok(None);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn position(&self, page: Option<String>, done: BTreeSet<String>) -> Position {
        Position {
            region: self.region.clone(),
            page,
            done: done.into_iter().collect(),
            imported_since: None,
        }
    }

    async fn list(
        &mut self,
        token: Option<String>,
    ) -> Result<aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesOutput, AuditError>
    {
        let mut tries = 0;
        loop {
            let answer = self
                .aws
                .ecr
                .describe_repositories()
                .max_results(PAGE)
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| Failure::of("ecr:DescribeRepositories", &error));
            match answer {
                Ok(answer) => return Ok(answer),
                Err(Failure::Unavailable(_)) if tries < TRIES => {
                    tries = tries.saturating_add(1);
                    tokio::time::sleep(PAUSE).await;
                }
                Err(failure) => {
                    return Err(AuditError::Aws(format!(
                        "the repositories in {} can't be listed: {failure}",
                        self.region
                    )));
                }
            }
        }
    }

    /// `false`: the deadline came first, and `done` says how far it got.
    async fn judge_all(
        &mut self,
        described: Vec<Repository>,
        done: &mut BTreeSet<String>,
        each: &mut (dyn FnMut(Seen) + Send),
    ) -> Result<bool, AuditError> {
        let mut around = Reads::default();
        let mut waiting = VecDeque::new();
        for described in described {
            let mut reads = self.policy.reads_after(&described);
            reads.storage |= self.request.cost;
            reads.lifecycle |= self.request.cost;
            around.add(reads.clone());
            waiting.push_back((described, reads, 0));
        }
        self.around
            .add(&self.aws, &around)
            .await
            .map_err(|error| AuditError::Aws(format!("in {}: {error}", self.region)))?;
        let (aws, policy, around) = (&self.aws, self.policy, &self.around);
        let mut running = FuturesUnordered::new();
        let mut at_once = self.at_once;
        let mut in_a_row: usize = 0;
        loop {
            let over = self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline);
            while running.len() < at_once && !over {
                let Some((described, reads, tries)) = waiting.pop_front() else {
                    break;
                };
                running.push(async move {
                    let seen = judge(aws, policy, around, described.clone(), &reads).await;
                    (described, reads, tries, seen)
                });
            }
            let Some((described, reads, tries, seen)) = running.next().await else {
                break;
            };
            let seen = match seen {
                Err(LoadError::Unavailable(_)) if tries < TRIES => {
                    at_once = (at_once / 2).max(SLOWEST);
                    in_a_row = 0;
                    waiting.push_back((described, reads, tries.saturating_add(1)));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                // It was deleted since it was listed.
                Err(LoadError::Gone) => None,
                Err(error) => Some(Seen::Unjudged {
                    id: described.id.clone(),
                    why: error.to_string(),
                }),
                Ok(seen) => Some(seen),
            };
            in_a_row = in_a_row.saturating_add(1);
            if in_a_row >= at_once {
                at_once = at_once.saturating_add(4).min(FASTEST);
                in_a_row = 0;
            }
            done.insert(described.id.name);
            if let Some(seen) = seen {
                each(seen);
            }
        }
        drop(running);
        self.at_once = at_once;
        Ok(waiting.is_empty())
    }
}

async fn judge(
    aws: &Regional,
    policy: &Policy,
    around: &Surroundings,
    described: Repository,
    reads: &Reads,
) -> Result<Seen, LoadError> {
    let id = described.id.clone();
    let mut repository = details(aws, &id, reads)
        .await
        .snapshot(aws, described, around)
        .await?;
    let mut resolved = policy.for_repository(&id, &repository.tags);
    if let Ok(known) = &resolved {
        // Settings that depend on its tags ask for more: rarely.
        let mut needed = known.reads_after(&repository);
        if !reads.cover(&needed) {
            needed.add(reads.clone());
            repository = load_once(aws, &id, &needed).await?;
            resolved = policy.for_repository(&id, &repository.tags);
        }
    }
    Ok(match resolved {
        Err(why) => Seen::Unjudged { id, why },
        Ok(policy) => Seen::Judged(Box::new(Judged {
            findings: evaluate(&policy, &repository),
            policy,
            repository,
        })),
    })
}
