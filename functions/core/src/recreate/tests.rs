//! The protocol, explored whole: every order of calls, crashes, lost answers, stale reads and other people's deeds.

mod world;

use std::collections::{HashMap, VecDeque};

use super::*;
use crate::repository::TagMutability;

use world::{End, Given, Key, Left, Maker, Setting, World};

/// Every reachable world once, the nearest first, each with how it was reached.
struct Explored {
    worlds: HashMap<World, (Option<World>, &'static str)>,
}

fn explore(given: &Given, left: Left) -> Explored {
    let start = given.start(left);
    let mut explored = Explored {
        worlds: HashMap::from([(start, (None, "the intent is on record"))]),
    };
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        if let Err(why) = always(given, &world).and_then(|()| eventually(given, &world)) {
            panic!("{why}\n{}", explored.way_to(&world));
        }
        for (what, then) in world.successors(given) {
            if !then.rehearses_on_nothing() && !explored.worlds.contains_key(&then) {
                explored.worlds.insert(then, (Some(world), what));
                queue.push_back(then);
            }
        }
    }
    explored
}

impl Explored {
    /// The shortest way to a world, as lines.
    fn way_to(&self, world: &World) -> String {
        let mut lines = Vec::new();
        let mut at = Some(*world);
        while let Some(world) = at {
            let (before, what) = self.worlds[&world];
            lines.push(format!("{what}: {world}"));
            at = before;
        }
        lines.reverse();
        lines.join("\n")
    }
}

/// What holds in every world, in the middle of everything.
fn always(given: &Given, world: &World) -> Result<(), &'static str> {
    // INVARIANT: what we deleted and have not made again is on record.
    if world.repo.is_none() && world.gone_by_us && !world.on_record() {
        return Err("it is gone, we did it, and nothing remembers it");
    }
    if let Some(repo) = world.repo {
        let complete = repo.lifecycle == Setting::Snapshot
            && (repo.policy == given.snapshot_policy() || repo.policy == Setting::Newer);
        // INVARIANT: what we made and have not finished is on record. A setting that somebody changes on the original
        // between the last look and the deletion is lost, as ECR's deletion has no condition but emptiness; then the
        // snapshot's is there.
        if repo.maker == Maker::Ours && (!complete || repo.marked()) && !world.on_record() {
            return Err("it is ours, half made, and nothing remembers it");
        }
        // INVARIANT: the original is never touched but by its deletion.
        if repo.maker == Maker::Original && (!complete || repo.asked_encryption || repo.marked()) {
            return Err("the original lost a setting");
        }
    }
    // INVARIANT: of one event that is delivered twice at once, one attempt works.
    if world.two_at_work() {
        return Err("two attempts work at the same recreation");
    }
    // INVARIANT: one refusal because of an image is enough to leave the repository alone.
    if world.refused_deletions > 1 {
        return Err("a repository with an image was to be deleted twice");
    }
    if world.idle() && !world.on_record() {
        return ended(given, world);
    }
    Ok(())
}

/// What holds when the intent is cleared, apart from what people do later.
fn ended(given: &Given, world: &World) -> Result<(), &'static str> {
    let Some(said) = world.said else {
        return Err("the intent is gone, and nothing was said");
    };
    let Some(repo) = world.repo else {
        return Ok(());
    };
    let right = match repo.maker {
        // INVARIANT: of the original it is said that it was left alone.
        Maker::Original => said.withdrawn(),
        // INVARIANT: ours has the asked encryption, or the original one when the key was refused for good, and which
        // of them is said.
        Maker::Ours => {
            let as_it_is = match said {
                End::Recreated => repo.asked_encryption,
                End::FellBack => !repo.asked_encryption,
                _ => false,
            };
            // An answer that says that the key is refused for good is believed, if nothing is there.
            let as_it_must_be =
                given.key != Key::Accepted || world.wrong_answers_given || said == End::Recreated;
            as_it_is && as_it_must_be
        }
        Maker::Somebody => true,
    };
    if right {
        Ok(())
    } else {
        Err("what was said is not what is there")
    }
}

/// INVARIANT: from any world the attempt under way and one sweep without disturbance come to an end, the repository is
/// there unless somebody else deleted it, with its image if it had one, and the intent is gone.
fn eventually(given: &Given, world: &World) -> Result<(), &'static str> {
    let Some(end) = world.undisturbed(given) else {
        return Err("undisturbed, it comes to no end");
    };
    if end.repo.is_none() && (world.repo.is_some() || world.gone_by_us) {
        return Err("undisturbed, the repository is lost");
    }
    let had_image = world.repo.is_some_and(|repo| repo.image);
    if had_image && !end.repo.is_some_and(|repo| repo.image) {
        return Err("undisturbed, an image is lost");
    }
    always(given, &end)
}

const KEYS: [Key; 3] = [Key::Accepted, Key::RefusedAtOnce, Key::RefusedWhenItMatters];

fn explore_all(deletions: bool, left: Left) {
    let mut ends = Vec::new();
    for key in KEYS {
        for policy in [true, false] {
            for coarse_clock in [false, true] {
                let given = Given::new(policy, key, coarse_clock, deletions);
                let explored = explore(&given, left);
                #[expect(clippy::iter_over_hash_type, reason = "the order does not matter")]
                for world in explored.worlds.keys() {
                    if let Some(said) = world.said.filter(|said| !ends.contains(said)) {
                        ends.push(said);
                    }
                }
            }
        }
    }
    // The exploration is worth something only if it gets everywhere.
    assert_eq!(ends.len(), 6, "{ends:?}");
}

#[test]
fn nothing_is_lost_where_nobody_else_deletes() {
    explore_all(
        false,
        Left {
            crashes: 3,
            lost_answers: 2,
            wrong_answers: 0,
            duplicates: 1,
            deeds: 3,
        },
    );
}

#[test]
fn nothing_of_ours_is_left_half_made_where_people_delete_as_well() {
    explore_all(
        true,
        Left {
            crashes: 2,
            lost_answers: 1,
            wrong_answers: 0,
            duplicates: 1,
            deeds: 3,
        },
    );
}

#[test]
fn nothing_is_lost_where_ecr_acts_and_answers_with_an_error() {
    explore_all(
        false,
        Left {
            crashes: 1,
            lost_answers: 0,
            wrong_answers: 2,
            duplicates: 1,
            deeds: 2,
        },
    );
}

/// One look at the original, changed in one way.
fn first_look(change: impl Fn(&mut Repository)) -> Result<RecreationStep, String> {
    let intent = Given::new(true, Key::Accepted, false, false).intent();
    let mut seen = intent.before.clone();
    change(&mut seen);
    next(&intent, RecreationProgress::default(), Some(&seen))
}

/// ECR would refuse the deletion anyway; it is not put to the test.
#[test]
fn an_image_that_is_seen_saves_the_repository() {
    assert_eq!(first_look(|_| ()), Ok(RecreationStep::Rehearse));
    assert_eq!(
        first_look(|seen| seen.has_images = Read::Known(true)),
        Ok(RecreationStep::Withdraw(Withdrawn::HoldsImages))
    );
}

#[test]
fn an_original_that_was_changed_since_the_snapshot_is_left_alone() {
    let changes: [fn(&mut Repository); 5] = [
        |seen| seen.tags = Read::Known([("team".to_owned(), "shop".to_owned())].into()),
        |seen| seen.policy = Read::Known(None),
        |seen| seen.lifecycle = Read::Known(Some("newer".to_owned())),
        |seen| seen.mutability = TagMutability::Mutable,
        |seen| seen.scan_on_push = false,
    ];
    for change in changes {
        assert_eq!(
            first_look(change),
            Ok(RecreationStep::Withdraw(Withdrawn::Changed))
        );
    }
}

#[test]
fn what_must_be_known_and_is_not_stops_the_attempt() {
    let denied = || "ecr:GetRepositoryPolicy is missing".to_owned();
    let unread: [&dyn Fn(&mut Repository); 4] = [
        &|seen| seen.tags = Read::Unreadable(denied()),
        &|seen| seen.policy = Read::Unreadable(denied()),
        &|seen| seen.lifecycle = Read::Unreadable(denied()),
        &|seen| seen.has_images = Read::Unreadable(denied()),
    ];
    for change in unread {
        assert_eq!(first_look(change), Err(denied()));
    }
}

/// It is read back by other versions than the one that wrote it.
#[test]
fn an_intent_reads_back_as_it_was_written() {
    let mut intent = Given::new(true, Key::Accepted, false, false).intent();
    for fallback in [None, Some("the key is disabled".to_owned())] {
        intent.fallback = fallback;
        let text = serde_json::to_string(&intent).unwrap();
        assert_eq!(serde_json::from_str::<Intent>(&text).unwrap(), intent);
    }
}

/// A record as the first version wrote it, with settings that a later one might add to it.
#[test]
fn a_record_of_a_newer_version_is_restored_as_far_as_it_is_known() {
    let mut record = serde_json::json!({
        "id": "r-1", "rule": "weak-encryption", "cause": "CreateRepository", "started-at": 1, "to": { "kind": "kms" },
        "before": {
            "id": { "account": "123456789012", "region": "eu-central-1", "name": "shop/api" },
            "created-at": 5, "mutability": "immutable", "scan-on-push": true,
            "encryption": { "kind": "aes256" }, "tags": { "known": { "team": "shop" } },
            "policy": { "known": "{}" }, "lifecycle": { "known": null },
        },
    });
    let old = Intent::parse(&record.to_string()).unwrap();
    assert_eq!((old.unknown.len(), old.before.created_at), (0, Some(5)));
    let written = serde_json::to_string(&old).unwrap();
    assert_eq!(Intent::parse(&written).unwrap(), old);

    record["before"]["archival"] = serde_json::json!({ "after-days": 30 });
    record["before"]["encryption"]["grants"] = "all".repeat(1000).into();
    record["attempt"] = 3.into();
    let newer = Intent::parse(&record.to_string()).unwrap();
    assert_eq!(
        newer,
        Intent {
            unknown: newer.unknown.clone(),
            ..old
        }
    );
    let places: Vec<&str> = newer.unknown.keys().map(String::as_str).collect();
    assert_eq!(
        places,
        ["attempt", "before.archival", "before.encryption.grants"]
    );
    assert_eq!(newer.unknown["before.archival"], r#"{"after-days":30}"#);
    assert!(
        newer
            .unknown
            .values()
            .all(|value| value.chars().count() <= 500)
    );
    // What an attempt writes again is reported by the next one, too.
    let again = Intent::parse(&serde_json::to_string(&newer).unwrap()).unwrap();
    assert_eq!(again, newer);

    record["before"]["mutability"] = "immutable-for-a-day".into();
    assert!(
        Intent::parse(&record.to_string()).is_err(),
        "it would be restored as something else"
    );
}
