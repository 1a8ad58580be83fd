//! `weak-encryption`: a repository's layers are encrypted with less than the policy asks.

mod keys;
mod settings;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::keys::{at_creation, described};
pub use self::settings::{Rung, WhenEmpty, WhenNotEmpty};
use self::text::{HOLDS_IMAGES, HOLDS_IMAGES_OR_NOT, RECREATED, advise};
use crate::action::Action;
use crate::finding::{Fix, Severity, Violation};
use crate::quarantine;
use crate::repository::{
    Encryption, EncryptionType, MOST_TAGS, Read, Reads, Repository, RepositoryId, TagMutability,
};
use crate::rule::{Advice, Meta, Rule, RuleMode, Settings, Subject};

/// The alias of the key that AWS manages for ECR. An account that never used it has no such key.
pub const AWS_MANAGED_KEY: &str = "alias/aws/ecr";

/// Encryption weaker than the policy asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WeakEncryption {
    /// Overrides the policy's mode for this rule.
    pub mode: Option<RuleMode>,
    /// The least that passes, on the ladder AES256 < KMS < CUSTOMER_KEY < ALLOWED_KEYS.
    pub require: Rung,
    /// The KMS key that a recreated repository gets: alias, id or ARN. Without it, `aws/ecr`.
    pub kms_key: Option<String>,
    /// The keys that pass where `require` is ALLOWED_KEYS, by alias, id or ARN; `kms-key` is always one of them.
    pub allowed_keys: Vec<String>,
    /// What is done about a repository that holds no image.
    pub when_empty: WhenEmpty,
    /// What is done about a repository that holds images.
    pub when_not_empty: WhenNotEmpty,
    /// Recreate repositories of CloudFormation stacks too. Their `aws:` tags cannot be put back.
    pub recreate_stack_repositories: bool,
}

impl Settings for WeakEncryption {
    const KNOWN_AT_CREATION: bool = true;

    const META: Meta = Meta {
        id: "weak-encryption",
        severity: Severity::Medium,
        subject: Subject::Repository,
        summary: "Images are encrypted with less than the policy requires",
        repair: "recreates an empty repository, or refuses pushes",
        explanation: "\
With KMS, access to the images can be revoked and audited separately from access to ECR; with a \
customer managed key, the customer controls it. ECR cannot change a repository's encryption after \
its creation.

Where `when-empty` is `recreate`, an empty repository is deleted without force (ECR refuses that \
when an image exists) and created again with its tags, policies and settings; it does not exist \
for about a second. Its settings are recorded first, and the next event finishes a recreation that \
was interrupted. A repository of a CloudFormation stack is reported and not changed.

A repository with images is reported. Where `when-not-empty` is `quarantine`, its repository \
policy also gets one statement, `EcrWardenQuarantine`, that refuses pushes, so that no more images \
are stored with the wrong encryption; pulls still work, and all other statements stay. ecr-warden \
removes it when the repository conforms, is exempt, or the policy no longer requires it.",
        example: r#"weak-encryption:
  require: CUSTOMER_KEY
  kms-key: alias/images
  when-empty: recreate
  when-not-empty: quarantine"#,
        controls: &[
            "AWS Security Hub ECR.5",
            "AWS Config ECR_REPOSITORY_CMK_ENCRYPTION_ENABLED",
        ],
    };
}

impl WeakEncryption {
    fn only_reports(&self) -> bool {
        self.when_empty == WhenEmpty::Alert && self.when_not_empty == WhenNotEmpty::Alert
    }

    /// What a recreated repository gets.
    fn wanted(&self) -> Encryption {
        match self.require {
            Rung::Aes256 => Encryption::aes256(),
            Rung::Kms | Rung::CustomerKey | Rung::AllowedKeys => {
                Encryption::kms(self.kms_key.as_deref())
            }
        }
    }

    /// Where a repository stands, as far as the required rung needs to know; or why that can't be told.
    fn rung(&self, repository: &Repository) -> Result<Rung, String> {
        let key = match &repository.encryption.kind {
            EncryptionType::Aes256 => return Ok(Rung::Aes256),
            EncryptionType::Kms | EncryptionType::KmsDsse => &repository.encryption.kms_key,
            EncryptionType::Unknown(value) => {
                return Err(format!(
                    "encryption type `{value}` is not known to this version"
                ));
            }
        };
        let Some(key) = key else {
            return Ok(Rung::Kms);
        };
        if self.require <= Rung::Kms {
            return Ok(Rung::Kms);
        }
        let managed = described(repository, AWS_MANAGED_KEY)?;
        if managed.is_some_and(|managed| managed.arn == *key) {
            return Ok(Rung::Kms);
        }
        if self.require <= Rung::CustomerKey {
            return Ok(Rung::CustomerKey);
        }
        for allowed in self.allowed_keys.iter().chain(&self.kms_key) {
            if allowed == key
                || described(repository, allowed)?.is_some_and(|found| found.arn == *key)
            {
                return Ok(Rung::AllowedKeys);
            }
        }
        Ok(Rung::CustomerKey)
    }

    /// What can be done about it, in the order of the policy.
    fn fix(&self, repository: &Repository) -> Fix {
        let holds_images = repository.has_images.known() == Some(&true);
        if holds_images && self.when_not_empty == WhenNotEmpty::Quarantine {
            return match repository.policy.required() {
                Err(why) => Fix::Manual(format!(
                    "not quarantined: its repository policy could not be read: {why}"
                )),
                Ok(Some(policy)) if quarantine::is_in(policy) => {
                    Fix::Manual(format!("pushes are refused; {HOLDS_IMAGES}"))
                }
                Ok(policy) => match quarantine::impose(policy.as_deref()) {
                    Err(why) => Fix::Manual(format!("not quarantined: {why}")),
                    Ok(to) => Fix::Safe(Action::SetRepositoryPolicy {
                        from: policy.clone(),
                        to: Some(to),
                    }),
                },
            };
        }
        match self.obstacle(repository) {
            Some(why) => Fix::Manual(why),
            None => Fix::Disruptive(Action::Recreate {
                from: repository.encryption.clone(),
                to: self.wanted(),
            }),
        }
    }

    /// Why an automatic recreation is out of the question, and what people do instead.
    fn obstacle(&self, repository: &Repository) -> Option<String> {
        let unread = |what: &str, why: String| {
            Some(format!("not recreated: {what} could not be read: {why}"))
        };
        if repository.has_images == Read::NotAsked && self.only_reports() {
            return Some(HOLDS_IMAGES_OR_NOT.to_owned());
        }
        match repository.has_images.required() {
            Err(why) => return unread("whether it holds images", why),
            Ok(true) => return Some(HOLDS_IMAGES.to_owned()),
            Ok(false) => {}
        }
        if self.when_empty == WhenEmpty::Alert {
            return Some(
                "the policy does not allow a recreation (`when-empty: alert`); recreate the \
                 repository while it is empty"
                    .to_owned(),
            );
        }
        let tags = match repository.tags.required() {
            Err(why) => return unread("its tags", why),
            Ok(tags) => tags,
        };
        if let Err(why) = repository.policy.required() {
            return unread("its repository policy", why);
        }
        if let Err(why) = repository.lifecycle.required() {
            return unread("its lifecycle policy", why);
        }
        if let (Some(stack), false) = (repository.stack(), self.recreate_stack_repositories) {
            return Some(format!(
                "it belongs to the CloudFormation stack `{}`: change the encryption in its template, which replaces it",
                crate::text::one_line(stack, 128)
            ));
        }
        if tags.keys().filter(|key| !key.starts_with("aws:")).count() >= MOST_TAGS {
            return Some(format!(
                "it has {MOST_TAGS} tags, and a recreation needs one more; remove a tag, or \
                 recreate the repository manually"
            ));
        }
        if let TagMutability::Unknown(value) = &repository.mutability {
            return Some(format!(
                "this version does not know its tag mutability `{value}` and could not restore it; \
                 update ecr-warden"
            ));
        }
        if repository.created_at.is_none() {
            return Some(
                "ECR does not return when it was created; recreate it manually".to_owned(),
            );
        }
        let key = self.kms_key.as_ref()?;
        match described(repository, key) {
            Err(why) => unread(&format!("the key `{key}`"), why),
            Ok(None) => Some(format!(
                "the key `{key}` does not exist in {}: create it, or correct `kms-key` in the policy",
                repository.id.region
            )),
            Ok(Some(found)) if found.obstacle(&repository.id.region).is_some() => found
                .obstacle(&repository.id.region)
                .map(|why| format!("the key `{key}` {why}, or correct `kms-key` in the policy")),
            Ok(Some(_)) if self.require <= Rung::Kms => None,
            // Else it would be recreated again and again.
            Ok(Some(found)) => match described(repository, AWS_MANAGED_KEY) {
                Err(why) => unread(&format!("the key `{AWS_MANAGED_KEY}`"), why),
                Ok(Some(managed)) if managed.arn == found.arn => Some(format!(
                    "the key `{key}` is the one that AWS manages, which is not enough: correct `kms-key` in the policy"
                )),
                Ok(_) => None,
            },
        }
    }
}

impl Rule for WeakEncryption {
    fn mode(&self) -> Option<RuleMode> {
        self.mode
    }

    fn reads(&self) -> Reads {
        if self.require == Rung::Aes256 {
            // Nothing is weaker, so there is nothing to know.
            return Reads::default();
        }
        let mut reads = Reads::of_recreation();
        if self.when_empty == WhenEmpty::Alert {
            // Nothing is put back. A quarantine of ecr-warden's own is in the repository policy.
            (reads.tags, reads.lifecycle) = (false, false);
        }
        reads.keys.extend(self.kms_key.clone());
        if self.require >= Rung::CustomerKey {
            reads.keys.insert(AWS_MANAGED_KEY.to_owned());
        }
        if self.require == Rung::AllowedKeys {
            reads.keys.extend(self.allowed_keys.iter().cloned());
        }
        reads
    }

    fn reads_after(&self, described: &Repository) -> Reads {
        let reads = self.reads();
        // Which key a repository is encrypted with does not say yet what kind of key it is.
        let by_kind_alone = match described.encryption.kind {
            EncryptionType::Kms | EncryptionType::KmsDsse => self.require <= Rung::Kms,
            EncryptionType::Aes256 | EncryptionType::Unknown(_) => false,
        };
        if by_kind_alone {
            Reads::default()
        } else {
            reads
        }
    }

    /// Whether it holds images, where nothing is done in either case.
    fn explained_by(&self, described: &Repository) -> Reads {
        Reads {
            images: self.only_reports() && self.reads_after(described).images,
            ..Reads::default()
        }
    }

    /// A template names a key by its ARN.
    fn at_creation(&self, new: &Repository, violation: &Violation) -> Result<Action, String> {
        if self.rung(new).is_err() {
            return Err(violation.for_people().to_owned());
        }
        at_creation(new, self.require, self.kms_key.as_deref())
    }

    fn check(&self, repository: &Repository) -> Option<Violation> {
        match self.rung(repository) {
            Ok(rung) if rung >= self.require => None,
            Ok(_) => Some(Violation {
                detail: format!(
                    "encrypted with {}, but the policy requires {}",
                    repository.encryption,
                    self.require.name()
                ),
                fix: self.fix(repository),
            }),
            // Nothing is weaker than the lowest rung, whatever it is.
            Err(_) if self.require == Rung::Aes256 => None,
            Err(why) => Some(Violation {
                detail: format!(
                    "cannot determine whether {} is enough: {why}",
                    repository.encryption
                ),
                fix: Fix::Manual(
                    "fix the read error above, or check the repository's encryption manually"
                        .to_owned(),
                ),
            }),
        }
    }

    fn spares_stacks(&self) -> bool {
        !self.recreate_stack_repositories
    }

    fn quarantines(&self, repository: &Repository) -> bool {
        let may_be_weak = self
            .rung(repository)
            .map_or(self.require > Rung::Aes256, |rung| rung < self.require);
        let may_hold_images = repository.has_images.known() != Some(&false);
        self.when_not_empty == WhenNotEmpty::Quarantine && may_be_weak && may_hold_images
    }

    fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.require == Rung::AllowedKeys
            && self.allowed_keys.is_empty()
            && self.kms_key.is_none()
        {
            problems.push(
                "require: ALLOWED_KEYS needs `allowed-keys` (or `kms-key`), or nothing passes"
                    .to_owned(),
            );
        }
        if self.require >= Rung::CustomerKey
            && self.when_empty == WhenEmpty::Recreate
            && self.kms_key.is_none()
        {
            problems.push(
                "when-empty: recreate needs `kms-key` here: without it the new repository would get `aws/ecr`, \
                 which is not enough"
                    .to_owned(),
            );
        }
        if self.require == Rung::Aes256 && (self.kms_key.is_some() || !self.allowed_keys.is_empty())
        {
            problems.push(
                "`kms-key` and `allowed-keys` have no effect with require: AES256; ask for KMS, CUSTOMER_KEY or \
                 ALLOWED_KEYS"
                    .to_owned(),
            );
        }
        problems
    }

    fn advice(&self, _id: &RepositoryId) -> Advice {
        // Without `kms-key`, one of the keys that pass: AWS's own does not, above the rung KMS.
        let listed = (self.require == Rung::AllowedKeys)
            .then(|| self.allowed_keys.first())
            .flatten();
        let wanted = self.wanted();
        let key = wanted.kms_key.as_ref().or(listed);
        advise(
            &wanted.kind,
            key.map(String::as_str),
            self.require > Rung::Kms,
        )
    }

    /// After a recreation the definition is what is wrong: Terraform compares it with the repository and replaces that.
    fn advice_on(&self, id: &RepositoryId, repair: Option<&Action>) -> Advice {
        let advice = self.advice(id);
        match repair {
            Some(Action::Recreate { .. }) => Advice {
                text: RECREATED.to_owned(),
                ..advice
            },
            _ => advice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::repository;
    use crate::repository::{Key, Read};

    const CUSTOMER: &str = "arn:aws:kms:eu-central-1:123456789012:key/c";
    const MANAGED: &str = "arn:aws:kms:eu-central-1:123456789012:key/m";

    fn key(arn: &str) -> Read<Option<Key>> {
        Read::Known(Some(Key {
            arn: arn.to_owned(),
            enabled: true,
            unfit: None,
        }))
    }

    /// An empty repository that may be recreated, with all keys described.
    fn with(encryption: Encryption) -> Repository {
        let mut repository = repository();
        repository.encryption = encryption;
        repository.keys = [
            (AWS_MANAGED_KEY.to_owned(), key(MANAGED)),
            ("alias/ecr".to_owned(), key(CUSTOMER)),
            (
                "alias/other".to_owned(),
                key("arn:aws:kms:eu-central-1:123456789012:key/o"),
            ),
        ]
        .into();
        repository
    }

    fn rule(require: Rung) -> WeakEncryption {
        WeakEncryption {
            require,
            kms_key: (require >= Rung::Kms).then(|| "alias/ecr".to_owned()),
            when_empty: WhenEmpty::Recreate,
            ..WeakEncryption::default()
        }
    }

    #[test]
    fn advice_after_a_recreation_warns_of_the_next_apply() {
        let id = repository().id;
        let rule = rule(Rung::Kms);
        let done = Action::Recreate {
            from: Encryption::aes256(),
            to: rule.wanted(),
        };
        let text = rule.advice_on(&id, Some(&done)).text;
        for said in [
            "before the next `terraform apply`",
            "replace the repository",
            "`force_delete = true`",
            "deletes its images",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(!rule.advice_on(&id, None).text.contains("force_delete"));
    }

    #[test]
    fn the_ladder() {
        let rungs = [
            Rung::Aes256,
            Rung::Kms,
            Rung::CustomerKey,
            Rung::AllowedKeys,
        ];
        let repositories = [
            (with(Encryption::aes256()), Rung::Aes256),
            (with(Encryption::kms(None)), Rung::Kms),
            (with(Encryption::kms(Some(MANAGED))), Rung::Kms),
            (
                with(Encryption::kms(Some(
                    "arn:aws:kms:eu-central-1:123456789012:key/x",
                ))),
                Rung::CustomerKey,
            ),
            (with(Encryption::kms(Some(CUSTOMER))), Rung::AllowedKeys),
        ];
        for required in rungs {
            for (repository, stands_on) in &repositories {
                let violation = rule(required).check(repository);
                assert_eq!(
                    violation.is_none(),
                    *stands_on >= required,
                    "{required:?} asked, {} there: {violation:?}",
                    repository.encryption
                );
            }
        }
    }

    #[test]
    fn an_empty_repository_is_recreated_with_the_key_of_the_policy() {
        let violation = rule(Rung::CustomerKey)
            .check(&with(Encryption::aes256()))
            .unwrap();
        assert_eq!(
            violation.fix,
            Fix::Disruptive(Action::Recreate {
                from: Encryption::aes256(),
                to: Encryption::kms(Some("alias/ecr"))
            })
        );
    }

    /// Each thing that must keep a repository from being deleted, alone.
    #[test]
    fn obstacles() {
        let good = with(Encryption::aes256());
        let check = |change: fn(&mut Repository)| {
            let mut repository = good.clone();
            change(&mut repository);
            match rule(Rung::CustomerKey).check(&repository).unwrap().fix {
                Fix::Manual(why) => why,
                other => panic!("{other:?}"),
            }
        };
        assert!(check(|r| r.has_images = Read::Known(true)).contains("holds images"));
        assert!(check(|r| r.has_images = Read::Unreadable("denied".into())).contains("denied"));
        assert!(check(|r| r.tags = Read::Unreadable("denied".into())).contains("tags"));
        assert!(check(|r| r.policy = Read::NotAsked).contains("repository policy"));
        assert!(check(|r| r.lifecycle = Read::Unreadable("x".into())).contains("lifecycle"));
        assert!(check(|r| r.created_at = None).contains("created"));
        assert!(
            check(|r| r.mutability = TagMutability::Unknown("LATER".into())).contains("`LATER`")
        );
        assert!(
            check(|r| {
                r.tags =
                    Read::Known([("aws:cloudformation:stack-name".into(), "shop".into())].into());
            })
            .contains("stack `shop`")
        );
        assert!(
            check(|r| {
                r.tags = Read::Known(
                    (0..MOST_TAGS)
                        .map(|n| (n.to_string(), String::new()))
                        .collect(),
                );
            })
            .contains("50 tags")
        );
        assert!(
            check(|r| {
                r.keys.insert("alias/ecr".into(), Read::Known(None));
            })
            .contains("does not exist")
        );
        assert!(
            check(|r| {
                if let Some(Read::Known(Some(key))) = r.keys.get_mut("alias/ecr") {
                    key.enabled = false;
                }
            })
            .contains("not enabled")
        );
    }

    #[test]
    fn what_holds_images_is_quarantined_once() {
        let rule = WeakEncryption {
            when_not_empty: WhenNotEmpty::Quarantine,
            ..rule(Rung::Kms)
        };
        let mut repository = with(Encryption::aes256());
        repository.has_images = Read::Known(true);
        let Fix::Safe(action) = rule.check(&repository).unwrap().fix else {
            panic!("no quarantine");
        };
        action.apply_to(&mut repository);
        let policy = repository.policy.known().unwrap().clone().unwrap();
        assert!(quarantine::is_in(&policy), "{policy}");
        let Fix::Manual(left) = rule.check(&repository).unwrap().fix else {
            panic!("quarantined again");
        };
        assert!(
            left.starts_with("pushes are refused; it holds images"),
            "{left}"
        );
        repository.policy = Read::Unreadable("denied".to_owned());
        assert!(matches!(
            rule.check(&repository).unwrap().fix,
            Fix::Manual(_)
        ));
    }

    #[test]
    fn what_cannot_be_judged_is_for_people() {
        let mut repository = with(Encryption::kms(Some(CUSTOMER)));
        repository.keys.insert(
            AWS_MANAGED_KEY.to_owned(),
            Read::Unreadable("kms:DescribeKey is missing".to_owned()),
        );
        let violation = rule(Rung::CustomerKey).check(&repository).unwrap();
        assert!(
            violation.detail.contains("kms:DescribeKey"),
            "{violation:?}"
        );
        assert!(matches!(violation.fix, Fix::Manual(_)));
        assert_eq!(rule(Rung::Kms).check(&repository), None);
    }

    #[test]
    fn the_lowest_rung_needs_no_reads() {
        assert_eq!(WeakEncryption::default().reads(), Reads::default());
    }

    #[test]
    fn settings_that_contradict_each_other() {
        let mut none = rule(Rung::AllowedKeys);
        none.kms_key = None;
        assert_eq!(none.contradictions().len(), 2);
        let mut idle = rule(Rung::Aes256);
        idle.kms_key = Some("alias/ecr".to_owned());
        assert_eq!(idle.contradictions().len(), 1);
    }

    #[test]
    fn advice_names_the_key_in_all_forms() {
        let id = repository().id;
        let all = |rule: &WeakEncryption| {
            let advice = rule.advice(&id);
            [advice.terraform, advice.cloudformation, advice.cli]
        };
        let named = WeakEncryption {
            require: Rung::CustomerKey,
            kms_key: Some("alias/images".to_owned()),
            ..WeakEncryption::default()
        };
        for text in all(&named) {
            assert!(text.contains("alias/images"), "{text}");
        }
        assert!(all(&named)[2].contains("'encryptionType=KMS,kmsKey=alias/images'"));
        let listed = WeakEncryption {
            require: Rung::AllowedKeys,
            allowed_keys: vec![CUSTOMER.to_owned()],
            ..WeakEncryption::default()
        };
        for text in all(&listed) {
            assert!(text.contains(CUSTOMER), "{text}");
        }
        // AWS's own key would not pass: without a name it stops.
        let any = WeakEncryption {
            require: Rung::CustomerKey,
            ..WeakEncryption::default()
        };
        let [terraform, cloudformation, cli] = all(&any);
        assert!(
            terraform.contains("kms_key         = var.kms_key"),
            "{terraform}"
        );
        assert!(
            cloudformation.contains("KmsKey: !Ref KmsKey"),
            "{cloudformation}"
        );
        assert!(cli.contains("kmsKey='\"${KMS_KEY:?"), "{cli}");
        let kms = WeakEncryption {
            require: Rung::Kms,
            ..WeakEncryption::default()
        };
        assert!(
            all(&kms)
                .iter()
                .all(|text| !text.to_lowercase().contains("kmskey"))
        );
    }
}
