//! What records say of a repository, and what they keep.

use super::*;
use crate::repository::Encryption;

const NOW: i64 = 1_800_000_000;

fn lease(owner: &str) -> Lease {
    Lease {
        owner: owner.to_owned(),
        until: NOW + 90,
    }
}

#[test]
fn a_lease_holds_against_others_until_its_time() {
    let (mine, theirs) = (lease("me"), lease("them"));
    assert!(theirs.held_against(&mine, NOW + 89));
    assert!(!theirs.held_against(&mine, NOW + 90));
    assert!(!lease("me").held_against(&mine, NOW));
}

/// The items of the state table as each version wrote them. A key that this version does not know is written back.
#[test]
fn stored_items_are_read_and_written_back_without_a_loss() {
    let mut actions = std::collections::BTreeSet::new();
    for line in include_str!("stored/items.jsonl").lines() {
        let item: serde_json::Value = serde_json::from_str(line).unwrap();
        let stored = item["body"].clone();
        let written = if item["item"] == "fix" {
            let repairs: Repairs = serde_json::from_value(stored.clone()).expect(line);
            let made = repairs.history.iter();
            actions.extend(made.map(|repair| repair.action.name()));
            serde_json::to_value(repairs)
        } else {
            serde_json::to_value(serde_json::from_value::<Said>(stored.clone()).expect(line))
        };
        assert_eq!(written.unwrap(), stored);
    }
    for action in Action::samples() {
        let name = action.name();
        assert!(actions.contains(name), "stored/items.jsonl has no `{name}`");
    }
}

#[test]
fn the_record_of_repairs_has_room_for_the_newest() {
    let repair = |n: i64| Repair {
        action: Action::SetRepositoryPolicy {
            from: Some("x".repeat(40_000)),
            to: None,
        },
        result: Result::Done,
        at: NOW + n,
        cause: "SetRepositoryPolicy".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let repairs = (0..20).fold(Repairs::default(), |repairs, n| repairs.with(repair(n)));
    assert_eq!(repairs.version, 20);
    assert_eq!(repairs.history[0].at, NOW + 19);
    let size = serde_json::to_string(&repairs).unwrap().len();
    assert!(
        (2..MOST_REPAIRS).contains(&repairs.history.len()) && size < 350_000,
        "{size}"
    );
}

#[test]
fn a_quarantine_that_was_lifted_is_none() {
    let imposed = quarantine::impose(None).unwrap();
    let change = |at: i64, to: Option<&String>, result: Result| Repair {
        action: Action::SetRepositoryPolicy {
            from: None,
            to: to.cloned(),
        },
        result,
        at,
        cause: "PutImage".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let mut known = Known::default();
    assert!(!known.quarantined());
    // It may have been imposed, though its maker did not live to see that.
    for result in [Result::Done, Result::Begun] {
        let record = Repairs::default().with(change(NOW, Some(&imposed), result));
        known.repairs.insert("weak-encryption".to_owned(), record);
        assert!(known.quarantined());
    }
    for (result, stands) in [
        (Result::Begun, true),
        (Result::Failed("refused".to_owned()), true),
        (Result::Done, false),
    ] {
        let record = Repairs::default().with(change(NOW + 1, None, result.clone()));
        known.repairs.insert("stale-quarantine".to_owned(), record);
        assert_eq!(known.quarantined(), stands, "{result:?}");
    }
}

#[test]
fn what_fails_again_and_again_leaves_room_for_what_was_made() {
    let repair = |to: &str, result: Result, n: i64| Repair {
        action: Action::SetRepositoryPolicy {
            from: Some(to.to_owned()),
            to: None,
        },
        result,
        at: NOW + n,
        cause: "PutImage".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let failed = || Result::Failed("refused".to_owned());
    let mut record = Repairs::default().with(repair("made", Result::Done, 0));
    // The same, and each time something else.
    for n in 1..50 {
        record = record.with(repair("same", failed(), n));
    }
    assert_eq!(record.history.len(), 2);
    for n in 50..100 {
        record = record.with(repair(&n.to_string(), failed(), n));
    }
    assert_eq!(record.history.len(), MOST_REPAIRS);
    assert_eq!(record.history[0].at, NOW + 99);
    assert_eq!(record.history.last().unwrap().result, Result::Done);
    assert_eq!(record.version, 100);
}

#[test]
fn a_recreated_repository_is_ours() {
    let recreated = Repair {
        action: Action::Recreate {
            from: Encryption::aes256(),
            to: Encryption::kms(None),
        },
        result: Result::Done,
        at: NOW,
        cause: "CreateRepository".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let mut known = Known::default();
    assert!(!known.recreated_around(NOW));
    let record = Repairs::default().with(recreated);
    known.repairs.insert("weak-encryption".to_owned(), record);
    assert!(known.recreated_around(NOW + 2) && known.recreated_around(NOW - 60));
    assert!(
        !known.recreated_around(NOW + 3600),
        "another caller has created it again"
    );
}

#[test]
fn a_repair_of_a_moment_ago_may_not_be_seen_yet() {
    let mut known = Known::default();
    let repair = |result| Repair {
        action: Action::SetScanOnPush {
            from: false,
            to: true,
        },
        result,
        at: NOW,
        cause: "PutImage".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let rule = "no-scan-on-push";
    assert!(!known.just_repaired(rule, NOW));
    for (result, expected) in [(Result::Begun, false), (Result::Done, true)] {
        let record = Repairs::default().with(repair(result));
        known.repairs.insert(rule.to_owned(), record);
        assert_eq!(known.just_repaired(rule, NOW + 5), expected);
    }
    assert!(!known.just_repaired("mutable-tags", NOW + 5));
    assert!(!known.just_repaired(rule, NOW + 3600));
}

/// An attempt that died, or failed, is made again under the same approval.
#[test]
fn an_approval_holds_until_its_change_is_made() {
    let action = Action::SetScanOnPush {
        from: false,
        to: true,
    };
    let approval = Approval::new(action.clone(), "mary", NOW, None);
    let approved = Repairs::default().with_approval(approval.clone());
    let repair = |result: Result| Repair {
        action: action.clone(),
        result,
        at: NOW,
        cause: "sweep".to_owned(),
        actor: None,
        approved_by: approved.approver(&action).map(str::to_owned),
        newer: Newer::default(),
    };
    let begun = approved.with(repair(Result::Begun));
    assert_eq!(begun.approved, Some(approval.clone()));
    let failed = begun.with_result(Result::Failed("throttled".to_owned()));
    assert_eq!(failed.approved, Some(approval));
    for made in [
        begun.with_result(Result::Done),
        begun.with_result(Result::FellBack("refused".to_owned())),
        approved.with(repair(Result::Done)),
    ] {
        assert_eq!(made.approved, None);
        assert_eq!(made.history[0].approved_by.as_deref(), Some("mary"));
        let done = made.history[0].result == Result::Done;
        assert_eq!(made.was_made_lately(&action, NOW + 5), done);
        assert!(!made.was_made_lately(&action, NOW + 2 * 60 * 60));
        assert!(!made.was_made_lately(&action.reverse().unwrap(), NOW + 5));
    }
    for unmade in [&approved, &begun, &failed] {
        assert!(!unmade.was_made_lately(&action, NOW + 5));
    }
    // Its invocation died before it recorded that it had made it.
    let found = begun.resolved(true).unwrap();
    assert_eq!(
        (found.approved.clone(), &found.history[0].result),
        (None, &Result::Done)
    );
    assert_eq!(found.version, begun.version + 1);
    // Someone else has repaired it.
    let found = approved.resolved(false).unwrap();
    assert_eq!((found.approved.clone(), found.history.len()), (None, 0));
    assert_eq!(found.resolved(false), None);
}

#[test]
fn what_waits_for_approval_is_of_one_repository() {
    let id = crate::repository::RepositoryId::new("123456789012", "eu-west-1", "shop/api").unwrap();
    let action = Action::SetScanOnPush {
        from: false,
        to: true,
    };
    let said = |status, action: Option<&Action>| Said {
        status,
        about: "17 withheld: x".to_owned(),
        since: NOW,
        version: 1,
        action: action.cloned(),
        pending: None,
        reported: Some(NOW),
        pushes: None,
        newer: Newer::default(),
    };
    let known = Known {
        said: [
            ("no-scan-on-push", said(Status::Withheld, Some(&action))),
            ("mutable-tags", said(Status::Withheld, None)),
            ("missing-tags", said(Status::Fixed, Some(&action))),
        ]
        .map(|(rule, said)| (rule.to_owned(), said))
        .into(),
        ..Known::default()
    };
    let offers = known.offers(&id);
    let rules: Vec<&str> = offers.iter().map(|offer| offer.rule.as_str()).collect();
    assert_eq!(rules, ["no-scan-on-push"]);
    let said = &known.said["no-scan-on-push"];
    assert!(said.is_of(Some(17)));
    assert!(!said.is_of(Some(1)) && !said.is_of(None));
}
