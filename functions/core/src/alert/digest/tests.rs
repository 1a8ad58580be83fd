//! What people and machines get of a sweep.

use std::collections::BTreeMap;

use super::*;
use crate::action::Action;
use crate::finding::Severity;
use crate::repository::TagMutability;

const ID: &str = "b6a1";

fn origin() -> Origin {
    Origin {
        occurred_at: "2026-11-23T08:00:00Z".to_owned(),
        ..Origin::of(Cause::Sweep)
    }
}

fn verdict(rule: &str, status: Status) -> Verdict {
    Verdict {
        rule: rule.to_owned(),
        severity: Severity::Medium,
        status,
        detail: format!("{rule} is wrong"),
        to_do: match status {
            Status::Fixed => String::new(),
            _ => format!("mend {rule}"),
        },
        advice: None,
        since: None,
        action: (status == Status::Fixed).then_some(Action::SetTagMutability {
            from: TagMutability::Mutable,
            to: TagMutability::Immutable,
        }),
        news: true,
        reason: None,
    }
}

fn digest(repositories: usize, name: &str, verdicts: &[Verdict]) -> Alert {
    let ids: Vec<RepositoryId> = (0..repositories)
        .map(|n| format!("{name}{n:05}"))
        .map(|name| RepositoryId::new("123456789012", "us-east-1", &name).unwrap())
        .collect();
    let told: Vec<(&RepositoryId, &[Verdict])> = ids.iter().map(|id| (id, verdicts)).collect();
    Alert::digest("123456789012", "us-east-1", ID, &origin(), &told).unwrap()
}

fn forms(alert: &Alert) -> BTreeMap<String, String> {
    serde_json::from_str(&alert.message().body).unwrap()
}

#[test]
fn everything_is_counted_before_anything_is_cut() {
    let alert = digest(599, "r", &[verdict("mutable-tags", Status::Fixed)]);
    let message = alert.message();
    assert_eq!(
        message.subject,
        "[medium] ecr-warden sweep: 599 findings in 599 repositories (599 fixed)"
    );
    let text = &forms(&alert)["email"];
    assert!(
        text.contains("mutable-tags: 599 fixed (medium): r00000, r00001, r00002 … and 596 more"),
        "{text}"
    );
    assert_eq!((alert.findings.len(), alert.omitted), (LISTED, 579));
}

#[test]
fn what_is_fixed_and_what_is_open_are_both_there() {
    let both = [
        verdict("missing-tags", Status::Fixed),
        verdict("weak-encryption", Status::Open),
    ];
    let alert = digest(100, "shop/r", &both);
    assert_eq!(alert.findings[0].status, Status::Open, "the worst first");
    let fixed = alert.findings.iter().filter(|f| f.status == Status::Fixed);
    assert_eq!(fixed.count(), LISTED_CHANGES);
    assert_eq!(alert.actions.len(), LISTED_CHANGES);
    let forms = forms(&alert);
    let machine: serde_json::Value = serde_json::from_str(&forms["sqs"]).unwrap();
    assert_eq!(
        machine["actions"][0],
        serde_json::json!({
            "repository": "arn:aws:ecr:us-east-1:123456789012:repository/shop/r00000",
            "action": "set-tag-mutability", "from": "MUTABLE", "to": "IMMUTABLE", "result": "done",
        })
    );
    assert_eq!(
        machine["summary"]["tally"],
        serde_json::json!({ "fixed": 100, "open": 100 })
    );
    assert_eq!(
        machine["rules"],
        serde_json::json!(["missing-tags", "weak-encryption"])
    );
    let expected = "\
ecr-warden sweep: 200 findings in 100 repositories (100 open, 100 fixed), account 123456789012, us-east-1

Cause       sweep
            at 2026-11-23T08:00:00Z

weak-encryption: 100 open (medium): shop/r00000, shop/r00001, shop/r00002 … and 97 more
  What:     weak-encryption is wrong
  To do:    mend weak-encryption

missing-tags: 100 fixed (medium): shop/r00000, shop/r00001, shop/r00002 … and 97 more
  What:     missing-tags is wrong
  Changed:  MUTABLE -> IMMUTABLE

`ecr-warden rollback REPOSITORY` lists what was changed in one; an audit lists what is open.
";
    assert_eq!(forms["email"], expected);
    let chat: serde_json::Value = serde_json::from_str(&forms["https"]).unwrap();
    assert_eq!(
        chat["content"]["nextSteps"],
        serde_json::json!(["mend weak-encryption"])
    );
    let title = chat["content"]["title"].as_str().unwrap();
    assert!(
        title.contains("200 findings in 100 repositories"),
        "{title}"
    );
}

#[test]
fn different_changes_and_details_are_told_apart() {
    let verdicts: Vec<Verdict> = (0..5)
        .map(|n| Verdict {
            detail: format!("detail {n}"),
            action: Some(Action::SetTagMutability {
                from: TagMutability::Unknown(format!("from{n}")),
                to: TagMutability::Immutable,
            }),
            ..verdict("mutable-tags", Status::Fixed)
        })
        .collect();
    let text = &forms(&digest(1, "r", &verdicts))["email"];
    for part in ["detail 0 (and 4 others)", "from0 ->", "and 2 other changes"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn twenty_thousand_repositories_stay_within_the_limits() {
    let statuses = [
        Status::Open,
        Status::Fixed,
        Status::Failed,
        Status::Withheld,
        Status::Exempt,
    ];
    let verdicts: Vec<Verdict> = (0..5)
        .map(|n| Verdict {
            detail: "\u{1f512}".repeat(1000),
            to_do: "\u{1f512}".repeat(1000),
            ..verdict(&format!("rule-{n}"), statuses[n])
        })
        .collect();
    let alert = digest(20_000, &"n".repeat(251), &verdicts);
    let message = alert.message();
    assert!(message.body.len() <= 256 * 1024, "{}", message.body.len());
    assert!(message.subject.len() < 100, "{}", message.subject);
    assert!(message.subject.is_ascii());
    let forms = forms(&alert);
    let chat: serde_json::Value = serde_json::from_str(&forms["https"]).unwrap();
    let content = &chat["content"];
    assert!(content["title"].as_str().unwrap().chars().count() <= 250);
    let description = content["description"].as_str().unwrap();
    assert!(description.chars().count() <= 8000);
    assert!(
        description.ends_with("lists what is open."),
        "{description}"
    );
    let machine: serde_json::Value = serde_json::from_str(&forms["sqs"]).unwrap();
    assert_eq!(machine["summary"]["findings"], 100_000);
    let shown = crate::slack::message(&[machine]);
    let blocks = shown["attachments"][0]["blocks"].as_array().unwrap();
    assert!(blocks.len() < 50);
    for text in blocks
        .iter()
        .filter_map(|block| block["text"]["text"].as_str())
    {
        assert!(text.chars().count() <= 3000);
    }
    assert!(shown.to_string().contains("20000 fixed"), "{shown}");
    let nothing: &[(&RepositoryId, &[Verdict])] = &[];
    assert!(Alert::digest("1", "r", ID, &origin(), nothing).is_none());
}

/// What to do about a sweep over its limit stands before the findings in every form.
#[test]
fn a_sweep_over_its_limit_says_so_first() {
    let alert = digest(340, "r", &[verdict("mutable-tags", Status::Withheld)]);
    let line = "NOT CHANGED: this sweep would change 340 repositories";
    let alert = alert.with_over_limit(Some(line.to_owned()));
    let forms = forms(&alert);
    for form in ["email", "https"] {
        let text = &forms[form];
        let place = text.find(line).unwrap();
        assert!(place < text.find("mutable-tags").unwrap(), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&forms["sqs"]).unwrap();
    assert_eq!(json["over_limit"], line);
}
