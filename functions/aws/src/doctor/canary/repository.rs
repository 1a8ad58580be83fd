//! The canary's repository: created with a tag of its run, looked at, and removed if it has that tag.

use std::time::Duration;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::ProvideErrorMetadata;
use aws_sdk_ecr::types::{EncryptionConfiguration, EncryptionType, ImageTagMutability, Tag};
use ecr_warden_core::doctor::{
    Answered, AwsObservation, CANARY_TAG, CanaryNames, Leftover, LeftoverKind, NoAnswer,
};
use ecr_warden_core::repository::{RepositoryId, partition};

use crate::connect::clients::Clients;
use crate::connect::profiles::Caller;
use crate::doctor::answer::no_answer;

/// Between two looks at whether it is gone. ECR can show a deleted repository for some time, and a new one not yet.
const PAUSE: Duration = Duration::from_secs(1);
/// So often it is looked for.
const LOOKS: u32 = 10;
/// So often in a row it has to be gone: a recreation of the functions' could have been under way.
const GONE_LOOKS: u32 = 2;
/// A key that no account has.
const NO_KEY: &str = "00000000-0000-0000-0000-000000000000";

pub(super) struct CanaryRepository {
    pub(super) id: RepositoryId,
    ecr: Client,
    /// The value of its tag.
    run: String,
}

impl CanaryRepository {
    pub(super) fn new(
        clients: &Clients,
        caller: &Caller,
        names: &CanaryNames,
    ) -> Result<Self, NoAnswer> {
        let other = |why: String| NoAnswer::Other(why);
        let clients = clients.of(&caller.account, &caller.region);
        let id = RepositoryId::new(&caller.account, &caller.region, &names.repository);
        Ok(Self {
            id: id.map_err(|error| other(error.to_string()))?,
            ecr: clients.map_err(|error| other(error.to_string()))?.ecr,
            run: names.id.clone(),
        })
    }

    /// With mutable tags, as the default is.
    pub(super) async fn create(&self) -> Answered<()> {
        let tag = Tag::builder().key(CANARY_TAG).value(&self.run).build();
        let tag = tag.map_err(|error| NoAnswer::Other(error.to_string()))?;
        let asked = self.ecr.create_repository().repository_name(&self.id.name);
        let asked = asked
            .image_tag_mutability(ImageTagMutability::Mutable)
            .tags(tag);
        match asked.send().await {
            Ok(_) => Ok(()),
            // A call whose answer did not come is sent again by the SDK, and then the name is taken.
            Err(_) if self.is_own().await == Ok(true) => Ok(()),
            Err(error) => Err(no_answer("ecr:CreateRepository", &error)),
        }
    }

    /// Whether it has the tag of this run.
    async fn is_own(&self) -> Answered<bool> {
        let asked = self
            .ecr
            .list_tags_for_resource()
            .resource_arn(self.id.arn());
        let answer = asked.send().await;
        let answer = answer.map_err(|error| no_answer("ecr:ListTagsForResource", &error))?;
        let mut tags = answer.tags().iter();
        Ok(tags.any(|tag| tag.key() == CANARY_TAG && tag.value() == self.run))
    }

    /// An error is as no: the caller looks again.
    pub(super) async fn is_immutable(&self) -> bool {
        let asked = self.ecr.describe_repositories();
        let answer = asked.repository_names(&self.id.name).send().await;
        let answer = answer.ok().and_then(|answer| answer.repositories);
        let found = answer.unwrap_or_default().into_iter().next();
        let mutability = found.and_then(|repository| repository.image_tag_mutability);
        matches!(
            mutability,
            Some(ImageTagMutability::Immutable | ImageTagMutability::ImmutableWithExclusion)
        )
    }

    /// What AWS's documentation does not say and one repository can show.
    pub(super) async fn observe(&self) -> Vec<AwsObservation> {
        let (absent_tag, scanning) = tokio::join!(self.untag_absent(), self.scan_frequency());
        vec![absent_tag, self.create_again().await, scanning]
    }

    async fn untag_absent(&self) -> AwsObservation {
        let asked = self.ecr.untag_resource().resource_arn(self.id.arn());
        let answer = asked.tag_keys("ecr-warden-absent").send().await;
        let tried = "UntagResource of a key that the repository does not have";
        observation(
            tried,
            answer.map_or_else(|error| code(&error), |_| accepted()),
        )
    }

    /// Nothing comes of it: the name is taken, and the key does not exist.
    async fn create_again(&self) -> AwsObservation {
        let RepositoryId {
            account,
            region,
            name,
        } = &self.id;
        let key = format!(
            "arn:{}:kms:{region}:{account}:key/{NO_KEY}",
            partition(region)
        );
        let tried = "CreateRepository of a name that is taken, with a key that does not exist";
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(EncryptionType::Kms)
            .kms_key(key)
            .build();
        let asked = self.ecr.create_repository().repository_name(name);
        let answer = match encryption {
            Ok(encryption) => asked.encryption_configuration(encryption).send().await,
            Err(error) => return observation(tried, error.to_string()),
        };
        observation(
            tried,
            answer.map_or_else(|error| code(&error), |_| accepted()),
        )
    }

    async fn scan_frequency(&self) -> AwsObservation {
        let asked = self.ecr.batch_get_repository_scanning_configuration();
        let answer = asked.repository_names(&self.id.name).send().await;
        let seen = match &answer {
            Ok(answer) => answer.scanning_configurations().first().map_or_else(
                || "no answer for the repository".to_owned(),
                |found| {
                    let frequency = found.scan_frequency();
                    frequency.map_or("none", |it| it.as_str()).to_owned()
                },
            ),
            Err(error) => code(error),
        };
        observation(
            "BatchGetRepositoryScanningConfiguration: the effective frequency",
            seen,
        )
    }

    /// Deletes it if it is this run's, and looks until it is gone: an answer alone does not prove it.
    pub(super) async fn remove(&self, created: &Answered<()>) -> Option<Leftover> {
        let mut gone = 0;
        let mut why = NoAnswer::Other("ECR still shows it".to_owned());
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            match self.is_own().await {
                Ok(true) => {
                    gone = 0;
                    if let Err(error) = self.delete().await {
                        why = error;
                    }
                }
                // There is none, or none with this run's tag.
                Ok(false) | Err(NoAnswer::Gone) => {
                    gone += 1;
                    if gone == GONE_LOOKS {
                        return None;
                    }
                }
                // A caller that may not create it has not created it.
                Err(_) if matches!(created, Err(NoAnswer::Denied { .. })) => return None,
                Err(error) => why = error,
            }
        }
        Some(Leftover {
            kind: LeftoverKind::Repository,
            id: self.id.name.clone(),
            why,
        })
    }

    /// Only if it is empty: an image that was pushed meanwhile is not deleted.
    async fn delete(&self) -> Answered<()> {
        let asked = self.ecr.delete_repository().repository_name(&self.id.name);
        let answer = asked.force(false).send().await;
        let done = answer.map_err(|error| no_answer("ecr:DeleteRepository", &error));
        done.map(|_| ())
    }
}

fn observation(tried: &'static str, seen: String) -> AwsObservation {
    AwsObservation { tried, seen }
}

fn accepted() -> String {
    "accepted".to_owned()
}

/// AWS's code, where it answers.
fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or("no answer").to_owned()
}
