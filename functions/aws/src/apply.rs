//! Makes a change. Each is idempotent, and proven by ECR's answer or by reading back.

use std::collections::BTreeMap;

use aws_sdk_ecr::types::{ImageScanningConfiguration, Tag};
use ecr_warden_core::action::Action;
use ecr_warden_core::repository::{Reads, Repository, RepositoryId, TagMutability};

use crate::clients::Regional;
use crate::ecr;
use crate::failure::Failure;
use crate::load::{LoadError, load_once};

/// Why a change was not made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotApplied {
    /// Throttled, out of order or out of reach: a retry may make it.
    Later(String),
    /// One line for people.
    Failed(String),
}

impl From<Failure> for NotApplied {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(why) => Self::Later(why),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<String> for NotApplied {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Makes the change, and sees that it was made; a recreation is not one change, see `recreate`.
///
/// # Errors
/// One line for people.
pub(crate) async fn apply(
    aws: &Regional,
    id: &RepositoryId,
    action: &Action,
) -> Result<(), NotApplied> {
    match action {
        Action::SetTagMutability { to, .. } => set_tag_mutability(aws, id, to).await,
        Action::SetScanOnPush { to, .. } => set_scan_on_push(aws, id, *to).await,
        Action::PutLifecyclePolicy { to } => put_lifecycle_policy(aws, id, to).await,
        Action::PutTags { to, .. } => put_tags(aws, id, to).await,
        Action::SetRepositoryPolicy { from, to } => {
            set_repository_policy(aws, id, from, to.as_deref()).await
        }
        Action::Recreate { .. } => Err("a recreation is not applied as one change"
            .to_owned()
            .into()),
    }
}

async fn set_tag_mutability(
    aws: &Regional,
    id: &RepositoryId,
    to: &TagMutability,
) -> Result<(), NotApplied> {
    let (value, filters) = ecr::mutability_request(to)
        .ok_or_else(|| format!("`{to}` is not known to this version and so not written"))?;
    let answer = aws
        .ecr
        .put_image_tag_mutability()
        .repository_name(&id.name)
        .image_tag_mutability(value)
        .set_image_tag_mutability_exclusion_filters(filters)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:PutImageTagMutability", &error))?;
    let answered = ecr::mutability(
        answer.image_tag_mutability(),
        answer.image_tag_mutability_exclusion_filters(),
    );
    if answered == *to {
        return Ok(());
    }
    // An answer without the filters proves nothing either way.
    let seen = look(aws, id, &Reads::default()).await?;
    if seen.mutability == *to {
        Ok(())
    } else {
        Err(format!("set to {to}, but ECR shows {}", seen.mutability).into())
    }
}

async fn set_scan_on_push(aws: &Regional, id: &RepositoryId, to: bool) -> Result<(), NotApplied> {
    let answer = aws
        .ecr
        .put_image_scanning_configuration()
        .repository_name(&id.name)
        .image_scanning_configuration(
            ImageScanningConfiguration::builder()
                .scan_on_push(to)
                .build(),
        )
        .send()
        .await
        .map_err(|error| Failure::of("ecr:PutImageScanningConfiguration", &error))?;
    let answered = answer
        .image_scanning_configuration()
        .map(ImageScanningConfiguration::scan_on_push);
    proven(answered == Some(to), "the scanning configuration")
}

/// Never replaces one: the last look at it is a round trip old, so it is looked at again.
async fn put_lifecycle_policy(
    aws: &Regional,
    id: &RepositoryId,
    to: &str,
) -> Result<(), NotApplied> {
    let reads = Reads {
        lifecycle: true,
        ..Reads::default()
    };
    let seen = look(aws, id, &reads).await?;
    if seen.lifecycle.required()?.is_some() {
        return Err(
            "somebody has put a lifecycle policy in the meantime; it stays"
                .to_owned()
                .into(),
        );
    }
    let answer = aws
        .ecr
        .put_lifecycle_policy()
        .repository_name(&id.name)
        .lifecycle_policy_text(to)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:PutLifecyclePolicy", &error))?;
    proven(
        same_json(answer.lifecycle_policy_text(), Some(to)),
        "the lifecycle policy",
    )
}

async fn put_tags(
    aws: &Regional,
    id: &RepositoryId,
    to: &BTreeMap<String, String>,
) -> Result<(), NotApplied> {
    let tags: Result<Vec<Tag>, _> = to
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect();
    aws.ecr
        .tag_resource()
        .resource_arn(id.arn())
        .set_tags(Some(tags.map_err(|error| error.to_string())?))
        .send()
        .await
        .map_err(|error| Failure::of("ecr:TagResource", &error))?;
    // The answer is empty.
    let reads = Reads {
        tags: true,
        ..Reads::default()
    };
    let seen = look(aws, id, &reads).await?;
    let tags = seen.tags.required()?;
    proven(
        to.iter().all(|(key, value)| tags.get(key) == Some(value)),
        "the tags",
    )
}

/// Replaces only the policy that was judged: what somebody has written since is judged by its own event.
async fn set_repository_policy(
    aws: &Regional,
    id: &RepositoryId,
    from: &str,
    to: Option<&str>,
) -> Result<(), NotApplied> {
    let reads = Reads {
        policy: true,
        ..Reads::default()
    };
    let seen = look(aws, id, &reads).await?;
    if seen.policy.required()?.as_deref() != Some(from) {
        return Err(
            "somebody has changed the repository policy in the meantime; it stays"
                .to_owned()
                .into(),
        );
    }
    match to {
        Some(to) => {
            let answer = aws
                .ecr
                .set_repository_policy()
                .repository_name(&id.name)
                .policy_text(to)
                .send()
                .await
                .map_err(|error| Failure::of("ecr:SetRepositoryPolicy", &error))?;
            proven(
                same_json(answer.policy_text(), Some(to)),
                "the repository policy",
            )
        }
        None => aws
            .ecr
            .delete_repository_policy()
            .repository_name(&id.name)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:DeleteRepositoryPolicy", &error).into()),
    }
}

async fn look(aws: &Regional, id: &RepositoryId, reads: &Reads) -> Result<Repository, NotApplied> {
    load_once(aws, id, reads)
        .await
        .map_err(|error| match error {
            LoadError::Unavailable(why) => NotApplied::Later(why),
            other => NotApplied::Failed(format!("it could not be read: {other}")),
        })
}

fn proven(seen: bool, what: &str) -> Result<(), NotApplied> {
    seen.then_some(())
        .ok_or_else(|| NotApplied::Failed(format!("ECR does not show {what} that was set")))
}

/// ECR may write the same document differently.
fn same_json(seen: Option<&str>, wanted: Option<&str>) -> bool {
    let parsed = |text: Option<&str>| {
        text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok())
    };
    seen == wanted || (seen.is_some() && parsed(seen).is_some() && parsed(seen) == parsed(wanted))
}
