//! What holds for every combination of what was read and what came before.

use super::tests::*;
use super::*;
use crate::reason::Code;
use crate::record::Result as Repaired;
use crate::repository::Encryption;

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for policy in [
        policy(MUTABLE_TAGS, ""),
        policy(RECREATES, "settle: 5m\necr-calls-per-second: 5"),
        policy(
            "weak-encryption: { require: KMS, when-empty: recreate }, nonconforming-image-tag: {}",
            "",
        ),
    ] {
        for requeue in [Requeue::Event, Requeue::NoEvent, Requeue::NoQueue] {
            let event = Case::new(policy.clone()).requeue(requeue);
            let mut replicated = event.clone().push(false);
            replicated.trigger.replicated = true;
            let mut conforming = event.clone();
            conforming.trigger.created_as = Some(Box::new(repository_that_conforms()));
            cases.extend([
                event.clone().push(false),
                event.clone().push(true),
                replicated,
                conforming,
                event,
            ]);
        }
    }
    cases
}

fn records(policy: &Policy) -> Vec<Read<Known>> {
    vec![
        Read::NotAsked,
        Read::Unreadable("denied".to_owned()),
        Read::Known(Known::default()),
        Read::Known(recreating("another", NOW + 20)),
        Read::Known(recreating("another", NOW - 20)),
        Read::Known(repaired(Repaired::Done, 60)),
        Read::Known(conforming(policy, 60)),
    ]
}

fn repositories() -> Vec<Seen> {
    let young = Repository {
        created_at: Some((NOW - 100) * 1000),
        ..weak()
    };
    let untagged = Repository {
        tags: Read::Unreadable("denied".to_owned()),
        ..mutable()
    };
    let all = [
        repository_that_conforms(),
        mutable(),
        weak(),
        marked(),
        young,
        untagged,
    ];
    let mut seen: Vec<Seen> = all.map(|it| Seen::Read(Box::new(it))).into();
    seen.extend([
        Seen::NotRead,
        Seen::Described(Box::new(mutable())),
        Seen::Gone,
        Seen::Unreadable("denied".to_owned()),
        Seen::Unavailable("throttled".to_owned()),
    ]);
    seen
}

fn repository_that_conforms() -> Repository {
    Repository {
        encryption: Encryption::kms(None),
        ..crate::evaluate::tests::repository()
    }
}

/// Each combination that an attempt can come to, with what is decided.
fn each(check: impl Fn(&Case, &Observation, &Earlier, Next)) {
    let gave_up = Some(Reason::new(Code::HoldsImages, "an image was pushed"));
    let earlier = [
        Earlier::default(),
        Earlier {
            reread: true,
            registry_waits: 2,
            gave_up,
        },
    ];
    for case in cases() {
        for (record, repository) in pairs(&records(&case.policy), &repositories()) {
            for (turn, rate_limited) in [(None, false), (Some(Turn::Evaluate), false), (None, true)]
            {
                for (stack, again) in pairs(&[Read::NotAsked, Read::Known(None)], &[false, true]) {
                    let seen = Observation {
                        turn,
                        rate_limited,
                        record: record.clone(),
                        record_reread: again,
                        registry: Read::NotAsked,
                        repository: repository.clone(),
                        reads: Reads::default(),
                        reads_all: again,
                        stack,
                        deployed_at: Read::NotAsked,
                        clearance: None,
                    };
                    for earlier in &earlier {
                        check(&case, &seen, earlier, case.next(&seen, earlier));
                    }
                }
            }
        }
    }
}

fn pairs<A: Clone, B: Clone>(some: &[A], others: &[B]) -> Vec<(A, B)> {
    let pairs = some
        .iter()
        .flat_map(|a| others.iter().map(move |b| (a.clone(), b.clone())));
    pairs.collect()
}

#[test]
fn nothing_is_changed_without_a_record() {
    each(|_, seen, _, next| match (&seen.record, next) {
        (Read::Known(_), _) => {}
        (_, Next::Recreate { .. } | Next::MarkReplica) => panic!("{seen:?}"),
        (_, Next::Report(report)) => {
            assert!(!report.recorded);
            assert_eq!(report.plan.repairs().count(), 0, "{seen:?}");
            assert_eq!(report.conforms, None);
        }
        (record, Next::Ignore(why)) => {
            assert_ne!(why.code, Code::RepositoryGone, "{record:?}");
        }
        _ => {}
    });
}

#[test]
fn an_intent_on_record_is_taken_over_or_waited_for() {
    each(|case, seen, _, next| {
        let intent = seen.record.known().and_then(|known| known.intent.as_ref());
        let Some((_, lease)) = intent else {
            return assert!(!matches!(next, Next::Recreate { begin: false, .. }));
        };
        let held = lease.until > NOW;
        match next {
            Next::Observe(Wanted::Turn) | Next::MarkReplica => {}
            Next::Defer(Deferral::RateLimited) => assert!(seen.rate_limited),
            Next::Fail { .. } if seen.rate_limited => {}
            Next::Recreate { begin, .. } => assert!(!held && !begin),
            Next::Defer(Deferral::For { reason, .. }) | Next::Ignore(reason) => {
                assert!(held && reason.code == Code::LeasedElsewhere);
            }
            Next::Fail { .. } => assert!(held && case.requeue == Requeue::NoQueue),
            other => panic!("{seen:?} {other:?}"),
        }
    });
}

#[test]
fn only_what_was_read_whole_is_repaired() {
    each(|_, seen, earlier, next| match next {
        Next::Report(report) if report.plan.repairs().count() > 0 => {
            assert!(matches!(seen.repository, Seen::Read(_)), "{seen:?}");
        }
        Next::Recreate { begin: true, .. } => {
            assert!(matches!(seen.repository, Seen::Read(_)), "{seen:?}");
            assert_eq!(earlier.gave_up, None);
        }
        Next::StartOver {
            earlier: by_now, ..
        } => assert_ne!(*earlier, by_now, "it ends"),
        _ => {}
    });
}

#[test]
fn only_an_event_that_can_wait_is_deferred() {
    each(|case, seen, _, next| {
        if let Next::Defer(_) = next {
            assert_eq!(case.requeue, Requeue::Event, "{seen:?}");
        }
    });
}

/// What is wanted is read. Then something else is wanted, or nothing.
#[test]
fn every_attempt_ends() {
    each(|case, seen, earlier, first| {
        if seen.rate_limited {
            return;
        }
        let (mut seen, mut next) = (seen.clone(), first);
        let mut wanted_before = Vec::new();
        loop {
            match &next {
                Next::Observe(wanted) => {
                    // The record is read a second time after the repository.
                    let wants = (wanted.clone(), seen.record == Read::NotAsked);
                    assert!(!wanted_before.contains(&wants), "{wants:?} twice: {seen:?}");
                    wanted_before.push(wants);
                    answer(wanted, &mut seen);
                }
                Next::MarkReplica => {
                    let Read::Known(known) = &mut seen.record else {
                        panic!("{seen:?}");
                    };
                    assert!(!known.replica);
                    known.replica = true;
                }
                Next::Report(report) => {
                    assert_eq!(report.plan.recreation(), None, "not among other repairs");
                    break;
                }
                _ => break,
            }
            next = case.next(&seen, earlier);
        }
        assert!(wanted_before.len() <= 8, "{wanted_before:?}");
    });
}

fn answer(wanted: &Wanted, seen: &mut Observation) {
    let whole = || Seen::Read(Box::new(weak()));
    match wanted {
        Wanted::Turn => seen.turn = Some(Turn::Evaluate),
        Wanted::Record => {
            seen.record_reread = seen.record != Read::NotAsked;
            seen.record = Read::Known(Known::default());
        }
        Wanted::RecordAndRepository(reads) => {
            seen.record = Read::Known(Known::default());
            seen.repository = whole();
            seen.reads = reads.clone();
        }
        Wanted::RecordAndDescription => {
            seen.record = Read::Known(Known::default());
            seen.repository = Seen::Described(Box::new(weak()));
        }
        Wanted::RecordAndSettings(_) => {
            seen.record = Read::Known(Known::default());
            let registry = Registry::unread(&weak().id.registry());
            seen.repository = Seen::Registry(Box::new(registry));
        }
        Wanted::Description => seen.repository = Seen::Described(Box::new(weak())),
        Wanted::Rest(reads) => {
            seen.repository = whole();
            seen.reads = reads.clone();
        }
        Wanted::Repository(reads) => {
            seen.repository = whole();
            seen.reads = reads.clone();
            seen.reads_all = true;
        }
        Wanted::Registry => seen.registry = Read::Known(Known::default()),
        Wanted::Stack => seen.stack = Read::Known(None),
        Wanted::Deployment => seen.deployed_at = Read::Known(NOW),
        Wanted::Clearance { counts } => {
            seen.clearance = Some(Clearance::Granted { counted: *counts });
        }
    }
}

/// Nothing is changed that the brakes were not asked for.
#[test]
fn nothing_is_changed_without_clearance() {
    each(|_, seen, _, next| {
        assert_eq!(seen.clearance, None);
        match next {
            Next::Report(report) => {
                assert!(report.claims.iter().all(|claim| claim.repair.is_none()));
            }
            Next::Recreate { begin, .. } => assert!(!begin, "{seen:?}"),
            _ => {}
        }
    });
}
