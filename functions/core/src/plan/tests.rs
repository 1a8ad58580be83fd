//! What stands in the way of a repair.

use super::*;
use crate::approval::{APPROVED_FOR, Approval};
use crate::evaluate::evaluate;
use crate::evaluate::tests::repository;
use crate::finding::Status;
use crate::policy::Policy;
use crate::quarantine::STALE_QUARANTINE;
use crate::record::{Held, Lease, Newer, Repair, Repairs, Result as Repaired, Said};
use crate::repository::{DENIED_BY_POLICY, Encryption, Read, TagMutability};
use crate::trigger::{Cause, Origin};

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

/// What an event of this cause and actor leads to.
fn planned(
    policy: &Policy,
    repository: &Repository,
    known: &Known,
    event: (Cause, Option<&str>),
) -> Plan {
    let policy = policy
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    planned_by(&policy, repository, known, event)
}

/// The same by what a policy says of the repository.
fn planned_by(
    policy: &Resolved,
    repository: &Repository,
    known: &Known,
    (cause, actor): (Cause, Option<&str>),
) -> Plan {
    let me = Lease {
        owner: "me".to_owned(),
        until: NOW,
    };
    let origin = Origin {
        actor: actor.map(str::to_owned),
        ..Origin::of(cause)
    };
    let context = Context {
        origin: &origin,
        me: &me,
        now: NOW,
        created_at: repository.created_at,
    };
    let findings = evaluate(policy, repository);
    plan(policy, repository, findings, Ok(known), &context)
}

fn decisions(policy: &Policy, repository: &Repository, known: &Known) -> Vec<(String, Decision)> {
    let event = (Cause::PutImageTagMutability, Some("terraform"));
    planned(policy, repository, known, event)
        .steps
        .into_iter()
        .map(|step| (step.finding.rule.to_owned(), step.decision))
        .collect()
}

fn decision(policy: &Policy, repository: &Repository, known: &Known) -> Decision {
    decisions(policy, repository, known).remove(0).1
}

/// Repaired these hours ago, made necessary by these.
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
            approved_by: None,
            newer: Newer::default(),
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
    let Decision::Suspend(why) = decision(&policy, &mutable(), &twice) else {
        panic!("it goes on");
    };
    assert!(why.text.contains("repaired 2 times"), "{why}");
    assert!(
        why.text.contains("by a stack at") && why.text.contains("by terraform at"),
        "{why}"
    );
    assert!(
        !why.text.contains("the creator"),
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
    let resumed = held.resumed("operator", NOW - HOUR);
    known.repairs.insert("mutable-tags".to_owned(), held);
    assert_eq!(
        decision(&policy, &mutable(), &known),
        Decision::Withhold(Reason::new(Code::RolledBack, "rolled back by mary"))
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
        Decision::Suspend(_)
    ));
    let resumed = known.repairs["mutable-tags"].resumed("operator", NOW - HOUR);
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
        matches!(while_weak[..], [(_, Decision::Manual(_))]),
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
            [(_, Decision::Withhold(_))]
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
                matches!(decision, Decision::Manual(_)),
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
            approved_by: None,
            newer: Newer::default(),
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
        let plan = planned(&policy, &repository, &known, (Cause::Sweep, None));
        assert_eq!(plan.steps[0].finding.severity, severity);
    }
}

fn public() -> Repository {
    Repository {
        policy: Read::Known(Some(
            r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}"#.to_owned(),
        )),
        ..repository()
    }
}

/// Repaired so many seconds ago, newest last.
fn closed(before: &[i64]) -> Known {
    let mut repairs = Repairs::default();
    for seconds in before {
        repairs = repairs.with(Repair {
            action: Action::SetRepositoryPolicy {
                from: Some("{}".to_owned()),
                to: None,
            },
            result: Repaired::Done,
            at: NOW - seconds,
            cause: "SetRepositoryPolicy".to_owned(),
            actor: None,
            approved_by: None,
            newer: Newer::default(),
        });
    }
    Known {
        repairs: [("public-access".to_owned(), repairs)].into(),
        ..Known::default()
    }
}

#[test]
fn a_repair_that_nothing_exempts_from_backs_off_and_is_never_suspended() {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules: { public-access: {} }\nnon-negotiable: [public-access]",
    )
    .unwrap();
    for (before, repairs) in [
        (vec![20, 10], true),
        (vec![30, 20, 10], false),
        (vec![HOUR + 20, HOUR + 10, HOUR], true),
        (vec![HOUR + 20, HOUR + 10, HOUR, HOUR - 1], false),
        (vec![3 * HOUR, 3 * HOUR, 3 * HOUR, 2 * HOUR], true),
        (
            vec![9 * HOUR, 8 * HOUR, 7 * HOUR, 6 * HOUR, 4 * HOUR + 1],
            true,
        ),
        (
            vec![9 * HOUR, 8 * HOUR, 7 * HOUR, 6 * HOUR, 4 * HOUR - 1],
            false,
        ),
        (vec![25 * HOUR, 25 * HOUR, 25 * HOUR, 10], true),
    ] {
        let decision = decision(&policy, &public(), &closed(&before));
        match decision {
            Decision::Repair(_) => assert!(repairs, "{before:?}"),
            Decision::Withhold(why) => {
                assert!(
                    !repairs && why.text.contains("reverted each time"),
                    "{before:?}: {why}"
                );
            }
            other => panic!("{before:?}: {other:?}"),
        }
    }
    let mut suspended = closed(&[2 * HOUR, 2 * HOUR, 2 * HOUR]);
    for repairs in suspended.repairs.values_mut() {
        repairs.held = Some(Held {
            why: "an earlier version suspended it".to_owned(),
            at: NOW - HOUR,
            by_person: false,
        });
    }
    assert!(matches!(
        decision(&policy, &public(), &suspended),
        Decision::Repair(_)
    ));
}

fn image(days: i64, tags: &[&str]) -> crate::image::Image {
    crate::image::Image {
        pushed_at: NOW - days * 24 * HOUR,
        pulled_at: None,
        bytes: 1,
        index: false,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

fn lifecycle_decision(
    images: &Read<std::sync::Arc<[crate::image::Image]>>,
    has_images: Read<bool>,
    known: &Known,
    cause: Cause,
) -> Decision {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules: { no-lifecycle-policy: { deletes-tagged-images: true, default: { rules: [{ \
         rulePriority: 1, action: { type: expire }, selection: { tagStatus: any, countType: sinceImagePushed, countUnit: days, \
         countNumber: 14 } }] } } }",
    )
    .unwrap();
    let mut repository = repository();
    repository.has_images = has_images;
    repository.images = images.clone();
    let mut plan = planned(&policy, &repository, known, (cause, None));
    assert_eq!(plan.steps.len(), 1);
    plan.steps.remove(0).decision
}

/// Only of a repository with images these are read.
#[test]
fn an_empty_repository_gets_its_lifecycle_policy_though_its_images_were_not_read() {
    let decision = lifecycle_decision(
        &Read::NotAsked,
        Read::Known(false),
        &Known::default(),
        Cause::PutImage,
    );
    assert!(matches!(decision, Decision::Repair(_)), "{decision:?}");
}

#[test]
fn a_lifecycle_policy_is_withheld_where_it_would_expire_what_may_be_needed() {
    let nothing = Known::default();
    let of = |images: Vec<crate::image::Image>| {
        let full = Read::Known(!images.is_empty());
        lifecycle_decision(&Read::Known(images.into()), full, &nothing, Cause::PutImage)
    };
    let young = || image(1, &["v1"]);
    assert!(matches!(of(vec![]), Decision::Repair(_)));
    assert!(matches!(of(vec![young()]), Decision::Repair(_)));
    let fifth = vec![young(), young(), young(), young(), image(20, &[])];
    assert!(matches!(of(fifth), Decision::Repair(_)));
    for (images, said) in [
        (
            vec![young(), young(), young(), image(20, &[])],
            "1 of 4 images, 0 of them tagged",
        ),
        (
            vec![
                young(),
                young(),
                young(),
                young(),
                young(),
                image(20, &["old"]),
            ],
            "1 of 6 images, 1 of them tagged",
        ),
    ] {
        let Decision::Withhold(why) = of(images) else {
            panic!("it is put: {said}");
        };
        assert!(why.text.contains(said), "{why}");
    }
    // What cannot be read is doubt.
    let unread = || Read::Unreadable("the permission ecr:DescribeImages is missing".to_owned());
    for (images, full) in [
        (Read::NotAsked, Read::Known(true)),
        (Read::NotAsked, Read::NotAsked),
        (unread(), Read::Known(true)),
        (
            Read::Known([].into()),
            Read::Unreadable("denied".to_owned()),
        ),
    ] {
        let decision = lifecycle_decision(&images, full, &nothing, Cause::PutImage);
        assert!(matches!(decision, Decision::Withhold(_)), "{decision:?}");
    }
}

#[test]
fn a_deleted_lifecycle_policy_is_restored_where_it_is_on_record() {
    let images = Read::Known(vec![image(1, &["v1"])].into());
    let of = |known: &Known| {
        lifecycle_decision(
            &images,
            Read::Known(true),
            known,
            Cause::DeleteLifecyclePolicy,
        )
    };
    let Decision::Withhold(why) = of(&Known::default()) else {
        panic!("the default is put in place of an unknown one");
    };
    assert!(why.text.contains("is not on record"), "{why}");
    let before = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":500},"action":{"type":"expire"}}]}"#;
    let record = Repairs::default().with(Repair {
        action: Action::SetLifecyclePolicy {
            from: None,
            to: Some(before.to_owned()),
        },
        result: Repaired::Done,
        at: NOW - 100 * 24 * HOUR,
        cause: "CreateRepository".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    });
    let known = Known {
        repairs: [("no-lifecycle-policy".to_owned(), record)].into(),
        ..Known::default()
    };
    let Decision::Repair(Action::SetLifecyclePolicy { to, .. }) = of(&known) else {
        panic!("not restored");
    };
    assert_eq!(to.as_deref(), Some(before));
}

#[test]
fn reads_that_the_repository_policy_denies_are_a_finding_of_their_own() {
    let mut repository = mutable();
    assert!(
        decisions(&policy(""), &repository, &Known::default())
            .iter()
            .all(|(rule, _)| rule != BLINDED)
    );
    repository.policy = Read::Unreadable(format!("{DENIED_BY_POLICY}ecr:GetRepositoryPolicy"));
    repository.images = Read::Unreadable(format!("{DENIED_BY_POLICY}ecr:DescribeImages"));
    repository.lifecycle =
        Read::Unreadable("the permission ecr:GetLifecyclePolicy is missing".to_owned());
    let found = blinded(&repository).unwrap();
    assert_eq!(found.severity, Severity::Critical);
    assert!(
        found
            .violation
            .detail
            .contains("ecr:DescribeImages, ecr:GetRepositoryPolicy"),
        "{found:?}"
    );
    assert!(!found.violation.detail.contains("Lifecycle"), "{found:?}");
}

/// Images are read only where a default lifecycle policy may be put to a repository that has some.
#[test]
fn images_are_read_only_for_a_default_that_may_expire_them() {
    let rules = |settings: &str| {
        let text =
            format!("version: 1\nmode: enforce\nrules: {{ no-lifecycle-policy: {settings} }}");
        Policy::parse(&text).unwrap()
    };
    let default = "default: { rules: [{ rulePriority: 1, action: { type: expire }, selection: { tagStatus: untagged, \
                   countType: sinceImagePushed, countUnit: days, countNumber: 14 } }] }";
    let with_default = rules(&format!("{{ {default} }}"));
    let of = |policy: &Policy, lifecycle: Option<&str>, has_images: Read<bool>| {
        let mut repository = repository();
        repository.lifecycle = Read::Known(lifecycle.map(str::to_owned));
        repository.has_images = has_images;
        let policy = policy
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        reads(&policy, &repository)
    };
    let images = Reads {
        storage: true,
        ..Reads::default()
    };
    assert_eq!(of(&with_default, None, Read::Known(true)), images);
    let matches_nothing = Some(r#"{"rules":[]}"#);
    assert_eq!(
        of(&with_default, matches_nothing, Read::Known(true)),
        images
    );
    for (policy, lifecycle, has_images) in [
        (&with_default, None, Read::Known(false)),
        (&with_default, None, Read::NotAsked),
        (&with_default, Some("{}"), Read::Known(true)),
        (&rules("{}"), None, Read::Known(true)),
        (
            &rules(&format!("{{ mode: monitor, {default} }}")),
            None,
            Read::Known(true),
        ),
    ] {
        assert_eq!(of(policy, lifecycle, has_images), Reads::default());
    }
}

/// Plans that no rule makes.
#[test]
fn a_finding_of_the_pipeline_itself_is_only_reported() {
    let plan = Plan::for_people(
        "undecided-policy",
        "cannot determine",
        "grant it".to_owned(),
    );
    let [step] = plan.steps.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!(
        step.decision,
        Decision::Manual(Reason::new(Code::NoRepair, "grant it"))
    );
    assert_eq!(
        (step.finding.rule, step.finding.severity, plan.complete),
        ("undecided-policy", Severity::High, false)
    );
    for critical in [
        Plan::critical("superseded-recreation", "x", String::new()),
        blinded_entirely("denied by the repository policy: x"),
    ] {
        assert_eq!(critical.steps.len(), 1);
        assert_eq!(critical.steps[0].finding.severity, Severity::Critical);
        assert!(!critical.complete);
    }
}

/// A repair that is given up is reported, and the others are made.
#[test]
fn what_is_given_up_is_its_own_rule_alone() {
    let policy = Policy::parse(
        "version: 1\nmode: enforce\nrules: { mutable-tags: {}, weak-encryption: { require: KMS, when-empty: recreate } }",
    )
    .unwrap();
    let repository = Repository {
        encryption: Encryption::aes256(),
        has_images: Read::Known(false),
        ..mutable()
    };
    let event = (Cause::CreateRepository, None);
    let mut plan = planned(&policy, &repository, &Known::default(), event);
    let recreation = plan.recreation().map(|step| step.finding.rule);
    assert_eq!(recreation, Some("weak-encryption"));
    let why = Reason::new(Code::ChangedMeanwhile, "it was changed");
    plan.give_up("weak-encryption", &why);
    assert_eq!(plan.recreation(), None);
    for step in &plan.steps {
        match step.finding.rule {
            "weak-encryption" => assert_eq!(step.decision, Decision::Manual(why.clone())),
            _ => assert!(matches!(step.decision, Decision::Repair(_)), "{step:?}"),
        }
    }
}

/// An operator's rollback also suspends a repair that no revert suspends.
#[test]
fn a_rollback_suspends_what_is_non_negotiable_and_a_revert_does_not() {
    for (more, by_person, is_repaired) in [
        ("", true, false),
        ("", false, false),
        ("non-negotiable: [mutable-tags]", true, false),
        ("non-negotiable: [mutable-tags]", false, true),
    ] {
        let mut known = Known::default();
        let held = Repairs::default().with_held(Some(Held {
            why: "x".to_owned(),
            at: NOW - HOUR,
            by_person,
        }));
        known.repairs.insert("mutable-tags".to_owned(), held);
        let decision = decision(&policy(more), &mutable(), &known);
        assert_eq!(
            matches!(decision, Decision::Repair(_)),
            is_repaired,
            "{more} {by_person} {decision:?}"
        );
    }
}

fn with_grace(time: &str) -> Policy {
    let rules = format!("rules: {{ mutable-tags: {{ enforce-after: {time} }} }}");
    Policy::parse(&format!("version: 1\nmode: enforce\n{rules}\n")).unwrap()
}

/// Reported so long ago, with this status.
fn first_seen(ago: i64, status: Status) -> Known {
    let said = Said {
        status,
        about: format!("{} x", mutable().created_at.unwrap_or_default()),
        since: NOW - ago,
        version: 1,
        action: None,
        pending: None,
        reported: Some(NOW - ago),
        pushes: None,
        newer: Newer::default(),
    };
    Known {
        said: [("mutable-tags".to_owned(), said)].into(),
        ..Known::default()
    }
}

/// The same about a repository that had this one's name before.
fn of_an_earlier_repository(ago: i64) -> Known {
    let mut known = first_seen(ago, Status::Withheld);
    for said in known.said.values_mut() {
        said.about = "1 x".to_owned();
    }
    known
}

/// The time begins when the finding is first seen, and again when it comes back after it was resolved, or in another repository of
/// the name.
#[test]
fn a_repair_waits_until_its_grace_period_is_over() {
    let policy = with_grace("2h");
    for (known, repaired) in [
        (Known::default(), false),
        (first_seen(2 * HOUR - 1, Status::Withheld), false),
        (first_seen(2 * HOUR, Status::Withheld), true),
        (first_seen(2 * HOUR, Status::Failed), true),
        (first_seen(2 * HOUR, Status::Open), true),
        (first_seen(90 * HOUR, Status::Fixed), false),
        (first_seen(90 * HOUR, Status::Resolved), false),
        (of_an_earlier_repository(90 * HOUR), false),
    ] {
        match decision(&policy, &mutable(), &known) {
            Decision::Repair(_) => assert!(repaired, "{known:?}"),
            Decision::Withhold(why) => {
                assert!(!repaired, "{known:?}");
                assert_eq!(why.code, Code::GracePeriod);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The same sentence from the first report to the last, else each look would be news.
#[test]
fn the_end_of_a_grace_period_is_said() {
    let policy = with_grace("7d");
    for known in [Known::default(), first_seen(0, Status::Withheld)] {
        let Decision::Withhold(why) = decision(&policy, &mutable(), &known) else {
            panic!("it repairs");
        };
        assert_eq!(
            why.text,
            "the policy repairs it after 2027-01-22T08:00:00Z (`enforce-after: 7d`); would change MUTABLE to IMMUTABLE"
        );
    }
}

#[test]
fn a_rollback_outlasts_a_grace_period_and_a_sweeps_limit_does_not_hide_it() {
    let policy = with_grace("7d");
    let code = |hold: Code, known: &Known| {
        let resolved = policy
            .for_repository(&mutable().id, &mutable().tags)
            .unwrap();
        let resolved = resolved.held(Some(Reason::new(hold, "why")));
        let plan = planned_by(&resolved, &mutable(), known, (Cause::Sweep, None));
        match &plan.steps[0].decision {
            Decision::Withhold(why) => why.code,
            other => panic!("{other:?}"),
        }
    };
    for (hold, expected) in [
        (Code::NeverChange, Code::NeverChange),
        (Code::Frozen, Code::Frozen),
        (Code::ExistingRepository, Code::ExistingRepository),
        (Code::SweepLimit, Code::GracePeriod),
        (Code::NotCounted, Code::GracePeriod),
    ] {
        assert_eq!(code(hold, &Known::default()), expected);
    }
    let over = first_seen(8 * 24 * HOUR, Status::Withheld);
    assert_eq!(code(Code::SweepLimit, &over), Code::SweepLimit);
    // A freeze does not stop the removal of a quarantine; the limit of a sweep does, also during a freeze.
    let resolved = policy
        .for_repository(&mutable().id, &mutable().tags)
        .unwrap();
    let resolved = resolved
        .held(Some(Reason::new(Code::Frozen, "why")))
        .held(Some(Reason::new(Code::SweepLimit, "why")));
    let lift = Action::SetRepositoryPolicy {
        from: None,
        to: None,
    };
    let code_of = |rule: &str| resolved.hold_of(rule, &lift).map(|why| why.code);
    assert_eq!(code_of(STALE_QUARANTINE), Some(Code::SweepLimit));
    assert_eq!(code_of("public-access"), Some(Code::Frozen));
    let mut rolled_back = first_seen(8 * 24 * HOUR, Status::Withheld);
    let held = Repairs::default().with_held(Some(Held {
        why: "rolled back by mary".to_owned(),
        at: NOW,
        by_person: true,
    }));
    rolled_back.repairs.insert("mutable-tags".to_owned(), held);
    let Decision::Withhold(why) = decision(&policy, &mutable(), &rolled_back) else {
        panic!("it repairs");
    };
    assert_eq!(why.code, Code::RolledBack);
}

/// Someone has approved this change that many seconds ago, of the repository that was created then.
fn approved(action: Action, ago: i64, created_at: Option<i64>) -> Known {
    let approval = Approval::new(action, "mary", NOW - ago, created_at);
    let repairs = Repairs::default().with_approval(approval);
    Known {
        repairs: [("mutable-tags".to_owned(), repairs)].into(),
        ..Known::default()
    }
}

fn to_immutable() -> Action {
    Action::SetTagMutability {
        from: TagMutability::Mutable,
        to: TagMutability::Immutable,
    }
}

/// An approval is of one change of one repository, and of one day.
#[test]
fn exactly_what_was_approved_is_repaired() {
    let created = mutable().created_at;
    let other = Action::SetTagMutability {
        from: TagMutability::Immutable,
        to: TagMutability::Mutable,
    };
    for mode in [
        "mode: approve\nrules: { mutable-tags: {} }",
        "mode: approve\nrules: { mutable-tags: { mode: enforce } }",
        "mode: enforce\nrules: { mutable-tags: { mode: approve } }",
    ] {
        let policy = Policy::parse(&format!("version: 1\n{mode}\n")).unwrap();
        for (known, refuses) in [
            (Known::default(), Some("waits for approval")),
            (approved(to_immutable(), 0, created), None),
            (approved(to_immutable(), APPROVED_FOR - 1, created), None),
            (
                approved(to_immutable(), APPROVED_FOR, created),
                Some("only 24 hours"),
            ),
            // Clocks differ a little.
            (approved(to_immutable(), -60, created), None),
            (
                approved(to_immutable(), -HOUR, created),
                Some("only 24 hours"),
            ),
            (
                approved(to_immutable(), 0, Some(1)),
                Some("another repository"),
            ),
            (
                approved(to_immutable(), 0, None),
                Some("another repository"),
            ),
            (
                approved(other.clone(), 0, created),
                Some("another change: IMMUTABLE to MUTABLE"),
            ),
        ] {
            match (decision(&policy, &mutable(), &known), refuses) {
                (Decision::Repair(action), None) => assert_eq!(action, to_immutable()),
                (Decision::Offer(action, why), Some(words)) => {
                    assert_eq!((action, why.code), (to_immutable(), Code::ApprovalRequired));
                    assert!(why.text.contains(words), "{why}");
                    assert!(
                        why.text
                            .contains("`ecr-warden approve payments/api --rule mutable-tags`"),
                        "{why}"
                    );
                }
                other => panic!("{mode}, {known:?}: {other:?}"),
            }
        }
    }
}

/// A recreation of ecr-warden's own makes no other repository of it.
#[test]
fn what_was_approved_before_a_recreation_is_repaired_after_it() {
    let text = "version: 1\nmode: approve\nrules: { mutable-tags: {} }\n";
    let policy = Policy::parse(text).unwrap();
    let created = mutable().created_at.unwrap();
    let mut known = approved(to_immutable(), 0, Some(1));
    let recreation = Repair {
        action: Action::Recreate {
            from: Encryption::aes256(),
            to: Encryption::kms(None),
        },
        result: Repaired::Done,
        at: created / 1000,
        cause: "sweep".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    assert!(matches!(
        decision(&policy, &mutable(), &known),
        Decision::Offer(..)
    ));
    let recreated = Repairs::default().with(recreation);
    known
        .repairs
        .insert("weak-encryption".to_owned(), recreated);
    assert!(matches!(
        decision(&policy, &mutable(), &known),
        Decision::Repair(_)
    ));
}

/// ECR may write the same document differently at each reading.
#[test]
fn an_approved_document_may_be_written_otherwise() {
    let public = |actions: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":{actions}}}]}}"#
        )
    };
    let of = |text: String| Repository {
        policy: Read::Known(Some(text)),
        ..repository()
    };
    let text = "version: 1\nmode: approve\nrules: { public-access: {} }\n";
    let policy = Policy::parse(text).unwrap();
    let first = of(public(
        r#"["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]"#,
    ));
    let Decision::Offer(action, _) = decision(&policy, &first, &Known::default()) else {
        panic!("it repairs");
    };
    let mut known = approved(action, 0, first.created_at);
    let record = known.repairs.remove("mutable-tags").unwrap();
    known.repairs.insert("public-access".to_owned(), record);
    let again = of(public(
        r#"["ecr:GetDownloadUrlForLayer","ecr:BatchGetImage"]"#,
    ));
    assert!(matches!(
        decision(&policy, &again, &known),
        Decision::Repair(_)
    ));
    let more = of(public(r#"["ecr:GetDownloadUrlForLayer","ecr:*"]"#));
    assert!(matches!(
        decision(&policy, &more, &known),
        Decision::Offer(..)
    ));
}

/// What withholds a repair otherwise is the better reason.
#[test]
fn an_approval_overcomes_nothing_else() {
    let created = mutable().created_at;
    let known = approved(to_immutable(), 0, created);
    let text = "version: 1\nmode: approve\nrules: { mutable-tags: {} }\n";
    let policy = Policy::parse(text).unwrap();
    let resolved = policy
        .for_repository(&mutable().id, &mutable().tags)
        .unwrap();
    for code in [
        Code::NeverChange,
        Code::Frozen,
        Code::Stopped,
        Code::ExistingRepository,
        Code::SweepLimit,
    ] {
        let held = resolved.clone().held(Some(Reason::new(code, "why")));
        let plan = planned_by(&held, &mutable(), &known, (Cause::Sweep, None));
        let Decision::Withhold(why) = &plan.steps[0].decision else {
            panic!("{plan:?}");
        };
        assert_eq!(why.code, code);
    }
    // That a sweep makes no more changes does not hide that this one waits for approval.
    let held = resolved
        .clone()
        .held(Some(Reason::new(Code::NotCounted, "why")));
    let plan = planned_by(&held, &mutable(), &Known::default(), (Cause::Sweep, None));
    assert!(
        matches!(&plan.steps[0].decision, Decision::Offer(..)),
        "{plan:?}"
    );
    let monitored = resolved.clone().monitored();
    let plan = planned_by(&monitored, &mutable(), &known, (Cause::Sweep, None));
    assert!(
        matches!(&plan.steps[0].decision, Decision::Withhold(why) if why.code == Code::MonitorMode)
    );
    // Who is asked about each repair at a terminal approves it there.
    let plan = planned_by(
        &resolved.for_operator(),
        &mutable(),
        &Known::default(),
        (Cause::AuditFix, None),
    );
    assert_eq!(plan.repairs().count(), 1);
}
