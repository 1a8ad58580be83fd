//! Makes a change. Each is idempotent, and proven by ECR's answer or by reading back.

use ecr_warden_core::action::Action;
use ecr_warden_core::repository::{Reads, RepositoryId, TagMutability};

use crate::clients::Regional;
use crate::ecr;
use crate::failure::Failure;
use crate::load::load_once;

/// Makes the change, and sees that it was made; a recreation is not one change, see `recreate`.
///
/// # Errors
/// One line for people.
pub(crate) async fn apply(
    aws: &Regional,
    id: &RepositoryId,
    action: &Action,
) -> Result<(), String> {
    match action {
        Action::SetTagMutability { to, .. } => set_tag_mutability(aws, id, to).await,
        Action::Recreate { .. } => Err("a recreation is not applied as one change".to_owned()),
    }
}

async fn set_tag_mutability(
    aws: &Regional,
    id: &RepositoryId,
    to: &TagMutability,
) -> Result<(), String> {
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
        .map_err(|error| Failure::of("ecr:PutImageTagMutability", &error).to_string())?;
    let answered = ecr::mutability(
        answer.image_tag_mutability(),
        answer.image_tag_mutability_exclusion_filters(),
    );
    if answered == *to {
        return Ok(());
    }
    // An answer without the filters proves nothing either way.
    let seen = load_once(aws, id, &Reads::default())
        .await
        .map_err(|error| format!("set, but it could not be read back: {error:?}"))?;
    if seen.mutability == *to {
        Ok(())
    } else {
        Err(format!("set to {to}, but ECR shows {}", seen.mutability))
    }
}
