//! Each decision, by what was read and what came before.

use super::*;
use crate::action::Action;
use crate::evaluate::tests::repository;
use crate::finding::Status;
use crate::plan::Decision;
use crate::reason::Code;
use crate::record::{Newer, Repair, Repairs, Result as Repaired, Said};
use crate::registry::RegistryReads;
use crate::repository::{DENIED_BY_POLICY, Encryption, MARKER_TAG, Push, TagMutability};
use crate::trigger::{Cause, Origin};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const ME: &str = "me";
const DELIVERY: &str = "me/1";

pub(super) const MUTABLE_TAGS: &str = "mutable-tags: {}";
pub(super) const RECREATES: &str = "mutable-tags: {}, weak-encryption: { require: KMS, when-empty: recreate, recreate-stack-repositories: true }";

pub(super) fn policy(rules: &str, more: &str) -> Policy {
    let text = format!("version: 1\nmode: enforce\nrules: {{ {rules} }}\n{more}");
    Policy::parse(&text).unwrap()
}

/// Who asks. Without more it is a CreateRepository event that can wait.
#[derive(Clone)]
pub(super) struct Case {
    pub policy: Policy,
    pub trigger: Trigger,
    pub invocation: Invocation,
    pub requeue: Requeue,
}

impl Case {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            trigger: Trigger {
                repository: repository().id,
                origin: Origin::of(Cause::CreateRepository),
                pushed: None,
                replicated: false,
                created_as: None,
            },
            invocation: Invocation {
                id: ME.to_owned(),
                deadline: NOW + 60,
                event: None,
                deferred: None,
                hold: None,
            },
            requeue: Requeue::Event,
        }
    }

    pub(super) fn push(mut self, refused: bool) -> Self {
        self.trigger.origin.cause = Cause::PutImage;
        self.trigger.pushed = Some(Push {
            digest: None,
            tag: Some("v1".to_owned()),
            refused,
        });
        self
    }

    pub(super) fn requeue(mut self, requeue: Requeue) -> Self {
        self.requeue = requeue;
        self
    }

    pub(super) fn next(&self, seen: &Observation, earlier: &Earlier) -> Next {
        let reconciler = Reconciler {
            policy: &self.policy,
            trigger: &self.trigger,
            invocation: &self.invocation,
            delivery: DELIVERY,
            requeue: self.requeue,
        };
        reconciler.next(seen, earlier, NOW)
    }

    /// What happens next, in a word or two.
    fn says(&self, seen: &Observation) -> String {
        said(&self.next(seen, &Earlier::default()))
    }
}

pub(super) fn code(code: Code) -> String {
    let name = serde_json::to_value(code).unwrap();
    name.as_str().unwrap().to_owned()
}

fn said(next: &Next) -> String {
    match next {
        Next::Observe(wanted) => {
            let wanted = format!("{wanted:?}");
            format!("observe {}", wanted.split('(').next().unwrap())
        }
        Next::MarkReplica => "mark replica".to_owned(),
        Next::Ignore(why) => format!("ignore {}", code(why.code)),
        Next::Defer(Deferral::RateLimited) => "defer rate-limited".to_owned(),
        Next::Defer(Deferral::EvaluatedLately { seconds }) => format!("defer evaluated {seconds}"),
        Next::Defer(Deferral::For { seconds, reason }) => {
            format!("defer {} {seconds}", code(reason.code))
        }
        Next::Fail { alarm: None, .. } => "fail".to_owned(),
        Next::Fail {
            alarm: Some(plan), ..
        } => format!("fail {}", rules(plan)),
        Next::StartOver { seconds, .. } => format!("start over {seconds}"),
        Next::Recreate { begin: true, .. } => "begin".to_owned(),
        Next::Recreate { begin: false, .. } => "take over".to_owned(),
        Next::Report(report) => format!("report {}", rules(&report.plan)).trim().to_owned(),
    }
}

/// Each finding with what becomes of it.
fn rules(plan: &Plan) -> String {
    let steps = plan.steps.iter().map(|step| {
        let decision = match &step.decision {
            Decision::Repair(_) => "repair".to_owned(),
            Decision::Offer(_, why)
            | Decision::Withhold(why)
            | Decision::Suspend(why)
            | Decision::Manual(why) => code(why.code),
            Decision::Exempt(_) => "exempt".to_owned(),
        };
        format!("{}: {decision}", step.finding.rule)
    });
    steps.collect::<Vec<_>>().join(", ")
}

pub(super) fn mutable() -> Repository {
    Repository {
        mutability: TagMutability::Mutable,
        ..repository()
    }
}

pub(super) fn weak() -> Repository {
    Repository {
        encryption: Encryption::aes256(),
        ..repository()
    }
}

pub(super) fn marked() -> Repository {
    let mut marked = mutable();
    marked.tags = Read::Known([(MARKER_TAG.to_owned(), "1".to_owned())].into());
    marked
}

/// Everything that a policy can ask for was read.
pub(super) fn read(repository: Repository) -> Observation {
    Observation {
        record: Read::Known(Known::default()),
        repository: Seen::Read(Box::new(repository)),
        reads_all: true,
        clearance: Some(Clearance::Granted { counted: true }),
        ..Observation::default()
    }
}

pub(super) fn recorded(known: Known, repository: Repository) -> Observation {
    Observation {
        record: Read::Known(known),
        ..read(repository)
    }
}

pub(super) fn unreadable(repository: Seen) -> Observation {
    Observation {
        record: Read::Unreadable("the item is of a newer version".to_owned()),
        repository,
        reads_all: true,
        ..Observation::default()
    }
}

pub(super) fn intent() -> Intent {
    Intent {
        id: "1".to_owned(),
        rule: "weak-encryption".to_owned(),
        before: weak(),
        to: Encryption::kms(None),
        fallback: None,
        refused: None,
        made: None,
        cause: "CreateRepository".to_owned(),
        actor: None,
        started_at: NOW - 10,
        unknown: [].into(),
    }
}

pub(super) fn recreating(owner: &str, until: i64) -> Known {
    let owner = owner.to_owned();
    Known {
        intent: Some((intent(), Lease { owner, until })),
        ..Known::default()
    }
}

/// One repair by `mutable-tags`, this many seconds ago.
pub(super) fn repaired(result: Repaired, ago: i64) -> Known {
    let repair = Repair {
        action: Action::SetTagMutability {
            from: TagMutability::Mutable,
            to: TagMutability::Immutable,
        },
        result,
        at: NOW - ago,
        cause: "CreateRepository".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let mut known = Known::default();
    let repairs = Repairs::default().with(repair);
    known.repairs.insert("mutable-tags".to_owned(), repairs);
    known
}

pub(super) fn conforming(policy: &Policy, ago: i64) -> Known {
    Known {
        look: Some(LastConforming {
            at: NOW - ago,
            policy: policy.fingerprint(),
            created_at: None,
        }),
        ..Known::default()
    }
}

/// What the event of a creation says decides what is read first, and nothing else.
#[test]
fn what_is_created_conforming_is_described_first() {
    let as_created = |created: Repository| {
        let mut case = Case::new(policy(MUTABLE_TAGS, ""));
        case.trigger.created_as = Some(Box::new(created));
        case
    };
    let nothing = Observation::default();
    let faulty = as_created(mutable());
    assert_eq!(faulty.says(&nothing), "observe RecordAndRepository");
    let conforming = as_created(repository());
    assert_eq!(conforming.says(&nothing), "observe RecordAndDescription");
    let mut seen = Observation {
        record: Read::Known(Known::default()),
        repository: Seen::Described(Box::new(mutable())),
        ..Observation::default()
    };
    assert_eq!(conforming.says(&seen), "observe Rest");
    seen.repository = read(mutable()).repository;
    seen.reads_all = true;
    seen.clearance = Some(Clearance::Granted { counted: true });
    assert_eq!(conforming.says(&seen), "report mutable-tags: repair");
}

#[test]
fn an_event_reads_record_and_repository_at_once_and_a_push_one_after_the_other() {
    let event = Case::new(policy(MUTABLE_TAGS, ""));
    let push = event.clone().push(false);
    let nothing = Observation::default();
    assert_eq!(event.says(&nothing), "observe RecordAndRepository");
    assert_eq!(push.says(&nothing), "observe Record");
    let mut seen = Observation {
        record: Read::Known(Known::default()),
        ..Observation::default()
    };
    assert_eq!(push.says(&seen), "observe Description");
    seen.repository = Seen::Described(Box::new(mutable()));
    assert_eq!(push.says(&seen), "observe Rest");
    assert_eq!(push.says(&read(mutable())), "report mutable-tags: repair");
    assert_eq!(event.says(&read(mutable())), "report mutable-tags: repair");
}

#[test]
fn a_push_to_what_conformed_a_moment_ago_reads_nothing_of_it() {
    let rules = "mutable-tags: {}, nonconforming-image-tag: { allow: [\"v*\"] }";
    let push = Case::new(policy(rules, "")).push(false);
    let only_record = |known: Known| Observation {
        record: Read::Known(known),
        ..Observation::default()
    };
    let lately = only_record(conforming(&push.policy, 60));
    assert_eq!(push.says(&lately), "report");
    let Next::Report(report) = push.next(&lately, &Earlier::default()) else {
        panic!("it does not report");
    };
    assert!(!report.plan.complete, "the other rules were not evaluated");
    assert_eq!(report.conforms, None);
    let mut wrong = push.clone();
    wrong.trigger.pushed.as_mut().unwrap().tag = Some("latest".to_owned());
    assert_eq!(
        wrong.says(&lately),
        "report nonconforming-image-tag: no-repair"
    );

    let long_ago = only_record(conforming(&push.policy, 3600));
    assert_eq!(push.says(&long_ago), "observe Description");
    let other = only_record(conforming(&policy(MUTABLE_TAGS, ""), 60));
    assert_eq!(push.says(&other), "observe Description", "another policy");
    let refused = push.clone().push(true);
    assert_eq!(refused.says(&lately), "observe Description");
    let cannot = Observation {
        record: Read::Unreadable("denied".to_owned()),
        ..Observation::default()
    };
    assert_eq!(push.says(&cannot), "observe Description");
}

#[test]
fn a_push_to_what_conforms_is_remembered() {
    let push = Case::new(policy(MUTABLE_TAGS, "")).push(false);
    let conforms = |case: &Case, seen: &Observation| match case.next(seen, &Earlier::default()) {
        Next::Report(report) => report.conforms.map(|look| (look.at, look.created_at)),
        other => panic!("{other:?}"),
    };
    let fine = read(repository());
    assert_eq!(conforms(&push, &fine), Some((NOW, repository().created_at)));
    assert_eq!(conforms(&push, &read(mutable())), None);
    let rules = "mutable-tags: {}, nonconforming-image-tag: { allow: [\"v*\"] }";
    let mut wrong = Case::new(policy(rules, "")).push(false);
    wrong.trigger.pushed.as_mut().unwrap().tag = Some("latest".to_owned());
    let of_the_push_alone = conforms(&wrong, &fine);
    assert!(of_the_push_alone.is_some(), "the repository conforms");
    assert_eq!(conforms(&Case::new(policy(MUTABLE_TAGS, "")), &fine), None);
    let cannot = unreadable(Seen::Read(Box::new(repository())));
    assert_eq!(conforms(&push, &cannot), None);
}

#[test]
fn under_a_rate_limit_an_event_waits_for_its_turn_and_for_permits() {
    let limited = Case::new(policy(MUTABLE_TAGS, "ecr-calls-per-second: 5"));
    let nothing = Observation::default();
    assert_eq!(limited.says(&nothing), "observe Turn");
    let sweep = limited.clone().requeue(Requeue::NoEvent);
    for free in [limited.clone().push(false), sweep.clone()] {
        assert_ne!(free.says(&nothing), "observe Turn");
    }
    let turn = |turn: Turn| Observation {
        turn: Some(turn),
        ..Observation::default()
    };
    for (seen, says) in [
        (turn(Turn::Evaluate), "observe RecordAndRepository"),
        (
            turn(Turn::Covered { seconds: 9 }),
            "ignore covered-by-earlier-event",
        ),
        (turn(Turn::In { seconds: 9 }), "defer evaluated 9"),
    ] {
        assert_eq!(limited.says(&seen), says);
    }
    let refused = Observation {
        rate_limited: true,
        ..turn(Turn::Evaluate)
    };
    assert_eq!(limited.says(&refused), "defer rate-limited");
    assert_eq!(sweep.says(&refused), "fail");
    let no_queue = limited.requeue(Requeue::NoQueue);
    assert_eq!(no_queue.says(&refused), "fail");
    assert_eq!(
        refused.next_attempt(),
        turn(Turn::Evaluate),
        "its turn stays its own"
    );
}

#[test]
fn a_recreation_on_record_comes_first() {
    let case = Case::new(policy(RECREATES, ""));
    let seen = |known: Known| recorded(known, mutable());
    let held = recreating("another", NOW + 20);
    assert_eq!(case.says(&seen(held.clone())), "defer leased-elsewhere 21");
    let sweep = case.clone().requeue(Requeue::NoEvent);
    assert_eq!(sweep.says(&seen(held.clone())), "ignore leased-elsewhere");
    let no_queue = case.clone().requeue(Requeue::NoQueue);
    assert_eq!(no_queue.says(&seen(held.clone())), "fail");
    let same_event = recreating(ME, NOW + 20);
    assert_eq!(
        case.says(&seen(same_event)),
        "defer leased-elsewhere 21",
        "another delivery of the same event"
    );
    assert_eq!(
        case.says(&seen(recreating(DELIVERY, NOW + 20))),
        "take over"
    );
    assert_eq!(case.says(&seen(recreating("another", NOW))), "take over");
    // Nothing more is read before.
    let only_record = Observation {
        record: Read::Known(held),
        ..Observation::default()
    };
    let push = case.clone().push(false);
    assert_eq!(push.says(&only_record), "defer leased-elsewhere 21");
    let throttled = |known: Known| Observation {
        repository: Seen::Unavailable("throttled".to_owned()),
        ..seen(known)
    };
    assert_eq!(
        case.says(&throttled(recreating("another", NOW))),
        "take over",
        "it needs none of the reads that failed"
    );
    let held_elsewhere = case.says(&throttled(recreating("another", NOW + 20)));
    assert_eq!(held_elsewhere, "defer leased-elsewhere 21");
    assert_eq!(case.says(&throttled(Known::default())), "fail");
    let gone = Observation {
        repository: Seen::Gone,
        ..seen(recreating("another", NOW))
    };
    assert_eq!(
        push.says(&gone),
        "take over",
        "it may be ours to bring back"
    );
}

#[test]
fn what_is_gone_is_ignored_only_if_the_record_says_so() {
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let gone = Observation {
        repository: Seen::Gone,
        ..read(repository())
    };
    assert_eq!(case.says(&gone), "ignore repository-gone");
    assert_eq!(
        case.says(&unreadable(Seen::Gone)),
        "fail unreadable-record: no-repair"
    );
}

#[test]
fn what_cannot_be_read_is_reported() {
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let because = |why: &str| Observation {
        repository: Seen::Unreadable(why.to_owned()),
        ..read(repository())
    };
    assert_eq!(
        case.says(&because("denied")),
        "report unreadable-repository: no-repair"
    );
    let denied = format!("{DENIED_BY_POLICY}ecr:DescribeRepositories");
    assert_eq!(case.says(&because(&denied)), "report blinded: no-repair");
    let cannot = unreadable(Seen::Read(Box::new(mutable())));
    assert_eq!(case.says(&cannot), "report mutable-tags: record-unreadable");
    let Next::Report(report) = case.next(&cannot, &Earlier::default()) else {
        panic!("it does not report");
    };
    assert!(!report.recorded);
}

#[test]
fn an_undecided_policy_is_reported() {
    let more = "overrides: [{ match: { tags: { team: payments } }, rules: { mutable-tags: { mode: monitor } } }]";
    let case = Case::new(policy(MUTABLE_TAGS, more));
    let mut untagged = mutable();
    untagged.tags = Read::Unreadable("denied".to_owned());
    assert_eq!(
        case.says(&read(untagged)),
        "report undecided-policy: no-repair"
    );
    assert_eq!(
        case.says(&read(mutable())),
        "report mutable-tags: monitor-mode"
    );
}

#[test]
fn what_tags_and_record_ask_for_is_read_too() {
    let quarantined = {
        let mut known = repaired(Repaired::Done, 1000);
        let quarantine = crate::quarantine::impose(None).unwrap();
        let repairs = known.repairs.get_mut("mutable-tags").unwrap();
        repairs.history[0].action = Action::SetRepositoryPolicy {
            from: None,
            to: Some(quarantine),
        };
        known
    };
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let first = |known: Known| Observation {
        reads: case.policy.reads(&repository().id),
        reads_all: false,
        ..recorded(known, repository())
    };
    assert_eq!(case.says(&first(Known::default())), "report");
    let Next::Observe(Wanted::Repository(reads)) =
        case.next(&first(quarantined), &Earlier::default())
    else {
        panic!("it does not read the repository policy");
    };
    assert!(reads.policy && reads.cover(&case.policy.reads(&repository().id)));
}

#[test]
fn a_marker_has_the_record_read_again() {
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let mut seen = read(marked());
    assert_eq!(case.says(&seen), "observe Record");
    seen.record_reread = true;
    assert!(
        case.says(&seen).starts_with("report"),
        "{}",
        case.says(&seen)
    );
    seen.record = Read::Known(recreating("another", NOW + 20));
    assert_eq!(case.says(&seen), "defer leased-elsewhere 21");
}

#[test]
fn a_replica_is_recorded_once() {
    let mut case = Case::new(policy(MUTABLE_TAGS, ""));
    case.trigger.replicated = true;
    let mut known = Known::default();
    assert_eq!(
        case.says(&recorded(known.clone(), mutable())),
        "mark replica"
    );
    let throttled = Observation {
        repository: Seen::Unavailable("throttled".to_owned()),
        ..recorded(known.clone(), mutable())
    };
    assert_eq!(
        case.says(&throttled),
        "mark replica",
        "no event says it again"
    );
    known.replica = true;
    let left_to_people = "report mutable-tags: no-repair";
    assert_eq!(
        case.says(&recorded(known.clone(), mutable())),
        left_to_people
    );
    case.trigger.replicated = false;
    assert_eq!(
        case.says(&recorded(known, mutable())),
        left_to_people,
        "later events"
    );
    assert_eq!(case.says(&read(mutable())), "report mutable-tags: repair");
}

#[test]
fn a_young_repository_is_left_to_its_creator_where_something_can_wait() {
    let case = Case::new(policy(MUTABLE_TAGS, "settle: 5m"));
    let mut young = mutable();
    young.created_at = Some((NOW - 100) * 1000);
    let seen = read(young.clone());
    assert_eq!(case.says(&seen), "defer settling 200");
    let sweep = case.clone().requeue(Requeue::NoEvent);
    assert_eq!(sweep.says(&seen), "ignore settling");
    let no_queue = case.clone().requeue(Requeue::NoQueue);
    assert_eq!(no_queue.says(&seen), "report mutable-tags: repair");
    assert_eq!(
        case.says(&read(mutable())),
        "report mutable-tags: repair",
        "it is old"
    );
    let mut ahead = young.clone();
    ahead.created_at = Some((NOW + 1000) * 1000);
    assert_eq!(
        case.says(&read(ahead)),
        "defer settling 300",
        "a clock that is ahead"
    );
    let mut ours = repaired(Repaired::Done, 100);
    let mut recreated = ours.repairs.remove("mutable-tags").unwrap();
    recreated.history[0].action = Action::Recreate {
        from: Encryption::aes256(),
        to: Encryption::kms(None),
    };
    ours.repairs.insert("weak-encryption".to_owned(), recreated);
    let ours = recorded(ours, young.clone());
    assert_eq!(
        case.says(&ours),
        "report mutable-tags: repair",
        "ecr-warden created it"
    );

    let urgent = "mutable-tags: {}, public-access: {}";
    let case = Case::new(policy(urgent, "settle: 5m"));
    let anyone = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}"#;
    young.policy = Read::Known(Some(anyone.to_owned()));
    let Next::Report(report) = case.next(&read(young), &Earlier::default()) else {
        panic!("it waits with what is public");
    };
    assert_eq!(rules(&report.plan), "public-access: repair");
    assert!(!report.plan.complete, "the other rules were not evaluated");
    assert_eq!(report.look_again_in, Some(200));
}

#[test]
fn what_looks_reverted_is_read_again_once() {
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let seen = recorded(repaired(Repaired::Done, 60), mutable());
    let Next::StartOver {
        earlier,
        // A repair that ECR does not show yet is no revert.
        seconds: 2,
    } = case.next(&seen, &Earlier::default())
    else {
        panic!("it does not start over");
    };
    assert!(earlier.reread);
    assert_eq!(
        said(&case.next(&seen, &earlier)),
        "report mutable-tags: repair"
    );
    let long_ago = recorded(repaired(Repaired::Done, 600), mutable());
    assert_eq!(case.says(&long_ago), "report mutable-tags: repair");
    let begun = recorded(repaired(Repaired::Begun, 60), mutable());
    assert_eq!(case.says(&begun), "report mutable-tags: repair");
}

#[test]
fn a_change_of_the_registry_that_others_make_is_waited_for_twice() {
    let case = Case::new(policy(
        "no-scan-on-push: { fix: registry, registry-filters: [\"*\"] }",
        "",
    ));
    let mut unscanned = repository();
    unscanned.scan_on_push = false;
    let mut seen = read(unscanned);
    assert_eq!(case.says(&seen), "observe Registry");
    let mut registry = repaired(Repaired::Begun, 5);
    let repairs = registry.repairs.remove("mutable-tags").unwrap();
    registry
        .repairs
        .insert("no-scan-on-push".to_owned(), repairs);
    seen.registry = Read::Known(registry);
    let mut earlier = Earlier::default();
    for waits in 1..=2 {
        let Next::StartOver {
            earlier: by_now,
            seconds: 2,
        } = case.next(&seen, &earlier)
        else {
            panic!("it does not wait");
        };
        earlier = by_now;
        assert_eq!(earlier.registry_waits, waits);
    }
    assert!(said(&case.next(&seen, &earlier)).starts_with("report no-scan-on-push"));
    seen.registry = Read::Unreadable("denied".to_owned());
    assert_eq!(
        case.says(&seen),
        "report no-scan-on-push: record-unreadable"
    );
}

#[test]
fn a_recreation_is_begun_alone_and_given_up_with_its_reason() {
    let case = Case::new(policy(RECREATES, ""));
    let mut seen = read(Repository {
        mutability: TagMutability::Mutable,
        ..weak()
    });
    let Next::Recreate {
        intent,
        lease,
        begin: true,
    } = case.next(&seen, &Earlier::default())
    else {
        panic!("it does not begin");
    };
    assert_eq!(intent.before.encryption, Encryption::aes256());
    assert_eq!(intent.to, Encryption::kms(None));
    assert_eq!(intent.id, format!("{DELIVERY}-{NOW}"));
    assert_eq!(
        (lease.owner.as_str(), lease.until),
        (DELIVERY, NOW + 60 + LEASE_GRACE)
    );
    let earlier = Earlier {
        gave_up: Some(Reason::new(Code::HoldsImages, "an image was pushed")),
        ..Earlier::default()
    };
    let both = "report mutable-tags: repair, weak-encryption: holds-images";
    assert_eq!(said(&case.next(&seen, &earlier)), both);
    seen.record = Read::Unreadable("denied".to_owned());
    let withheld = "report mutable-tags: record-unreadable, weak-encryption: record-unreadable";
    assert_eq!(case.says(&seen), withheld);
}

#[test]
fn what_a_stack_owns_or_may_own_is_not_recreated() {
    let rules = "weak-encryption: { require: KMS, when-empty: recreate}";
    let case = Case::new(policy(rules, ""));
    let mut seen = read(weak());
    assert_eq!(case.says(&seen), "observe Stack");
    for (stack, says) in [
        (Read::Known(None), "begin"),
        (
            Read::Known(Some("web".to_owned())),
            "report weak-encryption: owned-by-stack",
        ),
        (
            Read::Unreadable("denied".to_owned()),
            "report weak-encryption: owned-by-stack",
        ),
    ] {
        seen.stack = stack;
        assert_eq!(case.says(&seen), says);
    }
}

#[test]
fn what_another_invocation_repairs_is_evaluated_again_when_its_lease_ends() {
    let case = Case::new(policy(MUTABLE_TAGS, ""));
    let mut known = Known::default();
    let Next::Report(report) = case.next(&read(mutable()), &Earlier::default()) else {
        panic!("it does not report");
    };
    assert_eq!(report.look_again_in, None);
    let said = Said {
        pending: Some(Lease {
            owner: "another".to_owned(),
            until: NOW + 30,
        }),
        ..report.claims[0].said.clone()
    };
    assert_eq!(said.status, Status::Fixed);
    known.said.insert("mutable-tags".to_owned(), said);
    let Next::Report(report) = case.next(&recorded(known, mutable()), &Earlier::default()) else {
        panic!("it does not report");
    };
    assert_eq!(report.claims, []);
    assert_eq!(report.look_again_in, Some(30));
}

const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Open","Effect":"Allow","Principal":"*",
    "Action":"ecr:BatchGetImage","Resource":"*"}]}"#;

/// A registry's event: what is read, what is reported, and that nothing is changed.
#[test]
fn a_registry_is_reported_and_never_changed() {
    let registry = repository().id.registry();
    let case = |rules: &str| {
        let mut case = Case::new(policy(rules, ""));
        case.trigger.repository = registry.clone();
        case.trigger.origin.cause = Cause::PutRegistryPolicy;
        case
    };
    let judged = case("public-access: {}, mutable-tags: {}");
    let first = judged.next(&Observation::default(), &Earlier::default());
    let reads = |next: Next| match next {
        Next::Observe(Wanted::RecordAndSettings(reads)) => reads,
        other => panic!("{other:?}"),
    };
    let access = RegistryReads {
        policy: true,
        destinations: true,
        ..RegistryReads::default()
    };
    assert_eq!(reads(first), access);
    let unjudged = case("mutable-tags: {}").next(&Observation::default(), &Earlier::default());
    assert_eq!(reads(unjudged), RegistryReads::default());
    let seen = |text: Option<&str>, record: Read<Known>| Observation {
        record,
        repository: Seen::Registry(Box::new(Registry {
            policy: Read::Known(text.map(str::to_owned)),
            destinations: Read::Known(Vec::new()),
            ..Registry::unread(&registry)
        })),
        ..Observation::default()
    };
    let nothing = || Read::Known(Known::default());
    let unreadable = Read::Unreadable("no".to_owned());
    for (text, record, expected) in [
        (None, nothing(), "report"),
        (Some(OPEN), nothing(), "report public-access: no-repair"),
        (Some(OPEN), unreadable, "report public-access: no-repair"),
    ] {
        assert_eq!(judged.says(&seen(text, record)), expected, "{text:?}");
    }
}

/// What stops changes comes before the rules, and the reason is said.
#[test]
fn what_is_held_is_reported_and_not_changed() {
    let seen = |record: Known| Observation {
        record: Read::Known(record),
        repository: Seen::Read(Box::new(mutable())),
        reads_all: true,
        clearance: Some(Clearance::Granted { counted: true }),
        ..Observation::default()
    };
    let name = repository().id.name;
    let protected = format!("never-change: [\"{name}\"]");
    let frozen = "freezes: [{ from: 2027-01-15, until: 2027-01-15, reason: launch }]";
    let thawed = "freezes: [{ from: 2027-01-14, until: 2027-01-14, reason: launch }]";
    let limit = Reason::new(Code::SweepLimit, "too many");
    for (more, hold, expected) in [
        ("", None, "report mutable-tags: repair"),
        (thawed, None, "report mutable-tags: repair"),
        (frozen, None, "report mutable-tags: frozen"),
        (&protected, None, "report mutable-tags: never-change"),
        ("", Some(limit.clone()), "report mutable-tags: sweep-limit"),
        (
            &protected,
            Some(limit.clone()),
            "report mutable-tags: never-change",
        ),
    ] {
        let mut case = Case::new(policy(MUTABLE_TAGS, more));
        case.invocation.hold = hold;
        assert_eq!(case.says(&seen(Known::default())), expected, "{more}");
    }
    // What else stands in the way of the repair is the better reason, and a fight is suspended all the same.
    let once = format!("repair-limit: 1\n{frozen}");
    let mut reverted = Case::new(policy(MUTABLE_TAGS, &once));
    reverted.invocation.hold = Some(limit.clone());
    assert_eq!(
        reverted.says(&seen(repaired(Repaired::Done, 600))),
        "report mutable-tags: revert-limit"
    );
    let monitored = "mutable-tags: { mode: monitor }";
    let case = Case::new(policy(monitored, frozen));
    assert_eq!(
        case.says(&seen(Known::default())),
        "report mutable-tags: monitor-mode"
    );
    let mut begun = Case::new(policy(RECREATES, frozen));
    begun.invocation.hold = Some(limit);
    let expected = "take over";
    assert_eq!(
        begun.says(&seen(recreating("another", NOW - 20))),
        expected,
        "a recreation that was begun is finished"
    );
}

/// Under `existing: monitor` the time of the deployment is asked for where something was found, and decides; in doubt nothing is changed.
#[test]
fn an_existing_repository_is_reported_and_not_changed() {
    let created = mutable().created_at.unwrap() / 1000;
    let case = |more: &str| Case::new(policy(MUTABLE_TAGS, more));
    let seen = |repository: Repository, deployed_at: Read<i64>| Observation {
        record: Read::Known(Known::default()),
        repository: Seen::Read(Box::new(repository)),
        reads_all: true,
        clearance: Some(Clearance::Granted { counted: true }),
        deployed_at,
        ..Observation::default()
    };
    let monitored = case("existing: monitor");
    let unreadable = Read::Unreadable("no".to_owned());
    for (repository, deployed_at, expected) in [
        (repository(), Read::NotAsked, "report"),
        (mutable(), Read::NotAsked, "observe Deployment"),
        (
            mutable(),
            Read::Known(created),
            "report mutable-tags: repair",
        ),
        (
            mutable(),
            Read::Known(created + 1),
            "report mutable-tags: existing-repository",
        ),
        (
            mutable(),
            unreadable,
            "report mutable-tags: existing-repository",
        ),
    ] {
        let seen = seen(repository, deployed_at);
        assert_eq!(monitored.says(&seen), expected);
    }
    let unrecorded = Observation {
        record: Read::Unreadable("no".to_owned()),
        ..seen(mutable(), Read::NotAsked)
    };
    assert_eq!(
        monitored.says(&unrecorded),
        "report mutable-tags: record-unreadable"
    );
    let dated = case("existing: monitor\nexisting-before: 2100-01-01");
    let seen = seen(mutable(), Read::NotAsked);
    assert_eq!(
        dated.says(&seen),
        "report mutable-tags: existing-repository"
    );
}

/// The brakes are asked last, once, and only where something would be changed.
#[test]
fn the_brakes_are_asked_before_each_change() {
    let stopped = Clearance::Refused(Reason::new(Code::Stopped, "INC-1"));
    let used_up = Clearance::Refused(Reason::new(Code::HourlyLimit, "100 changes"));
    let granted = |counted| Some(Clearance::Granted { counted });
    let asks = "observe Clearance { counts: true }";
    let mutable_tags = Case::new(policy(MUTABLE_TAGS, ""));
    let recreates = Case::new(policy(RECREATES, ""));
    let frozen = "freezes: [{ from: 2027-01-15, until: 2027-01-15, reason: launch }]";
    let frozen = Case::new(policy(MUTABLE_TAGS, frozen));
    for (case, repository, clearance, expected) in [
        (&mutable_tags, repository(), None, "report"),
        (&frozen, mutable(), None, "report mutable-tags: frozen"),
        (&mutable_tags, mutable(), None, asks),
        (&mutable_tags, mutable(), granted(false), asks),
        (
            &mutable_tags,
            mutable(),
            granted(true),
            "report mutable-tags: repair",
        ),
        (
            &mutable_tags,
            mutable(),
            Some(stopped.clone()),
            "report mutable-tags: stopped",
        ),
        (
            &mutable_tags,
            mutable(),
            Some(used_up.clone()),
            "report mutable-tags: hourly-limit",
        ),
        (&recreates, weak(), None, asks),
        (&recreates, weak(), granted(true), "begin"),
        (
            &recreates,
            weak(),
            Some(stopped.clone()),
            "report weak-encryption: stopped",
        ),
        (
            &recreates,
            weak(),
            Some(used_up.clone()),
            "report weak-encryption: hourly-limit",
        ),
    ] {
        let seen = Observation {
            clearance: clearance.clone(),
            ..read(repository)
        };
        assert_eq!(case.says(&seen), expected, "{clearance:?}");
        assert_eq!(seen.next_attempt().clearance, clearance);
    }
    // The lift of a quarantine is none of the hour's changes, and the switch stops it all the same.
    let mut quarantined = repository();
    quarantined.policy = Read::Known(Some(crate::quarantine::impose(None).unwrap()));
    for (clearance, expected) in [
        (None, "observe Clearance { counts: false }"),
        (granted(false), "report stale-quarantine: repair"),
        (Some(used_up), "report stale-quarantine: repair"),
        (Some(stopped), "report stale-quarantine: stopped"),
    ] {
        let seen = Observation {
            clearance,
            ..read(quarantined.clone())
        };
        assert_eq!(mutable_tags.says(&seen), expected);
    }
    // A recreation that was begun is finished.
    let seen = recorded(recreating("another", NOW - 20), weak());
    let seen = Observation {
        clearance: None,
        ..seen
    };
    assert_eq!(recreates.says(&seen), "take over");
}

/// Alerts name the owner: its tag is read where there is something to report, and there alone.
#[test]
fn the_owner_is_read_where_there_is_something_to_report() {
    let owned = Case::new(policy(MUTABLE_TAGS, "owner-tag: team"));
    let untagged = |repository: Repository| {
        let mut seen = read(Repository {
            tags: Read::NotAsked,
            ..repository
        });
        seen.reads.recent_tags = true;
        seen
    };
    let Next::Observe(Wanted::RecordAndRepository(reads)) =
        owned.next(&Observation::default(), &Earlier::default())
    else {
        panic!("it reads nothing");
    };
    assert!(reads.tags, "in the same round");
    assert_eq!(owned.says(&untagged(repository())), "report");
    assert_eq!(owned.says(&untagged(mutable())), "observe Repository");
    let asked = Case::new(policy(MUTABLE_TAGS, ""));
    let repair = "report mutable-tags: repair";
    assert_eq!(asked.says(&untagged(mutable())), repair);
    let unreadable = Repository {
        tags: Read::Unreadable("denied".to_owned()),
        ..mutable()
    };
    assert_eq!(owned.says(&read(unreadable)), repair);
    let mut tagged = mutable();
    tagged.tags = Read::Known([("team".to_owned(), "payments".to_owned())].into());
    let Next::Report(report) = owned.next(&read(tagged), &Earlier::default()) else {
        panic!("it does not report");
    };
    assert_eq!(report.policy.owner.unwrap().name, "payments");
    // A push alone is reported to its owner, too.
    let rules = "nonconforming-image-tag: { allow: [\"v*\"] }";
    let mut push = Case::new(policy(rules, "owner-tag: team")).push(false);
    let lately = Observation {
        record: Read::Known(conforming(&push.policy, 60)),
        ..Observation::default()
    };
    assert_eq!(push.says(&lately), "report");
    push.trigger.pushed.as_mut().unwrap().tag = Some("latest".to_owned());
    assert_eq!(push.says(&lately), "observe Description");
}
