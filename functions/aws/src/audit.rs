//! Reads and judges many repositories with few calls, as fast as ECR lets it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesOutput;
use ecr_warden_core::audit::{Position, Request};
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::Finding;
use ecr_warden_core::plan;
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::repository::{Read, Reads, Repository, RepositoryId, ScanFrequency};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::clients::{Clients, Regional};
use crate::failure::Failure;
use crate::load::{
    LoadError, NAMES_OF_SCANNING, Surroundings, bare, calls, calls_of_details, details, load_once,
    scan_frequencies,
};
use crate::progress::{Pace, Progress};

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

impl Home {
    /// What is on record about its registry has this id.
    #[must_use]
    pub fn registry(&self) -> RepositoryId {
        RepositoryId::of_registry(&self.account, &self.region)
    }
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
    deadline: Option<Instant>,
    enough: &(dyn Fn() -> bool + Sync),
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
            deadline,
            enough,
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
    enough: &'a (dyn Fn() -> bool + Sync),
}

/// A page, and what its repositories and those before have in common.
struct Listed {
    repositories: Vec<(Repository, Reads)>,
    /// The name of the page's last repository, asked for or not.
    last: Option<String>,
    next: Option<String>,
    around: Arc<Surroundings>,
}

/// A repository that is still to be judged.
struct Waiting {
    described: Repository,
    reads: Reads,
    around: Arc<Surroundings>,
    tries: usize,
    not_before: Option<Instant>,
}

impl RegionAudit<'_> {
    /// While a page is judged the next one is listed, and neither waits for the other.
    async fn run(
        &self,
        start: Position,
        each: &mut (dyn FnMut(Seen) + Send),
    ) -> Result<Option<Position>, AuditError> {
        let mut progress = Progress::from(start);
        let mut pace = Pace::default();
        let mut around = Arc::default();
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
                    Arc::clone(&around),
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
                    let Listed { repositories, last, next, around: known } = listed?;
                    around = known;
                    let names = repositories.iter().map(|(described, _)| described.id.name.clone());
                    let left = progress.listed(names, last, next);
                    for (described, reads) in repositories {
                        if left.contains(&described.id.name) {
                            let around = Arc::clone(&around);
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
                Err(error) => Some(Seen::Unjudged {
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

    fn is_over(&self) -> bool {
        let late = |deadline| Instant::now() >= deadline;
        self.deadline.is_some_and(late) || (self.enough)()
    }

    /// A page as far as it is asked for, with what its repositories have in common read, too.
    async fn list(
        &self,
        token: Option<String>,
        after: Option<String>,
        around: Arc<Surroundings>,
    ) -> Result<Listed, AuditError> {
        let answer = self.page(token, after).await.map_err(|failure| {
            AuditError::Aws(format!(
                "the repositories in {} can't be listed: {failure}",
                self.region
            ))
        })?;
        let last = answer.repositories().last();
        let last = last.and_then(|last| last.repository_name().map(str::to_owned));
        let mut repositories = Vec::new();
        let mut common = Reads::default();
        for repository in answer.repositories() {
            let name = repository.repository_name().unwrap_or_default();
            let Ok(id) = RepositoryId::new(self.account, &self.region, name) else {
                tracing::warn!(name, "a repository with a name that ECR does not allow");
                continue;
            };
            if self.request.covers(&id) {
                let described = bare(&id, repository);
                let mut reads = self.policy.reads_after(&described);
                reads.storage |= self.request.cost;
                reads.lifecycle |= self.request.cost;
                common.add(reads.clone());
                repositories.push((described, reads));
            }
        }
        let mut around = Arc::unwrap_or_clone(around);
        let ((), frequencies) = tokio::join!(
            self.surround(&mut around, &common),
            self.scan_frequencies(&repositories),
        );
        for (repository, _) in &mut repositories {
            if let Some(frequency) = frequencies.get(&repository.id.name) {
                repository.scan_frequency = frequency.clone();
            }
        }
        Ok(Listed {
            repositories,
            last,
            next: answer.next_token,
            around: Arc::new(around),
        })
    }

    /// Reads what the repositories have in common. What cannot be read all the same ends no audit: it is said of what needs it.
    async fn surround(&self, around: &mut Surroundings, common: &Reads) {
        let mut tries: usize = 0;
        while let Err(error) = around.add(&self.aws, common).await {
            tries = tries.saturating_add(1);
            if tries >= TRIES {
                tracing::warn!(%error, region = self.region, "what the registry's repositories have in common cannot be read");
                around.give_up(common, &error.to_string());
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// When ECR scans the repositories of a page of which that is asked, many with each call.
    async fn scan_frequencies(
        &self,
        repositories: &[(Repository, Reads)],
    ) -> BTreeMap<String, Read<ScanFrequency>> {
        let asked = repositories.iter().filter(|(_, reads)| reads.scanning);
        let names: Vec<String> = asked.map(|(of, _)| of.id.name.clone()).collect();
        let calls = names.chunks(NAMES_OF_SCANNING).map(|names| async {
            let mut tries = 0;
            loop {
                let _ = self.aws.turns.take(1, None).await;
                match scan_frequencies(&self.aws, names).await {
                    Ok(known) => break known,
                    Err(_) if tries < TRIES => {
                        tries = tries.saturating_add(1);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(why) => {
                        let unreadable =
                            |name: &String| (name.clone(), Read::Unreadable(why.clone()));
                        break names.iter().map(unreadable).collect();
                    }
                }
            }
        });
        let pages: Vec<BTreeMap<_, _>> = futures_util::stream::iter(calls)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        pages.into_iter().flatten().collect()
    }

    /// The page of a token. ECR documents no lifetime for tokens: where one that an earlier part was given is refused, the
    /// region is listed again up to the page's beginning, which is known by the repository before it. Where that is gone, all of
    /// the region is looked at again.
    async fn page(
        &self,
        token: Option<String>,
        after: Option<String>,
    ) -> Result<DescribeRepositoriesOutput, Failure> {
        let resumed = token.is_some();
        match self.describe(token).await {
            Err(failure) if resumed && failure.is("InvalidParameterException") => {
                tracing::warn!(%failure, region = self.region, "ECR takes the token no longer: listing the region again");
            }
            answer => return answer,
        }
        let mut page = self.describe(None).await?;
        loop {
            let mut repositories = page.repositories.unwrap_or_default();
            let position = repositories
                .iter()
                .position(|repository| repository.repository_name() == after.as_deref());
            if let Some(position) = position {
                page.repositories = Some(repositories.split_off(position.saturating_add(1)));
                return Ok(page);
            }
            match page.next_token {
                Some(token) => page = self.describe(Some(token)).await?,
                None => return self.describe(None).await,
            }
        }
    }

    async fn describe(&self, token: Option<String>) -> Result<DescribeRepositoriesOutput, Failure> {
        let mut tries = 0;
        loop {
            // It waits for as long as it takes.
            let _ = self.aws.turns.take(1, None).await;
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
                Err(failure) => return Err(failure),
            }
        }
    }
}

async fn judge(aws: &Regional, policy: &Policy, one: &Waiting) -> Result<Seen, LoadError> {
    let Waiting {
        described,
        reads,
        around,
        ..
    } = one;
    let id = described.id.clone();
    let _ = aws.turns.take(calls_of_details(reads), None).await;
    let mut repository = details(aws, &id, reads)
        .await
        .snapshot(aws, described.clone(), around, true)
        .await?;
    let mut resolved = policy.for_repository(&id, &repository.tags);
    if let Ok(known) = &resolved {
        // Settings that depend on its tags ask for more, and so does a default lifecycle policy: rarely.
        let mut needed = known.reads_after(&repository);
        needed.add(plan::reads(known, &repository));
        if !reads.cover(&needed) {
            needed.add(reads.clone());
            let _ = aws.turns.take(calls(&needed), None).await;
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
