//! The calls of a recreation that change something.

use aws_sdk_ecr::types::{ImageScanningConfiguration, Tag};
use ecr_warden_core::recreate::own_tags;
use ecr_warden_core::repository::{Encryption, MARKER_TAG, REHEARSAL_TAG};

use super::Attempt;
use crate::connect::error::Failure;
use crate::ecr::convert;
use crate::ecr::load::key;

impl Attempt<'_> {
    /// Its own tags again; where it has none, one that is removed at once. Removal comes first: a tag that can't be removed again is not
    /// set. Not the marker: should ours be there already, it must keep it until its policies are back.
    pub(super) async fn rehearse_tags(&self) -> Result<(), Failure> {
        self.untag(REHEARSAL_TAG).await?;
        let own: Result<Vec<Tag>, Failure> = own_tags(&self.intent.before)
            .map(|(key, value)| tag(key, value))
            .collect();
        let own = own?;
        if !own.is_empty() {
            return self.set_tags(own).await;
        }
        self.set_tags(vec![tag(REHEARSAL_TAG, &self.intent.id)?])
            .await?;
        self.untag(REHEARSAL_TAG).await
    }

    pub(super) async fn set_tags(&self, tags: Vec<Tag>) -> Result<(), Failure> {
        self.aws
            .ecr
            .tag_resource()
            .resource_arn(self.intent.before.id.arn())
            .set_tags(Some(tags))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:TagResource", &error))
    }

    /// Both keys must be of use: the new one, and the one that the repository comes back with should the new one be refused.
    pub(super) async fn rehearse_key(&self, encryption: &Encryption) -> Result<(), Failure> {
        let Some(name) = &encryption.kms_key else {
            return Ok(());
        };
        let why = match key(self.aws, name).await? {
            None => Some("does not exist: create it, or name another key".to_owned()),
            Some(found) => found.obstacle(&self.intent.before.id.region),
        };
        match why {
            None => Ok(()),
            Some(why) => Err(Failure::stuck(format!("the key `{name}` {why}"))),
        }
    }

    pub(crate) async fn send_create(&self, encryption: &Encryption) -> Result<(), Failure> {
        let before = &self.intent.before;
        let unbuildable = |error: aws_sdk_ecr::error::BuildError| Failure::stuck(error.to_string());
        let mut request = self
            .aws
            .ecr
            .create_repository()
            .repository_name(&before.id.name)
            .encryption_configuration(convert::encryption_request(encryption).map_err(unbuildable)?)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(before.scan_on_push)
                    .build(),
            );
        let (mutability, filters) =
            convert::mutability_request(&before.mutability).ok_or_else(|| {
                Failure::stuck(format!(
                    "tag mutability `{}` can't be written",
                    before.mutability
                ))
            })?;
        request = request
            .image_tag_mutability(mutability)
            .set_image_tag_mutability_exclusion_filters(filters);
        let marker = (&MARKER_TAG.to_owned(), &self.intent.id);
        for (key, value) in own_tags(before).chain([marker]) {
            request = request.tags(tag(key, value)?);
        }
        request
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:CreateRepository", &error))
    }

    /// `force`: a policy that locks its author out was there before and is put back as it was.
    pub(super) async fn put_policy(&self, text: Option<&str>) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        self.aws
            .ecr
            .set_repository_policy()
            .repository_name(&self.intent.before.id.name)
            .policy_text(text)
            .force(true)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:SetRepositoryPolicy", &error))
    }

    pub(super) async fn put_lifecycle(&self, text: Option<&str>) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        self.aws
            .ecr
            .put_lifecycle_policy()
            .repository_name(&self.intent.before.id.name)
            .lifecycle_policy_text(text)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:PutLifecyclePolicy", &error))
    }

    pub(super) async fn untag(&self, key: &str) -> Result<(), Failure> {
        let removed = self
            .aws
            .ecr
            .untag_resource()
            .resource_arn(self.intent.before.id.arn())
            .tag_keys(key)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:UntagResource", &error));
        match removed {
            // Whether ECR refuses to remove what is not there is not documented: then it is as it should be.
            Err(failure) if failure.is("InvalidParameterException") => Ok(()),
            other => other,
        }
    }
}

fn tag(key: &str, value: &str) -> Result<Tag, Failure> {
    let tag = Tag::builder().key(key).value(value).build();
    tag.map_err(|error| Failure::stuck(error.to_string()))
}
