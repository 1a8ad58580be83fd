//! One repository that every rule accepts, and for each rule one with one thing wrong.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Tag,
};

use serde_json::json;

use crate::Problem;
use crate::proxy::{RealAws, new_template};

/// A repository before it is looked at, and why it is looked at.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: &'static str,
    mutability: ImageTagMutability,
    encryption: EncryptionType,
    scan_on_push: bool,
    lifecycle: bool,
    policy: &'static str,
    tags: &'static [(&'static str, &'static str)],
    /// Whether it holds an image.
    image: bool,
    pub happens: Happens,
}

#[derive(Clone, Copy, Debug)]
pub enum Happens {
    Creation,
    /// Of this tag.
    Push(&'static str),
    /// Immutability refuses it.
    RefusedPush(&'static str),
}

const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}"#;
const OWN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"ecr:BatchGetImage"}]}"#;
const EVERYONE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
const STRANGER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"ecr:BatchGetImage"}]}"#;

const IMAGE: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

/// Nothing is wrong with it.
#[must_use]
pub fn conforming() -> Sample {
    Sample {
        name: "shop/conforming",
        mutability: ImageTagMutability::Immutable,
        encryption: EncryptionType::Kms,
        scan_on_push: true,
        lifecycle: true,
        policy: OWN,
        tags: &[("team", "shop")],
        image: false,
        happens: Happens::Push("v1.0.0-abc1234"),
    }
}

fn created(name: &'static str) -> Sample {
    Sample {
        name,
        happens: Happens::Creation,
        ..conforming()
    }
}

/// A rule, and a repository that it objects to.
#[derive(Clone, Copy, Debug)]
pub struct Flagged {
    pub rule: &'static str,
    /// What a policy has under the rule's name, so that the rule accepts the other samples; `None`: it has no such rule.
    settings: Option<&'static str>,
    /// The same for this sample alone, where it takes other settings to object to it.
    own_settings: Option<&'static str>,
    pub sample: fn() -> Sample,
    /// What becomes of the finding where the rule repairs what it can.
    pub becomes: &'static str,
}

const fn flagged(
    rule: &'static str,
    settings: &'static str,
    sample: fn() -> Sample,
    becomes: &'static str,
) -> Flagged {
    Flagged {
        rule,
        settings: Some(settings),
        own_settings: None,
        sample,
        becomes,
    }
}

impl Flagged {
    const fn by(mut self, own_settings: &'static str) -> Self {
        self.own_settings = Some(own_settings);
        self
    }

    const fn for_this_sample_alone(mut self) -> Self {
        self.own_settings = self.settings.take();
        self
    }
}

const DENY_PLAIN_HTTP: &str = r#"{ required-statements: [{ Sid: DenyPlainHttp, Effect: Deny, Principal: "*", Action: "ecr:*", Condition: { Bool: { "aws:SecureTransport": "false" } } }] }"#;

/// In the order of the rules.
pub const FLAGGED: [Flagged; 13] = [
    flagged("mutable-tags", "{}", mutable, "fixed"),
    flagged("weak-encryption", "{ require: KMS }", weak, "open"),
    flagged("no-scan-on-push", "{}", unscanned, "fixed"),
    flagged("no-lifecycle-policy", "{}", endless, "open"),
    flagged("public-access", "{}", public, "fixed"),
    flagged("untrusted-access", "{}", shared, "open"),
    flagged("nonconforming-name", "{}", || created("unnamed"), "open"),
    flagged(
        "missing-tags",
        "{ require: { team: {} } }",
        untagged,
        "open",
    ),
    flagged(
        "disallowed-region",
        "{ allow: [us-east-1] }",
        || created("abroad/api"),
        "open",
    )
    .by("{ allow: [eu-central-1] }"),
    flagged(
        "nonconforming-image-tag",
        "{}",
        || pushed("shop/tagged", Happens::Push("latest")),
        "open",
    ),
    flagged(
        "blocked-push",
        "{}",
        || pushed("shop/blocked", Happens::RefusedPush("v1.0.0-abc1234")),
        "open",
    ),
    flagged("over-budget", "{ most-gb: 1 }", heavy, "open").by("{ most-gb: 0.0000001 }"),
    flagged(
        "missing-statements",
        DENY_PLAIN_HTTP,
        || created("shop/plain-http"),
        "open",
    )
    .for_this_sample_alone(),
];

/// The overrides of a policy under which each rule evaluates the samples, and accepts all but its own.
#[must_use]
pub fn overrides() -> String {
    let names = FLAGGED.iter().map(|it| (it.sample)().name);
    let names: Vec<&str> = names.chain([conforming().name]).collect();
    let all = FLAGGED.iter();
    let all = all.filter_map(|it| Some((it.rule, it.settings?)));
    let own = FLAGGED.iter().filter_map(|it| {
        let settings = it.own_settings?;
        let name = (it.sample)().name;
        Some(format!(
            "  - match: {{ repositories: [{name}] }}\n    rules:\n{}",
            rules([(it.rule, settings)])
        ))
    });
    format!(
        "  - match: {{ repositories: [{}] }}\n    rules:\n{}{}",
        names.join(", "),
        rules(all),
        own.collect::<String>()
    )
}

fn rules(settings: impl IntoIterator<Item = (&'static str, &'static str)>) -> String {
    let lines = settings.into_iter();
    lines
        .map(|(rule, settings)| format!("      {rule}: {settings}\n"))
        .collect()
}

/// A rule that judges the registry alone, its settings, and how the registry gets what it objects to: the finding is open.
pub type FlaggedRegistry = (&'static str, &'static str, fn(&mut RealAws));

pub const FLAGGED_REGISTRY: [FlaggedRegistry; 3] = [
    ("nonconforming-template", "{}", |aws| {
        let asked = json!({ "prefix": "mirror", "appliedFor": ["PULL_THROUGH_CACHE"] });
        aws.creation_templates.templates = vec![new_template(&asked)];
    }),
    ("nonconforming-account-setting", "{}", |aws| {
        let settings = &mut aws.registry_settings.account;
        settings.insert("REGISTRY_POLICY_SCOPE".to_owned(), "V1".to_owned());
    }),
    ("unsigned-images", "{ repositories: [\"shop/*\"] }", |aws| {
        aws.registry_settings.signing = None;
    }),
];

fn mutable() -> Sample {
    Sample {
        mutability: ImageTagMutability::Mutable,
        ..created("shop/mutable")
    }
}

fn weak() -> Sample {
    Sample {
        encryption: EncryptionType::Aes256,
        ..created("shop/weak")
    }
}

fn unscanned() -> Sample {
    Sample {
        scan_on_push: false,
        ..created("shop/unscanned")
    }
}

fn endless() -> Sample {
    Sample {
        lifecycle: false,
        ..created("shop/endless")
    }
}

fn public() -> Sample {
    Sample {
        policy: EVERYONE,
        ..created("shop/public")
    }
}

fn shared() -> Sample {
    Sample {
        policy: STRANGER,
        ..created("shop/shared")
    }
}

fn untagged() -> Sample {
    Sample {
        tags: &[("team", "")],
        ..created("shop/untagged")
    }
}

/// Heavy for who grants it nothing: an image weighs some hundred bytes.
fn heavy() -> Sample {
    Sample {
        image: true,
        ..pushed("shop/heavy", Happens::Push("v1.0.0-abc1234"))
    }
}

fn pushed(name: &'static str, happens: Happens) -> Sample {
    Sample {
        happens,
        ..created(name)
    }
}

impl Sample {
    /// Makes the repository as a person would, call by call.
    ///
    /// # Errors
    /// What AWS said.
    pub async fn create(&self, ecr: &Client) -> Result<(), Problem> {
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(self.encryption.clone())
            .build()?;
        let mut request = ecr
            .create_repository()
            .repository_name(self.name)
            .image_tag_mutability(self.mutability.clone())
            .encryption_configuration(encryption)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(self.scan_on_push)
                    .build(),
            );
        for (key, value) in self.tags {
            request = request.tags(Tag::builder().key(*key).value(*value).build()?);
        }
        request.send().await?;
        ecr.set_repository_policy()
            .repository_name(self.name)
            .policy_text(self.policy)
            .send()
            .await?;
        if self.image {
            ecr.put_image()
                .repository_name(self.name)
                .image_manifest(IMAGE)
                .image_tag("v1.0.0-abc1234")
                .send()
                .await?;
        }
        if self.lifecycle {
            ecr.put_lifecycle_policy()
                .repository_name(self.name)
                .lifecycle_policy_text(LIFECYCLE)
                .send()
                .await?;
        }
        Ok(())
    }
}
