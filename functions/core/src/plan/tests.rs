//! What stands in the way of a repair.

use super::*;
use crate::evaluate::evaluate;
use crate::evaluate::tests::repository;
use crate::policy::Policy;
use crate::repository::{Encryption, Read, TagMutability};
use crate::state::{Held, Lease, Repair};

const NOW: i64 = 1_800_000_000; // 2027-01-15
const HOUR: i64 = 60 * 60;

fn policy(more: &str) -> Policy {
    Policy::parse(&format!(
        "version: 1\nmode: enforce\nrules: {{ mutable-tags: {{}} }}\n{more}"
    ))
    .unwrap()
}

fn mutable() -> Repository {
    Repository {
        mutability: TagMutability::Mutable,
        ..repository()
    }
}

fn decisions(policy: &Policy, repository: &Repository, known: &Known) -> Vec<(String, Decision)> {
    let me = Lease {
        owner: "me".to_owned(),
        until: NOW,
    };
    let context = Context {
        me: &me,
        now: NOW,
        cause: "PutImageTagMutability",
        actor: Some("terraform"),
        created_at: repository.created_at,
    };
    let policy = policy
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    let findings = evaluate(&policy, repository);
    plan(&policy, repository, findings, Ok(known), &context)
        .steps
        .into_iter()
        .map(|step| (step.finding.rule.to_owned(), step.decision))
        .collect()
}

fn decision(policy: &Policy, repository: &Repository, known: &Known) -> Decision {
    decisions(policy, repository, known).remove(0).1
}

/// Repaired so many hours ago, made necessary by these.
fn repaired(before: &[(i64, &str)]) -> Known {
    let mut repairs = Repairs::default();
    for (hours, actor) in before {
        repairs = repairs.with(Repair {
            action: Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            },
            result: Repaired::Done,
            at: NOW - hours * HOUR,
            cause: "PutImageTagMutability".to_owned(),
            actor: Some((*actor).to_owned()),
        });
    }
    Known {
        repairs: [("mutable-tags".to_owned(), repairs)].into(),
        ..Known::default()
    }
}

#[test]
fn what_is_set_back_too_often_is_left_to_people() {
    let policy = policy("repair-limit: 2");
    let twice = repaired(&[(9, "the creator"), (3, "a stack")]);
    let Decision::Stop(why) = decision(&policy, &mutable(), &twice) else {
        panic!("it goes on");
    };
    assert!(why.contains("repaired 2 times"), "{why}");
    assert!(
        why.contains("by a stack at") && why.contains("by terraform at"),
        "{why}"
    );
    assert!(
        !why.contains("the creator"),
        "nobody had set anything back yet: {why}"
    );
    let yesterday = repaired(&[(25, "a stack"), (3, "a stack")]);
    assert!(matches!(
        decision(&policy, &mutable(), &yesterday),
        Decision::Repair(_)
    ));
}

#[test]
fn what_is_held_stays_held_until_people_say_so() {
    let policy = policy("");
    let mut known = Known::default();
    let held = Repairs::default().with_held(Some(Held {
        why: "rolled back by mary".to_owned(),
        at: NOW - 90 * 24 * HOUR,
        by_person: true,
    }));
    let resumed = held.resumed(NOW - HOUR);
    known.repairs.insert("mutable-tags".to_owned(), held);
    assert_eq!(
        decision(&policy, &mutable(), &known),
        Decision::Hold("rolled back by mary".to_owned())
    );
    known.repairs.insert("mutable-tags".to_owned(), resumed);
    assert!(matches!(
        decision(&policy, &mutable(), &known),
        Decision::Repair(_)
    ));
}

#[test]
fn a_fight_that_people_have_ended_is_not_counted() {
    let policy = policy("repair-limit: 1");
    let mut known = repaired(&[(2, "a stack")]);
    assert!(matches!(
        decision(&policy, &mutable(), &known),
        Decision::Stop(_)
    ));
    let resumed = known.repairs["mutable-tags"].resumed(NOW - HOUR);
    known.repairs.insert("mutable-tags".to_owned(), resumed);
    assert!(matches!(
        decision(&policy, &mutable(), &known),
        Decision::Repair(_)
    ));
}

const EXEMPT: &str =
    "exemptions: [{ repositories: [\"payments/**\"], rules: [mutable-tags], reason: OPS-1, until: ";

#[test]
fn an_exemption_holds_until_its_end() {
    let known = Known::default();
    let of = |until: &str| decision(&policy(&format!("{EXEMPT}{until} }}]")), &mutable(), &known);
    let Decision::Exempt(standing) = of("2027-01-15") else {
        panic!("its last day is a day");
    };
    assert_eq!(standing.to_string(), "exempt until 2027-01-15: OPS-1");
    assert!(matches!(of("2027-01-14"), Decision::Repair(_)), "expired");
    let mut elsewhere = mutable();
    elsewhere.id.name = "shop/api".to_owned();
    let policy = policy(&format!("{EXEMPT}2100-01-01 }}]"));
    assert!(matches!(
        decision(&policy, &elsewhere, &known),
        Decision::Repair(_)
    ));
}

#[test]
fn a_tag_exempts_where_the_policy_lets_it() {
    let mut repository = mutable();
    let key = "ecr-warden:exempt:mutable-tags".to_owned();
    repository.tags = Read::Known([(key, "2027-02-01 OPS-1".to_owned())].into());
    let known = Known::default();
    let of = |more: &str| decision(&policy(more), &repository, &known);
    let allowed = "exemptions-by-tag: { rules: [mutable-tags] }";
    assert!(matches!(of(allowed), Decision::Exempt(_)));
    assert!(
        matches!(of(""), Decision::Repair(_)),
        "the policy allows none"
    );
    let fixed = format!("{allowed}\nnon-negotiable: [mutable-tags]");
    assert!(matches!(of(&fixed), Decision::Repair(_)));
    let others = "exemptions-by-tag: { rules: [missing-tags] }";
    assert!(matches!(of(others), Decision::Repair(_)));
}

#[test]
fn a_quarantine_goes_with_its_reason() {
    let weak = "version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-not-empty: quarantine } }\n";
    let known = Known::default();
    let mut repository = Repository {
        encryption: Encryption::aes256(),
        has_images: Read::Known(true),
        ..repository()
    };
    let policy = Policy::parse(weak).unwrap();
    let Decision::Repair(action) = decision(&policy, &repository, &known) else {
        panic!("no quarantine");
    };
    action.apply_to(&mut repository);
    let while_weak = decisions(&policy, &repository, &known);
    assert!(
        matches!(while_weak[..], [(_, Decision::People(_))]),
        "{while_weak:?}"
    );
    // It conforms, it is exempt, the policy asks for no quarantine, or for nothing.
    let exempt = format!(
        "{weak}exemptions: [{{ repositories: [\"**\"], rules: [weak-encryption], reason: x, until: 2100-01-01 }}]"
    );
    let conforming = Repository {
        encryption: Encryption::kms(None),
        ..repository.clone()
    };
    for (policy, repository) in [
        (weak, &conforming),
        (exempt.as_str(), &repository),
        (weak.replace("quarantine", "alert").as_str(), &repository),
        ("version: 1\nmode: enforce\n", &repository),
    ] {
        let policy = Policy::parse(policy).unwrap();
        let all = decisions(&policy, repository, &known);
        let (rule, decision) = all.last().unwrap();
        assert_eq!(rule, STALE_QUARANTINE);
        let Decision::Repair(Action::SetRepositoryPolicy { to: None, .. }) = decision else {
            panic!("{decision:?}");
        };
        let monitor = Policy::parse("version: 1\nmode: monitor\n").unwrap();
        assert!(matches!(
            decisions(&monitor, repository, &Known::default())[..],
            [(_, Decision::Hold(_))]
        ));
    }
}

/// Both change the repository policy: the second goes on from what the first leaves.
#[test]
fn changes_of_the_same_part_add_up() {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules: { public-access: {}, weak-encryption: { require: KMS, when-not-empty: quarantine } }\n",
    )
    .unwrap();
    let everyone = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}"#;
    let mut repository = Repository {
        encryption: Encryption::aes256(),
        has_images: Read::Known(true),
        policy: Read::Known(Some(everyone.to_owned())),
        ..repository()
    };
    for (_, decision) in decisions(&policy, &repository, &Known::default()) {
        let Decision::Repair(action) = decision else {
            panic!("{decision:?}");
        };
        assert_eq!(action.stands_on(&repository), Ok(true));
        action.apply_to(&mut repository);
    }
    let text = repository.policy.known().unwrap().clone().unwrap();
    assert!(
        quarantine::is_in(&text) && !text.contains("Allow"),
        "{text}"
    );
}

/// Documents at ECR's limits, of any nesting and in any script: found for people, never edited, never a panic.
#[test]
fn documents_that_can_not_be_understood_are_for_people() {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules:\n  public-access: {}\n  missing-tags: { require: { team: { default: x } } }\n  \
         weak-encryption: { require: KMS, when-not-empty: quarantine }\n",
    )
    .unwrap();
    let nested = |open: &str, close: &str, times: usize| open.repeat(times) + &close.repeat(times);
    let statement = |inner: &str| format!(r#"{{"Statement":[{inner}]}}"#);
    let hostile = [
        String::new(),
        "null".to_owned(),
        "[".repeat(10_240),
        nested("[", "]", 5_000),
        statement(&nested("[", "]", 5_000)),
        statement(&nested(r#"{"a":"#, "}", 2_000).replace(":}", ":1}")),
        statement(r#"{"Effect":"Allow","Principal":{"AWS":[[["*"]]]}}"#),
        statement(r#"{"Effect":"Allow","Principal":"*","Condition":"always"}"#),
        statement(r#"{"Effect":"\u202eAllow","Principal":"*"}"#),
        format!(r#"{{"Statement":"{}"}}"#, "\u{1f512}".repeat(2_500)),
        r#"{"Statement":[{"Effect":"Allow","Principal":"*"}],"Statement":[]}"#.to_owned(),
    ];
    for text in hostile {
        let repository = Repository {
            encryption: Encryption::aes256(),
            has_images: Read::Known(true),
            policy: Read::Known(Some(text.clone())),
            tags: Read::Known([("\u{202e}été".to_owned(), "🔒".repeat(64))].into()),
            ..repository()
        };
        let shown: String = text.chars().take(40).collect();
        for (rule, decision) in decisions(&policy, &repository, &Known::default()) {
            if rule != "public-access" {
                continue;
            }
            assert!(
                matches!(decision, Decision::People(_)),
                "{shown}: {decision:?}"
            );
        }
        let mut after = repository.clone();
        for (_, decision) in decisions(&policy, &repository, &Known::default()) {
            if let Decision::Repair(action) = decision {
                action.apply_to(&mut after);
            }
        }
        let left = after.policy.known().unwrap().as_deref().unwrap();
        // All that may be added is the quarantine, and then the rest is as it was.
        assert_eq!(
            quarantine::lift(left).as_deref().unwrap_or(""),
            text,
            "{shown}"
        );
    }
}

/// A recreation that was refused is not tried again at each event: for a day, or until an operator resumes the rule.
#[test]
fn a_refused_recreation_is_withheld_for_a_day() {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-empty: recreate } }\n",
    )
    .unwrap();
    let mut repository = repository();
    repository.encryption = Encryption::aes256();
    repository.has_images = Read::Known(false);
    let recreated = |result: Repaired, hours: i64, forgiven: i64| {
        let action = Action::Recreate {
            from: Encryption::aes256(),
            to: Encryption::kms(None),
        };
        let repairs = Repairs {
            forgiven,
            ..Repairs::default()
        };
        let repairs = repairs.with(Repair {
            action,
            result,
            at: NOW - hours * HOUR,
            cause: "CreateRepository".to_owned(),
            actor: None,
        });
        Known {
            repairs: [("weak-encryption".to_owned(), repairs)].into(),
            ..Known::default()
        }
    };
    let fell_back: fn() -> Repaired = || Repaired::FellBack("DisabledException".to_owned());
    let not_deleted: fn() -> Repaired = || Repaired::Failed("denied by an SCP".to_owned());
    let tried_again = |known: Known| {
        let decision = decision(&policy, &repository, &known);
        matches!(decision, Decision::Repair(Action::Recreate { .. }))
    };
    for refused in [fell_back, not_deleted] {
        assert!(!tried_again(recreated(refused(), 1, 0)));
        assert!(!tried_again(recreated(refused(), 23, 0)));
        assert!(tried_again(recreated(refused(), 24, 0)), "a day later");
        assert!(tried_again(recreated(refused(), 1, NOW)), "resumed");
    }
    // The repository was deleted and has its old encryption again: that is critical.
    for (known, severity) in [
        (recreated(fell_back(), 1, 0), Severity::Critical),
        (recreated(not_deleted(), 1, 0), Severity::Medium),
    ] {
        let me = Lease {
            owner: "me".to_owned(),
            until: NOW,
        };
        let context = Context {
            me: &me,
            now: NOW,
            cause: "sweep",
            actor: None,
            created_at: repository.created_at,
        };
        let resolved = policy
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        let findings = evaluate(&resolved, &repository);
        let plan = plan(&resolved, &repository, findings, Ok(&known), &context);
        assert_eq!(plan.steps[0].finding.severity, severity);
    }
}
