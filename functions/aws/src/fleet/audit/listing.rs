//! The pages of a region's repositories, with what the repositories of a page have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesOutput;
use ecr_warden_core::repository::{Read, Reads, Repository, RepositoryId, ScanFrequency};
use futures_util::StreamExt;

use super::{AT_ONCE, AuditError, PAGE, PAUSE, RegionAudit, TRIES};
use crate::connect::error::Failure;
use crate::ecr::load::{NAMES_OF_SCANNING, Surroundings, bare, scan_frequencies};
use crate::ecr::tag_index::{MOST_ARNS, TagsByArn, indexed_tags};

/// Of a page with as many repositories ECR is asked when it scans some of them, where the registry has no rules for it.
const LARGE_PAGE: usize = 500;
/// The index of tags is asked again so often where it does not answer: each repository can be asked instead.
const TRIES_OF_INDEX: usize = 2;

/// A page, and what its repositories and those before have in common.
pub(super) struct Listed {
    pub(super) repositories: Vec<(Repository, Reads)>,
    /// The name of the page's last repository, asked for or not.
    pub(super) last: Option<String>,
    pub(super) next: Option<String>,
    pub(super) around: Arc<Surroundings>,
}

impl RegionAudit<'_> {
    /// A page as far as it is asked for, with what its repositories have in common read, too.
    pub(super) async fn list(
        &self,
        token: Option<String>,
        after: Option<String>,
        around: Arc<Surroundings>,
    ) -> Result<Listed, AuditError> {
        let answer = self.page(token, after).await.map_err(|failure| {
            // ECR's answer in a region that the account has not enabled.
            let hint = if failure.is("UnrecognizedClientException") {
                "; is the region enabled for the account?"
            } else {
                ""
            };
            AuditError::Aws(format!(
                "the repositories in {} can't be listed: {failure}{hint}",
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
                let mut reads = self.reads(&described);
                reads.storage |= self.request.cost;
                reads.lifecycle |= self.request.cost;
                common.add(reads.clone());
                repositories.push((described, reads));
            }
        }
        let mut around = Arc::unwrap_or_clone(around);
        let scanning = async {
            self.surround(&mut around, &common).await;
            let is_large = repositories.len() >= LARGE_PAGE;
            if is_large && !around.has_scan_rules() {
                self.scan_frequencies_by_sample(&repositories).await
            } else {
                self.scan_frequencies(&repositories).await
            }
        };
        let (frequencies, mut tags) = tokio::join!(scanning, self.indexed_tags(&repositories));
        for (repository, _) in &mut repositories {
            if let Some(frequency) = frequencies.get(&repository.id.name) {
                repository.scan_frequency = frequency.clone();
            }
            if let Some(tags) = tags.remove(&repository.id.arn()) {
                repository.tags = Read::Known(tags);
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

    /// What is read of a repository. What only explains findings is read of the first ones that need it.
    fn reads(&self, described: &Repository) -> Reads {
        let Some(explained) = self.bounds.explained else {
            return self.policy.reads_after(described);
        };
        let needed = self.policy.reads_to_judge(described);
        if self.explained.load(Ordering::Relaxed) >= explained {
            return needed;
        }
        let all = self.policy.reads_after(described);
        if all != needed {
            self.explained.fetch_add(1, Ordering::Relaxed);
        }
        all
    }

    /// The tags of a page's repositories of which they are asked, many with each call: of those that the index of tags has. Where it can't
    /// be asked, they are read one by one.
    async fn indexed_tags(&self, repositories: &[(Repository, Reads)]) -> TagsByArn {
        let asked = repositories.iter().filter(|(_, reads)| reads.tags);
        let arns: Vec<String> = asked.map(|(of, _)| of.id.arn()).collect();
        // Of a single one, its own tags are no more calls.
        if arns.len() < 2 {
            return TagsByArn::new();
        }
        let calls = arns.chunks(MOST_ARNS).map(|arns| async {
            let mut tries = 0;
            while !self.without_index.load(Ordering::Relaxed) {
                match indexed_tags(&self.aws, arns).await {
                    Ok(known) => return known,
                    Err(Failure::Unavailable(_)) if tries < TRIES_OF_INDEX => {
                        tries = tries.saturating_add(1);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(failure) => {
                        // Once, and not for each call that is under way.
                        if !self.without_index.swap(true, Ordering::Relaxed) {
                            tracing::warn!(%failure, region = self.region, "tags are read one by one; grant tag:GetResources");
                        }
                    }
                }
            }
            TagsByArn::new()
        });
        let pages: Vec<TagsByArn> = futures_util::stream::iter(calls)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        pages.into_iter().flatten().collect()
    }

    /// The same where the registry has no rules, so that each repository's own setting decides: for all of them or, where ECR says so of one
    /// of a sample, for none.
    async fn scan_frequencies_by_sample(
        &self,
        repositories: &[(Repository, Reads)],
    ) -> BTreeMap<String, Read<ScanFrequency>> {
        let set = repositories.iter().filter(|(of, _)| of.scan_on_push);
        let sample: Vec<(Repository, Reads)> = set.take(NAMES_OF_SCANNING).cloned().collect();
        let known = self.scan_frequencies(&sample).await;
        let is_scanned = |read: &Read<ScanFrequency>| {
            let frequency = read.known();
            frequency.is_some_and(ScanFrequency::on_push)
        };
        if known.values().all(is_scanned) {
            known
        } else {
            self.scan_frequencies(repositories).await
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
