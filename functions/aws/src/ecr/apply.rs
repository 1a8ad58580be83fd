//! Makes a change. Each is idempotent, and proven by ECR's answer or by reading back.

use std::collections::BTreeMap;

use aws_sdk_ecr::types::{ImageScanningConfiguration, Tag};
use ecr_warden_core::action::Action;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::repository::{
    MARKER_TAG, Reads, RegistryScanning, Repository, RepositoryId, TagMutability,
};

use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::ecr::convert;
use crate::ecr::load::{LoadError, load_once};

/// Why a change was not made.
#[derive(Debug, PartialEq, Eq)]
pub enum NotApplied {
    /// Throttled, out of order or out of reach: a retry may make it.
    Later(String),
    /// It carries a recreation's marker: what is missing from it may be about to be put back.
    Marked {
        marker: String,
        why: Reason,
    },
    Failed(Reason),
}

impl From<Failure> for NotApplied {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(why) => Self::Later(why),
            other => Self::Failed(Reason::new(other.reason_code(), other.to_string())),
        }
    }
}

fn failed(code: Code, why: impl Into<String>) -> NotApplied {
    NotApplied::Failed(Reason::new(code, why))
}

fn refused(why: String) -> NotApplied {
    failed(Code::Refused, why)
}

/// Makes the change, and sees that it was made; a recreation is not one change, see `recreate`.
///
/// # Errors
/// Why it was not made, with its code.
pub async fn apply(aws: &Regional, id: &RepositoryId, action: &Action) -> Result<(), NotApplied> {
    apply_despite(aws, id, action, None).await
}

/// The same where a marker with this value is known to belong to no recreation.
///
/// # Errors
/// As `apply`.
pub(crate) async fn apply_despite(
    aws: &Regional,
    id: &RepositoryId,
    action: &Action,
    stray: Option<&str>,
) -> Result<(), NotApplied> {
    if replaces_a_document(action) {
        let reads = Reads {
            // The registry's outlives every repository.
            tags: !matches!(action, Action::SetRegistryScanning { .. }),
            ..action.reads()
        };
        let seen = look(aws, id, &reads).await?;
        if let Some(marker) = seen.marker().filter(|marker| Some(*marker) != stray) {
            return Err(NotApplied::Marked {
                marker: marker.to_owned(),
                why: Reason::new(
                    Code::Marked,
                    format!(
                        "it carries the tag `{MARKER_TAG}`, which says that it is being recreated: where that is not so, remove the tag"
                    ),
                ),
            });
        }
        if action.is_done(&seen).map_err(refused)? {
            return Ok(());
        }
        // What somebody has written since is judged by its own event.
        if !action.stands_on(&seen).map_err(refused)? {
            let why = "it was changed since it was read, so it was left unchanged";
            return Err(failed(Code::ChangedMeanwhile, why));
        }
    }
    let proven = match change(aws, id, action).await {
        Ok(proven) => proven,
        // ECR may have made the change all the same: what is there decides.
        Err(NotApplied::Failed(why)) => {
            let seen = look(aws, id, &action.reads()).await;
            return match seen.map(|seen| action.is_done(&seen)) {
                Ok(Ok(true)) => Ok(()),
                _ => Err(NotApplied::Failed(why)),
            };
        }
        Err(other) => return Err(other),
    };
    if proven {
        return Ok(());
    }
    let seen = look(aws, id, &action.reads()).await?;
    if action.is_done(&seen).map_err(refused)? {
        Ok(())
    } else {
        let why = format!("it was set to {}, and ECR does not show it", action.to());
        Err(failed(Code::NotShown, why))
    }
}

/// Sends the change. `true`: ECR's answer shows it; one that does not proves nothing either way.
async fn change(aws: &Regional, id: &RepositoryId, action: &Action) -> Result<bool, NotApplied> {
    Ok(match action {
        Action::SetTagMutability { to, .. } => set_tag_mutability(aws, id, to).await?,
        Action::SetScanOnPush { to, .. } => set_scan_on_push(aws, id, *to).await?,
        Action::SetRegistryScanning { to, .. } => set_registry_scanning(aws, to).await?,
        Action::SetLifecyclePolicy { to, .. } => {
            set_lifecycle_policy(aws, id, to.as_deref()).await?
        }
        Action::SetTags { to, .. } => set_tags(aws, id, to).await?,
        Action::SetRepositoryPolicy { to, .. } => {
            set_repository_policy(aws, id, to.as_deref()).await?
        }
        Action::Recreate { .. } => {
            let why = "a recreation is not applied as one change";
            return Err(failed(Code::Refused, why));
        }
    })
}

/// Whether the change would overwrite the whole of something that others write too. The last look at it is a round trip
/// old by now, so it is looked at again: somebody may have written it, or a recreation that began since may not have put it
/// back yet.
fn replaces_a_document(action: &Action) -> bool {
    match action {
        Action::SetRegistryScanning { .. }
        | Action::SetLifecyclePolicy { .. }
        | Action::SetRepositoryPolicy { .. } => true,
        Action::SetTagMutability { .. }
        | Action::SetScanOnPush { .. }
        | Action::SetTags { .. }
        | Action::Recreate { .. } => false,
    }
}

async fn look(aws: &Regional, id: &RepositoryId, reads: &Reads) -> Result<Repository, NotApplied> {
    Box::pin(load_once(aws, id, reads))
        .await
        .map_err(|error| match error {
            LoadError::Unavailable(why) => NotApplied::Later(why),
            other => refused(format!("it could not be read: {other}")),
        })
}

async fn set_tag_mutability(
    aws: &Regional,
    id: &RepositoryId,
    to: &TagMutability,
) -> Result<bool, NotApplied> {
    let (value, filters) = convert::mutability_request(to).ok_or_else(|| {
        refused(format!(
            "`{to}` is not known to this version and so not written"
        ))
    })?;
    let answer = aws
        .ecr
        .put_image_tag_mutability()
        .repository_name(&id.name)
        .image_tag_mutability(value)
        .set_image_tag_mutability_exclusion_filters(filters)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:PutImageTagMutability", &error))?;
    let answered = convert::mutability(
        answer.image_tag_mutability(),
        answer.image_tag_mutability_exclusion_filters(),
    );
    Ok(answered == *to)
}

async fn set_scan_on_push(aws: &Regional, id: &RepositoryId, to: bool) -> Result<bool, NotApplied> {
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
    Ok(answered == Some(to))
}

async fn set_registry_scanning(aws: &Regional, to: &RegistryScanning) -> Result<bool, NotApplied> {
    let (kind, rules) =
        convert::scanning_request(to).map_err(|error| refused(error.to_string()))?;
    let answer = aws
        .ecr
        .put_registry_scanning_configuration()
        .scan_type(kind)
        .set_rules(Some(rules))
        .send()
        .await
        .map_err(|error| Failure::of("ecr:PutRegistryScanningConfiguration", &error))?;
    Ok(convert::scanning(answer.registry_scanning_configuration()) == *to)
}

async fn set_lifecycle_policy(
    aws: &Regional,
    id: &RepositoryId,
    to: Option<&str>,
) -> Result<bool, NotApplied> {
    match to {
        Some(to) => {
            let answer = aws
                .ecr
                .put_lifecycle_policy()
                .repository_name(&id.name)
                .lifecycle_policy_text(to)
                .send()
                .await
                .map_err(|error| Failure::of("ecr:PutLifecyclePolicy", &error))?;
            Ok(answer.lifecycle_policy_text() == Some(to))
        }
        None => {
            aws.ecr
                .delete_lifecycle_policy()
                .repository_name(&id.name)
                .send()
                .await
                .map_err(|error| Failure::of("ecr:DeleteLifecyclePolicy", &error))?;
            Ok(true)
        }
    }
}

async fn set_repository_policy(
    aws: &Regional,
    id: &RepositoryId,
    to: Option<&str>,
) -> Result<bool, NotApplied> {
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
            Ok(answer.policy_text() == Some(to))
        }
        None => {
            aws.ecr
                .delete_repository_policy()
                .repository_name(&id.name)
                .send()
                .await
                .map_err(|error| Failure::of("ecr:DeleteRepositoryPolicy", &error))?;
            Ok(true)
        }
    }
}

/// The answers are empty.
async fn set_tags(
    aws: &Regional,
    id: &RepositoryId,
    to: &BTreeMap<String, Option<String>>,
) -> Result<bool, NotApplied> {
    let tags: Result<Vec<Tag>, _> = to
        .iter()
        .filter_map(|(key, value)| Some(Tag::builder().key(key).value(value.as_ref()?).build()))
        .collect();
    let tags = tags.map_err(|error| refused(error.to_string()))?;
    if !tags.is_empty() {
        aws.ecr
            .tag_resource()
            .resource_arn(id.arn())
            .set_tags(Some(tags))
            .send()
            .await
            .map_err(|error| Failure::of("ecr:TagResource", &error))?;
    }
    let removed: Vec<String> = to
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| key.clone())
        .collect();
    if !removed.is_empty() {
        aws.ecr
            .untag_resource()
            .resource_arn(id.arn())
            .set_tag_keys(Some(removed))
            .send()
            .await
            .map_err(|error| Failure::of("ecr:UntagResource", &error))?;
    }
    Ok(false)
}
