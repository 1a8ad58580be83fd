//! What holds for every rule, every setting and every repository; tried on many that chance makes, the same ones each
//! time. A new rule takes part with its default settings before anybody adds some here.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::chance::Chance;
use crate::evaluate::evaluate;
use crate::image::Image;
use crate::policy::Policy;
use crate::record::Lease;
use crate::repository::{
    Encryption, EncryptionType, Key, Push, Read, RegistryScanning, Repository, RepositoryId,
    ScanFrequency, ScanRule, TagMutability,
};
use crate::rules::RULES;
use crate::trigger::{Cause, Origin};

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

impl Chance {
    /// Once in `times`.
    fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
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
    let region = chance.of(&["eu-central-1", "us-east-1"]);
    // A key is one of its repository's region.
    let of_the_region = |arn: &str| arn.replace("eu-central-1", region);
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
            frequency: chance.of(&[
                ScanFrequency::ScanOnPush,
                ScanFrequency::ContinuousScan,
                ScanFrequency::Manual,
                ScanFrequency::Unknown("LATER".to_owned()),
            ]),
            filters: chance
                .some_of(&["payments", "*", "shop/*"])
                .into_iter()
                .collect(),
        }],
    };
    let policy = a_repository_policy(chance);
    let lifecycle = chance.of(&[None, Some("{}".to_owned())]);
    let recent_tags = chance.some_of(&["latest", "cache-main", "nightly", "v1.0.0-abc1234"]);
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
            let state = chance.next() % 16;
            let key = Key {
                arn: of_the_region(arn),
                enabled: state != 0,
                unfit: (state == 1).then(|| "an RSA_2048 key".to_owned()),
            };
            let described = (!chance.once_in(8)).then_some(key);
            (name.to_owned(), chance.read(described))
        })
        .collect();
    let has_images = chance.once_in(4);
    let mut repository = Repository {
        id: RepositoryId::new(
            "123456789012",
            region,
            chance.of(&["payments/api", "shop", "shop/web/cart"]),
        )
        .unwrap(),
        created_at: (!chance.once_in(10)).then_some(1_700_000_000_000),
        mutability,
        encryption: Encryption {
            kms_key: key
                .filter(|_| kind != EncryptionType::Aes256)
                .map(of_the_region),
            kind,
        },
        scan_on_push: chance.once_in(2),
        tags: chance.read(tags),
        policy: chance.read(policy),
        lifecycle: chance.read(lifecycle),
        has_images: chance.read(has_images),
        recent_tags: chance.read(recent_tags.into_iter().collect()),
        scanning: chance.read(scanning),
        scan_frequency: Read::NotAsked,
        pull_through: {
            let cached = chance.once_in(6);
            chance.read(cached)
        },
        root_cache: false,
        creator: chance.of(&[None, Some("arn:aws:iam::111122223333:user/mary".to_owned())]),
        replicated: chance.once_in(8),
        images: {
            let mut image = || Image {
                pushed_at: chance.of(&[0, NOW]),
                pulled_at: None,
                bytes: 3_000_000_000,
                index: false,
                tags: chance.of(&[Vec::new(), vec!["v1".to_owned()]]),
            };
            let images: Vec<Image> = (0..6 * usize::from(has_images)).map(|_| image()).collect();
            chance.read(images.into())
        },
        pushed: chance.once_in(2).then_some(push),
        keys,
    };
    let frequency = a_scan_frequency(chance, &repository);
    repository.scan_frequency = chance.read(frequency);
    repository
}

/// What ECR may answer of a registry that is configured so.
fn a_scan_frequency(chance: &mut Chance, repository: &Repository) -> ScanFrequency {
    if chance.once_in(12) {
        return ScanFrequency::Unknown("LATER".to_owned());
    }
    let registry = repository.scanning.known();
    let by_registry = registry.is_some_and(|registry| registry.covers(&repository.id.name));
    let by_itself = repository.scan_on_push
        && registry.is_some_and(|registry| !registry.enhanced)
        && chance.once_in(2);
    if by_registry || by_itself {
        ScanFrequency::ScanOnPush
    } else {
        ScanFrequency::Manual
    }
}

fn a_repository_policy(chance: &mut Chance) -> Option<String> {
    let everyone = json!({ "Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:*" });
    let own = json!({ "Sid": "own", "Effect": "Allow", "Principal": { "AWS": "123456789012" }, "Action": "ecr:*" });
    let some = [everyone, own];
    let statements: Vec<&Value> = some.iter().filter(|_| chance.once_in(2)).collect();
    let text = match chance.next() % 6 {
        0 => None,
        1 => Some("{}".to_owned()),
        _ => Some(json!({ "Version": "2012-10-17", "Statement": statements }).to_string()),
    };
    match quarantine::impose(text.as_deref()) {
        Ok(quarantined) if chance.once_in(4) => Some(quarantined),
        _ => text,
    }
}

/// Settings for one rule, contradictions included.
fn settings(rule: &str, chance: &mut Chance) -> Value {
    let mut settings = match rule {
        "mutable-tags" => json!({
            "allow-exclusions": chance.some_of(&["latest", "cache*", "dev-*", "*", "sha256-*"]),
            "pull-through-caches": chance.of(&["report", "ignore", "repair"]),
        }),
        "weak-encryption" => json!({
            "require": chance.of(&["AES256", "KMS", "CUSTOMER_KEY", "ALLOWED_KEYS"]),
            "kms-key": chance.of(&[None, Some(KEYS[0].0), Some(KEYS[1].0), Some(KEYS[2].0), Some(KEYS[3].0)]),
            "allowed-keys": chance.some_of(&["alias/other", "alias/ours", CUSTOMER]),
            "when-empty": chance.of(&["recreate", "recreate", "alert"]),
            "when-not-empty": chance.of(&["alert", "quarantine"]),
            "recreate-stack-repositories": chance.once_in(2),
        }),
        "no-scan-on-push" => json!({
            "fix": chance.of(&["repository", "registry", "none"]),
            "registry-filters": chance.of(&[json!(["*"]), json!(["shop", "sho"]), json!(["payments/*"])]),
        }),
        "no-lifecycle-policy" if chance.once_in(2) => {
            json!({ "deletes-tagged-images": true, "default": { "rules": [{
            "rulePriority": 1,
            "selection": {
                "tagStatus": chance.of(&["untagged", "any"]),
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": 14,
            },
            "action": { "type": "expire" },
        }] } })
        }
        "missing-tags" => json!({ "require": {
            "team": { "default": chance.of(&[json!(null), json!("unknown"), json!({ "actor": true })]) },
            "data": {
                "allowed": ["sensitive", "public"],
                "default": chance.of(&[None, Some("public")]),
            },
        } }),
        "missing-statements" if chance.once_in(2) => json!({ "required-statements": [{
            "Effect": "Deny",
            "Principal": "*",
            "Action": "ecr:*",
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        }] }),
        "disallowed-region" => json!({ "allow": ["eu-central-1"] }),
        "over-budget" => json!({ "most-gb": chance.of(&[0.5, 5.0]) }),
        "unsigned-images" => json!({ "repositories": ["*"] }),
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

/// A policy: as it is, in monitor mode, and without its exemptions. JSON is YAML. `None`: chance made one that contradicts itself, and the parser said so.
fn a_policy(chance: &mut Chance) -> Option<[Policy; 3]> {
    let rules: serde_json::Map<String, Value> = RULES
        .iter()
        .filter(|_| !chance.once_in(5))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|entry| (entry.meta.id.to_owned(), settings(entry.meta.id, chance)))
        .collect();
    let exempt = chance.of(&["", "mutable-tags", "weak-encryption", "public-access"]);
    let exemptions = match exempt {
        "" => json!([]),
        rule => json!([{
            "repositories": ["**"], "rules": [rule], "reason": "a test", "until": chance.of(&["2020-01-01", "2100-01-01"]),
        }]),
    };
    let of = |mode: &str, exemptions: &Value| {
        let file = json!({ "version": 1, "mode": mode, "rules": rules, "exemptions": exemptions });
        Policy::parse(&file.to_string()).ok()
    };
    Some([
        of("enforce", &exemptions)?,
        of("monitor", &exemptions)?,
        of("enforce", &json!([]))?,
    ])
}

/// One try: a repository, and the policy for it in both modes.
struct Case {
    repository: Repository,
    enforced: Resolved,
    monitored: Resolved,
    strict: Resolved,
}

fn cases() -> &'static [(u64, Case)] {
    static CASES: LazyLock<Vec<(u64, Case)>> = LazyLock::new(|| {
        (0..TRIES)
            .filter_map(|seed| {
                let mut chance = Chance(seed);
                let repository = a_repository(&mut chance);
                let [enforced, monitored, strict] = a_policy(&mut chance)?.map(|policy| {
                    policy
                        .for_repository(&repository.id, &repository.tags)
                        .unwrap()
                });
                let case = Case {
                    enforced,
                    monitored,
                    strict,
                    repository,
                };
                Some((seed, case))
            })
            .collect()
    });
    &CASES
}

fn planned_in(policy: &Resolved, repository: &Repository, state: Result<&Known, &str>) -> Plan {
    let me = Lease {
        owner: "me".to_owned(),
        until: NOW,
    };
    let origin = Origin::of(Cause::PutImage);
    let context = Context {
        origin: &origin,
        me: &me,
        now: NOW,
        created_at: repository.created_at,
    };
    plan(
        policy,
        repository,
        evaluate(policy, repository),
        state,
        &context,
    )
}

fn planned(policy: &Resolved, repository: &Repository) -> Plan {
    planned_in(policy, repository, Ok(&Known::default()))
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
        "set-lifecycle-policy",
        "set-registry-scanning",
        "set-repository-policy",
        "set-tags",
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
        // What a recreated repository's quarantine was for is gone only now.
        let lifts = |(rule, _): &(&str, &Action)| *rule == STALE_QUARANTINE;
        if plan.recreation().is_some() && left.iter().all(lifts) {
            continue;
        }
        assert_eq!(left, [], "seed {seed}, after {plan:#?}");
    }
}

/// No more than its own: what the others found and what is done about it stay. A quarantine goes with its reason.
#[test]
fn an_exemption_removes_exactly_its_findings() {
    let mut exempted = 0;
    for (seed, case) in cases() {
        let with = planned(&case.enforced, &case.repository);
        let without = planned(&case.strict, &case.repository);
        let found = |plan: &Plan| -> Vec<Finding> {
            let steps = plan.steps.iter().map(|step| step.finding.clone());
            steps
                .filter(|finding| finding.rule != STALE_QUARANTINE)
                .collect()
        };
        assert_eq!(found(&with), found(&without), "seed {seed}");
        for (with, without) in with.steps.iter().zip(&without.steps) {
            match &with.decision {
                Decision::Exempt(_) => exempted += 1,
                // The text of a policy that another repair changes first, or no more, differs.
                Decision::Repair(Action::SetRepositoryPolicy { .. }) => {}
                // Required statements are put where another repair removes the whole policy.
                Decision::Manual(_) if without.finding.rule == "missing-statements" => {}
                decision => assert_eq!(decision, &without.decision, "seed {seed}"),
            }
        }
    }
    assert!(exempted > 100, "{exempted}");
}

/// The order of statements and of tags says nothing.
#[test]
fn findings_do_not_depend_on_the_order_of_statements() {
    for (seed, case) in cases() {
        let Some(Some(text)) = case.repository.policy.known() else {
            continue;
        };
        let mut document: Value = serde_json::from_str(text).unwrap();
        let Some(statements) = document.get_mut("Statement").and_then(Value::as_array_mut) else {
            continue;
        };
        statements.reverse();
        let mut reversed = case.repository.clone();
        reversed.policy = Read::Known(Some(document.to_string()));
        let kinds = |repository: &Repository| -> Vec<(&str, bool)> {
            evaluate(&case.enforced, repository)
                .iter()
                .map(|finding| {
                    (
                        finding.rule,
                        matches!(finding.violation.fix, Fix::Manual(_)),
                    )
                })
                .collect()
        };
        assert_eq!(kinds(&reversed), kinds(&case.repository), "seed {seed}");
    }
}

/// No two rules fight: what one repairs is not undone by another, and none changes nothing. Only changes of the same part
/// depend on their order, and each begins where the one before it ends.
#[test]
fn changes_do_not_undo_each_other() {
    for (seed, case) in cases() {
        let plan = planned(&case.enforced, &case.repository);
        let actions: Vec<&Action> = plan.repairs().map(|(_, action)| action).collect();
        let mut repository = case.repository.clone();
        for action in &actions {
            assert_eq!(
                action.stands_on(&repository),
                Ok(true),
                "seed {seed}: {action:?}"
            );
            let before = repository.clone();
            action.apply_to(&mut repository);
            assert_ne!(before, repository, "seed {seed}: {action:?}");
            assert_ne!(action.from(), action.to(), "seed {seed}: {action:?}");
            assert_eq!(
                action.is_done(&repository),
                Ok(true),
                "seed {seed}: {action:?}"
            );
        }
        let same_part = actions.iter().any(|action| {
            actions
                .iter()
                .filter(|other| other.part() == action.part())
                .count()
                > 1
        });
        if !same_part {
            let backwards = applied(&case.repository, actions.iter().rev().copied());
            assert_eq!(repository, backwards, "seed {seed}");
        }
    }
}

/// What a person may undo is undone, and nothing else is touched.
#[test]
fn a_reversed_change_restores_the_repository() {
    for (seed, case) in cases() {
        for (_, action) in planned(&case.enforced, &case.repository).repairs() {
            let Some(reverse) = action.reverse() else {
                continue;
            };
            let mut repository = case.repository.clone();
            if action.stands_on(&repository) != Ok(true) {
                continue;
            }
            action.apply_to(&mut repository);
            assert_eq!(reverse.stands_on(&repository), Ok(true), "seed {seed}");
            reverse.apply_to(&mut repository);
            assert_eq!(repository, case.repository, "seed {seed}: {action:?}");
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
        let judged = |step: &&Step| step.finding.rule != STALE_QUARANTINE;
        assert_eq!(
            monitored.steps.iter().filter(judged).count(),
            findings.len(),
            "seed {seed}"
        );
        let blind = planned_in(&case.enforced, &case.repository, Err("it can't be read"));
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
            recent_tags: _,
            scanning: _,
            scan_frequency: _,
            pull_through: _,
            root_cache: _,
            creator: _,
            images: _,
            replicated: _,
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

/// Whatever the default says: images that have a tag are not deleted without an operator's decision.
#[test]
fn no_plan_puts_a_lifecycle_policy_that_expires_tagged_images() {
    let (mut put, mut withheld) = (0, 0);
    for (seed, case) in cases() {
        let plan = planned(&case.enforced, &case.repository);
        withheld += plan
            .steps
            .iter()
            .filter(|step| step.finding.rule == "no-lifecycle-policy")
            .filter(|step| matches!(&step.decision, Decision::Withhold(why) if why.text.contains("it would expire")))
            .count();
        for (_, action) in plan.repairs() {
            let Action::SetLifecyclePolicy { to: Some(to), .. } = action else {
                continue;
            };
            if case.repository.has_images.known() == Some(&false) {
                continue;
            }
            let images = case.repository.images.known();
            let images =
                images.unwrap_or_else(|| panic!("seed {seed}: nothing is known of its images"));
            let document = serde_json::from_str(to).unwrap();
            let impact = crate::lifecycle::Impact::of(&document, images, NOW);
            assert_eq!(impact.tagged, 0, "seed {seed}: {impact}");
            assert!(impact.expired * 5 <= impact.images, "seed {seed}: {impact}");
            put += 1;
        }
    }
    assert!(put > 5 && withheld > 5, "{put} put, {withheld} withheld");
}

/// Only what was asked for is read: a rule that judges by more would judge by chance.
#[test]
fn a_rule_judges_by_its_own_reads() {
    for (seed, case) in cases() {
        for (active, reads) in case.enforced.rules.iter().flat_map(|active| {
            let after = active.rule.reads_after(&case.repository);
            assert!(active.rule.reads().cover(&after), "seed {seed}");
            [(active, active.rule.reads()), (active, after)]
        }) {
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
            if !reads.recent_tags {
                bare.recent_tags = Read::NotAsked;
            }
            if !reads.scanning {
                bare.scanning = Read::NotAsked;
                bare.scan_frequency = Read::NotAsked;
            }
            if !reads.pull_through {
                bare.pull_through = Read::NotAsked;
            }
            if !reads.storage {
                bare.images = Read::NotAsked;
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

/// What an audit of very many repositories leaves out changes no verdict: the same is found, and the same repair follows.
#[test]
fn what_only_explains_decides_nothing() {
    let mut without = 0;
    for (seed, case) in cases() {
        let mut bare = case.repository.clone();
        // What cannot be read is reported as such, where it is read.
        if bare.has_images.unreadable().is_some() || bare.recent_tags.unreadable().is_some() {
            continue;
        }
        let (mut all, mut needed) = (Reads::default(), Reads::default());
        for active in &case.enforced.rules {
            needed.add(active.rule.reads_to_judge(&bare));
            all.add(active.rule.reads_after(&bare));
        }
        if all.images && !needed.images {
            bare.has_images = Read::NotAsked;
        }
        if all.recent_tags && !needed.recent_tags {
            bare.recent_tags = Read::NotAsked;
        }
        without += usize::from(all != needed);
        let found = |repository: &Repository| -> Vec<_> {
            let findings = crate::evaluate::evaluate(&case.enforced, repository);
            let fixes = findings.into_iter().map(|finding| {
                let fix = match finding.violation.fix {
                    Fix::Manual(_) => None,
                    fix => Some(fix),
                };
                (finding.rule, finding.severity, fix)
            });
            fixes.collect()
        };
        assert_eq!(found(&bare), found(&case.repository), "seed {seed}");
    }
    assert!(without > 5, "{without}");
}
