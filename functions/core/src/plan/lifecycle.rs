//! When a lifecycle policy is put.

use super::decision::{Decision, withhold};
use crate::action::Action;
use crate::lifecycle::Impact;
use crate::reason::Code;
use crate::record::{Known, Repair, Result as Repaired};
use crate::repository::{Read, Repository};

/// Puts a lifecycle policy only where it is known to expire few images and none that has a tag. `deleted`: the event is its deletion.
pub(super) fn lifecycle(
    from: Option<String>,
    default: Option<String>,
    repository: &Repository,
    state: Result<&Known, &str>,
    deleted: bool,
    now: i64,
) -> Decision {
    let empty = match (&repository.has_images, repository.images.known()) {
        (Read::Known(false), images) => images.is_none_or(|images| images.is_empty()),
        _ => false,
    };
    let restored = state
        .ok()
        .filter(|_| deleted)
        .and_then(|known| known.repairs.get("no-lifecycle-policy"))
        .and_then(|repairs| repairs.history.iter().find_map(put_before));
    if deleted && restored.is_none() && !empty {
        return withhold(
            Code::ExpiresImages,
            "its lifecycle policy was deleted and is not on record, so the default is not put in its place; restore the deleted \
             one with `aws ecr put-lifecycle-policy`",
        );
    }
    let to = restored.or(default);
    let put = Decision::Repair(Action::SetLifecyclePolicy {
        from,
        to: to.clone(),
    });
    if empty {
        return put;
    }
    let images = match (
        repository.has_images.required(),
        repository.images.required(),
    ) {
        (Ok(_), Ok(images)) => images,
        (Err(why), _) | (_, Err(why)) => {
            return withhold(
                Code::ExpiresImages,
                format!(
                    "the lifecycle policy is not put while its images cannot be read: {why}; grant ecr:DescribeImages"
                ),
            );
        }
    };
    let document = to
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    let Some(document) = document else {
        return withhold(
            Code::ExpiresImages,
            "the lifecycle policy is not put because it cannot be read; correct `default` in the policy",
        );
    };
    let impact = Impact::of(&document, images, now);
    if impact.is_small() {
        return put;
    }
    withhold(
        Code::ExpiresImages,
        format!(
            "the lifecycle policy is not put because {impact}; narrow `default`, or review it with `aws ecr \
             start-lifecycle-policy-preview` and put it with `aws ecr put-lifecycle-policy`"
        ),
    )
}

/// The lifecycle policy that this repair put.
fn put_before(repair: &Repair) -> Option<String> {
    match (&repair.action, &repair.result) {
        (Action::SetLifecyclePolicy { to, .. }, Repaired::Done) => to.clone(),
        _ => None,
    }
}
