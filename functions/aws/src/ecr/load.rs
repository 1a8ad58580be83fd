//! One parallel round of reads → a snapshot.

mod asked;
mod calls;
mod registry;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecr_warden_core::image::Image;
use ecr_warden_core::repository::{
    Read, Reads, Repository, RepositoryId, ScanFrequency, TagMutability,
};

pub use self::asked::LoadError;
use self::asked::{Asked, asked, read};
use self::calls::{
    FIRST_PAGE, Tagged, all_pages, describe, has_images, images, lifecycle, newest, policy,
    tagged_page, tags,
};
pub(crate) use self::calls::{NAMES_OF_SCANNING, key, scan_frequencies};
pub(crate) use self::registry::{IfUnavailable, calls_of_registry, registry};
pub(crate) use self::surroundings::Surroundings;
use self::surroundings::{ANY_PREFIX, fills, surroundings};
use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::ecr::convert;

/// Right after CreateRepository, DescribeRepositories can answer that there is no such repository.
const PATIENCE: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
];

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

/// Reads a repository. `young`: it was created a moment ago. `objects`: whether its recent tags matter, now that it is described; one that
/// conforms may hold very many.
pub(crate) async fn load(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
    young: bool,
    objects: &Objects<'_>,
) -> Result<Repository, LoadError> {
    when_shown(young, || read_once(aws, id, reads, objects)).await
}

/// Reads with patience what is `young`: it was created a moment ago, so that "no such repository" is not believed at once.
async fn when_shown<R: Future<Output = Result<Repository, LoadError>>>(
    young: bool,
    read: impl Fn() -> R,
) -> Result<Repository, LoadError> {
    for pause in PATIENCE.iter().filter(|_| young) {
        match read().await {
            Err(LoadError::Gone) => tokio::time::sleep(*pause).await,
            other => return other,
        }
    }
    read().await
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
        Box::pin(describe_once(aws, id)),
        scan_frequency(aws, id, reads),
        Box::pin(surroundings(aws, reads)),
        details(aws, id, reads),
    );
    let mut bare = bare?;
    bare.scan_frequency = frequency?;
    let all_tags = objects(&bare);
    details.snapshot(aws, bare, &surroundings?, all_tags).await
}

/// Reads a repository as far as DescribeRepositories goes. `young`: it was created a moment ago.
pub(crate) async fn described(
    aws: &Regional,
    id: &RepositoryId,
    young: bool,
) -> Result<Repository, LoadError> {
    when_shown(young, || describe_once(aws, id)).await
}

async fn describe_once(aws: &Regional, id: &RepositoryId) -> Result<Repository, LoadError> {
    match describe(aws, id).await {
        Ok(described) => Ok(bare(id, &described)),
        Err(failure) if failure.is("RepositoryNotFoundException") => Err(LoadError::Gone),
        Err(Failure::Unavailable(why)) => Err(LoadError::Unavailable(why)),
        Err(other) => Err(LoadError::Unreadable(other.to_string())),
    }
}

/// Reads the rest of a repository that is described. `young`: it was created a moment ago.
pub(crate) async fn rest(
    aws: &Regional,
    bare: &Repository,
    reads: &Reads,
    young: bool,
    objects: &Objects<'_>,
) -> Result<Repository, LoadError> {
    when_shown(young, || rest_once(aws, bare.clone(), reads, objects)).await
}

async fn rest_once(
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
        mutability: convert::mutability(
            described.image_tag_mutability(),
            described.image_tag_mutability_exclusion_filters(),
        ),
        encryption: convert::encryption(described.encryption_configuration()),
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

/// The tags of a repository, as ECR has them now.
pub(crate) async fn tags_now(
    aws: &Regional,
    id: &RepositoryId,
) -> Result<Read<BTreeMap<String, String>>, LoadError> {
    read(asked(true, tags(aws, id)).await)
}

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
        let tags = match read(self.tags)? {
            // As they were when it was listed, if they were read then.
            Read::NotAsked => bare.tags.clone(),
            read => read,
        };
        Ok(Repository {
            tags,
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
