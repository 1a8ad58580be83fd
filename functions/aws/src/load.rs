//! One parallel round of reads → a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ecr::types::{DescribeImagesFilter, ImageStatusFilter, TagStatus};
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use ecr_warden_core::repository::{
    Key, Read, Reads, RegistryScanning, Repository, RepositoryId, ScanFrequency, TagMutability,
};
use ecr_warden_core::storage::Image;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;

use crate::clients::Regional;
use crate::ecr;
use crate::failure::Failure;

/// Right after CreateRepository, DescribeRepositories can answer that there is no such repository.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];

/// ECR's largest page.
const PAGE: i32 = 1000;
/// Of images, the first page is read side by side with everything else, and most repositories need no more: it is small.
const FIRST_PAGE: i32 = 100;
/// So many tags are enough to see what pipelines push.
const RECENT_TAGS: usize = 1000;

/// Repositories of which more than one page of images is in memory at the same time: 100,000 images each are a few megabytes.
static LARGE: Semaphore = Semaphore::const_new(4);

/// Why there is no snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("ECR knows no such repository")]
    Gone,
    /// Later it may work.
    #[error("{0}")]
    Unavailable(String),
    /// It may not be read.
    #[error("{0}")]
    Unreadable(String),
}

/// The calls of ECR that [`load`] makes at first, which are most of them.
pub(crate) fn calls(reads: &Reads) -> u32 {
    1 + calls_of_rest(reads)
}

/// The same of [`rest`].
pub(crate) fn calls_of_rest(reads: &Reads) -> u32 {
    // The registry's scanning configuration, and the repository's.
    calls_of_details(reads) + 2 * u32::from(reads.scanning) + u32::from(reads.pull_through)
}

/// The same of [`details`].
pub(crate) fn calls_of_details(reads: &Reads) -> u32 {
    let asked = [
        reads.tags,
        reads.policy,
        reads.lifecycle,
        reads.images,
        reads.recent_tags,
        reads.storage,
    ];
    asked.map(u32::from).iter().sum()
}

/// Reads a repository, with patience. `young`: it was created a moment ago, so that "no such repository" is not believed at once.
/// `objects`: whether its recent tags matter, now that it is described; one that conforms may hold very many.
pub(crate) async fn load(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
    young: bool,
    objects: &Objects<'_>,
) -> Result<Repository, LoadError> {
    let mut patience = PATIENCE.iter();
    loop {
        match read_once(aws, id, reads, objects).await {
            Err(LoadError::Gone) if young => match patience.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(LoadError::Gone),
            },
            other => return other,
        }
    }
}

/// Reads a repository.
///
/// # Errors
/// There is none, or it can't be read (now).
pub async fn load_once(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
) -> Result<Repository, LoadError> {
    read_once(aws, id, reads, &|_| true).await
}

pub(crate) type Objects<'p> = dyn Fn(&Repository) -> bool + Sync + 'p;

async fn read_once(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
    objects: &Objects<'_>,
) -> Result<Repository, LoadError> {
    let (bare, frequency, surroundings, details) = tokio::join!(
        Box::pin(described(aws, id)),
        scan_frequency(aws, id, reads),
        Box::pin(surroundings(aws, reads)),
        details(aws, id, reads),
    );
    let mut bare = bare?;
    bare.scan_frequency = frequency?;
    let all_tags = objects(&bare);
    details.snapshot(aws, bare, &surroundings?, all_tags).await
}

/// Reads a repository as far as DescribeRepositories goes.
pub(crate) async fn described(aws: &Regional, id: &RepositoryId) -> Result<Repository, LoadError> {
    match describe(aws, id).await {
        Ok(described) => Ok(bare(id, &described)),
        Err(failure) if failure.is("RepositoryNotFoundException") => Err(LoadError::Gone),
        Err(Failure::Unavailable(why)) => Err(LoadError::Unavailable(why)),
        Err(other) => Err(LoadError::Unreadable(other.to_string())),
    }
}

/// Reads the rest of a repository that is described.
pub(crate) async fn rest(
    aws: &Regional,
    mut bare: Repository,
    reads: &Reads,
    objects: &Objects<'_>,
) -> Result<Repository, LoadError> {
    let (frequency, surroundings, details) = tokio::join!(
        scan_frequency(aws, &bare.id, reads),
        Box::pin(surroundings(aws, reads)),
        details(aws, &bare.id, reads),
    );
    bare.scan_frequency = frequency?;
    let all_tags = objects(&bare);
    details.snapshot(aws, bare, &surroundings?, all_tags).await
}

/// What DescribeRepositories alone says.
pub(crate) fn bare(id: &RepositoryId, described: &aws_sdk_ecr::types::Repository) -> Repository {
    Repository {
        mutability: ecr::mutability(
            described.image_tag_mutability(),
            described.image_tag_mutability_exclusion_filters(),
        ),
        encryption: ecr::encryption(described.encryption_configuration()),
        scan_on_push: described
            .image_scanning_configuration()
            .is_some_and(aws_sdk_ecr::types::ImageScanningConfiguration::scan_on_push),
        ..Repository::unread(
            id,
            described.created_at().and_then(|at| at.to_millis().ok()),
            None,
        )
    }
}

/// API reference, BatchGetRepositoryScanningConfiguration.
pub(crate) const NAMES_OF_SCANNING: usize = 25;

/// When ECR scans the repositories of these names, at most [`NAMES_OF_SCANNING`]. What ECR does not say is left out: it follows from
/// the configurations.
///
/// # Errors
/// Later it may work.
pub(crate) async fn scan_frequencies(
    aws: &Regional,
    names: &[String],
) -> Result<BTreeMap<String, Read<ScanFrequency>>, String> {
    let answer = aws
        .ecr
        .batch_get_repository_scanning_configuration()
        .set_repository_names(Some(names.to_vec()))
        .send()
        .await
        .map_err(|error| Failure::of("ecr:BatchGetRepositoryScanningConfiguration", &error));
    match answer {
        Ok(answer) => {
            let configurations = answer.scanning_configurations.unwrap_or_default();
            let known = configurations.into_iter().filter_map(|of| {
                let frequency = ecr::scan_frequency(&of.scan_frequency?);
                Some((of.repository_name?, Read::Known(frequency)))
            });
            Ok(known.collect())
        }
        Err(Failure::Unavailable(why)) => Err(why),
        Err(denied @ Failure::Denied { .. }) => {
            let unreadable = |name: &String| (name.clone(), Read::Unreadable(denied.to_string()));
            Ok(names.iter().map(unreadable).collect())
        }
        Err(failure) => {
            tracing::warn!(%failure, "ECR does not say when it scans repositories");
            Ok(BTreeMap::new())
        }
    }
}

/// The same of one repository, where it is asked for.
async fn scan_frequency(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
) -> Result<Read<ScanFrequency>, LoadError> {
    if !reads.scanning {
        return Ok(Read::NotAsked);
    }
    let names = [id.name.clone()];
    let answer = Box::pin(scan_frequencies(aws, &names)).await;
    let mut known = answer.map_err(LoadError::Unavailable)?;
    Ok(known.remove(&id.name).unwrap_or_default())
}

/// What is the same for all repositories of an account and region.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    scanning: Read<RegistryScanning>,
    /// Prefixes of the pull-through cache rules.
    caches: Read<Vec<String>>,
    keys: BTreeMap<String, Read<Option<Key>>>,
}

impl Surroundings {
    /// Adds what is asked for and not there yet.
    pub(crate) async fn add(&mut self, aws: &Regional, reads: &Reads) -> Result<(), LoadError> {
        let missing = Reads {
            scanning: reads.scanning && self.scanning == Read::NotAsked,
            pull_through: reads.pull_through && self.caches == Read::NotAsked,
            keys: reads
                .keys
                .iter()
                .filter(|key| !self.keys.contains_key(*key))
                .cloned()
                .collect(),
            ..Reads::default()
        };
        let Self {
            scanning,
            caches,
            keys,
        } = surroundings(aws, &missing).await?;
        if missing.scanning {
            self.scanning = scanning;
        }
        if missing.pull_through {
            self.caches = caches;
        }
        self.keys.extend(keys);
        Ok(())
    }

    /// Gives up what is asked for and not there yet: why.
    pub(crate) fn give_up(&mut self, reads: &Reads, why: &str) {
        if reads.scanning && self.scanning == Read::NotAsked {
            self.scanning = Read::Unreadable(why.to_owned());
        }
        if reads.pull_through && self.caches == Read::NotAsked {
            self.caches = Read::Unreadable(why.to_owned());
        }
        for key in &reads.keys {
            let unreadable = || Read::Unreadable(why.to_owned());
            self.keys.entry(key.clone()).or_insert_with(unreadable);
        }
    }
}

async fn surroundings(aws: &Regional, reads: &Reads) -> Result<Surroundings, LoadError> {
    let keys = join_all(reads.keys.iter().map(|name| Box::pin(key(aws, name))));
    let (scanning, caches, keys) = tokio::join!(
        asked(reads.scanning, scanning(aws)),
        asked(reads.pull_through, caches(aws)),
        keys,
    );
    let mut read_keys = BTreeMap::new();
    for (name, key) in reads.keys.iter().zip(keys) {
        read_keys.insert(name.clone(), read(key.map_err(Some))?);
    }
    Ok(Surroundings {
        scanning: read(scanning)?,
        caches: read(caches)?,
        keys: read_keys,
    })
}

type Asked<T> = Result<T, Option<Failure>>;

/// What is read by calls of its own for each repository.
pub(crate) struct Details {
    tags: Asked<BTreeMap<String, String>>,
    policy: Asked<Option<String>>,
    lifecycle: Asked<Option<String>>,
    has_images: Asked<bool>,
    recent: Asked<Tagged>,
    images: Asked<Vec<Image>>,
    pull_through: bool,
    scanning: bool,
    keys: BTreeSet<String>,
}

pub(crate) async fn details(aws: &Regional, id: &RepositoryId, reads: &Reads) -> Details {
    let (tags, policy, lifecycle, has_images, recent, images) = tokio::join!(
        asked(reads.tags, tags(aws, id)),
        asked(reads.policy, policy(aws, id)),
        asked(reads.lifecycle, lifecycle(aws, id)),
        asked(reads.images, has_images(aws, id)),
        asked(reads.recent_tags, tagged_page(aws, id, None, FIRST_PAGE)),
        asked(reads.storage, images(aws, id)),
    );
    Details {
        tags,
        policy,
        lifecycle,
        has_images,
        recent,
        images,
        pull_through: reads.pull_through,
        scanning: reads.scanning,
        keys: reads.keys.clone(),
    }
}

impl Details {
    /// The snapshot of what was asked for. `all_tags`: not only the first page of the recent ones.
    pub(crate) async fn snapshot(
        self,
        aws: &Regional,
        bare: Repository,
        around: &Surroundings,
        all_tags: bool,
    ) -> Result<Repository, LoadError> {
        let recent = match self.recent {
            // One page says enough of a repository whose tags may not be stopped from moving, or can't move. Of others all are
            // looked at before: pages come in no order.
            Ok(page) if all_tags && bare.mutability != TagMutability::Immutable => {
                all_pages(aws, &bare.id, page).await.map_err(Some)
            }
            Ok(page) => Ok(page.tags),
            Err(why) => Err(why),
        };
        let mut keys = BTreeMap::new();
        for name in &self.keys {
            if let Some(key) = around.keys.get(name) {
                keys.insert(name.clone(), key.clone());
            }
        }
        let pull_through = match &around.caches {
            Read::Known(prefixes) if self.pull_through => {
                Read::Known(prefixes.iter().any(|prefix| fills(prefix, &bare.id.name)))
            }
            Read::Unreadable(why) if self.pull_through => Read::Unreadable(why.clone()),
            _ => Read::NotAsked,
        };
        Ok(Repository {
            tags: read(self.tags)?,
            policy: read(self.policy)?,
            lifecycle: read(self.lifecycle)?,
            has_images: read(self.has_images)?,
            recent_tags: read(recent.map(newest))?,
            images: read(self.images)?.map(Arc::from),
            scanning: if self.scanning {
                around.scanning.clone()
            } else {
                Read::NotAsked
            },
            pull_through,
            root_cache: self.pull_through
                && around
                    .caches
                    .known()
                    .is_some_and(|prefixes| prefixes.iter().any(|prefix| prefix == ANY_PREFIX)),
            keys,
            ..bare
        })
    }
}

/// Makes the call only where it is asked for; `Err(None)` where it is not. On the heap: a call of the SDK takes many
/// kilobytes, and ten of them side by side are more than some stacks have.
fn asked<'c, T: 'c>(
    wanted: bool,
    call: impl Future<Output = Result<T, Failure>> + Send + 'c,
) -> BoxFuture<'c, Asked<T>> {
    if wanted {
        Box::pin(async move { call.await.map_err(Some) })
    } else {
        Box::pin(async { Err(None) })
    }
}

/// What may not be read is said so; what could not be read this time is read again as a whole, later.
fn read<T>(result: Asked<T>) -> Result<Read<T>, LoadError> {
    match result {
        Ok(value) => Ok(Read::Known(value)),
        Err(None) => Ok(Read::NotAsked),
        Err(Some(failure)) if failure.is("RepositoryNotFoundException") => Err(LoadError::Gone),
        Err(Some(Failure::Unavailable(why))) => Err(LoadError::Unavailable(why)),
        Err(Some(other)) => Ok(Read::Unreadable(other.to_string())),
    }
}

async fn describe(
    aws: &Regional,
    id: &RepositoryId,
) -> Result<aws_sdk_ecr::types::Repository, Failure> {
    let answer = aws
        .ecr
        .describe_repositories()
        .repository_names(&id.name)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:DescribeRepositories", &error))?;
    answer
        .repositories
        .unwrap_or_default()
        .into_iter()
        .next()
        .ok_or_else(|| Failure::own("RepositoryNotFoundException", String::new()))
}

async fn tags(aws: &Regional, id: &RepositoryId) -> Result<BTreeMap<String, String>, Failure> {
    let answer = aws
        .ecr
        .list_tags_for_resource()
        .resource_arn(id.arn())
        .send()
        .await
        .map_err(|error| Failure::of("ecr:ListTagsForResource", &error))?;
    Ok(answer
        .tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| (tag.key, tag.value))
        .collect())
}

async fn policy(aws: &Regional, id: &RepositoryId) -> Result<Option<String>, Failure> {
    let answer = aws
        .ecr
        .get_repository_policy()
        .repository_name(&id.name)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetRepositoryPolicy", &error));
    match answer {
        Ok(answer) => Ok(answer.policy_text),
        Err(failure) if failure.is("RepositoryPolicyNotFoundException") => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn lifecycle(aws: &Regional, id: &RepositoryId) -> Result<Option<String>, Failure> {
    let answer = aws
        .ecr
        .get_lifecycle_policy()
        .repository_name(&id.name)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetLifecyclePolicy", &error));
    match answer {
        Ok(answer) => Ok(answer.lifecycle_policy_text),
        Err(failure) if failure.is("LifecyclePolicyNotFoundException") => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Archived images count: they would be lost like any other.
async fn has_images(aws: &Regional, id: &RepositoryId) -> Result<bool, Failure> {
    let answer = aws
        .ecr
        .describe_images()
        .repository_name(&id.name)
        .max_results(1)
        .filter(
            DescribeImagesFilter::builder()
                .image_status(ImageStatusFilter::Any)
                .build(),
        )
        .send()
        .await
        .map_err(|error| Failure::of("ecr:DescribeImages", &error))?;
    // A page can be empty and not the last one.
    Ok(!answer.image_details().is_empty() || answer.next_token().is_some())
}

/// Tags with the time of their image's push.
pub(crate) struct Tagged {
    tags: Vec<(i64, String)>,
    next: Option<String>,
}

async fn tagged_page(
    aws: &Regional,
    id: &RepositoryId,
    token: Option<String>,
    size: i32,
) -> Result<Tagged, Failure> {
    let answer = aws
        .ecr
        .describe_images()
        .repository_name(&id.name)
        .max_results(size)
        .set_next_token(token)
        .filter(
            DescribeImagesFilter::builder()
                .tag_status(TagStatus::Tagged)
                .build(),
        )
        .send()
        .await
        .map_err(|error| Failure::of("ecr:DescribeImages", &error))?;
    let tags = answer
        .image_details()
        .iter()
        .flat_map(|image| {
            let pushed = image.image_pushed_at().map_or(0, |at| at.secs());
            image
                .image_tags()
                .iter()
                .map(move |tag| (pushed, tag.clone()))
        })
        .collect();
    Ok(Tagged {
        tags,
        next: answer.next_token,
    })
}

async fn all_pages(
    aws: &Regional,
    id: &RepositoryId,
    first: Tagged,
) -> Result<Vec<(i64, String)>, Failure> {
    let Tagged { mut tags, mut next } = first;
    while let Some(token) = next.take() {
        let page = tagged_page(aws, id, Some(token), PAGE).await?;
        tags.extend(page.tags);
        next = page.next;
    }
    Ok(tags)
}

fn newest(mut tags: Vec<(i64, String)>) -> BTreeSet<String> {
    tags.sort_by(|(a, _), (b, _)| b.cmp(a));
    tags.truncate(RECENT_TAGS);
    tags.into_iter().map(|(_, tag)| tag).collect()
}

/// All images but the archived ones, with what they weigh.
async fn images(aws: &Regional, id: &RepositoryId) -> Result<Vec<Image>, Failure> {
    let mut images = Vec::new();
    let mut token = None;
    let mut one_of_few = None;
    loop {
        let answer = aws
            .ecr
            .describe_images()
            .repository_name(&id.name)
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| Failure::of("ecr:DescribeImages", &error))?;
        images.extend(answer.image_details().iter().map(|image| {
            Image {
                pushed_at: image.image_pushed_at().map_or(0, |at| at.secs()),
                pulled_at: image.last_recorded_pull_time().map(|at| at.secs()),
                bytes: image
                    .image_size_in_bytes()
                    .and_then(|bytes| u64::try_from(bytes).ok())
                    .unwrap_or(0),
                tags: image.image_tags().to_vec(),
            }
        }));
        token = answer.next_token;
        if token.is_none() {
            return Ok(images);
        }
        if one_of_few.is_none() {
            // It is never closed.
            one_of_few = LARGE.acquire().await.ok();
        }
    }
}

async fn scanning(aws: &Regional) -> Result<RegistryScanning, Failure> {
    let answer = aws
        .ecr
        .get_registry_scanning_configuration()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetRegistryScanningConfiguration", &error))?;
    Ok(ecr::scanning(answer.scanning_configuration()))
}

/// The prefixes of the registry's pull-through cache rules.
async fn caches(aws: &Regional) -> Result<Vec<String>, Failure> {
    let mut prefixes = Vec::new();
    let mut token = None;
    loop {
        let answer = aws
            .ecr
            .describe_pull_through_cache_rules()
            .max_results(PAGE)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| Failure::of("ecr:DescribePullThroughCacheRules", &error))?;
        let rules = answer.pull_through_cache_rules().iter();
        prefixes.extend(rules.filter_map(|rule| rule.ecr_repository_prefix.clone()));
        token = answer.next_token;
        if token.is_none() {
            return Ok(prefixes);
        }
    }
}

/// The prefix of a rule that may fill any repository.
const ANY_PREFIX: &str = "ROOT";

/// A pull-through cache rule fills the repositories whose names begin with its prefix (API reference,
/// CreatePullThroughCacheRule). In doubt it does.
fn fills(prefix: &str, name: &str) -> bool {
    let rest = name.strip_prefix(prefix);
    prefix == ANY_PREFIX || rest.is_some_and(|rest| rest.starts_with('/'))
}

/// A KMS key as DescribeKey shows it; `None`: there is no such key.
pub(crate) async fn key(aws: &Regional, name: &str) -> Result<Option<Key>, Failure> {
    let answer = aws
        .kms()
        .describe_key()
        .key_id(name)
        .send()
        .await
        .map_err(|error| Failure::of("kms:DescribeKey", &error));
    let metadata = match answer {
        Ok(answer) => answer.key_metadata,
        Err(failure) if failure.is("NotFoundException") => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Ok(metadata.and_then(|metadata| {
        let symmetric = metadata.key_spec == Some(KeySpec::SymmetricDefault)
            && metadata.key_usage == Some(KeyUsageType::EncryptDecrypt);
        let unfit = (!symmetric).then(|| {
            let spec = metadata
                .key_spec
                .as_ref()
                .map_or("unknown", KeySpec::as_str);
            let usage = metadata
                .key_usage
                .as_ref()
                .map_or("unknown", KeyUsageType::as_str);
            format!("a key of the kind {spec} for {usage}")
        });
        Some(Key {
            enabled: metadata.key_state == Some(KeyState::Enabled),
            unfit,
            arn: metadata.arn?,
        })
    }))
}
