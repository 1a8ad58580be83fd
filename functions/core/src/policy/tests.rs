//! The policy as people write it.

use super::*;
use crate::action::Action;
use crate::quarantine::STALE_QUARANTINE;
use crate::reason::{Code, Reason};
use crate::repository::Reads;

const GOOD: &str = "\
version: 1
mode: enforce
rules:
  mutable-tags: { require: IMMUTABLE, allow-exclusions: [latest] }
  weak-encryption: { require: AES256 }
overrides:
  - match: { repositories: [\"payments/**\"] }
    rules: { weak-encryption: { require: KMS, when-empty: recreate } }
  - match: { repositories: [\"payments/old-*\"] }
    rules: { weak-encryption: { when-empty: alert }, mutable-tags: off }
";

fn id(name: &str) -> RepositoryId {
    RepositoryId::new("123456789012", "eu-central-1", name).unwrap()
}

fn problems(text: &str) -> Vec<String> {
    match Policy::parse(text) {
        Ok(_) => Vec::new(),
        Err(InvalidPolicy(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_share_of_calls_is_a_number_of_calls() {
    let with = |calls: &str| {
        Policy::parse(&format!(
            "version: 1\nmode: enforce\necr-calls-per-second: {calls}\n"
        ))
    };
    assert_eq!(with("20").unwrap().ecr_calls_per_second(), Some(20));
    for wrong in ["0", "501", "-1", "1.5", "20%"] {
        let problem = with(wrong).unwrap_err().to_string();
        assert!(problem.starts_with("line 3, column 23:"), "{problem}");
    }
    assert!(
        with("0")
            .unwrap_err()
            .to_string()
            .contains("1 to 500, not 0")
    );
}

#[test]
fn the_example_is_right() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
}

#[test]
fn the_last_match_wins_key_by_key() {
    let policy = Policy::parse(GOOD).unwrap();
    let weak = |name| {
        let resolved = policy.for_repository(&id(name), &Read::NotAsked).unwrap();
        let rule = resolved
            .rules
            .into_iter()
            .find(|active| active.entry.meta.id == "weak-encryption")
            .unwrap();
        format!("{:?}", rule.rule)
    };
    assert!(weak("shop/api").contains("require: Aes256"));
    assert!(weak("payments/a/b").contains("require: Kms"));
    let old = weak("payments/old-1");
    assert!(
        old.contains("require: Kms") && old.contains("when_empty: Alert"),
        "{old}"
    );
    let rules = policy
        .for_repository(&id("payments/old-1"), &Read::NotAsked)
        .unwrap()
        .rules;
    assert_eq!(rules.len(), 1, "mutable-tags is off there");
}

#[test]
fn a_rule_mode_lowers_the_policys_and_never_raises_it() {
    let enforce = |global: &str, rule: &str| {
        let text =
            format!("version: 1\nmode: {global}\nrules: {{ mutable-tags: {{ mode: {rule} }} }}\n");
        let policy = Policy::parse(&text).unwrap();
        let rules = policy
            .for_repository(&id("ab"), &Read::NotAsked)
            .unwrap()
            .rules;
        rules.first().map(|active| (active.enforce, active.asks))
    };
    let (repairs, asks, monitors) = ((true, false), (true, true), (false, false));
    for (global, rule, expected) in [
        ("enforce", "enforce", Some(repairs)),
        ("enforce", "approve", Some(asks)),
        ("enforce", "monitor", Some(monitors)),
        ("approve", "enforce", Some(asks)),
        ("approve", "approve", Some(asks)),
        ("approve", "monitor", Some(monitors)),
        ("monitor", "enforce", Some(monitors)),
        ("monitor", "approve", Some(monitors)),
        ("enforce", "off", None),
        ("approve", "off", None),
    ] {
        assert_eq!(enforce(global, rule), expected, "{global}, {rule}");
    }
}

#[test]
fn a_rule_that_is_not_mentioned_is_off() {
    let policy = Policy::parse("version: 1\nmode: enforce\n").unwrap();
    assert!(
        policy
            .for_repository(&id("ab"), &Read::NotAsked)
            .unwrap()
            .rules
            .is_empty()
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text = "\
version: 2
mode: enforced
rules:
  mutable-tag: {}
  weak-encryption: { require: AES-256, when-empt: recreate }
overrides:
  - match: {}
    rules: { mutable-tags: { allow-exclusions: [\"a b\"] } }
  - match: { repositories: [\"Payments/*\"] }
    rules: { weak-encryption: { require: CUSTOMER_KEY, when-empty: recreate } }
extra: 1
";
    let found = problems(text);
    for (line, words) in [
        (1, "version 2 is not known"),
        (2, "did you mean `enforce`"),
        (4, "unknown rule `mutable-tag`, did you mean `mutable-tags`"),
        (5, "did you mean `AES256`"),
        (5, "unknown key `when-empt`, did you mean `when-empty`"),
        (8, "`a b` is not a filter"),
        (9, "`Payments/*` matches no repository"),
        (10, "needs `kms-key`"),
        (11, "unknown key `extra`"),
    ] {
        assert!(
            found
                .iter()
                .any(|p| p.starts_with(&format!("line {line},")) && p.contains(words)),
            "line {line}, {words}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn an_override_for_everything_is_refused() {
    let found = problems("version: 1\nmode: monitor\noverrides:\n  - match: {}\n    rules: {}\n");
    assert!(found[0].contains("matches every repository"), "{found:?}");
}

#[test]
fn overrides_that_contradict_each_other_together_change_nothing() {
    let text = "\
version: 1
mode: enforce
overrides:
  - match: { repositories: [\"a/**\"] }
    rules: { weak-encryption: { require: CUSTOMER_KEY } }
  - match: { repositories: [\"a/b\"] }
    rules: { weak-encryption: { when-empty: recreate } }
";
    let policy = Policy::parse(text).unwrap();
    assert!(policy.for_repository(&id("a/c"), &Read::NotAsked).is_ok());
    let error = policy
        .for_repository(&id("a/b"), &Read::NotAsked)
        .unwrap_err();
    assert!(error.contains("contradict"), "{error}");
}

#[test]
fn the_shipped_policy_is_right() {
    let text = include_str!("../../../../infra/policy.yaml");
    assert_eq!(problems(text), Vec::<String>::new());
}

#[test]
fn the_schema_names_every_rule() {
    let schema = schema().to_value().to_string();
    for entry in RULES {
        assert!(
            schema.contains(&format!("\"{}\"", entry.meta.id)),
            "{schema}"
        );
    }
}

fn tags(of: &[(&str, &str)]) -> Read<BTreeMap<String, String>> {
    Read::Known(
        of.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

const BY_TAG: &str = "\
version: 1
mode: enforce
overrides:
  - match: { repositories: [\"payments/**\"], tags: { data: \"sens*\" } }
    rules: { weak-encryption: { require: KMS } }
";

#[test]
fn an_override_can_depend_on_tags() {
    let policy = Policy::parse(BY_TAG).unwrap();
    let rules = |name: &str, tags: &Read<BTreeMap<String, String>>| {
        policy
            .for_repository(&id(name), tags)
            .map(|resolved| resolved.rules.len())
    };
    assert_eq!(
        rules("payments/api", &tags(&[("data", "sensitive")])),
        Ok(1)
    );
    assert_eq!(rules("payments/api", &tags(&[("data", "public")])), Ok(0));
    assert_eq!(rules("payments/api", &tags(&[])), Ok(0));
    assert_eq!(rules("shop/api", &Read::NotAsked), Ok(0), "its name tells");
    let unread = Read::Unreadable("denied".to_owned());
    assert!(
        rules("payments/api", &unread)
            .unwrap_err()
            .contains("denied")
    );
    assert!(policy.reads(&id("payments/api")).tags);
    assert!(
        policy.reads(&id("payments/api")).images,
        "it may be asked for"
    );
    assert_eq!(policy.reads(&id("shop/api")), Reads::default());
}

#[test]
fn what_is_wrong_with_exemptions_is_said() {
    let text = "\
version: 1
mode: enforce
settle: 20m
repair-limit: 0
non-negotiable: [public-access]
exemptions:
  - { repositories: [\"a/**\"], rules: [mutable-tag], until: 2027-13-01, reason: x }
  - { rules: [mutable-tags], until: 2027-12-01, reason: x }
  - { repositories: [\"a/**\"], rules: [public-access], until: 2027-12-01, reason: x }
  - { repositories: [\"a/**\"], rules: [mutable-tags], until: 2027-12-01 }
";
    let found = problems(text);
    for (line, words) in [
        (3, "`20m` is not a time to settle"),
        (4, "repair-limit is 1 to 10"),
        (7, "did you mean `mutable-tags`"),
        (7, "`2027-13-01` is not a day"),
        (10, "`reason` is missing"),
    ] {
        assert!(
            found
                .iter()
                .any(|p| p.starts_with(&format!("line {line},")) && p.contains(words)),
            "line {line}, {words}: {found:#?}"
        );
    }
    let right_alone = "\
version: 1
mode: enforce
settle: 90s
non-negotiable: [public-access]
exemptions:
  - { rules: [mutable-tags], until: 2027-12-01, reason: x }
  - { repositories: [\"a/**\"], rules: [public-access], until: 2027-12-01, reason: x }
";
    let found = problems(right_alone);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("matches every repository"), "{found:?}");
    assert!(found[1].contains("non-negotiable"), "{found:?}");
}

#[test]
fn a_time_to_settle() {
    let of = |text: &str| Settle::try_from(text.to_owned()).map(Settle::seconds).ok();
    assert_eq!(
        (of("90s"), of("5m"), of("15m")),
        (Some(90), Some(300), Some(900))
    );
    for wrong in ["16m", "0s", "90", "s", "-1s", "99999999m", "1h", "é"] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}

/// In which order a file lists rules, keys or tags says nothing.
#[test]
fn the_order_of_a_file_says_nothing() {
    let of = |text: &str| {
        let resolved = Policy::parse(text)
            .unwrap()
            .for_repository(&id("payments/api"), &tags(&[("data", "x"), ("team", "y")]))
            .unwrap();
        format!("{:?} {:?}", resolved.rules, resolved.repair_limit)
    };
    let forwards = "\
version: 1
mode: enforce
repair-limit: 2
rules: { mutable-tags: { require: IMMUTABLE, allow-exclusions: [latest] }, weak-encryption: { require: KMS }, blocked-push: {} }
overrides: [{ match: { repositories: [\"payments/**\"], tags: { data: x, team: y } }, rules: { missing-tags: {}, public-access: {} } }]
";
    let backwards = "\
overrides: [{ rules: { public-access: {}, missing-tags: {} }, match: { tags: { team: y, data: x }, repositories: [\"payments/**\"] } }]
rules: { blocked-push: {}, weak-encryption: { require: KMS }, mutable-tags: { allow-exclusions: [latest], require: IMMUTABLE } }
repair-limit: 2
mode: enforce
version: 1
";
    assert_eq!(of(forwards), of(backwards));
}

/// Which repositories a policy changes, by when they were created.
#[test]
fn existing_repositories_are_monitored() {
    let of = |more: &str| {
        let text = format!("version: 1\nmode: enforce\nrules: {{ mutable-tags: {{}} }}\n{more}");
        Policy::parse(&text).unwrap()
    };
    assert_eq!(of("").existing_before(), None);
    assert_eq!(of("existing: enforce\n").existing_before(), None);
    let deployed = of("existing: monitor\n");
    assert_eq!(deployed.existing_before(), Some(ExistingBefore::Deployment));
    let dated = of("existing: monitor\nexisting-before: 2027-01-02\n");
    let since = 1_798_848_000;
    assert_eq!(dated.existing_before(), Some(ExistingBefore::Time(since)));
    let monitor = "version: 1\nmode: monitor\nexisting: monitor\n";
    assert_eq!(Policy::parse(monitor).unwrap().existing_before(), None);
    for (created_at, enforce) in [
        (Some(since * 1000), true),
        (Some(since * 1000 - 1), false),
        (None, false),
    ] {
        let resolved = dated.for_repository(&id("shop/api"), &tags(&[])).unwrap();
        let resolved = resolved.since(Ok(since), created_at);
        assert_eq!(resolved.holds.is_empty(), enforce, "{created_at:?}");
    }
    let wrong = problems("version: 1\nmode: enforce\nexisting-before: 2027-01-02\n");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains("existing: monitor"), "{wrong:?}");
}

/// A sweep's limit counts repositories, and a change of the registry is one change. What else stops changes stops all.
#[test]
fn the_limit_of_a_sweep_is_no_limit_for_the_registry() {
    let policy = Policy::parse("version: 1\nmode: enforce\n").unwrap();
    let resolved = policy.for_repository(&id("shop/api"), &tags(&[])).unwrap();
    for action in Action::samples() {
        let of_repository = !action.is_of_registry();
        for (code, held, lift_held) in [
            (Code::SweepLimit, of_repository, of_repository),
            (Code::NotCounted, of_repository, of_repository),
            (Code::Frozen, true, false),
            (Code::HourlyLimit, true, false),
            (Code::Stopped, true, true),
            (Code::NeverChange, true, false),
            (Code::ExistingRepository, true, false),
        ] {
            let resolved = resolved.clone().held(Some(Reason::new(code, "why")));
            let of = |rule| resolved.hold_of(rule, &action).is_some();
            let both = (of("mutable-tags"), of(STALE_QUARANTINE));
            assert_eq!(both, (held, lift_held), "{} {code:?}", action.name());
        }
    }
}

#[test]
fn a_grace_period_is_a_setting_of_each_rule() {
    let text = "\
version: 1
mode: enforce
rules:
  mutable-tags: { enforce-after: 7d }
  public-access: { enforce-after: 12h }
overrides:
  - match: { repositories: [\"shop/**\"] }
    rules: { mutable-tags: { enforce-after: 1d } }
";
    let policy = Policy::parse(text).unwrap();
    let grace = |name: &str, rule: &str| {
        let resolved = policy.for_repository(&id(name), &tags(&[])).unwrap();
        resolved.rule(rule).unwrap().grace.map(Grace::seconds)
    };
    let day = 24 * 60 * 60;
    assert_eq!(grace("pay/api", "mutable-tags"), Some(7 * day));
    assert_eq!(grace("shop/api", "mutable-tags"), Some(day));
    assert_eq!(grace("pay/api", "public-access"), Some(day / 2));
    // It is on because the other one is.
    assert_eq!(grace("pay/api", "untrusted-access"), Some(day / 2));

    let wrong = problems(
        "version: 1\nmode: enforce\nrules:\n  mutable-tags: { enforce-after: soon, requires: IMMUTABLE }\n  public-access: { enforce-after: 7 }\n",
    );
    for (line, words) in [
        ("line 4,", "`soon` is not a time for `enforce-after`"),
        ("line 4,", "requires"),
        ("line 5,", "`enforce-after` is a time"),
    ] {
        let mut found = wrong.iter();
        assert!(
            found.any(|it| it.starts_with(line) && it.contains(words)),
            "{words}: {wrong:?}"
        );
    }
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}
