//! A repository with some things wrong, and everything that must still be there at the end.

use std::collections::BTreeSet;

use aws_sdk_ecr::types::{EncryptionConfiguration, ImageTagMutability, Tag};

use crate::chaos::weather::Chance;
use crate::recreate::LIFECYCLE;
use crate::support::{World, arn};

pub(crate) const POLICY: &str = r"
version: 1
mode: enforce
changes-per-sweep: 500
changes-per-hour: 100000
rules:
  mutable-tags: {}
  weak-encryption: { require: KMS, when-empty: recreate }
  public-access: {}
  no-lifecycle-policy:
    default:
      rules:
        - rulePriority: 1
          selection: { tagStatus: untagged, countType: sinceImagePushed, countUnit: days, countNumber: 14 }
          action: { type: expire }
  missing-tags: { require: { data: { default: sensitive } } }
";
pub(crate) const OWN: &str = r#"{"Sid":"own","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}"#;
const EVERYONE: &str =
    r#"{"Sid":"all","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}"#;
/// What the policy says nothing of, and whose repository it is.
pub(crate) const TEAM: &str = "team";

/// What is wrong with the repository at first.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    pub(crate) team: &'static str,
    pub(crate) mutable: bool,
    pub(crate) encrypted: bool,
    pub(crate) public: bool,
    pub(crate) lifecycle: bool,
    pub(crate) tagged: bool,
    pub(crate) pushed: bool,
}

/// What is there at the end.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) tags: BTreeSet<String>,
    pub(crate) policy: String,
    pub(crate) lifecycle: String,
    pub(crate) holds_images: bool,
}

pub(crate) fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

pub(crate) fn policy_of(statements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#)
}

impl Faulty {
    pub(crate) fn of(chance: &mut Chance, team: &'static str) -> Self {
        let mut half = || chance.once_in(2);
        Self {
            team,
            mutable: half(),
            encrypted: half(),
            public: half(),
            lifecycle: half(),
            tagged: half(),
            pushed: half(),
        }
    }

    /// Everything that can be wrong is.
    pub(crate) fn in_every_way() -> Self {
        Self {
            team: "shop",
            mutable: true,
            encrypted: false,
            public: true,
            lifecycle: false,
            tagged: false,
            pushed: false,
        }
    }

    pub(crate) async fn create(&self, world: &World, name: &str) {
        let ecr = &world.clients.ecr;
        let encryption = if self.encrypted { "KMS" } else { "AES256" };
        let mut request = ecr
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(if self.mutable {
                ImageTagMutability::Mutable
            } else {
                ImageTagMutability::Immutable
            })
            .encryption_configuration(
                EncryptionConfiguration::builder()
                    .encryption_type(encryption.into())
                    .build()
                    .unwrap(),
            )
            .tags(tag(TEAM, self.team));
        if self.tagged {
            request = request.tags(tag("data", "public"));
        }
        request.send().await.unwrap();
        let statements = if self.public {
            format!("{OWN},{EVERYONE}")
        } else {
            OWN.to_owned()
        };
        ecr.set_repository_policy()
            .repository_name(name)
            .policy_text(policy_of(&statements))
            .send()
            .await
            .unwrap();
        if self.lifecycle {
            ecr.put_lifecycle_policy()
                .repository_name(name)
                .lifecycle_policy_text(LIFECYCLE)
                .send()
                .await
                .unwrap();
        }
        if self.pushed {
            push(world, name).await.unwrap();
        }
    }

    pub(crate) fn wrong(&self) -> BTreeSet<&'static str> {
        [
            (self.mutable, "mutable-tags"),
            (!self.encrypted, "weak-encryption"),
            (self.public, "public-access"),
            (!self.lifecycle, "no-lifecycle-policy"),
            (!self.tagged, "missing-tags"),
        ]
        .into_iter()
        .filter_map(|(is, rule)| is.then_some(rule))
        .collect()
    }

    /// What of its own is not there any more, or still is and must not.
    pub(crate) fn missing(&self, found: &Found) -> Vec<String> {
        let data = if self.tagged { "public" } else { "sensitive" };
        let tags = [format!("data={data}"), format!("{TEAM}={}", self.team)];
        let mut missing: Vec<String> = tags
            .into_iter()
            .filter(|tag| !found.tags.contains(tag))
            .collect();
        let none_of_ours = found
            .tags
            .iter()
            .find(|tag| tag.starts_with("ecr-warden:"))
            .map(|tag| format!("the tag {tag} is left"));
        missing.extend(none_of_ours);
        if !found.policy.contains(OWN) {
            missing.push(format!("{OWN} of {}", found.policy));
        }
        if found.policy.contains(EVERYONE) {
            missing.push(format!("still public: {}", found.policy));
        }
        if found.lifecycle.is_empty() {
            missing.push("a lifecycle policy".to_owned());
        }
        if self.pushed && !found.holds_images {
            missing.push("its image".to_owned());
        }
        missing
    }
}

pub(crate) async fn push(world: &World, name: &str) -> Option<()> {
    let request = world.clients.ecr.put_image().repository_name(name);
    let request = request.image_manifest(r#"{"schemaVersion":2,"layers":[]}"#);
    request.image_tag("v1").send().await.ok().map(|_| ())
}

/// `None`: there is no such repository.
pub(crate) async fn look(world: &World, name: &str) -> Option<Found> {
    world.describe(name).await?;
    let ecr = &world.clients.ecr;
    let tags = ecr.list_tags_for_resource().resource_arn(arn(name));
    let (tags, policy, lifecycle, images) = tokio::join!(
        tags.send(),
        ecr.get_repository_policy().repository_name(name).send(),
        ecr.get_lifecycle_policy().repository_name(name).send(),
        ecr.describe_images().repository_name(name).send(),
    );
    let text = |text: Option<String>| text.unwrap_or_default();
    Some(Found {
        tags: tags
            .unwrap()
            .tags()
            .iter()
            .map(|tag| format!("{}={}", tag.key(), tag.value()))
            .collect(),
        policy: text(policy.ok().and_then(|answer| answer.policy_text)),
        lifecycle: text(lifecycle.ok().and_then(|l| l.lifecycle_policy_text)),
        holds_images: !images.unwrap().image_details().is_empty(),
    })
}
