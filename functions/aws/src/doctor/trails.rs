//! The trails that apply to the region, with what they record.

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::types::{AdvancedFieldSelector, EventSelector, ReadWriteType, Trail};
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{FieldSelector, NoAnswer, Selectors, TrailSummary};
use futures_util::future::join_all;

use crate::doctor::answer::no_answer;

/// DescribeTrails also lists multi-region trails of other regions and the organization's.
pub(crate) async fn trails(config: &SdkConfig) -> Result<Vec<TrailSummary>, NoAnswer> {
    let cloudtrail = Client::new(config);
    let answer = cloudtrail
        .describe_trails()
        .send()
        .await
        .map_err(|error| no_answer("cloudtrail:DescribeTrails", &error))?;
    let all = answer.trail_list().iter();
    Ok(join_all(all.map(|trail| read(&cloudtrail, trail))).await)
}

async fn read(cloudtrail: &Client, trail: &Trail) -> TrailSummary {
    // A trail of another region or account is found by its ARN only.
    let arn = trail.trail_arn().or(trail.name()).unwrap_or_default();
    let (is_logging, selectors) =
        tokio::join!(is_logging(cloudtrail, arn), selectors(cloudtrail, arn));
    TrailSummary {
        arn: arn.to_owned(),
        home_region: trail.home_region().unwrap_or_default().to_owned(),
        is_multi_region: trail.is_multi_region_trail == Some(true),
        is_of_organization: trail.is_organization_trail == Some(true),
        is_logging,
        selectors,
    }
}

async fn is_logging(cloudtrail: &Client, arn: &str) -> Result<bool, NoAnswer> {
    let answer = cloudtrail.get_trail_status().name(arn).send().await;
    let answer = answer.map_err(|error| no_answer("cloudtrail:GetTrailStatus", &error))?;
    Ok(answer.is_logging == Some(true))
}

async fn selectors(cloudtrail: &Client, arn: &str) -> Result<Selectors, NoAnswer> {
    let answer = cloudtrail
        .get_event_selectors()
        .trail_name(arn)
        .send()
        .await
        .map_err(|error| no_answer("cloudtrail:GetEventSelectors", &error))?;
    let advanced = answer.advanced_event_selectors();
    Ok(if advanced.is_empty() {
        Selectors::Basic(answer.event_selectors().iter().map(basic).collect())
    } else {
        let of = |fields: &[AdvancedFieldSelector]| fields.iter().map(field).collect();
        let all = advanced
            .iter()
            .map(|selector| of(selector.field_selectors()));
        Selectors::Advanced(all.collect())
    })
}

/// Both default to all (CloudTrail API reference, EventSelector).
fn basic(selector: &EventSelector) -> (bool, bool) {
    let writes = !matches!(selector.read_write_type(), Some(ReadWriteType::ReadOnly));
    (selector.include_management_events != Some(false), writes)
}

fn field(selector: &AdvancedFieldSelector) -> FieldSelector {
    FieldSelector {
        field: selector.field.clone(),
        equals: selector.equals().to_vec(),
        starts_with: selector.starts_with().to_vec(),
        ends_with: selector.ends_with().to_vec(),
        not_equals: selector.not_equals().to_vec(),
        not_starts_with: selector.not_starts_with().to_vec(),
        not_ends_with: selector.not_ends_with().to_vec(),
    }
}
