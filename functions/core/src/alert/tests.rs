//! Alerts as their readers get them.

use std::collections::BTreeSet;

use super::*;
use crate::action::Action;
use crate::repository::TagMutability;
use crate::rule::Advice;
use crate::trigger::Cause;

fn id() -> RepositoryId {
    RepositoryId::new("123456789012", "eu-central-1", "payments/api").unwrap()
}

/// The invocation's.
const ID: &str = "b6a1";

fn origin() -> Origin {
    Origin {
        cause: Cause::CreateRepository,
        actor: Some("arn:aws:sts::123456789012:assumed-role/Deploy/ci".to_owned()),
        occurred_at: "2026-11-23T08:00:00Z".to_owned(),
    }
}

fn verdicts() -> Vec<Verdict> {
    let advice = Advice {
        text: "Set it where the repository is defined.".to_owned(),
        terraform: "image_tag_mutability = \"IMMUTABLE\"".to_owned(),
        cloudformation: "ImageTagMutability: IMMUTABLE".to_owned(),
        cli: String::new(),
    };
    vec![
        Verdict {
            rule: "mutable-tags".to_owned(),
            severity: Severity::Medium,
            status: Status::Fixed,
            detail: "tags can be overwritten (MUTABLE)".to_owned(),
            to_do: String::new(),
            advice: Some(advice),
            since: Some(1_795_420_800),
            action: Some(Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            }),
            news: true,
            reason: None,
        },
        Verdict {
            rule: "weak-encryption".to_owned(),
            severity: Severity::High,
            status: Status::Open,
            detail: "encrypted with AES256, and the policy asks for KMS".to_owned(),
            to_do: "it holds images; ask <!channel> or @here, [see](https://example.com) & tell"
                .to_owned(),
            advice: None,
            since: Some(1_795_420_800),
            action: None,
            news: true,
            reason: None,
        },
    ]
}

fn body(protocol: &str) -> String {
    let message = Alert::of(&id(), ID, &origin(), &verdicts())
        .unwrap()
        .message();
    let bodies: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    bodies[protocol].as_str().unwrap().to_owned()
}

#[test]
fn people_get_text() {
    let expected = "\
ecr-warden: 1 open, 1 fixed in payments/api

Repository  payments/api
Account     123456789012, eu-central-1
Cause       CreateRepository by arn:aws:sts::123456789012:assumed-role/Deploy/ci
            at 2026-11-23T08:00:00Z

FIXED  mutable-tags (medium)
  What:     tags can be overwritten (MUTABLE)
  Changed:  MUTABLE -> IMMUTABLE
  Prevent:  Set it where the repository is defined.
    Terraform
      image_tag_mutability = \"IMMUTABLE\"
    CloudFormation
      ImageTagMutability: IMMUTABLE

OPEN  weak-encryption (high)
  What:     encrypted with AES256, and the policy asks for KMS
  Since:    2026-11-23T08:00:00Z
  To do:    it holds images; ask <!channel> or @here, [see](https://example.com) & tell
";
    assert_eq!(body("default"), expected);
    assert_eq!(body("email"), expected);
}

#[test]
fn what_drops_repetitions_loses_nothing() {
    let of = |verdicts: &[Verdict]| Alert::of(&id(), ID, &origin(), verdicts).unwrap().id;
    let [fixed, open] = verdicts().try_into().unwrap();
    let both = of(&[fixed.clone(), open.clone()]);
    let later = Origin {
        occurred_at: "2026-11-23T09:00:00Z".to_owned(),
        ..origin()
    };
    let again = Alert::of(&id(), ID, &later, &verdicts()).unwrap();
    assert_eq!(both, again.id, "a retry that tells the same");
    assert!(both.starts_with("b6a1/"));

    let failed = Verdict {
        status: Status::Failed,
        ..fixed.clone()
    };
    let policy = |wrong: Option<&str>| {
        Alert::of_policy(
            "policy",
            "123456789012",
            "eu-central-1",
            ID,
            &origin(),
            wrong,
        )
        .id
    };
    let sweep = |name: &str| {
        let id = RepositoryId::new("123456789012", "eu-central-1", name).unwrap();
        let told = [(&id, std::slice::from_ref(&open))];
        let digest = Alert::digest("123456789012", "eu-central-1", ID, &origin(), &told);
        digest.unwrap().id
    };
    let others = [
        both,
        of(&[fixed]),
        of(std::slice::from_ref(&open)),
        of(&[failed]),
        policy(Some("line 1")),
        policy(None),
        sweep("payments/api"),
        sweep("payments/web"),
    ];
    let different: BTreeSet<&String> = others.iter().collect();
    assert_eq!(different.len(), others.len(), "{others:?}");
}

#[test]
fn machines_get_the_contract() {
    let alert: serde_json::Value = serde_json::from_str(&body("sqs")).unwrap();
    assert_eq!(body("sqs"), body("lambda"));
    let keys: Vec<&str> = alert
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "schema",
        "id",
        "account",
        "region",
        "repository",
        "cause",
        "actor",
        "occurred_at",
        "severity",
        "findings",
        "actions",
        "namespaces",
        "outcome",
        "rules",
    ];
    expected.sort_unstable();
    let mut keys = keys;
    keys.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(alert["severity"], "high");
    assert_eq!(
        alert["findings"][0]["iac"],
        serde_json::json!({
            "terraform": "image_tag_mutability = \"IMMUTABLE\"",
            "cloudformation": "ImageTagMutability: IMMUTABLE",
        })
    );
    assert_eq!(
        alert["actions"],
        serde_json::json!([
            { "action": "set-tag-mutability", "from": "MUTABLE", "to": "IMMUTABLE", "result": "done" }
        ])
    );
}

#[test]
fn a_chat_gets_no_mention_or_link_from_outside() {
    let chat: serde_json::Value = serde_json::from_str(&body("https")).unwrap();
    assert_eq!(chat["source"], "custom");
    let description = chat["content"]["description"].as_str().unwrap();
    for hostile in ["<!channel>", "@here", "](http"] {
        assert!(!description.contains(hostile), "{description}");
    }
    assert!(description.contains("&lt;!channel&gt;"), "{description}");
    assert!(
        chat["content"]["nextSteps"][0]
            .as_str()
            .unwrap()
            .chars()
            .count()
            <= 350
    );
}

#[test]
fn limits_hold_for_the_longest_input() {
    let long = RepositoryId::new("123456789012", "eu-central-1", &"n".repeat(256)).unwrap();
    let mut many = verdicts();
    for verdict in &mut many {
        verdict.detail = "ä".repeat(5000);
        verdict.to_do = "ä".repeat(5000);
    }
    let message = Alert::of(&long, ID, &origin(), &many).unwrap().message();
    assert!(
        message.subject.len() < 100 && message.subject.is_ascii(),
        "{}",
        message.subject
    );
    let bodies: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    let chat: serde_json::Value = serde_json::from_str(bodies["https"].as_str().unwrap()).unwrap();
    assert!(
        chat["content"]["description"]
            .as_str()
            .unwrap()
            .chars()
            .count()
            <= 8000
    );
    assert!(chat["content"]["title"].as_str().unwrap().chars().count() <= 250);
}

fn forms(alert: &Alert) -> std::collections::BTreeMap<String, String> {
    serde_json::from_str(&alert.message().body).unwrap()
}

#[test]
fn filters_can_use_the_body() {
    let alert = Alert::of(&id(), ID, &origin(), &verdicts()).unwrap();
    let forms = forms(&alert);
    for protocol in ["sqs", "lambda"] {
        let machine: serde_json::Value = serde_json::from_str(&forms[protocol]).unwrap();
        assert_eq!(machine["outcome"], "open");
        assert_eq!(machine["severity"], "high");
        assert_eq!(
            machine["rules"],
            serde_json::json!(["mutable-tags", "weak-encryption"])
        );
    }
}

#[test]
fn a_sign_of_life_says_what_it_is_in_every_form() {
    let id = id();
    let alert = Alert::alive(&id.account, &id.region, ID, &origin(), Some(2));
    let message = alert.message();
    assert!(message.subject.contains("ecr-warden: alive"), "{message:?}");
    let forms = forms(&alert);
    assert!(forms["email"].contains("2 messages are in the dead-letter queue"));
    assert!(forms["https"].contains("2 messages are in the dead-letter queue"));
    let machine: serde_json::Value = serde_json::from_str(&forms["sqs"]).unwrap();
    assert_eq!(machine["dead_letters"], 2);
    assert_eq!(machine["findings"][0]["rule"], ALIVE);
    let none = Alert::alive(&id.account, &id.region, ID, &origin(), Some(0)).message();
    assert!(!none.body.contains("dead-letter"), "{none:?}");
}

#[test]
fn what_is_the_matter_with_the_policy_is_in_the_subject() {
    for (wrong, what) in [
        (
            Some("line 3: unknown rule"),
            "[high] ecr-warden: the policy is not valid",
        ),
        (
            None,
            "[informational] ecr-warden: the policy is valid again",
        ),
    ] {
        for parameter in ["/ecr-warden/policy", "policy"] {
            let alert =
                Alert::of_policy(parameter, "123456789012", "us-east-1", ID, &origin(), wrong);
            let message = alert.message();
            assert_eq!(message.subject, format!("{what}: {parameter}"));
            let bodies: serde_json::Value = serde_json::from_str(&message.body).unwrap();
            let people = bodies["email"].as_str().unwrap();
            assert!(
                people.contains(&format!("\nParameter   {parameter}\n")),
                "{people}"
            );
            let machine: serde_json::Value =
                serde_json::from_str(bodies["sqs"].as_str().unwrap()).unwrap();
            assert_eq!(machine["parameter"], parameter);
        }
    }
    let of_repository = Alert::of(&id(), ID, &origin(), &verdicts()).unwrap();
    let machine = serde_json::to_value(of_repository).unwrap();
    assert_eq!(machine.get("parameter"), None);
}

#[test]
fn what_was_told_before_is_no_alert() {
    let mut told = verdicts();
    for verdict in &mut told {
        verdict.news = false;
    }
    assert_eq!(Alert::of(&id(), ID, &origin(), &told), None);
}

/// What is found in the registry is not said of a repository.
#[test]
fn the_registry_is_named_as_one() {
    let registry = id().registry();
    let alert = Alert::of(&registry, ID, &origin(), &verdicts()).unwrap();
    assert_eq!(
        alert.repository,
        "arn:aws:ecr:eu-central-1:123456789012:registry"
    );
    let body: serde_json::Value = serde_json::from_str(&alert.message().body).unwrap();
    let email = body["email"].as_str().unwrap();
    assert!(
        email.contains("\nRegistry    registry 123456789012\n"),
        "{email}"
    );
    assert!(!email.contains("Repository  "), "{email}");
}

/// A subscription filters by them, so they are at the top.
#[test]
fn an_alert_says_whom_it_is_for() {
    let alert = Alert::of(&id(), ID, &origin(), &verdicts()).unwrap();
    let namespace = id().name.rsplit_once('/').unwrap().0.to_owned();
    let machine = alert.machine();
    assert_eq!(machine["namespaces"], serde_json::json!([namespace]));
    assert_eq!(machine.get("owners"), None);
    let slack = crate::owner::SlackId::try_from("S0123ABCD".to_owned()).ok();
    let owner = crate::owner::Owner::new("payments", slack);
    let alert = alert.with_addressees(Addressees::of([(&id(), Some(&owner))]));
    let machine = alert.machine();
    assert_eq!(machine["owners"], serde_json::json!(["payments"]));
    assert_eq!(machine["mentions"], serde_json::json!(["S0123ABCD"]));
    let body: serde_json::Value = serde_json::from_str(&alert.message().body).unwrap();
    let email = body["email"].as_str().unwrap();
    assert!(email.contains("\nOwner       payments\n"), "{email}");
}
