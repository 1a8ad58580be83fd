//! What holds for all repositories of a registry.

use ecr_warden_core::registry::{Registry, ReplicationDestination};
use ecr_warden_core::repository::RepositoryId;

use super::asked::{LoadError, asked, read};
use crate::connect::clients::Regional;
use crate::connect::error::Failure;

/// The calls of ECR that [`registry`] makes.
pub(crate) const CALLS_OF_REGISTRY: u32 = 2;

/// Reads a registry's settings, where they are `needed`.
///
/// # Errors
/// It cannot be read now.
pub(crate) async fn registry(
    aws: &Regional,
    id: &RepositoryId,
    needed: bool,
) -> Result<Registry, LoadError> {
    let (policy, destinations) =
        tokio::join!(asked(needed, policy(aws)), asked(needed, destinations(aws)));
    Ok(Registry {
        id: id.clone(),
        policy: read(policy)?,
        destinations: read(destinations)?,
    })
}

async fn policy(aws: &Regional) -> Result<Option<String>, Failure> {
    let answer = aws
        .ecr
        .get_registry_policy()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetRegistryPolicy", &error));
    match answer {
        Ok(answer) => Ok(answer.policy_text),
        Err(failure) if failure.is("RegistryPolicyNotFoundException") => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn destinations(aws: &Regional) -> Result<Vec<ReplicationDestination>, Failure> {
    let answer = aws
        .ecr
        .describe_registry()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:DescribeRegistry", &error))?;
    let rules = answer.replication_configuration.map(|it| it.rules);
    Ok(rules
        .into_iter()
        .flatten()
        .flat_map(|rule| rule.destinations)
        .map(|destination| ReplicationDestination {
            account: destination.registry_id,
            region: destination.region,
        })
        .collect())
}
