//! The stack, and what it consists of.

use aws_sdk_cloudformation::Client;
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{NoAnswer, StackSummary};

use crate::doctor::answer::no_answer;

/// The resources of a stack that exist, in the order of CloudFormation's answer.
#[derive(Debug, Default)]
pub(crate) struct Resources(Vec<StackResource>);

#[derive(Debug)]
pub(crate) struct StackResource {
    /// As the template names it.
    pub(crate) logical: String,
    /// As AWS names it: an ARN, a URL or a name.
    pub(crate) physical: String,
    /// As `AWS::SNS::Topic`.
    pub(crate) kind: String,
}

impl Resources {
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &StackResource> {
        self.0.iter().filter(move |resource| resource.kind == kind)
    }

    pub(crate) fn physical(&self, logical: &str) -> Option<&str> {
        let found = self.0.iter().find(|resource| resource.logical == logical);
        found.map(|resource| resource.physical.as_str())
    }
}

pub(crate) async fn summary(config: &SdkConfig, name: &str) -> Result<StackSummary, NoAnswer> {
    let answer = Client::new(config)
        .describe_stacks()
        .stack_name(name)
        .send()
        .await
        .map_err(|error| no_answer("cloudformation:DescribeStacks", &error))?;
    let stack = answer.stacks().first().ok_or(NoAnswer::Gone)?;
    let parameter = |name: &str| {
        let mut parameters = stack.parameters().iter();
        let found = parameters.find(|parameter| parameter.parameter_key() == Some(name));
        found.and_then(|parameter| parameter.parameter_value.clone())
    };
    let output = |name: &str| {
        let mut outputs = stack.outputs().iter();
        let found = outputs.find(|output| output.output_key() == Some(name));
        found.and_then(|output| output.output_value.clone())
    };
    Ok(StackSummary {
        status: stack
            .stack_status()
            .map(ToString::to_string)
            .unwrap_or_default(),
        reason: stack.stack_status_reason.clone(),
        version: output("Version"),
        state_table: output("StateTableName"),
        policy_parameter: parameter("PolicyParameterName").filter(|name| !name.is_empty()),
        repository_prefix: parameter("RepositoryPrefix").unwrap_or_default(),
    })
}

pub(crate) async fn resources(config: &SdkConfig, name: &str) -> Result<Resources, NoAnswer> {
    let pages = Client::new(config)
        .list_stack_resources()
        .stack_name(name)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await;
    let all = pages.map_err(|error| no_answer("cloudformation:ListStackResources", &error))?;
    let resources = all.into_iter().filter_map(|resource| {
        let deleted = resource
            .resource_status
            .is_some_and(|status| status.as_str() == "DELETE_COMPLETE");
        let physical = resource.physical_resource_id.filter(|_| !deleted)?;
        Some(StackResource {
            logical: resource.logical_resource_id?,
            physical,
            kind: resource.resource_type?,
        })
    });
    Ok(Resources(resources.collect()))
}

/// What a check says that needs the stack.
pub(crate) fn needs_stack(why: &NoAnswer) -> NoAnswer {
    match why {
        NoAnswer::Gone => NoAnswer::NotAsked("there is no stack".to_owned()),
        why => why.clone(),
    }
}
