use std::collections::BTreeMap;

use super::*;
use crate::evaluate::evaluate_registry;
use crate::policy::Policy;
use crate::registry::{Creation, Template};
use crate::repository::{Encryption, Key, Read, RegistryScanning, TagMutability};

const NOW: i64 = 1_800_000_000;
const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}"#;
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
const REPLICATED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"210987654321"},
    "Action":["ecr:CreateRepository","ecr:ReplicateImage"],"Resource":"arn:aws:ecr:eu-central-1:123456789012:repository/prod/*"}]}"#;
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/1";

fn id() -> RepositoryId {
    RepositoryId::of_registry("123456789012", "eu-central-1")
}

/// A registry that was read, without templates, caches and a registry policy.
fn registry() -> Registry {
    let key = Key {
        arn: KEY.to_owned(),
        enabled: true,
        unfit: None,
    };
    Registry {
        policy: Read::Known(None),
        templates: Read::Known(Vec::new()),
        caches: Read::Known(Vec::new()),
        scanning: Read::Known(RegistryScanning::default()),
        keys: [
            ("alias/images".to_owned(), Read::Known(Some(key))),
            ("alias/aws/ecr".to_owned(), Read::Known(None)),
        ]
        .into(),
        ..Registry::unread(&id())
    }
}

/// Conforming by the rules below, but for what a test changes.
fn template(prefix: &str, creation: Creation) -> Template {
    Template {
        mutability: TagMutability::Immutable,
        encryption: Encryption::kms(Some(KEY)),
        tags: [("team".to_owned(), "payments".to_owned())].into(),
        lifecycle: Some(LIFECYCLE.to_owned()),
        has_role: true,
        ..Template::without_one(prefix, creation)
    }
}

fn with(templates: &[Template]) -> Registry {
    Registry {
        templates: Read::Known(templates.to_vec()),
        ..registry()
    }
}

/// The finding under these rules, and what else the policy says.
fn found(rules: &str, rest: &str, registry: &Registry) -> Option<Finding> {
    let text = format!(
        "version: 1\nmode: enforce\nrules: {{ nonconforming-template: {{}}, {rules} }}\n{rest}"
    );
    let policy = Policy::parse(&text).unwrap();
    let resolved = policy.for_registry(&id()).unwrap();
    let mut found = evaluate_registry(&policy, &resolved, registry, NOW);
    found.retain(|finding| finding.rule == "nonconforming-template");
    found.pop()
}

const ALL: &str = "mutable-tags: {}, weak-encryption: { require: CUSTOMER_KEY, kms-key: alias/images }, no-lifecycle-policy: {}, \
                   public-access: {}, missing-tags: { require: { team: { allowed: [payments] } } }";

/// The rule that finds each fault of a template, how severe it is, and the command that corrects it.
#[test]
fn each_fault_of_a_template_is_found_with_its_command() {
    let good = || template("prod", Creation::Push);
    assert_eq!(found(ALL, "", &with(&[good()])), None);
    let faults: [(&str, Severity, &str, Template); 7] = [
        (
            "mutable-tags",
            Severity::Medium,
            "--image-tag-mutability IMMUTABLE",
            Template {
                mutability: TagMutability::Mutable,
                ..good()
            },
        ),
        (
            "weak-encryption",
            Severity::Medium,
            "--encryption-configuration 'encryptionType=KMS,kmsKey=arn:aws:kms:eu-central-1:123456789012:key/1'",
            Template {
                encryption: Encryption::aes256(),
                ..good()
            },
        ),
        (
            "weak-encryption",
            Severity::Medium,
            "kmsKey=arn",
            Template {
                encryption: Encryption::kms(None),
                ..good()
            },
        ),
        (
            "no-lifecycle-policy",
            Severity::Medium,
            "--lifecycle-policy '{\"rules\"",
            Template {
                lifecycle: None,
                ..good()
            },
        ),
        (
            "public-access",
            Severity::High,
            "remove its repository-policy",
            Template {
                policy: Some(OPEN.to_owned()),
                ..good()
            },
        ),
        (
            "missing-tags",
            Severity::Low,
            "--resource-tags '{\"Key\":\"team\",\"Value\":\"payments\"}'",
            Template {
                tags: BTreeMap::new(),
                ..good()
            },
        ),
        (
            "missing-tags",
            Severity::Low,
            "\"Value\":\"payments\"",
            Template {
                tags: [("team".to_owned(), "other".to_owned())].into(),
                ..good()
            },
        ),
    ];
    for (rule, severity, command, template) in faults {
        let finding = found(ALL, "", &with(std::slice::from_ref(&template))).unwrap();
        let detail = &finding.violation.detail;
        let named = detail.contains(&format!(
            "the creation template `prod` would not conform ({rule}: "
        ));
        assert!(named, "{rule}: {detail}");
        assert_eq!(finding.severity, severity, "{rule}");
        let to_do = finding.violation.for_people();
        let update = "aws ecr update-repository-creation-template --prefix 'prod' ";
        assert!(
            to_do.starts_with(update) && to_do.contains(command),
            "{rule}: {to_do}"
        );
        let advice = finding.advice.unwrap();
        assert!(advice.terraform.contains("prefix      = \"prod\""));
        assert!(advice.cloudformation.contains("Prefix: \"prod\""));
    }
}

/// What is corrected as the command says conforms.
#[test]
fn a_template_that_is_what_the_advice_says_conforms() {
    let bad = Template::without_one("prod", Creation::Replication);
    let registry = with(&[bad]);
    let rules = "mutable-tags: { allow-exclusions: [latest] }, weak-encryption: { require: CUSTOMER_KEY, kms-key: alias/images }, \
                 no-lifecycle-policy: {}, missing-tags: { require: { team: { allowed: [payments] } } }";
    let advice = found(rules, "", &registry).unwrap().advice.unwrap();
    let corrected = Template {
        mutability: TagMutability::ImmutableWithExclusion(["latest".to_owned()].into()),
        ..template("prod", Creation::Replication)
    };
    assert_eq!(found(rules, "", &with(&[corrected])), None);
    for line in [
        "image_tag_mutability = \"IMMUTABLE_WITH_EXCLUSION\"",
        "filter      = \"latest\"",
        "encryption_type = \"KMS\"",
        "\"team\" = \"payments\"",
        "lifecycle_policy = <<EOT",
        "custom_role_arn = var.ecr_creation_role_arn",
        "applied_for = [\"REPLICATION\"]",
    ] {
        assert!(
            advice.terraform.contains(line),
            "{line}: {}",
            advice.terraform
        );
    }
    for line in [
        "ImageTagMutability: IMMUTABLE_WITH_EXCLUSION",
        "KmsKey: \"arn:aws:kms:eu-central-1:123456789012:key/1\"",
        "CustomRoleArn: !Ref EcrCreationRoleArn",
    ] {
        assert!(
            advice.cloudformation.contains(line),
            "{line}: {}",
            advice.cloudformation
        );
    }
    assert!(advice.cli.contains("--custom-role-arn \"${ROLE_ARN:?"));
}

/// A cache or a replication without a template gets ECR's defaults, which is a fault where a rule forbids them.
#[test]
fn what_has_no_template_is_mutable_and_weakly_encrypted() {
    let cached = |templates: &[Template]| Registry {
        caches: Read::Known(vec!["docker-hub".to_owned()]),
        ..with(templates)
    };
    let strict = "weak-encryption: { require: KMS }";
    let finding = found(strict, "", &cached(&[])).unwrap();
    assert_eq!(
        finding.violation.detail,
        "repositories by the pull-through cache `docker-hub` would not conform, because no creation template is for them and ECR's \
         defaults apply (weak-encryption: encrypted with AES256, but the policy requires KMS)"
    );
    let to_do = finding.violation.for_people();
    let command = "aws ecr create-repository-creation-template --prefix 'docker-hub' --applied-for PULL_THROUGH_CACHE";
    assert!(to_do.starts_with(command), "{to_do}");
    assert_eq!(found("mutable-tags: off", "", &cached(&[])), None);
    // One that covers the prefix is what counts, and only for that occasion.
    let good = |prefix, creation| cached(&[template(prefix, creation)]);
    for prefix in ["docker-hub", "ROOT"] {
        let covered = good(prefix, Creation::PullThroughCache);
        assert_eq!(found(strict, "", &covered), None, "{prefix}");
    }
    for (prefix, creation) in [
        ("docker", Creation::PullThroughCache),
        ("docker-hub/library", Creation::PullThroughCache),
        ("ROOT", Creation::Replication),
    ] {
        assert!(
            found(strict, "", &good(prefix, creation)).is_some(),
            "{prefix}"
        );
    }
    let other = found(strict, "", &good("docker-hub", Creation::Push)).unwrap();
    assert_eq!(
        other.violation.for_people(),
        "apply the template of this prefix to them as well: aws ecr update-repository-creation-template --prefix 'docker-hub' \
         --applied-for PULL_THROUGH_CACHE CREATE_ON_PUSH"
    );

    let replicated = Registry {
        policy: Read::Known(Some(REPLICATED.to_owned())),
        ..registry()
    };
    let finding = found(strict, "", &replicated).unwrap();
    let detail = finding.violation.detail;
    assert!(detail.contains("by replication into `prod`"), "{detail}");
}

/// A cache cannot refresh an immutable repository, so no template is advised to make one; replication can fill one.
#[test]
fn tags_are_made_immutable_only_where_that_breaks_nothing() {
    let mutable = |creation| {
        with(&[Template {
            mutability: TagMutability::Mutable,
            ..template("prod", creation)
        }])
    };
    let cache = mutable(Creation::PullThroughCache);
    let finding = found("mutable-tags: {}", "", &cache).unwrap();
    let to_do = finding.violation.for_people();
    assert!(
        to_do.starts_with("mutable-tags: the cache could not refresh"),
        "{to_do}"
    );
    assert_eq!(finding.advice, None);
    let ignored = "mutable-tags: { pull-through-caches: ignore }";
    assert_eq!(found(ignored, "", &cache), None);
    for (rules, registry) in [
        ("mutable-tags: { pull-through-caches: repair }", &cache),
        ("mutable-tags: {}", &mutable(Creation::Replication)),
        ("mutable-tags: {}", &mutable(Creation::Push)),
    ] {
        let finding = found(rules, "", registry).unwrap();
        let to_do = finding.violation.for_people();
        assert!(
            to_do.contains("--image-tag-mutability IMMUTABLE"),
            "{to_do}"
        );
    }
    // One template for both occasions is not made immutable.
    let mut both = mutable(Creation::Replication);
    if let Read::Known(templates) = &mut both.templates {
        templates[0].applied_for.insert(Creation::PullThroughCache);
    }
    let finding = found("mutable-tags: {}", "", &both).unwrap();
    let to_do = finding.violation.for_people();
    assert!(!to_do.contains("--image-tag-mutability"), "{to_do}");
}

/// Overrides, exemptions and switched-off rules for the template's prefix count.
#[test]
fn the_policy_is_that_of_the_prefix() {
    let registry = with(&[Template {
        encryption: Encryption::aes256(),
        ..template("payments", Creation::Push)
    }]);
    let lax = "weak-encryption: { require: AES256 }";
    assert_eq!(found(lax, "", &registry), None);
    let only = |glob: &str| {
        format!(
            "overrides:\n  - match: {{ repositories: [\"{glob}\"] }}\n    rules: {{ weak-encryption: {{ require: KMS }} }}\n"
        )
    };
    assert!(found(lax, &only("payments/**"), &registry).is_some());
    assert_eq!(found(lax, &only("shop/**"), &registry), None);
    let strict = "weak-encryption: { require: KMS }";
    assert!(found(strict, "", &registry).is_some());
    let exempt = "exemptions:\n  - { rules: [weak-encryption], repositories: [\"payments/**\"], until: 2030-01-01, reason: old }\n";
    assert_eq!(found(strict, exempt, &registry), None);
    let over = exempt.replace("2030-01-01", "2020-01-01");
    assert!(found(strict, &over, &registry).is_some());
}

/// No template sets scanning: the registry's filters do.
#[test]
fn a_prefix_that_is_not_scanned_needs_a_filter() {
    let registry = with(&[template("prod", Creation::Push)]);
    let finding = found("no-scan-on-push: {}", "", &registry).unwrap();
    let to_do = finding.violation.for_people();
    assert!(to_do.contains("add the filter `prod/*`"), "{to_do}");
    assert_eq!(finding.advice, None);
    let scanned = Registry {
        scanning: Read::Known(
            serde_json::from_value(serde_json::json!({
                "enhanced": false, "rules": [{ "frequency": "SCAN_ON_PUSH", "filters": ["prod/*"] }],
            }))
            .unwrap(),
        ),
        ..registry
    };
    assert_eq!(found("no-scan-on-push: {}", "", &scanned), None);
}

/// One finding for what cannot be read, and nothing is taken to conform.
#[test]
fn what_cannot_be_read_is_one_finding() {
    fn denied<T>(permission: &str) -> Read<T> {
        Read::Unreadable(format!("{permission} is denied"))
    }
    let templates = Registry {
        templates: denied("ecr:DescribeRepositoryCreationTemplates"),
        ..registry()
    };
    let caches = Registry {
        caches: denied("ecr:DescribePullThroughCacheRules"),
        ..registry()
    };
    for (registry, permission) in [
        (templates, "ecr:DescribeRepositoryCreationTemplates"),
        (caches, "ecr:DescribePullThroughCacheRules"),
    ] {
        let finding = found("mutable-tags: {}", "", &registry).unwrap();
        assert!(finding.violation.detail.contains(permission));
        assert!(finding.violation.for_people().contains(permission));
        assert_eq!(finding.severity, Severity::Medium);
    }
    let unread = Registry::unread(&id());
    assert_eq!(found("mutable-tags: {}", "", &unread), None);
}

/// Of many templates a message describes some and counts the others.
#[test]
fn a_message_about_many_templates_stays_short() {
    let templates: Vec<Template> = (0..12)
        .map(|n| Template::without_one(&format!("team-{n}"), Creation::Push))
        .collect();
    let finding = found("mutable-tags: {}", "", &with(&templates)).unwrap();
    let detail = finding.violation.detail;
    assert!(
        detail.ends_with("; and 2 more templates or prefixes"),
        "{detail}"
    );
    assert_eq!(detail.matches("creation template `").count(), 10);
}

/// A document can be as long as ECR takes it: the command is left out then, and of many definitions the last.
#[test]
fn long_documents_leave_a_message_short() {
    let long = |n: usize| Template {
        mutability: TagMutability::Mutable,
        lifecycle: Some(format!(
            "{{\"rules\":[],\n\"x\":\"{}\"}}",
            "y".repeat(15_000)
        )),
        ..template(&format!("team-{n}"), Creation::Push)
    };
    let rules = "mutable-tags: {}";
    let finding = found(rules, "", &with(&[long(0), long(1), long(2)])).unwrap();
    let to_do = finding.violation.for_people();
    assert!(
        to_do.contains("--image-tag-mutability") && to_do.len() < 1000,
        "{to_do}"
    );
    let advice = finding.advice.unwrap();
    for text in [&advice.terraform, &advice.cloudformation] {
        assert!(text.ends_with("\n\n# and 2 more") && text.len() < 21_000);
    }
    let documents = "no-lifecycle-policy: {}, mutable-tags: {}";
    let policy = format!("{OPEN}{}", " ".repeat(3000));
    let open = Template {
        policy: Some(
            policy
                .replace("\"*\"", "[\"*\",\"123456789012\"]")
                .replace("[\"*\"", "{\"AWS\":[\"*\"")
                .replace("012\"]", "012\"]}"),
        ),
        ..template("prod", Creation::Push)
    };
    let finding = found(
        &format!("{documents}, public-access: {{}}"),
        "",
        &with(&[open]),
    )
    .unwrap();
    let to_do = finding.violation.for_people();
    assert_eq!(
        to_do,
        "define the template as the lines with this finding say"
    );
}

/// What one occasion requires, the cache could not bear: there is something to do all the same.
#[test]
fn occasions_that_exclude_each_other_need_two_prefixes() {
    let mut both = Template {
        mutability: TagMutability::Mutable,
        ..template("prod", Creation::Replication)
    };
    both.applied_for.insert(Creation::PullThroughCache);
    let rules = "mutable-tags: { pull-through-caches: ignore }";
    let finding = found(rules, "", &with(&[both])).unwrap();
    let to_do = finding.violation.for_people();
    assert!(
        to_do.starts_with("use another prefix for each occasion"),
        "{to_do}"
    );
}

/// Each rule's key and the scanning are read once for the registry, whichever override asks for them.
#[test]
fn what_the_rules_need_to_know_is_read_once() {
    let reads = |rules: &str, rest: &str| {
        let text = format!("version: 1\nmode: enforce\nrules: {{ {rules} }}\n{rest}");
        Policy::parse(&text).unwrap().registry_reads(&id())
    };
    let none = reads("mutable-tags: {}, no-scan-on-push: {}", "");
    assert_eq!(none, RegistryReads::default());
    let some = reads("nonconforming-template: {}, mutable-tags: {}", "");
    assert!(some.templates && some.caches && some.policy && !some.destinations && !some.scanning);
    let overridden = reads(
        "nonconforming-template: {}, no-scan-on-push: {}",
        "overrides:\n  - match: { repositories: [\"payments/**\"] }\n    rules: { weak-encryption: { require: CUSTOMER_KEY, kms-key: alias/images } }\n",
    );
    assert!(overridden.scanning);
    assert_eq!(
        overridden.keys,
        ["alias/aws/ecr".to_owned(), "alias/images".to_owned()].into()
    );
}
