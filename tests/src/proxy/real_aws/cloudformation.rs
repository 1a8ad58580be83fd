//! CloudFormation does not tag the ECR repositories of its stacks, and nobody else may set a tag whose key begins with `aws:`. Which
//! stack owns one is answered by DescribeStackResources with its name as the physical id, which the local AWS can't.
//!
//! Sources: aws-cloudformation/cloudformation-coverage-roadmap#1280, aws-cloudformation/aws-cloudformation-resource-providers-ecr#55
//! (tags); CloudFormation API reference, DescribeStackResources; ECR API reference, TagResource.

use std::collections::HashMap;

use hyper::body::Bytes;
use serde_json::Value;

use super::{Behaviour, Reply};
use crate::proxy::Call;

/// The stacks that own something.
#[derive(Debug, Default)]
pub struct CloudFormation {
    /// By physical id: the stack, and the type of the resource.
    pub owned: HashMap<String, (&'static str, &'static str)>,
}

impl Behaviour for CloudFormation {
    fn instead(&mut self, call: &Call) -> Option<Reply> {
        let body: Value = serde_json::from_str(&call.body).ok()?;
        let tags = body.get("tags")?.as_array()?;
        let of_aws = |tag: &Value| {
            let key = tag.get("Key").and_then(Value::as_str);
            key.is_some_and(|key| key.starts_with("aws:"))
        };
        let sets_tags = matches!(call.operation.as_str(), "TagResource" | "CreateRepository");
        (sets_tags && tags.iter().any(of_aws)).then(|| {
            let message = "aws: prefixed tag key names are not allowed for external use.";
            Reply::error(400, "InvalidTagParameterException", message)
        })
    }

    fn supplies(&self) -> &'static [&'static str] {
        &["DescribeStackResources"]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        let mut parameters = call.body.split('&');
        let name = parameters.find_map(|pair| pair.strip_prefix("PhysicalResourceId="));
        let name = name.unwrap_or_default();
        let Some((stack, kind)) = self.owned.get(name) else {
            let body = format!(
                "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\"><Error><Type>Sender</Type>\
                 <Code>ValidationError</Code><Message>Stack for {name} does not exist</Message></Error></ErrorResponse>"
            );
            return Reply {
                status: 400,
                body: Bytes::from(body),
            };
        };
        let body = format!(
            "<DescribeStackResourcesResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
             <DescribeStackResourcesResult><StackResources><member><StackName>{stack}</StackName>\
             <LogicalResourceId>Resource</LogicalResourceId><PhysicalResourceId>{name}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><Timestamp>2026-01-01T00:00:00Z</Timestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member></StackResources></DescribeStackResourcesResult>\
             </DescribeStackResourcesResponse>"
        );
        Reply {
            status: 200,
            body: Bytes::from(body),
        }
    }

    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        if call.operation != "ListTagsForResource" || !reply.succeeded() {
            return reply;
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(&reply.body) else {
            return reply;
        };
        if let Some(tags) = answer.get_mut("tags").and_then(Value::as_array_mut) {
            tags.retain(|tag| {
                let key = tag.get("Key").and_then(Value::as_str).unwrap_or_default();
                !key.starts_with("aws:cloudformation:")
            });
        }
        Reply::json(&answer)
    }
}
