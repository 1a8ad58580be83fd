//! Who speaks of what, and when it is news.

use std::sync::LazyLock;

use super::*;
use crate::approval::Approval;
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::plan::Step;
use crate::reason::{Code, Reason};
use crate::record::{FRESH, LastConforming, Lease, Repairs};
use crate::repository::TagMutability;
use crate::trigger::Origin;

const NOW: i64 = 1_800_000_000;
const RULE: &str = "mutable-tags";

fn lease(owner: &str) -> Lease {
    Lease {
        owner: owner.to_owned(),
        until: NOW + 90,
    }
}

/// By a deployment.
fn origin(cause: Cause) -> Origin {
    Origin {
        actor: Some("arn:aws:sts::123456789012:assumed-role/Deploy/ci".to_owned()),
        ..Origin::of(cause)
    }
}

static CREATED: LazyLock<Origin> = LazyLock::new(|| origin(Cause::CreateRepository));

fn context(me: &Lease, now: i64) -> Context<'_> {
    Context {
        origin: &CREATED,
        me,
        now,
        created_at: Some(1_700_000_000_000),
    }
}

fn repair() -> Decision {
    Decision::Repair(Action::SetTagMutability {
        from: TagMutability::Mutable,
        to: TagMutability::Immutable,
    })
}

fn manual(what: &str) -> Decision {
    Decision::Manual(Reason::new(Code::NoRepair, what))
}

fn step(rule: &'static str, detail: &str, decision: Decision) -> Step {
    Step {
        finding: Finding {
            rule,
            severity: Severity::Medium,
            violation: Violation {
                detail: detail.to_owned(),
                fix: Fix::Manual(String::new()),
            },
            left: None,
            advice: None,
        },
        decision,
    }
}

fn found(detail: &str, decision: Decision) -> Plan {
    Plan {
        steps: vec![step(RULE, detail, decision)],
        complete: true,
    }
}

fn nothing_found() -> Plan {
    Plan {
        steps: Vec::new(),
        complete: true,
    }
}

/// How an invocation that claimed ends.
#[derive(Clone, Copy)]
enum Ends {
    /// The alert is out, and this is what became of the finding.
    Reported(Status, &'static str),
    /// It dies before the alert is out, or the alert can't be published.
    Dies,
}

/// The table as conditional writes make it, and how many reports were made.
#[derive(Default)]
struct Table {
    known: Known,
    reported: usize,
}

impl Table {
    /// One invocation: reads, claims, speaks if it is news, settles. The claims it made.
    fn invocation(&mut self, plan: &Plan, context: &Context<'_>, ends: Ends) -> Vec<Claim> {
        let claims = claims(&self.known, plan, context);
        for claim in &claims {
            self.write(claim);
        }
        if let Ends::Reported(status, words) = ends {
            for claim in claims.iter().filter(|claim| !claim.only_counts()) {
                self.report(claim, status, words, context);
            }
        }
        claims
    }

    fn write(&mut self, claim: &Claim) {
        assert_eq!(self.known.said.get(&claim.rule), claim.before.as_ref());
        let before = claim.before.as_ref().map_or(0, |said| said.version);
        assert_eq!(claim.said.version, before + 1, "one of two writers loses");
        self.known
            .said
            .insert(claim.rule.clone(), claim.said.clone());
        if let Some(repair) = &claim.repair {
            assert_eq!(repair.result, Result::Begun);
        }
        if let Some(record) = &claim.record {
            let before = self.known.repairs.get(&claim.rule);
            assert_eq!(
                record.version,
                before.map_or(0, |record| record.version) + 1
            );
            self.known
                .repairs
                .insert(claim.rule.clone(), record.clone());
        }
    }

    fn report(&mut self, claim: &Claim, status: Status, words: &str, context: &Context<'_>) {
        if is_news(claim, status, words, context) {
            self.reported += 1;
        }
        match settled(claim, status, words, context) {
            None => self.known.said.remove(&claim.rule),
            Some(said) => {
                assert_eq!(said.pending, None, "what was reported is claimed no more");
                assert!(said.version > claim.said.version);
                self.known.said.insert(claim.rule.clone(), said)
            }
        };
    }

    fn since(&self) -> i64 {
        self.known.said[RULE].since
    }
}

const OPEN: Ends = Ends::Reported(Status::Open, "");
const FIXED: Ends = Ends::Reported(Status::Fixed, "");

#[test]
fn the_same_finding_again_is_one_alert() {
    let mut table = Table::default();
    for n in 0..3 {
        let me = lease(&format!("event {n}"));
        let plan = found("it holds images", manual("copy them"));
        let claims = table.invocation(&plan, &context(&me, NOW + n), OPEN);
        assert_eq!(claims.len(), usize::from(n == 0));
    }
    assert_eq!(table.reported, 1);
    assert_eq!(table.since(), NOW);
}

#[test]
fn other_details_or_other_advice_are_news() {
    let mut table = Table::default();
    let me = lease("event");
    let cases = [
        ("AES256", manual("copy the images")),
        ("KMS (aws/ecr)", manual("copy the images")),
        ("KMS (aws/ecr)", manual("enable the key")),
        (
            "KMS (aws/ecr)",
            Decision::Withhold(Reason::new(Code::MonitorMode, "enable the key")),
        ),
    ];
    for (n, (detail, decision)) in cases.into_iter().enumerate() {
        let status = match decision {
            Decision::Withhold(_) => Status::Withheld,
            _ => Status::Open,
        };
        let plan = found(detail, decision);
        table.invocation(&plan, &context(&me, NOW), Ends::Reported(status, ""));
        assert_eq!(table.reported, n + 1);
    }
}

#[test]
fn it_is_as_old_as_its_first_sight() {
    let mut table = Table::default();
    let me = lease("event");
    table.invocation(&found("AES256", manual("a")), &context(&me, NOW), OPEN);
    let later = found("KMS", manual("a"));
    table.invocation(&later, &context(&me, NOW + 5000), OPEN);
    assert_eq!(table.reported, 2);
    assert_eq!(table.since(), NOW);
}

#[test]
fn what_is_gone_is_reported_once_and_forgotten() {
    let mut table = Table::default();
    let me = lease("event");
    table.invocation(&found("AES256", manual("a")), &context(&me, NOW), OPEN);
    let resolved = Ends::Reported(Status::Resolved, "");
    let claims = table.invocation(&nothing_found(), &context(&me, NOW + 60), resolved);
    assert_eq!(claims[0].said.status, Status::Resolved);
    assert_eq!(claims[0].repair, None);
    assert_eq!(table.reported, 2);
    assert!(table.known.said.is_empty());
    let claims = table.invocation(&nothing_found(), &context(&me, NOW + 61), resolved);
    assert_eq!((claims.len(), table.reported), (0, 2));
}

#[test]
fn a_repository_that_was_not_judged_resolves_nothing() {
    let mut table = Table::default();
    let me = lease("event");
    table.invocation(&found("AES256", manual("a")), &context(&me, NOW), OPEN);
    let unjudged = Plan {
        complete: false,
        ..nothing_found()
    };
    assert_eq!(claims(&table.known, &unjudged, &context(&me, NOW)), []);
}

/// The next look at the repository says nothing of a push, so it does not take back what was said of one.
#[test]
fn a_push_is_not_resolved_by_the_next_look() {
    let mut table = Table::default();
    let me = lease("event");
    let plan = Plan {
        steps: vec![step("blocked-push", "refused", manual("another tag"))],
        complete: true,
    };
    table.invocation(&plan, &context(&me, NOW), OPEN);
    assert_eq!(
        claims(&table.known, &nothing_found(), &context(&me, NOW)),
        []
    );
}

#[test]
fn a_repair_is_reported_once_and_leaves_its_record() {
    let mut table = Table::default();
    let me = lease("event");
    let plan = found("MUTABLE", repair());
    let claims = table.invocation(&plan, &context(&me, NOW), FIXED);
    assert_eq!(claims[0].said.pending, Some(me.clone()));
    assert_eq!(table.reported, 1);
    assert!(table.known.said.is_empty());
    assert_eq!(
        table.known.repairs[RULE].history[0].cause,
        "CreateRepository"
    );
    // Another caller reverts it: that is news.
    table.invocation(&plan, &context(&me, NOW + 60), FIXED);
    assert_eq!(table.reported, 2);
}

/// One tag is put and another is left to an operator: reverted, the first is put again although the rest was reported.
#[test]
fn what_a_repair_leaves_does_not_keep_it_from_being_made_again() {
    let mut table = Table::default();
    let me = lease("event");
    let mut plan = found("tags `a` and `b` are missing", repair());
    plan.steps[0].finding.left = Some(Violation {
        detail: "tag `b` is missing".to_owned(),
        fix: Fix::Manual("tag it".to_owned()),
    });
    assert!(
        table.invocation(&plan, &context(&me, NOW), OPEN)[0]
            .repair
            .is_some()
    );
    let rest = found("tag `b` is missing", manual("tag it"));
    assert!(
        table
            .invocation(&rest, &context(&me, NOW + 1), OPEN)
            .is_empty()
    );
    assert_eq!(table.reported, 1);
    assert!(
        table.invocation(&plan, &context(&me, NOW + 2), OPEN)[0]
            .repair
            .is_some()
    );
    assert_eq!(table.reported, 2);
}

/// Of two at the same event one repairs and speaks.
#[test]
fn what_another_is_at_is_left_alone() {
    let mut table = Table::default();
    let (first, second) = (lease("first"), lease("second"));
    let plan = found("MUTABLE", repair());
    table.invocation(&plan, &context(&first, NOW), Ends::Dies);
    for plan in [&plan, &nothing_found()] {
        for now in [NOW, NOW + 89] {
            assert_eq!(claims(&table.known, plan, &context(&second, now)), []);
        }
    }
}

/// It died before it could repair: the retry of the same invocation goes on at once, others when its time is up.
#[test]
fn a_dead_ones_repair_is_taken_over() {
    for (owner, now) in [("first", NOW + 1), ("second", NOW + 90)] {
        let mut table = Table::default();
        let first = lease("first");
        let plan = found("MUTABLE", repair());
        table.invocation(&plan, &context(&first, NOW), Ends::Dies);
        assert_eq!(table.reported, 0);
        let next = lease(owner);
        let claims = table.invocation(&plan, &context(&next, now), FIXED);
        assert!(claims[0].repair.is_some(), "{owner} repairs");
        assert_eq!((table.reported, table.known.said.len()), (1, 0));
    }
}

/// It died after its repair and before its alert: the repair is reported, not that the finding is resolved.
#[test]
fn a_dead_ones_alert_is_reported_by_the_next() {
    for (owner, now) in [("first", NOW + 1), ("second", NOW + 90)] {
        let mut table = Table::default();
        let first = lease("first");
        let plan = found("MUTABLE", repair());
        table.invocation(&plan, &context(&first, NOW), Ends::Dies);
        let next = lease(owner);
        let claims = table.invocation(&nothing_found(), &context(&next, now), FIXED);
        assert_eq!(claims[0].said.status, Status::Fixed);
        assert!(claims[0].said.action.is_some(), "it says what was changed");
        assert_eq!(claims[0].repair, None, "there is nothing left to repair");
        assert_eq!((table.reported, table.known.said.len()), (1, 0));
    }
}

/// An alert that could not be published is reported by the next, though it says nothing new.
#[test]
fn what_was_claimed_and_not_reported_is_news_still() {
    let mut table = Table::default();
    let me = lease("first");
    let plan = found("it holds images", manual("copy them"));
    table.invocation(&plan, &context(&me, NOW), Ends::Dies);
    let next = lease("second");
    table.invocation(&plan, &context(&next, NOW + 90), OPEN);
    assert_eq!(table.reported, 1);
}

#[test]
fn the_same_failure_again_is_no_news_and_another_is() {
    let mut table = Table::default();
    let me = lease("event");
    let plan = found("MUTABLE", repair());
    let failures = [
        ("ecr:PutImageTagMutability is missing", 1),
        ("ecr:PutImageTagMutability is missing", 1),
        ("throttled", 2),
        ("throttled", 2),
    ];
    for (n, (why, reported)) in failures.into_iter().enumerate() {
        let claims = table.invocation(
            &plan,
            &context(&me, NOW + 60 * n as i64),
            Ends::Reported(Status::Failed, why),
        );
        assert!(claims[0].repair.is_some(), "it is tried each time");
        assert_eq!(table.reported, reported, "{why}");
        assert_eq!(table.since(), NOW);
    }
    table.invocation(&plan, &context(&me, NOW + 600), FIXED);
    assert_eq!(table.reported, 3, "success after failures is news");
    assert!(table.known.said.is_empty());
}

#[test]
fn the_same_name_made_anew_is_another_repository() {
    let mut table = Table::default();
    let me = lease("event");
    let plan = found("it holds images", manual("copy them"));
    table.invocation(&plan, &context(&me, NOW), OPEN);
    let another = Context {
        created_at: Some(1_700_000_000_001),
        ..context(&me, NOW + 60)
    };
    table.invocation(&plan, &another, OPEN);
    table.invocation(&plan, &another, OPEN);
    assert_eq!(table.reported, 2);
}

#[test]
fn rules_are_claimed_apart() {
    let mut table = Table::default();
    let (first, second) = (lease("first"), lease("second"));
    table.invocation(
        &found("MUTABLE", repair()),
        &context(&first, NOW),
        Ends::Dies,
    );
    let both = Plan {
        steps: vec![
            step(RULE, "MUTABLE", repair()),
            step("weak-encryption", "AES256", manual("copy them")),
        ],
        complete: true,
    };
    let claims = table.invocation(&both, &context(&second, NOW), OPEN);
    let rules: Vec<&str> = claims.iter().map(|claim| claim.rule.as_str()).collect();
    assert_eq!(rules, ["weak-encryption"]);
}

/// A finding that was open and is being repaired now, by an invocation that dies before the repair, stays one.
#[test]
fn a_repair_in_place_of_an_open_finding_keeps_its_age() {
    let mut table = Table::default();
    let me = lease("event");
    table.invocation(&found("MUTABLE", manual("a")), &context(&me, NOW), OPEN);
    table.invocation(
        &found("MUTABLE", repair()),
        &context(&me, NOW + 9),
        Ends::Dies,
    );
    assert_eq!(table.since(), NOW);
    let next = lease("next");
    table.invocation(
        &found("MUTABLE", repair()),
        &context(&next, NOW + 200),
        FIXED,
    );
    assert_eq!((table.reported, table.known.said.len()), (2, 0));
}

/// What a newer version recorded of a finding and of a repair stays when this version writes again.
#[test]
fn what_a_newer_version_recorded_outlives_a_write_of_this_one() {
    let newer = |json: &str| -> Newer { serde_json::from_str(json).unwrap() };
    let repairs = Repairs {
        newer: newer(r#"{"approved":1}"#),
        ..Repairs::default()
    };
    for repairs in [
        repairs.with_held(None),
        repairs.with_result(Result::Done),
        repairs.resumed("arn:aws:iam::123456789012:user/operator", NOW),
    ] {
        assert_eq!(repairs.newer, newer(r#"{"approved":1}"#));
    }
    let me = lease("me");
    let mut table = Table::default();
    table.invocation(&found("AES256", manual("a")), &context(&me, NOW), OPEN);
    let said = table.known.said.get_mut(RULE).unwrap();
    said.newer = newer(r#"{"enforce-after":5}"#);
    table.invocation(&found("KMS", manual("a")), &context(&me, NOW), OPEN);
    let said = &table.known.said[RULE];
    assert_eq!(said.newer, newer(r#"{"enforce-after":5}"#));
}

fn exempt(until: &str) -> Decision {
    let text = format!(
        "version: 1\nmode: enforce\nrules: {{ mutable-tags: {{}} }}\nexemptions: \
         [{{ repositories: [\"**\"], rules: [mutable-tags], reason: OPS-1, until: {until} }}]"
    );
    let repository = crate::evaluate::tests::repository();
    let policy = crate::policy::Policy::parse(&text)
        .unwrap()
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    Decision::Exempt(
        policy
            .exemption(RULE, &repository.tags, 0)
            .unwrap()
            .unwrap(),
    )
}

/// It was reported, is exempt for a time, and is reported again when that ends. NOW is 2027-01-15.
#[test]
fn an_exemption_is_reported_where_it_changes_something_and_before_it_ends() {
    let told_exempt = Ends::Reported(Status::Exempt, "");
    let mut table = Table::default();
    let me = lease("event");
    let far = found("MUTABLE", exempt("2027-06-30"));
    table.invocation(&far, &context(&me, NOW), told_exempt);
    assert_eq!(table.reported, 0, "it was not reported, and need not be");
    let soon = found("MUTABLE", exempt("2027-01-28"));
    for _ in 0..2 {
        table.invocation(&soon, &context(&me, NOW), told_exempt);
        assert_eq!(table.reported, 1, "it ends in 14 days");
    }
    table.invocation(
        &found("MUTABLE", manual("correct it")),
        &context(&me, NOW),
        OPEN,
    );
    assert_eq!(table.reported, 2, "it has ended");
    table.invocation(&far, &context(&me, NOW), told_exempt);
    assert_eq!(table.reported, 3, "what stood open is exempt");
}

#[test]
fn a_fight_is_reported_once_and_is_over_when_the_finding_is_gone() {
    let withheld = Ends::Reported(Status::Withheld, "");
    let mut table = Table::default();
    let me = lease("event");
    let stop = found(
        "MUTABLE",
        Decision::Suspend(Reason::new(Code::RevertLimit, "by terraform")),
    );
    table.invocation(&stop, &context(&me, NOW), withheld);
    let held = |table: &Table| table.known.repairs[RULE].held.clone();
    assert_eq!(held(&table).unwrap().why, "by terraform");
    let held_back = found(
        "MUTABLE",
        Decision::Withhold(Reason::new(Code::MonitorMode, "by terraform")),
    );
    table.invocation(&held_back, &context(&me, NOW + 60), withheld);
    assert_eq!(table.reported, 1);
    table.invocation(
        &nothing_found(),
        &context(&me, NOW + 120),
        Ends::Reported(Status::Resolved, ""),
    );
    assert_eq!(table.reported, 2);
    assert_eq!(held(&table), None);
}

#[test]
fn what_somebody_else_repairs_is_looked_at_again_when_they_are_done() {
    let (them, me) = (lease("them"), lease("me"));
    let plan = found("d", repair());
    let mut table = Table::default();
    table.invocation(&plan, &context(&them, NOW), Ends::Dies);
    let mine = claims(&table.known, &plan, &context(&me, NOW + 1));
    assert_eq!(mine, []);
    let until = Some(them.until);
    assert_eq!(held_by_others(&table.known, &plan, &mine), until);
    // When they are late, it is mine.
    let mine = claims(&table.known, &plan, &context(&me, them.until + 1));
    assert_eq!(held_by_others(&table.known, &plan, &mine), None);
    // What is being reported cannot be reverted meanwhile.
    let plan = found("d", manual("w"));
    assert_eq!(held_by_others(&table.known, &plan, &[]), None);
}

const DAY: i64 = 24 * 60 * 60;

fn of_severity(severity: Severity, decision: Decision) -> Plan {
    let mut plan = found("MUTABLE", decision);
    plan.steps[0].finding.severity = severity;
    plan
}

/// Grave findings are reported once a day however often the repository is read, others after 90 days.
#[test]
fn a_grave_finding_is_reported_daily_and_not_by_each_event() {
    let withheld = || Decision::Withhold(Reason::new(Code::MonitorMode, "monitor"));
    for (severity, decision, ends, in_a_week) in [
        (Severity::Medium, manual("rename it"), OPEN, 1),
        (Severity::High, manual("rename it"), OPEN, 8),
        (
            Severity::Critical,
            withheld(),
            Ends::Reported(Status::Withheld, ""),
            8,
        ),
        (
            Severity::Medium,
            withheld(),
            Ends::Reported(Status::Withheld, ""),
            1,
        ),
        (
            Severity::High,
            repair(),
            Ends::Reported(Status::Failed, "denied"),
            8,
        ),
        (
            Severity::Low,
            repair(),
            Ends::Reported(Status::Failed, "denied"),
            1,
        ),
    ] {
        let mut table = Table::default();
        let plan = of_severity(severity, decision);
        for hour in 0..=7 * 24 {
            let now = NOW + hour * 60 * 60;
            let me = Lease {
                owner: format!("event {hour}"),
                until: now + 90,
            };
            table.invocation(&plan, &context(&me, now), ends);
        }
        assert_eq!(table.reported, in_a_week, "{severity:?} {plan:?}");
    }
}

/// What was published while the topic had no subscriber is reported again by the next invocation.
#[test]
fn what_nobody_received_is_reported_again() {
    for (plan, status) in [
        (found("MUTABLE", manual("rename it")), Status::Open),
        (found("MUTABLE", repair()), Status::Fixed),
        (found("MUTABLE", repair()), Status::Failed),
    ] {
        let mut table = Table::default();
        let me = lease("event");
        let claims = table.invocation(&plan, &context(&me, NOW), Ends::Dies);
        let said = unreported(&claims[0], status);
        assert!(said.version > claims[0].said.version);
        table.known.said.insert(RULE.to_owned(), said);
        // At once, and by another invocation.
        let sweep = lease("sweep");
        let next = match status {
            Status::Fixed => &nothing_found(),
            _ => &plan,
        };
        table.invocation(next, &context(&sweep, NOW + 1), Ends::Reported(status, ""));
        assert_eq!(table.reported, 1, "{status:?}");
    }
}

fn push(tag: &str) -> Plan {
    let rule = "nonconforming-image-tag";
    Plan {
        steps: vec![step(rule, tag, manual("another tag"))],
        complete: true,
    }
}

/// Of many pushes within an hour the first one is reported, and then how many followed.
#[test]
fn pushes_are_reported_once_an_hour_with_their_number() {
    const PUSH: &str = "nonconforming-image-tag";
    let mut table = Table::default();
    let at = |table: &mut Table, plan: &Plan, cause: Cause, now: i64, ends: Ends| {
        let me = Lease {
            owner: format!("{cause:?} {now}"),
            until: now + 90,
        };
        let origin = origin(cause);
        let context = Context {
            origin: &origin,
            ..context(&me, now)
        };
        let claims = table.invocation(plan, &context, ends);
        claims.first().map(|claim| claim.said.pushes.clone())
    };
    for n in 0..25 {
        at(
            &mut table,
            &push(&format!("build-{n}")),
            Cause::PutImage,
            NOW + n,
            OPEN,
        );
    }
    assert_eq!(table.reported, 1, "the first one");
    let pushes = table.known.said[PUSH].pushes.clone().unwrap();
    assert_eq!((pushes.count, pushes.last.as_str()), (24, "build-24"));
    // The same push again is not counted.
    at(
        &mut table,
        &push("build-24"),
        Cause::PutImage,
        NOW + 30,
        OPEN,
    );
    assert_eq!(table.known.said[PUSH].pushes.as_ref().unwrap().count, 24);
    // Another event than a push does not report it, and a sweep does.
    at(
        &mut table,
        &nothing_found(),
        Cause::TagResource,
        NOW + 40,
        OPEN,
    );
    assert_eq!(table.reported, 1);
    let reported = at(&mut table, &nothing_found(), Cause::Sweep, NOW + 50, OPEN);
    assert_eq!(reported.flatten().unwrap().count, 24);
    assert_eq!((table.reported, &table.known.said[PUSH].pushes), (2, &None));
    assert_eq!(
        at(&mut table, &nothing_found(), Cause::Sweep, NOW + 60, OPEN),
        None
    );
    // A push after the hour reports itself and those before it.
    at(&mut table, &push("late-1"), Cause::PutImage, NOW + 70, OPEN);
    let reported = at(
        &mut table,
        &push("late-2"),
        Cause::PutImage,
        NOW + 3700,
        OPEN,
    );
    assert_eq!(reported.flatten().unwrap().count, 2);
    assert_eq!(table.reported, 3);
    // One whose report died is counted with the next.
    at(
        &mut table,
        &push("dead"),
        Cause::PutImage,
        NOW + 7400,
        Ends::Dies,
    );
    let reported = at(&mut table, &push("next"), Cause::PutImage, NOW + 7600, OPEN);
    assert_eq!(reported.flatten().unwrap().count, 2);
    assert_eq!(table.reported, 4);
}

/// A push that another invocation is reporting at the moment is not reported beside it.
#[test]
fn a_push_beside_a_report_is_counted() {
    let mut table = Table::default();
    let (first, second) = (lease("first"), lease("second"));
    table.invocation(&push("a"), &context(&first, NOW), Ends::Dies);
    let claims = claims(&table.known, &push("b"), &context(&second, NOW + 1));
    assert!(claims[0].only_counts());
    assert_eq!(claims[0].said.reported, Some(NOW + 1));
    assert!(!is_news(
        &claims[0],
        Status::Open,
        "",
        &context(&second, NOW + 1)
    ));
}

/// The record of a change of the registry is the registry's, and a repository that only waits for it is named by sweeps alone.
#[test]
fn a_change_of_the_registry_is_on_record_for_the_registry() {
    let action = Action::SetRegistryScanning {
        from: crate::repository::RegistryScanning::default(),
        to: crate::repository::RegistryScanning::default(),
    };
    let made = |at: i64| Repair {
        action: action.clone(),
        result: Result::Done,
        at,
        cause: "sweep".to_owned(),
        actor: None,
        approved_by: None,
        newer: Newer::default(),
    };
    let rule = "no-scan-on-push";
    let with = |at: i64| Known {
        repairs: [(rule.to_owned(), Repairs::default().with(made(at)))].into(),
        ..Known::default()
    };
    let of = |registry: &Known| with(NOW - 900).with_registry([rule].into_iter(), registry);
    let known = of(&with(NOW - 50));
    let mut registry = with(NOW - 50);
    registry.repairs.get_mut(rule).unwrap().history[0].result = Result::Begun;
    let begun = of(&registry);
    assert!(begun.may_change_registry(rule, NOW - 49));
    assert!(!begun.may_change_registry(rule, NOW + 900));
    assert!(
        !registry.may_change_registry(rule, NOW - 49),
        "not the registry's"
    );
    assert!(!known.may_change_registry(rule, NOW - 49), "it was made");
    // What was cut short before it was made is made by the retry, beyond the limit, too.
    assert!(begun.repairs[rule].recent(&action, NOW).is_empty());
    let me = lease("me");
    let claims_of = |decision: Decision, cause: Cause| {
        let plan = Plan {
            steps: vec![step(rule, "not scanned", decision)],
            complete: true,
        };
        let origin = origin(cause);
        let context = Context {
            origin: &origin,
            ..context(&me, NOW)
        };
        claims(&known, &plan, &context)
    };
    let claimed = claims_of(Decision::Repair(action.clone()), Cause::CreateRepository);
    let record = claimed[0].record.as_ref().unwrap();
    let made_at: Vec<i64> = record.history.iter().map(|repair| repair.at).collect();
    assert!(claimed[0].of_registry);
    assert_eq!(
        made_at,
        [NOW, NOW - 50],
        "the repository's own is another one's"
    );
    let waits = || Decision::Withhold(Reason::new(Code::MonitorMode, "reverted each time"));
    assert_eq!(claims_of(waits(), Cause::CreateRepository), []);
    assert_eq!(claims_of(waits(), Cause::Sweep).len(), 1);
    let stops = claims_of(
        Decision::Suspend(Reason::new(Code::RevertLimit, "reverted")),
        Cause::CreateRepository,
    );
    assert!(stops[0].of_registry && stops[0].record.is_some());
}

#[test]
fn a_look_vouches_for_a_while_for_the_same_policy_and_while_nothing_is_open() {
    let look = LastConforming {
        at: NOW,
        policy: 7,
        created_at: Some(1),
    };
    let known = Known {
        look: Some(look.clone()),
        ..Known::default()
    };
    assert_eq!(known.vouches(7, NOW), Some(&look));
    assert_eq!(known.vouches(7, NOW + FRESH - 1), Some(&look));
    assert_eq!(known.vouches(7, NOW + FRESH), None);
    // A clock that is behind the one that looked.
    assert_eq!(known.vouches(7, NOW - 1), None);
    assert_eq!(known.vouches(8, NOW), None);
    assert_eq!(Known::default().vouches(7, NOW), None);

    let me = lease("one");
    let said = |rule: &str| {
        let mut table = Table::default();
        let step = step(rule.to_owned().leak(), "d", manual("w"));
        let plan = Plan {
            steps: vec![step],
            complete: true,
        };
        table.invocation(&plan, &context(&me, NOW), Ends::Reported(Status::Open, "w"));
        Known {
            look: Some(look.clone()),
            ..table.known
        }
    };
    assert_eq!(said("blocked-push").vouches(7, NOW), Some(&look));
    assert_eq!(said(RULE).vouches(7, NOW), None);
}

/// An item of the version before has no time of its last report.
#[test]
fn an_item_of_an_earlier_version_is_read() {
    let item = format!(
        r#"{{"status":"open","about":"1700000000000 open: MUTABLE; rename it","since":{NOW},"version":1}}"#
    );
    let said: Said = serde_json::from_str(&item).unwrap();
    assert_eq!((said.reported, &said.pushes), (None, &None));
    assert_eq!(serde_json::to_string(&said).unwrap(), item);
    let known = Known {
        said: [(RULE.to_owned(), said)].into(),
        ..Known::default()
    };
    let me = lease("event");
    let claimed = |severity| {
        let plan = of_severity(severity, manual("rename it"));
        claims(&known, &plan, &context(&me, NOW + DAY)).len()
    };
    assert_eq!((claimed(Severity::Medium), claimed(Severity::High)), (0, 1));
}

/// What waits is on record for who approves it, and nothing is begun.
#[test]
fn a_change_that_waits_for_approval_is_recorded_and_reported_once() {
    let Decision::Repair(action) = repair() else {
        unreachable!("a repair");
    };
    let waits = |action: &Action| {
        let why = Reason::new(Code::ApprovalRequired, "waits for approval");
        found("MUTABLE", Decision::Offer(action.clone(), why))
    };
    let me = lease("me");
    let mut table = Table::default();
    let first = table.invocation(
        &waits(&action),
        &context(&me, NOW),
        Ends::Reported(Status::Withheld, "waits for approval"),
    );
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0].repair, &first[0].record), (&None, &None));
    assert_eq!(table.known.said[RULE].action, Some(action.clone()));
    let again = table.invocation(&waits(&action), &context(&me, NOW + 60), Ends::Dies);
    assert!(again.is_empty(), "{again:?}");

    // Cut where it differs, and still another change for who approves it.
    let other = action.reverse().unwrap();
    let changed = table.invocation(&waits(&other), &context(&me, NOW + 65), Ends::Dies);
    assert_eq!(changed[0].said.action, Some(other));

    let created = Some(1_700_000_000_000);
    let approval = Approval::new(action.clone(), "mary", NOW + 70, created);
    let record = Repairs::default().with_approval(approval);
    table.known.repairs.insert(RULE.to_owned(), record);
    let made = claims(
        &table.known,
        &found("MUTABLE", repair()),
        &context(&me, NOW + 80),
    );
    let begun = made[0].repair.as_ref().unwrap();
    assert_eq!(begun.approved_by.as_deref(), Some("mary"));

    // It was made, and its invocation died before the report: who reverts it is asked again.
    let dead = lease("dead");
    let mut known = table.known.clone();
    let made = claims(
        &known,
        &found("MUTABLE", repair()),
        &context(&dead, NOW + 80),
    );
    known.said.insert(RULE.to_owned(), made[0].said.clone());
    let record = made[0].record.clone().unwrap();
    assert!(record.approved.is_some());
    known.repairs.insert(RULE.to_owned(), record);
    let after = claims(&known, &nothing_found(), &context(&me, NOW + 200));
    let record = after[0].record.as_ref().unwrap();
    assert_eq!(after[0].said.status, Status::Fixed);
    assert_eq!(record.approved, None);
    assert_eq!(record.history[0].result, Result::Done);
}
