//! One parallel round of reads → a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ecr::types::{DescribeImagesFilter, ImageStatusFilter, ScanFrequency, ScanType};
use aws_sdk_kms::types::KeyState;
use ecr_warden_core::repository::{
    Key, Read, Reads, RegistryScanning, Repository, RepositoryId, ScanRule,
};
use futures_util::future::join_all;

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

/// Why there is no snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("ECR knows no such repository")]
    Gone,
    /// Later it may work.
    #[error("{0}")]
    Unavailable(String),
    /// It may not be read.
    #[error("{0}")]
    Unreadable(String),
}

/// Reads a repository. `young`: it was created a moment ago, so that "no such repository" is not believed at once.
pub(crate) async fn load(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
    young: bool,
) -> Result<Repository, LoadError> {
    let mut patience = PATIENCE.iter();
    loop {
        match load_once(aws, id, reads).await {
            Err(LoadError::Gone) if young => match patience.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(LoadError::Gone),
            },
            other => return other,
        }
    }
}

pub(crate) async fn load_once(
    aws: &Regional,
    id: &RepositoryId,
    reads: &Reads,
) -> Result<Repository, LoadError> {
    let keys = join_all(reads.keys.iter().map(|name| key(aws, name)));
    let (described, tags, policy, lifecycle, has_images, scanning, keys) = tokio::join!(
        describe(aws, id),
        asked(reads.tags, tags(aws, id)),
        asked(reads.policy, policy(aws, id)),
        asked(reads.lifecycle, lifecycle(aws, id)),
        asked(reads.images, has_images(aws, id)),
        asked(reads.scanning, scanning(aws)),
        keys,
    );
    let described = described.map_err(|failure| match failure {
        failure if failure.is("RepositoryNotFoundException") => LoadError::Gone,
        Failure::Unavailable(why) => LoadError::Unavailable(why),
        other => LoadError::Unreadable(other.to_string()),
    })?;
    let mut read_keys = BTreeMap::new();
    for (name, key) in reads.keys.iter().zip(keys) {
        read_keys.insert(name.clone(), read(key.map_err(Some))?);
    }
    Ok(Repository {
        id: id.clone(),
        created_at: described.created_at().and_then(|at| at.to_millis().ok()),
        mutability: ecr::mutability(
            described.image_tag_mutability(),
            described.image_tag_mutability_exclusion_filters(),
        ),
        encryption: ecr::encryption(described.encryption_configuration()),
        scan_on_push: described
            .image_scanning_configuration()
            .is_some_and(aws_sdk_ecr::types::ImageScanningConfiguration::scan_on_push),
        tags: read(tags)?,
        policy: read(policy)?,
        lifecycle: read(lifecycle)?,
        has_images: read(has_images)?,
        scanning: read(scanning)?,
        pushed: None,
        keys: read_keys,
    })
}

/// Makes the call only where it is asked for; `Err(None)` where it is not.
async fn asked<T>(
    wanted: bool,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Option<Failure>> {
    if wanted {
        call.await.map_err(Some)
    } else {
        Err(None)
    }
}

/// What may not be read is said so; what could not be read this time is read again as a whole, later.
fn read<T>(result: Result<T, Option<Failure>>) -> Result<Read<T>, LoadError> {
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
        .ok_or_else(|| Failure::Refused {
            code: "RepositoryNotFoundException".to_owned(),
            message: String::new(),
        })
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

async fn scanning(aws: &Regional) -> Result<RegistryScanning, Failure> {
    let answer = aws
        .ecr
        .get_registry_scanning_configuration()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetRegistryScanningConfiguration", &error))?;
    let Some(configuration) = answer.scanning_configuration else {
        return Ok(RegistryScanning::default());
    };
    Ok(RegistryScanning {
        enhanced: configuration.scan_type() == Some(&ScanType::Enhanced),
        rules: configuration
            .rules()
            .iter()
            .map(|rule| ScanRule {
                on_push: matches!(
                    rule.scan_frequency(),
                    ScanFrequency::ScanOnPush | ScanFrequency::ContinuousScan
                ),
                filters: rule
                    .repository_filters()
                    .iter()
                    .map(|filter| filter.filter().to_owned())
                    .collect(),
            })
            .collect(),
    })
}

async fn key(aws: &Regional, name: &str) -> Result<Option<Key>, Failure> {
    let answer = aws
        .kms
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
        Some(Key {
            enabled: metadata.key_state == Some(KeyState::Enabled),
            arn: metadata.arn?,
        })
    }))
}
