//! What IAM's policy simulator decides on the roles of the stack: on what their own policies allow, inline and managed.

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult};
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{NoAnswer, RoleSimulation, SimulatedAction, Simulation, simulations};
use futures_util::future::join_all;

use crate::doctor::answer::no_answer;
use crate::doctor::stack::Resources;

pub(crate) async fn roles(
    config: &SdkConfig,
    resources: &Resources,
    region: &str,
) -> Vec<RoleSimulation> {
    let iam = Client::new(config);
    let roles = resources.of_kind("AWS::IAM::Role");
    join_all(roles.map(|role| async {
        RoleSimulation {
            logical: role.logical.clone(),
            actions: simulate(&iam, &role.physical, region).await,
        }
    }))
    .await
}

/// One request after another: IAM throttles the simulator early.
async fn simulate(
    iam: &Client,
    role: &str,
    region: &str,
) -> Result<Vec<SimulatedAction>, NoAnswer> {
    let mut documents = documents(iam, role).await?;
    documents.extend(managed(iam, role).await?);
    let requests = simulations(&documents, region).map_err(NoAnswer::Other)?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let answer = iam.get_role().role_name(role).send().await;
    let answer = answer.map_err(|error| no_answer("iam:GetRole", &error))?;
    let arn = answer.role().map(|role| role.arn()).unwrap_or_default();
    let mut decisions = Vec::new();
    for request in &requests {
        decisions.extend(decide(iam, arn, request).await?);
    }
    Ok(decisions)
}

/// URL-encoded, as IAM has them.
async fn documents(iam: &Client, role: &str) -> Result<Vec<String>, NoAnswer> {
    let names = iam
        .list_role_policies()
        .role_name(role)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(|error| no_answer("iam:ListRolePolicies", &error))?;
    let mut documents = Vec::new();
    for name in names {
        let asked = iam.get_role_policy().role_name(role).policy_name(name);
        let answer = asked.send().await;
        let answer = answer.map_err(|error| no_answer("iam:GetRolePolicy", &error))?;
        documents.push(answer.policy_document);
    }
    Ok(documents)
}

/// The managed policies of the account, URL-encoded. What AWS's own allow is AWS's to change.
async fn managed(iam: &Client, role: &str) -> Result<Vec<String>, NoAnswer> {
    let attached = iam
        .list_attached_role_policies()
        .role_name(role)
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(|error| no_answer("iam:ListAttachedRolePolicies", &error))?;
    let arns = attached.into_iter().filter_map(|policy| policy.policy_arn);
    let mut documents = Vec::new();
    for arn in arns.filter(|arn| !arn.contains(":iam::aws:")) {
        let answer = iam.get_policy().policy_arn(&arn).send().await;
        let answer = answer.map_err(|error| no_answer("iam:GetPolicy", &error))?;
        let version = answer.policy.and_then(|policy| policy.default_version_id);
        let asked = iam.get_policy_version().policy_arn(arn);
        let answer = asked.set_version_id(version).send().await;
        let answer = answer.map_err(|error| no_answer("iam:GetPolicyVersion", &error))?;
        documents.extend(answer.policy_version.and_then(|version| version.document));
    }
    Ok(documents)
}

async fn decide(
    iam: &Client,
    role: &str,
    request: &Simulation,
) -> Result<Vec<SimulatedAction>, NoAnswer> {
    let context = request.context.iter().map(|(key, value)| {
        ContextEntry::builder()
            .context_key_name(key)
            .context_key_type(ContextKeyTypeEnum::String)
            .context_key_values(value)
            .build()
    });
    let results = iam
        .simulate_principal_policy()
        .policy_source_arn(role)
        .set_action_names(Some(request.actions.clone()))
        .set_resource_arns(Some(request.resources.clone()))
        .set_context_entries(Some(context.collect()))
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(|error| no_answer("iam:SimulatePrincipalPolicy", &error))?;
    Ok(results.into_iter().map(decision).collect())
}

fn decision(result: EvaluationResult) -> SimulatedAction {
    // With resources, missing keys are in the results of the resources.
    let of_resources = result.resource_specific_results().iter();
    let mut missing: Vec<String> = of_resources
        .flat_map(|resource| resource.missing_context_values().iter().cloned())
        .chain(result.missing_context_values().iter().cloned())
        .collect();
    missing.sort();
    missing.dedup();
    let by_organization = result.organizations_decision_detail();
    let by_boundary = result.permissions_boundary_decision_detail();
    SimulatedAction {
        by_organization: by_organization.map(|it| it.allowed_by_organizations),
        by_boundary: by_boundary.map(|it| it.allowed_by_permissions_boundary),
        decision: result.eval_decision.to_string(),
        missing_context: missing,
        action: result.eval_action_name,
    }
}
