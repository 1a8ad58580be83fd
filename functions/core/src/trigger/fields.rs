//! The fields of events: where each stands in the several forms of them.

use serde_json::Value;

use crate::repository::{Encryption, Repository, RepositoryId, TagMutability};
use crate::text::{LONGEST, one_line};

/// API reference, PutImageTagMutability.
const MOST_FILTERS: usize = 5;
/// A record of ECR has one or two.
const MOST_RESOURCES: usize = 20;

pub(super) fn text<'e>(event: &'e Value, pointer: &str) -> Option<&'e str> {
    event
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The first of several places that holds text.
pub(super) fn first_text<'e>(event: &'e Value, pointers: &[&str]) -> Option<&'e str> {
    pointers.iter().find_map(|pointer| text(event, pointer))
}

/// Text that goes into messages, cut to size.
pub(super) fn outside(event: &Value, pointers: &[&str]) -> Option<String> {
    first_text(event, pointers).map(|text| one_line(text, LONGEST))
}

/// In `account` and `region` of the envelope: where the event happened, not any other that it names.
pub(super) fn repository(event: &Value) -> Result<RepositoryId, String> {
    let name = first_text(
        event,
        &[
            "/detail/requestParameters/repositoryName",
            "/detail/serviceEventDetails/repositoryName",
            "/detail/responseElements/repository/repositoryName",
            "/detail/responseElements/image/repositoryName",
            "/detail/repository-name",
        ],
    );
    // TagResource and UntagResource name an ARN.
    let of_arn =
        text(event, "/detail/requestParameters/resourceArn").and_then(RepositoryId::from_arn);
    // CloudTrail omits parameters above 100 KB (user guide, "CloudTrail record contents"): a manifest may be larger.
    let of_arn = of_arn.or_else(|| resource(event));
    let Some(name) = name.or(of_arn.as_ref().map(|id| id.name.as_str())) else {
        return Err("no repository is named".to_owned());
    };
    let (account, region) = place(event)?;
    RepositoryId::new(account, region, name).map_err(|error| error.to_string())
}

/// The registry in which the event happened.
pub(super) fn registry(event: &Value) -> Result<RepositoryId, String> {
    let (account, region) = place(event)?;
    // The name is there only to have the others checked.
    let any = RepositoryId::new(account, region, "any").map_err(|error| error.to_string())?;
    Ok(any.registry())
}

/// The repository as ECR answered its creation, as far as it can be read; `None`: the record omits the answer.
pub(super) fn created(event: &Value, id: &RepositoryId) -> Option<Repository> {
    let answered = event.pointer("/detail/responseElements/repository");
    let answered = answered.filter(|answered| answered.is_object())?;
    let filters = answered.get("imageTagMutabilityExclusionFilters");
    let filters = filters.and_then(Value::as_array);
    let filters = filters.into_iter().flatten().take(MOST_FILTERS);
    let filters = filters.filter_map(|filter| outside(filter, &["/filter"]));
    let setting = |pointer: &str| outside(answered, &[pointer]);
    Some(Repository {
        mutability: TagMutability::named(
            setting("/imageTagMutability").as_deref(),
            filters.collect(),
        ),
        encryption: Encryption::named(
            setting("/encryptionConfiguration/encryptionType").as_deref(),
            setting("/encryptionConfiguration/kmsKey").as_deref(),
        ),
        scan_on_push: answered.pointer("/imageScanningConfiguration/scanOnPush")
            == Some(&Value::Bool(true)),
        ..Repository::unread(id, None, None)
    })
}

fn place(event: &Value) -> Result<(&str, &str), String> {
    text(event, "/account")
        .zip(text(event, "/region"))
        .ok_or_else(|| "no `account` or no `region`".to_owned())
}

/// The first repository among the resources of a record.
pub(super) fn resource(event: &Value) -> Option<RepositoryId> {
    let resources = event.pointer("/detail/resources")?.as_array()?;
    resources
        .iter()
        .take(MOST_RESOURCES)
        .find_map(|resource| RepositoryId::from_arn(text(resource, "/ARN")?))
}
