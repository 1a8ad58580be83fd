//! What is tried on hostile bytes, and what must hold whatever they are: the bodies of the fuzz targets and of the bounded
//! run on every build.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ecr_warden_core::action::Action;
use ecr_warden_core::alert::Alert;
use ecr_warden_core::audit::Audit;
use ecr_warden_core::defer::{Deferred, DelayDecision, LONGEST_DELAY, defer};
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::{Fix, Severity, Status};
use ecr_warden_core::outcome::Verdict;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::{
    Encryption, Push, Read, Repository, RepositoryId, TagMutability,
};
use ecr_warden_core::rule::Advice;
use ecr_warden_core::trigger::{Cause, Decoded, Origin, QueueMessage, decode, message};
use ecr_warden_core::{quarantine, report, slack};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::repository::fine;

pub type Target = fn(&[u8]);

pub const ALL: [(&str, Target); 5] = [
    ("event", event),
    ("policy", policy),
    ("repository-policy", repository_policy),
    ("alert", alert),
    ("report", reports),
];

const OWN_ROLE: &str = "arn:aws:iam::123456789012:role/ecr-warden-EnforcerRole-ABC";

/// What a message may be made of: one line in the order in which it is written.
fn check_line(text: &str, longest: usize) {
    assert!(text.chars().count() <= longest, "too long: {text}");
    assert!(
        !text.chars().any(|c| c.is_control() || reorders(c)),
        "more than a line: {text:?}"
    );
}

fn reorders(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn check_id(id: &RepositoryId) {
    let name = if id.is_registry() { "any" } else { &id.name };
    let checked = RepositoryId::new(&id.account, &id.region, name).unwrap();
    assert_eq!(checked.subject(id.is_registry()), *id);
}

/// Events: whatever comes is decoded, and only what ECR could have named goes on.
pub fn event(data: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    check_decoded(&event);
    if let Some(QueueMessage { body, deferred, .. }) = message(&event, NOW) {
        check_deferral(deferred);
        check_decoded(&body);
    }
}

/// Seconds since the epoch.
const NOW: i64 = 1_800_000_000;

/// It comes back within what SQS can delay, or is given up.
fn check_deferral(deferred: Option<Deferred>) {
    if let Some(deferred) = deferred {
        assert!((0..=345_600).contains(&deferred.waited(NOW)));
    }
    if let DelayDecision::In { seconds, deferred } = defer(deferred, None, NOW, u32::MAX) {
        assert!((1..=LONGEST_DELAY).contains(&seconds));
        assert!(deferred.count >= 1);
    }
}

fn check_decoded(event: &Value) {
    for own_role in [None, Some(OWN_ROLE)] {
        match decode(event, own_role) {
            Decoded::Trigger(trigger) => {
                check_id(&trigger.repository);
                let pushed = trigger.pushed.as_ref();
                let texts = [
                    trigger.origin.actor.as_ref(),
                    Some(&trigger.origin.occurred_at),
                    pushed.and_then(|push| push.tag.as_ref()),
                    pushed.and_then(|push| push.digest.as_ref()),
                ];
                for text in texts.into_iter().flatten() {
                    check_line(text, 2048);
                }
            }
            Decoded::Ignored { repository, reason } => {
                repository.iter().for_each(check_id);
                check_line(&reason.text, 200);
            }
            Decoded::Unreadable(why) => check_line(&why, 200),
        }
    }
}

/// Policy files: read or refused, the same each time, with problems that can be shown; and what is read can be used.
pub fn policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(wrong) => {
            assert!(!wrong.0.is_empty());
            assert!(wrong.0.is_sorted(), "{wrong}");
            assert!(wrong.0.len() <= 50, "{} problems", wrong.0.len());
            for problem in &wrong.0 {
                check_line(&problem.message, 500);
            }
            assert_eq!(Policy::parse(&text).err(), Some(wrong));
            return;
        }
    };
    let again = Policy::parse(&text).map(|policy| format!("{policy:?}"));
    assert_eq!(again, Ok(format!("{policy:?}")));
    for repository in [fine(), poor()] {
        let id = &repository.id;
        let _ = policy.reads(id);
        let resolved = match policy.for_repository(id, &repository.tags) {
            Ok(resolved) => resolved,
            Err(why) => {
                check_line(&why, 2048);
                continue;
            }
        };
        for active in &resolved.rules {
            let _ = active.rule.advice(id);
            let _ = resolved.exemption(active.entry.meta.id, &repository.tags, 1_800_000_000);
        }
        for finding in evaluate(&resolved, &repository) {
            check_line(&finding.violation.detail, 20_000);
        }
    }
}

/// One with many, and with the longest name.
fn poor() -> Repository {
    Repository {
        id: RepositoryId {
            name: "a".repeat(256),
            ..fine().id
        },
        mutability: TagMutability::Mutable,
        encryption: Encryption::aes256(),
        scan_on_push: false,
        tags: Read::Known(BTreeMap::new()),
        has_images: Read::Known(true),
        pushed: Some(Push {
            tag: Some("a".repeat(128)),
            digest: None,
            refused: false,
        }),
        ..fine()
    }
}

/// Repository policies: a repair takes away what offends by itself, and leaves each byte of the rest.
pub fn repository_policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match judged(&text) {
        Judged::Left => {}
        Judged::Repaired(to) => {
            let before = parts(&text).unwrap();
            let after = to.as_deref().map(|to| parts(to).unwrap());
            if let Some((_, rest)) = &after {
                assert_eq!(rest, &before.1, "more than statements was changed");
            }
            let kept = after.map_or_else(Vec::new, |(statements, _)| statements);
            let mut kept = kept.iter().peekable();
            for statement in &before.0 {
                let alone = judged(&format!("{{\"Statement\":[{statement}]}}"));
                if kept.next_if_eq(&statement).is_some() {
                    assert!(matches!(alone, Judged::Left), "kept: {statement}");
                } else {
                    let Judged::Repaired(narrowed) = alone else {
                        unreachable!("lost: {statement}");
                    };
                    // It is gone, or has lost `*` among its principals.
                    if let Some(narrowed) = narrowed {
                        let (narrowed, _) = parts(&narrowed).unwrap();
                        assert_eq!(kept.next(), narrowed.first());
                    }
                }
            }
            assert_eq!(kept.next(), None);
        }
    }
    quarantined(&text);
}

enum Judged {
    /// Fine, or for people.
    Left,
    Repaired(Option<String>),
}

fn judged(text: &str) -> Judged {
    static RULE: LazyLock<Policy> = LazyLock::new(|| {
        let text = "version: 1\nmode: enforce\nrules: { public-access: { \
                    trusted-accounts: ['210987654321'], trusted-organizations: [o-abcdefghij] } }";
        Policy::parse(text).unwrap()
    });
    let mut repository = fine();
    repository.policy = Read::Known(Some(text.to_owned()));
    let resolved = RULE
        .for_repository(&repository.id, &repository.tags)
        .unwrap();
    let mut findings = evaluate(&resolved, &repository);
    let Some(finding) = findings.pop() else {
        return Judged::Left;
    };
    assert!(finding.violation.detail.chars().count() <= 20_000);
    match finding.violation.fix {
        Fix::Safe(Action::SetRepositoryPolicy { from, to }) => {
            assert_eq!(from.as_deref(), Some(text));
            // What is in doubt beside what offends is left to operators.
            let left = finding.left.as_ref();
            let in_doubt = left.is_none_or(|left| matches!(left.fix, Fix::Manual(_)));
            assert!(in_doubt, "the repair leaves something that it could repair");
            Judged::Repaired(to)
        }
        Fix::Safe(_) | Fix::Disruptive(_) => unreachable!("another repair than of the policy"),
        Fix::Manual(_) => Judged::Left,
    }
}

/// The statements as they are written, and the document without them.
fn parts(text: &str) -> Option<(Vec<String>, BTreeMap<String, String>)> {
    let document: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let mut rest: BTreeMap<String, String> = document
        .into_iter()
        .map(|(key, value)| (key, value.get().to_owned()))
        .collect();
    let statement = rest.remove("Statement")?;
    let statements = match serde_json::from_str::<Vec<&RawValue>>(&statement) {
        Ok(many) => many.into_iter().map(|one| one.get().to_owned()).collect(),
        Err(_) => vec![statement],
    };
    Some((statements, rest))
}

fn quarantined(text: &str) {
    let ours = |statement: &String| {
        serde_json::from_str::<Map<String, Value>>(statement)
            .is_ok_and(|it| it.get("Sid").and_then(Value::as_str) == Some(quarantine::SID))
    };
    match quarantine::impose(Some(text)) {
        Ok(imposed) => {
            assert!(imposed.chars().count() <= 10_240);
            assert!(quarantine::is_in(&imposed));
            let (before, rest) = parts(text).unwrap();
            let (after, same) = parts(&imposed).unwrap();
            assert_eq!(rest, same);
            assert_eq!(after.split_last().unwrap().1, before);
            let others: Vec<String> = before.into_iter().filter(|one| !ours(one)).collect();
            match quarantine::lift(&imposed) {
                None => assert_eq!(others, [""; 0]),
                Some(lifted) => {
                    assert!(!quarantine::is_in(&lifted));
                    assert_eq!(parts(&lifted), Some((others, rest)));
                }
            }
        }
        Err(why) => assert!(!why.contains('\n') && why.chars().count() <= 500, "{why}"),
    }
    if !quarantine::is_in(text) {
        assert_eq!(quarantine::lift(text).as_deref(), Some(text));
    }
}

/// Alerts: as the notifier reads them from its queue, and as they are written with text from outside.
pub fn alert(data: &[u8]) {
    if let Ok(event) = serde_json::from_slice::<Value>(data) {
        let found = slack::alerts(&event);
        if !found.is_empty() {
            check_slack(&slack::message(&found));
        }
        check_slack(&slack::message(&[event]));
    }
    let texts = texts(data);
    // An event's own texts are cut where it is decoded.
    let cut = |n: usize| texts[n].chars().take(2048).collect::<String>();
    let origin = Origin {
        cause: Cause::CreateRepository,
        actor: Some(cut(1)),
        occurred_at: cut(2),
    };
    let verdicts: Vec<Verdict> = (0..texts.len().min(12))
        .map(|n| verdict(&texts, n))
        .collect();
    let id = fine().id;
    let many: Vec<(&RepositoryId, &[Verdict])> = vec![(&id, &verdicts), (&id, &verdicts)];
    let mut together = Vec::new();
    for alert in [
        Alert::of(&id, "b6a1", &origin, &verdicts),
        Alert::digest(&id.account, &id.region, "b6a1", &origin, &many),
        Some(Alert::of_policy(
            "policy",
            &id.account,
            &id.region,
            "b6a1",
            &origin,
            Some(texts[0]),
        )),
    ] {
        let message = alert.unwrap().message();
        assert!(message.subject.is_ascii());
        check_line(&message.subject, 99);
        assert!(
            message.body.len() <= 256 * 1024,
            "{} bytes",
            message.body.len()
        );
        let body: BTreeMap<String, String> = serde_json::from_str(&message.body).unwrap();
        let machine: Value = serde_json::from_str(&body["sqs"]).unwrap();
        check_slack(&slack::message(std::slice::from_ref(&machine)));
        together.push(machine);
        check_chat(&serde_json::from_str(&body["https"]).unwrap());
    }
    // Each is an attachment.
    check_slack(&slack::message(&together));
}

/// Text from outside, as it reaches alerts and reports: split at NUL, never nothing.
fn texts(data: &[u8]) -> Vec<&str> {
    let mut texts: Vec<&str> = data
        .split(|byte| *byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok())
        .take(200)
        .collect();
    while texts.len() < 4 {
        texts.push("");
    }
    texts
}

fn verdict(texts: &[&str], n: usize) -> Verdict {
    let text = |offset: usize| texts[(n + offset) % texts.len()].to_owned();
    const STATUSES: [Status; 6] = [
        Status::Open,
        Status::Withheld,
        Status::Exempt,
        Status::Failed,
        Status::Fixed,
        Status::Resolved,
    ];
    Verdict {
        rule: ["mutable-tags", "public-access", "no-rule"][n % 3].to_owned(),
        severity: [Severity::Low, Severity::Critical][n % 2],
        status: STATUSES[n % STATUSES.len()],
        detail: text(0),
        to_do: text(1),
        advice: n.is_multiple_of(2).then(|| Advice {
            text: text(2),
            terraform: text(3),
            cloudformation: text(4),
            cli: text(5),
        }),
        since: Some(1_795_420_800),
        action: n.is_multiple_of(3).then(|| Action::SetTagMutability {
            from: TagMutability::Unknown(text(6)),
            to: TagMutability::Immutable,
        }),
        news: true,
        reason: None,
    }
}

/// Slack's limits (Block Kit reference), and nothing that it reads as more than text: of the message and of each attachment.
fn check_slack(message: &Value) {
    let attachments = message["attachments"].as_array().unwrap();
    for fallback in attachments
        .iter()
        .map(|attachment| &attachment["fallback"])
        .chain([&message["text"]])
    {
        let fallback = fallback.as_str().unwrap();
        assert!(!fallback.contains(['<', '>', '\n']) && fallback.chars().count() <= 3000);
    }
    let blocks: Vec<&Value> = attachments
        .iter()
        .chain([message])
        .flat_map(|of| {
            let blocks = of["blocks"].as_array().unwrap();
            assert!(!blocks.is_empty());
            blocks
        })
        .collect();
    assert!(blocks.len() <= 50, "{} blocks", blocks.len());
    for block in blocks {
        check_block(block);
    }
}

fn check_block(block: &Value) {
    match block["type"].as_str().unwrap() {
        "header" => check_plain(&block["text"], 150),
        "section" if block["text"]["type"] == "mrkdwn" => {
            let text = block["text"]["text"].as_str().unwrap();
            for mention in text.split(' ') {
                let id = mention
                    .strip_prefix("<!subteam^")
                    .or_else(|| mention.strip_prefix("<@"));
                let id = id.and_then(|id| id.strip_suffix('>')).unwrap();
                let mut letters = id.bytes();
                assert!(letters.all(|it| it.is_ascii_uppercase() || it.is_ascii_digit()));
            }
        }
        "section" => {
            check_plain(&block["text"], 3000);
            if let Some(button) = block.get("accessory") {
                check_button(button);
            }
        }
        "context" => {
            let elements = block["elements"].as_array().unwrap();
            assert!((1..=10).contains(&elements.len()));
            for element in elements {
                check_plain(element, 3000);
            }
        }
        "actions" => {
            let buttons = block["elements"].as_array().unwrap();
            assert!((1..=25).contains(&buttons.len()));
            buttons.iter().for_each(check_button);
        }
        other => unreachable!("a block of type {other}"),
    }
}

fn check_button(button: &Value) {
    assert_eq!(button["type"], "button");
    check_plain(&button["text"], 75);
    let url = button["url"].as_str().unwrap();
    assert!(url.len() <= 3000, "{} characters", url.len());
    assert!(url.starts_with("https://") && !url.contains(['<', '>', '"', ' ', '|']));
}

fn check_plain(text: &Value, longest: usize) {
    assert_eq!(text["type"], "plain_text");
    let text = text["text"].as_str().unwrap();
    assert!((1..=longest).contains(&text.chars().count()), "{text}");
    assert!(!text.contains(['<', '>']), "{text}");
    for line in text.lines() {
        check_line(line, longest);
    }
}

/// The limits of Amazon Q Developer's custom notifications, and no mention.
fn check_chat(message: &Value) {
    let content = &message["content"];
    let description = content["description"].as_str().unwrap();
    let title = content["title"].as_str().unwrap();
    check_line(title, 250);
    assert!((1..=8000).contains(&description.chars().count()));
    for (key, longest) in [("nextSteps", 350), ("keywords", 75)] {
        for text in content[key].as_array().unwrap() {
            check_line(text.as_str().unwrap(), longest);
        }
    }
    let steps = content["nextSteps"].as_array().unwrap().iter();
    for text in steps.filter_map(Value::as_str).chain([title, description]) {
        assert!(!text.contains(['<', '>']), "{text}");
    }
}

/// Reports: each is well-formed, and text stays text.
pub fn reports(data: &[u8]) {
    let texts = texts(data);
    let mut audit = Audit::default();
    let mut plain = Audit::default();
    for (n, name) in texts.iter().enumerate().take(12) {
        let id = RepositoryId {
            name: (*name).to_owned(),
            ..fine().id
        };
        let count = n % 4;
        let verdicts: Vec<Verdict> = (n..n + count).map(|n| verdict(&texts, n)).collect();
        audit.add(&id, &verdicts);
        // The same where each text is a harmless one; what differs still does, because the same advice is shown once.
        let place = |text: &str| texts.iter().position(|it| *it == text).unwrap();
        let harmless: Vec<String> = texts
            .iter()
            .map(|text| match *text {
                "" => String::new(),
                text => format!("x{}", place(text)),
            })
            .collect();
        let harmless: Vec<&str> = harmless.iter().map(String::as_str).collect();
        let id = match RepositoryId::from_arn(&id.arn()) {
            Some(id) => id,
            None => RepositoryId {
                name: format!("X{}", texts.iter().position(|it| it == name).unwrap()),
                ..fine().id
            },
        };
        let verdicts: Vec<Verdict> = (n..n + count).map(|n| verdict(&harmless, n)).collect();
        plain.add(&id, &verdicts);
    }
    audit.sort();
    let findings = audit.findings.as_ref().map_or(0, Vec::len);

    let json: Value = serde_json::from_str(&report::json(&audit)).unwrap();
    assert_eq!(json["findings"].as_array().unwrap().len(), findings);
    let sarif: Value = serde_json::from_str(&report::sarif(&audit)).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), findings);
    let ocsf = report::ocsf(&audit, 1_800_000_000_000);
    assert_eq!(ocsf.split_terminator('\n').count(), findings);
    for line in ocsf.split_terminator('\n') {
        serde_json::from_str::<Map<String, Value>>(line).unwrap();
    }

    let table = report::csv(&audit);
    let mut rows = 0;
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        rows += 1;
        for cell in &row.unwrap() {
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
            );
        }
    }
    assert_eq!(rows, findings);

    let page = report::html(&audit, "now").unwrap();
    let harmless = report::html(&plain, "now").unwrap();
    for mark in ['<', '"', '\''] {
        assert_eq!(
            page.matches(mark).count(),
            harmless.matches(mark).count(),
            "a `{mark}` of the text is one of the page"
        );
    }
}
