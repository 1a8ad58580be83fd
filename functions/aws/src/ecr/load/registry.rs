//! What holds for all repositories of a registry.

use ecr_warden_core::registry::{
    BLOB_MOUNTING, Creation, POLICY_SCOPE, Registry, RegistryReads, ReplicationDestination,
    SigningFilter, SigningRule, Template,
};
use ecr_warden_core::repository::{Encryption, Read, Reads, RepositoryId};

use super::asked::{Asked, LoadError, asked, read};
use super::surroundings::Surroundings;
use crate::connect::clients::Regional;
use crate::connect::error::Failure;
use crate::ecr::convert;

/// API reference, DescribeRepositoryCreationTemplates.
const PAGE: i32 = 1000;

/// What becomes of a setting that cannot be read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfUnavailable {
    /// The registry is read again, later.
    ReadAgain,
    /// It counts as unreadable, so that the other settings are evaluated.
    Unreadable,
}

/// The calls of ECR that [`registry`] makes, if `around` has nothing yet.
pub(crate) fn calls_of_registry(reads: &RegistryReads) -> u32 {
    let RegistryReads {
        policy,
        destinations,
        templates,
        caches,
        scanning,
        policy_scope,
        blob_mounting,
        signing,
        keys: _,
    } = reads;
    let asked = [
        policy,
        destinations,
        templates,
        caches,
        scanning,
        policy_scope,
        blob_mounting,
        signing,
    ];
    asked.map(|it| u32::from(*it)).iter().sum()
}

/// Reads a registry's settings, as far as they are asked for. What `around` has of it is not read again.
///
/// # Errors
/// It cannot be read now, and is to be read again.
pub(crate) async fn registry(
    aws: &Regional,
    id: &RepositoryId,
    reads: &RegistryReads,
    around: &mut Surroundings,
    if_unavailable: IfUnavailable,
) -> Result<Registry, LoadError> {
    let common = Reads {
        scanning: reads.scanning,
        pull_through: reads.caches,
        keys: reads.keys.clone(),
        ..Reads::default()
    };
    let (policy, destinations, templates, policy_scope, blob_mounting, signing, common_read) = tokio::join!(
        asked(reads.policy, policy(aws)),
        asked(reads.destinations, destinations(aws)),
        asked(reads.templates, templates(aws)),
        asked(reads.policy_scope, account_setting(aws, POLICY_SCOPE)),
        asked(reads.blob_mounting, account_setting(aws, BLOB_MOUNTING)),
        asked(reads.signing, signing(aws)),
        Box::pin(around.add(aws, &common)),
    );
    match (common_read, if_unavailable) {
        (Ok(()), _) => {}
        (Err(error), IfUnavailable::ReadAgain) => return Err(error),
        (Err(error), IfUnavailable::Unreadable) => around.give_up(&common, &error.to_string()),
    }
    let asked_caches = |caches: &Read<Vec<String>>| {
        if reads.caches {
            caches.clone()
        } else {
            Read::NotAsked
        }
    };
    Ok(Registry {
        id: id.clone(),
        policy: settled(policy, if_unavailable)?,
        destinations: settled(destinations, if_unavailable)?,
        templates: settled(templates, if_unavailable)?,
        caches: asked_caches(&around.caches),
        scanning: around.scanning.clone(),
        policy_scope: settled(policy_scope, if_unavailable)?,
        blob_mounting: settled(blob_mounting, if_unavailable)?,
        signing: settled(signing, if_unavailable)?,
        keys: around.keys.clone(),
    })
}

fn settled<T>(result: Asked<T>, if_unavailable: IfUnavailable) -> Result<Read<T>, LoadError> {
    match (result, if_unavailable) {
        (Err(Some(Failure::Unavailable(why))), IfUnavailable::Unreadable) => {
            Ok(Read::Unreadable(why))
        }
        (result, _) => read(result),
    }
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

async fn account_setting(aws: &Regional, name: &str) -> Result<String, Failure> {
    let answer = aws
        .ecr
        .get_account_setting()
        .name(name)
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetAccountSetting", &error))?;
    answer.value.ok_or_else(|| {
        Failure::own(
            "NoValue",
            format!("ECR answered no value of the account setting {name}"),
        )
    })
}

async fn signing(aws: &Regional) -> Result<Vec<SigningRule>, Failure> {
    let answer = aws
        .ecr
        .get_signing_configuration()
        .send()
        .await
        .map_err(|error| Failure::of("ecr:GetSigningConfiguration", &error));
    let configuration = match answer {
        Ok(answer) => answer.signing_configuration,
        Err(failure) if failure.is("SigningConfigurationNotFoundException") => None,
        Err(failure) => return Err(failure),
    };
    let rules = configuration.map(|it| it.rules).into_iter().flatten();
    Ok(rules
        .map(|rule| SigningRule {
            filters: rule
                .repository_filters()
                .iter()
                .map(|it| SigningFilter {
                    kind: it.filter_type().as_str().to_owned(),
                    pattern: it.filter().to_owned(),
                })
                .collect(),
            profile: rule.signing_profile_arn,
        })
        .collect())
}

async fn templates(aws: &Regional) -> Result<Vec<Template>, Failure> {
    let mut templates = Vec::new();
    let mut all = aws
        .ecr
        .describe_repository_creation_templates()
        .max_results(PAGE)
        .into_paginator()
        .items()
        .send();
    while let Some(answered) = all.next().await {
        let answered = answered
            .map_err(|error| Failure::of("ecr:DescribeRepositoryCreationTemplates", &error))?;
        templates.push(template(answered));
    }
    Ok(templates)
}

fn template(answered: aws_sdk_ecr::types::RepositoryCreationTemplate) -> Template {
    let mutability = convert::mutability(
        answered.image_tag_mutability(),
        answered.image_tag_mutability_exclusion_filters(),
    );
    let tags = answered.resource_tags().iter();
    let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
    let occasions = answered.applied_for().iter();
    let occasions = occasions.map(|it| Creation::named(it.as_str()));
    let encryption = answered.encryption_configuration();
    Template {
        mutability,
        tags: tags.collect(),
        applied_for: occasions.collect(),
        encryption: Encryption::named(
            encryption.map(|it| it.encryption_type().as_str()),
            encryption.and_then(|it| it.kms_key()),
        ),
        prefix: answered.prefix.unwrap_or_default(),
        policy: answered.repository_policy,
        lifecycle: answered.lifecycle_policy,
        has_role: answered.custom_role_arn.is_some(),
    }
}
