//! What holds for every rule, every setting and every repository; tried on many that chance makes, the same ones each
//! time. A new rule takes part with its default settings before anybody adds some here.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::evaluate::evaluate;
use crate::policy::Policy;
use crate::repository::{
    Encryption, EncryptionType, Key, Push, Read, RegistryScanning, Repository, RepositoryId,
    ScanRule, TagMutability,
};
use crate::rules::RULES;

const NOW: i64 = 1_800_000_000;
const TRIES: u64 = 4000;

const MANAGED: &str = "arn:aws:kms:eu-central-1:123456789012:key/managed";
const CUSTOMER: &str = "arn:aws:kms:eu-central-1:123456789012:key/customer";
const OTHER: &str = "arn:aws:kms:eu-central-1:123456789012:key/other";

/// The keys by every name that a policy here calls them.
const KEYS: [(&str, &str); 5] = [
    ("alias/aws/ecr", MANAGED),
    ("alias/ecr", CUSTOMER),
    (CUSTOMER, CUSTOMER),
    ("alias/other", OTHER),
    // People can point an alias of their own at any key.
    ("alias/ours", OTHER),
];

/// Numbers that look like chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Once in `times`.
    fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let n = usize::try_from(self.next()).unwrap() % choices.len();
        choices[n].clone()
    }

    fn some_of(&mut self, choices: &[&str]) -> Vec<String> {
        choices
            .iter()
            .filter(|_| self.once_in(2))
            .map(|choice| (*choice).to_owned())
            .collect()
    }

    /// Mostly known.
    fn read<T>(&mut self, value: T) -> Read<T> {
        match self.next() % 8 {
            0 => Read::Unreadable("ecr:Something is missing".to_owned()),
            1 => Read::NotAsked,
            _ => Read::Known(value),
        }
    }
}

fn a_repository(chance: &mut Chance) -> Repository {
    let filters = |chance: &mut Chance| {
        let some = chance.some_of(&["latest", "cache*", "dev-*", "sha256-*"]);
        some.into_iter().chain(["edge".to_owned()]).collect()
    };
    let mutability = match chance.next() % 5 {
        0 => TagMutability::Mutable,
        1 => TagMutability::Immutable,
        2 => TagMutability::ImmutableWithExclusion(filters(chance)),
        3 => TagMutability::MutableWithExclusion(filters(chance)),
        _ => TagMutability::Unknown("LATER".to_owned()),
    };
    let kind = chance.of(&[
        EncryptionType::Aes256,
        EncryptionType::Aes256,
        EncryptionType::Kms,
        EncryptionType::Kms,
        EncryptionType::KmsDsse,
        EncryptionType::Unknown("LATER".to_owned()),
    ]);
    let key = chance.of(&[None, Some(MANAGED), Some(CUSTOMER), Some(OTHER)]);
    let tags = [
        ("team", chance.of(&["", "payments", "unknown"])),
        ("data", chance.of(&["sensitive", "nonsense"])),
        ("aws:cloudformation:stack-name", "shop"),
    ];
    let tags = tags
        .into_iter()
        .filter(|_| chance.once_in(2))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let scanning = RegistryScanning {
        enhanced: chance.once_in(3),
        rules: vec![ScanRule {
            on_push: chance.once_in(2),
            filters: chance.some_of(&["payments", "*", "shop/*"]),
        }],
    };
    let text = |chance: &mut Chance| chance.of(&[None, Some("{}".to_owned())]);
    let (policy, lifecycle) = (text(chance), text(chance));
    let push = Push {
        tag: chance.of(&[
            None,
            Some("latest".to_owned()),
            Some("v1.0.0-abc1234".to_owned()),
        ]),
        digest: None,
        refused: chance.once_in(2),
    };
    let keys = KEYS
        .into_iter()
        .filter(|_| !chance.once_in(12))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(name, arn)| {
            let key = Key {
                arn: arn.to_owned(),
                enabled: !chance.once_in(8),
            };
            let described = (!chance.once_in(8)).then_some(key);
            (name.to_owned(), chance.read(described))
        })
        .collect();
    let has_images = chance.once_in(4);
    Repository {
        id: RepositoryId::new(
            "123456789012",
            chance.of(&["eu-central-1", "us-east-1"]),
            chance.of(&["payments/api", "shop", "shop/web/cart"]),
        )
        .unwrap(),
        created_at: (!chance.once_in(10)).then_some(1_700_000_000_000),
        mutability,
        encryption: Encryption {
            kms_key: key
                .filter(|_| kind != EncryptionType::Aes256)
                .map(str::to_owned),
            kind,
        },
        scan_on_push: chance.once_in(2),
        tags: chance.read(tags),
        policy: chance.read(policy),
        lifecycle: chance.read(lifecycle),
        has_images: chance.read(has_images),
        scanning: chance.read(scanning),
        pushed: chance.once_in(2).then_some(push),
        keys,
    }
}

/// Settings for one rule, contradictions included.
fn settings(rule: &str, chance: &mut Chance) -> Value {
    let mut settings = match rule {
        "mutable-tags" => json!({
            "allow-exclusions": chance.some_of(&["latest", "cache*", "dev-*", "*", "sha256-*"]),
        }),
        "weak-encryption" => json!({
            "require": chance.of(&["AES256", "KMS", "CUSTOMER_KEY", "ALLOWED_KEYS"]),
            "kms-key": chance.of(&[None, Some(KEYS[0].0), Some(KEYS[1].0), Some(KEYS[2].0), Some(KEYS[3].0)]),
            "allowed-keys": chance.some_of(&["alias/other", "alias/ours", CUSTOMER]),
            "when-empty": chance.of(&["recreate", "recreate", "alert"]),
            "recreate-stack-repositories": chance.once_in(2),
        }),
        "no-scan-on-push" => json!({ "fix": chance.of(&["repository", "none"]) }),
        "no-lifecycle-policy" if chance.once_in(2) => json!({ "default": { "rules": [{
            "rulePriority": 1,
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": { "type": "expire" },
        }] } }),
        "missing-tags" => json!({ "require": {
            "team": { "default": chance.of(&[None, Some("unknown")]) },
            "data": {
                "allowed": ["sensitive", "public"],
                "default": chance.of(&[None, Some("public")]),
            },
        } }),
        "disallowed-region" => json!({ "allow": ["eu-central-1"] }),
        _ => json!({}),
    };
    if chance.once_in(4) {
        settings["mode"] = json!(chance.of(&["enforce", "monitor", "off"]));
    }
    without_nulls(settings)
}

/// A key without a value is one that is not given.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        other => other,
    }
}

/// A policy, in both modes. JSON is YAML. `None`: chance made one that contradicts itself, and the parser said so.
fn a_policy(chance: &mut Chance) -> Option<(Policy, Policy)> {
    let rules: serde_json::Map<String, Value> = RULES
        .iter()
        .filter(|_| !chance.once_in(5))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|entry| (entry.meta.id.to_owned(), settings(entry.meta.id, chance)))
        .collect();
    let of = |mode: &str| {
        Policy::parse(&json!({ "version": 1, "mode": mode, "rules": rules }).to_string()).ok()
    };
    Some((of("enforce")?, of("monitor")?))
}

/// One try: a repository, and the policy for it in both modes.
struct Case {
    repository: Repository,
    enforced: Resolved,
    monitored: Resolved,
}

fn cases() -> &'static [(u64, Case)] {
    static CASES: LazyLock<Vec<(u64, Case)>> = LazyLock::new(|| {
        (0..TRIES)
            .filter_map(|seed| {
                let mut chance = Chance(seed);
                let repository = a_repository(&mut chance);
                let (enforced, monitored) = a_policy(&mut chance)?;
                let case = Case {
                    enforced: enforced.for_repository(&repository.id).unwrap(),
                    monitored: monitored.for_repository(&repository.id).unwrap(),
                    repository,
                };
                Some((seed, case))
            })
            .collect()
    });
    &CASES
}

fn planned(policy: &Resolved, repository: &Repository) -> Plan {
    let state = Known::default();
    plan(policy, evaluate(policy, repository), Ok(&state), NOW)
}

fn applied<'a>(repository: &Repository, actions: impl Iterator<Item = &'a Action>) -> Repository {
    let mut repository = repository.clone();
    actions.for_each(|action| action.apply_to(&mut repository));
    repository
}

#[test]
fn chance_makes_cases_that_matter() {
    let mut repairs = std::collections::BTreeMap::<&str, usize>::new();
    for (_, case) in cases() {
        for (_, action) in planned(&case.enforced, &case.repository).repairs() {
            *repairs.entry(action.name()).or_default() += 1;
        }
    }
    assert!(cases().len() > 1000, "{} policies are right", cases().len());
    for action in [
        "set-tag-mutability",
        "set-scan-on-push",
        "put-lifecycle-policy",
        "put-tags",
        "recreate",
    ] {
        let often = repairs.get(action).copied().unwrap_or_default();
        assert!(often > 20, "{action} is planned {often} times");
    }
}

#[test]
fn applying_the_plan_leaves_nothing_to_apply() {
    for (seed, case) in cases() {
        let plan = planned(&case.enforced, &case.repository);
        let after = applied(&case.repository, plan.repairs().map(|(_, action)| action));
        let again = planned(&case.enforced, &after);
        let left: Vec<_> = again.repairs().collect();
        assert_eq!(left, [], "seed {seed}, after {plan:#?}");
    }
}

/// No two rules fight: the order of the changes does not matter, and none changes nothing.
#[test]
fn changes_do_not_depend_on_each_other() {
    for (seed, case) in cases() {
        let plan = planned(&case.enforced, &case.repository);
        let actions: Vec<&Action> = plan.repairs().map(|(_, action)| action).collect();
        let forwards = applied(&case.repository, actions.iter().copied());
        let backwards = applied(&case.repository, actions.iter().rev().copied());
        assert_eq!(forwards, backwards, "seed {seed}");
        for action in actions {
            let after = applied(&case.repository, std::iter::once(action));
            assert_ne!(after, case.repository, "seed {seed}: {action:?}");
            assert_ne!(action.from(), action.to(), "seed {seed}: {action:?}");
        }
    }
}

/// The same is found in both modes, and in one of them nothing is done about it. So it is without the state table.
#[test]
fn monitor_mode_and_a_missing_state_change_nothing() {
    for (seed, case) in cases() {
        let findings = evaluate(&case.enforced, &case.repository);
        assert_eq!(
            evaluate(&case.monitored, &case.repository),
            findings,
            "seed {seed}"
        );
        let monitored = planned(&case.monitored, &case.repository);
        assert_eq!(monitored.repairs().count(), 0, "seed {seed}");
        assert_eq!(monitored.steps.len(), findings.len(), "seed {seed}");
        let blind = plan(&case.enforced, findings, Err("it can't be read"), NOW);
        assert_eq!(blind.repairs().count(), 0, "seed {seed}");
    }
}

#[test]
fn findings_come_in_the_registrys_order_and_each_rule_once() {
    let place = |rule: &str| {
        RULES
            .iter()
            .position(|entry| entry.meta.id == rule)
            .unwrap()
    };
    for (seed, case) in cases() {
        let places: Vec<usize> = evaluate(&case.enforced, &case.repository)
            .iter()
            .map(|finding| place(finding.rule))
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "seed {seed}: {places:?}");
    }
}

/// What is to be deleted must be known whole, and be empty for sure.
#[test]
fn a_recreation_is_planned_only_of_what_can_be_put_back() {
    for (seed, case) in cases() {
        let Repository {
            id: _,
            created_at,
            mutability,
            encryption: _,
            scan_on_push: _,
            tags,
            policy,
            lifecycle,
            has_images,
            scanning: _,
            pushed: _,
            keys: _,
        } = &case.repository;
        if planned(&case.enforced, &case.repository)
            .recreation()
            .is_some()
        {
            let whole = tags.known().is_some()
                && policy.known().is_some()
                && lifecycle.known().is_some()
                && created_at.is_some()
                && !matches!(mutability, TagMutability::Unknown(_));
            assert!(whole, "seed {seed}: {:#?}", case.repository);
            assert_eq!(has_images.known(), Some(&false), "seed {seed}");
        }
    }
}

/// Only what was asked for is read: a rule that judges by more would judge by chance.
#[test]
fn a_rule_judges_by_its_own_reads() {
    for (seed, case) in cases() {
        for active in &case.enforced.rules {
            let reads = active.rule.reads();
            let mut bare = case.repository.clone();
            if !reads.tags {
                bare.tags = Read::NotAsked;
            }
            if !reads.policy {
                bare.policy = Read::NotAsked;
            }
            if !reads.lifecycle {
                bare.lifecycle = Read::NotAsked;
            }
            if !reads.images {
                bare.has_images = Read::NotAsked;
            }
            if !reads.scanning {
                bare.scanning = Read::NotAsked;
            }
            bare.keys.retain(|name, _| reads.keys.contains(name));
            assert_eq!(
                active.rule.check(&bare),
                active.rule.check(&case.repository),
                "seed {seed}: {}",
                active.entry.meta.id
            );
        }
    }
}
