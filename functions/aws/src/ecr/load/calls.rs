//! The calls that read, one function each.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecr::types::{DescribeImagesFilter, ImageStatusFilter, TagStatus};
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use ecr_warden_core::image::{Image, is_index};
use ecr_warden_core::repository::{Key, Read, RegistryScanning, RepositoryId, ScanFrequency};
use tokio::sync::Semaphore;

use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::ecr::convert;

/// ECR's largest page.
pub(super) const PAGE: i32 = 1000;
/// Of images, the first page is read side by side with everything else, and most repositories need no more: it is small.
pub(super) const FIRST_PAGE: i32 = 100;
/// This number of tags is enough to see what pipelines push.
pub(super) const RECENT_TAGS: usize = 1000;
/// Repositories of which more than one page of images is in memory at the same time: 100,000 images each are a few megabytes.
pub(super) static LARGE: Semaphore = Semaphore::const_new(4);

pub(super) async fn describe(
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

pub(super) async fn tags(
    aws: &Regional,
    id: &RepositoryId,
) -> Result<BTreeMap<String, String>, Failure> {
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

pub(super) async fn policy(aws: &Regional, id: &RepositoryId) -> Result<Option<String>, Failure> {
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

pub(super) async fn lifecycle(
    aws: &Regional,
    id: &RepositoryId,
) -> Result<Option<String>, Failure> {
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
pub(super) async fn has_images(aws: &Regional, id: &RepositoryId) -> Result<bool, Failure> {
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
    pub(super) tags: Vec<(i64, String)>,
    next: Option<String>,
}

pub(super) async fn tagged_page(
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

pub(super) async fn all_pages(
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

pub(super) fn newest(mut tags: Vec<(i64, String)>) -> BTreeSet<String> {
    tags.sort_by(|(a, _), (b, _)| b.cmp(a));
    tags.truncate(RECENT_TAGS);
    tags.into_iter().map(|(_, tag)| tag).collect()
}

/// All images but the archived ones, with what they weigh.
pub(super) async fn images(aws: &Regional, id: &RepositoryId) -> Result<Vec<Image>, Failure> {
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
                index: image.image_manifest_media_type().is_some_and(is_index),
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

pub(super) async fn scanning(aws: &Regional) -> Result<RegistryScanning, Failure> {
    let answer = aws
        .ecr
        .get_registry_scanning_configuration()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetRegistryScanningConfiguration", &error))?;
    Ok(convert::scanning(answer.scanning_configuration()))
}

/// The prefixes of the registry's pull-through cache rules.
pub(super) async fn caches(aws: &Regional) -> Result<Vec<String>, Failure> {
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
                let frequency = convert::scan_frequency(&of.scan_frequency?);
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
