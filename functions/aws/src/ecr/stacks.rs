//! Whether a CloudFormation stack owns a repository. CloudFormation knows; the repository's tags do not, because CloudFormation does not
//! tag ECR repositories (aws-cloudformation/cloudformation-coverage-roadmap#1280).

use aws_sdk_cloudformation::Client;
use ecr_warden_core::repository::RepositoryId;

use crate::connect::clients::Regional;
use crate::connect::error::Failure;

/// Returns the name of the stack that owns the repository; `None`: there is none.
///
/// # Errors
/// CloudFormation could not be asked.
pub(crate) async fn owner(aws: &Regional, id: &RepositoryId) -> Result<Option<String>, Failure> {
    let answer = Client::new(&aws.config)
        .describe_stack_resources()
        .physical_resource_id(&id.name)
        .send()
        .await
        .map_err(|error| Failure::of("cloudformation:DescribeStackResources", &error));
    match answer {
        // A name can be another resource's as well: of a queue, say.
        Ok(answer) => Ok(answer
            .stack_resources()
            .iter()
            .find(|resource| {
                resource.resource_type() == Some("AWS::ECR::Repository")
                    && resource.physical_resource_id() == Some(&id.name)
            })
            .and_then(|resource| resource.stack_name.clone())),
        // CloudFormation's answer where no stack has such a resource.
        Err(failure) if failure.is("ValidationError") => Ok(None),
        Err(failure) => Err(failure),
    }
}
