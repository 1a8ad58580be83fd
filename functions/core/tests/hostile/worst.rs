//! The inputs that cost the most, each as large as its limits allow.

use std::collections::BTreeMap;
use std::fmt::Write;

use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::glob::Glob;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::{Push, Read, Repository, RepositoryId, scan_filter_matches};
use ecr_warden_core::{quarantine, slack};
use serde_json::json;

use crate::repository::fine;
use crate::targets;

pub type Case = (&'static str, Box<dyn Fn()>);

const POLICY: &str = "version: 1\nmode: enforce\n";
/// An event (EventBridge quotas) and an alert (SNS).
const EVENT: usize = 256 * 1024;
/// A policy file.
const LARGEST: usize = 64 * 1024;

pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    events(&mut cases);
    policy_files(&mut cases);
    patterns(&mut cases);
    repository_policies(&mut cases);
    cases
}

fn case(cases: &mut Vec<Case>, name: &'static str, run: impl Fn() + 'static) {
    cases.push((name, Box::new(run)));
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn events(cases: &mut Vec<Case>) {
    let wide = |part: &str| {
        part.repeat(EVENT / part.len() - 3)
            .trim_end_matches(',')
            .to_owned()
    };
    let create = |more: &str| {
        format!(
            r#"{{"source":"aws.ecr","detail-type":"AWS API Call via CloudTrail","account":"123456789012","region":"eu-central-1",
            "detail":{{"eventSource":"ecr.amazonaws.com","eventName":"CreateRepository",
            "requestParameters":{{"repositoryName":"shop/api"}},"userIdentity":{{"arn":{more}}}}}}}"#
        )
    };
    let inputs = [
        (
            "event: one text of 256 KiB",
            create(&format!("{:?}", wide("x"))),
        ),
        (
            "event: 256 KiB of escapes",
            create(&format!("\"{}\"", wide("\\u202e"))),
        ),
        (
            "event: 256 KiB of lists",
            create(&format!("[{}]", wide("[],"))),
        ),
        (
            "event: 256 KiB of numbers",
            create(&format!("[{}]", wide("1e308,"))),
        ),
        ("event: nested 10,000 deep", create(&nested(10_000))),
        ("event: nested 100,000 deep", create(&nested(100_000))),
    ];
    for (name, input) in inputs {
        case(cases, name, move || targets::event(input.as_bytes()));
    }
    let findings = vec![json!({ "status": "open", "repository": "::/", "detail": "<" }); 4000];
    let alert =
        json!({ "schema": "ecr-warden.alert/1", "findings": findings, "actions": findings });
    let record = json!({ "body": alert.to_string() });
    let event = json!({ "Records": [record, record, record] });
    case(cases, "slack: three alerts of 256 KiB", move || {
        assert!(slack::message(&slack::alerts(&event)).is_object());
    });
    let body = json!({ "schema": "ecr-warden.alert/1", "actor": nested(100_000), "findings": [] });
    let event = json!({ "Records": [{ "body": body.to_string() }, { "body": nested(100_000) }] });
    case(cases, "slack: nested 100,000 deep", move || {
        assert!(slack::message(&slack::alerts(&event)).is_object());
    });
}

/// As many as fit into a file.
fn filled(head: &str, line: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for n in 0.. {
        let line = line(n);
        if text.len() + line.len() + tail.len() > LARGEST {
            break;
        }
        text.push_str(&line);
    }
    text + tail
}

fn policy_files(cases: &mut Vec<Case>) {
    let full = |part: &str| part.repeat(LARGEST / part.len());
    let many_settings = |n: usize| {
        format!(
            "- match: {{ repositories: [r{n}] }}\n  rules: {{ mutable-tags: {{}}, missing-tags: {{}}, public-access: {{}} }}\n"
        )
    };
    let accounts = (0..2000).fold(String::new(), |mut out, n| {
        let _ = write!(out, "'{n:012}',");
        out
    });
    let laid_over = format!(
        "{POLICY}rules: {{ public-access: {{ trusted-accounts: [{accounts}] }} }}\noverrides:\n"
    );
    let pattern = "((((a{9}){9}){9}){9}b{0,9}){0,2}";
    let inputs = [
        ("policy: 64 KiB of `[`", full("[")),
        ("policy: 64 KiB of `{a: `", full("{a: ")),
        ("policy: 64 KiB of `- `", full("- ")),
        ("policy: 64 KiB of `? `", full("? ")),
        ("policy: 64 KiB of `a: `", full("a: ")),
        ("policy: 64 KiB of `\"`", full("\"")),
        ("policy: 64 KiB of one word", full("a")),
        ("policy: 64 KiB of words", full("a ")),
        ("policy: 64 KiB of lines", full("a\n")),
        ("policy: 64 KiB of empty lines", full("\n")),
        ("policy: 64 KiB of comments", full("#\n")),
        ("policy: 64 KiB of `&a `", full("&a ")),
        ("policy: 64 KiB of `%`", full("%a\n")),
        (
            "policy: 64 KiB of deeper keys",
            (1..).map(|n| " ".repeat(n) + "a:\n").take(700).collect(),
        ),
        (
            "policy: a list of 64 KiB",
            format!("{POLICY}rules: [{}]", "a,".repeat(LARGEST / 2 - 50)),
        ),
        (
            "policy: unknown keys",
            filled(POLICY, |n| format!("k{n}: 1\n"), ""),
        ),
        (
            "policy: unknown rules",
            filled(
                &format!("{POLICY}rules:\n"),
                |n| format!("  mutable-tag{n}: off\n"),
                "",
            ),
        ),
        (
            "policy: a long unknown rule",
            format!("{POLICY}rules: {{ {}: off }}", "a".repeat(LARGEST - 50)),
        ),
        (
            "policy: wrong values",
            filled(
                &format!("{POLICY}rules:\n  mutable-tags:\n    allow-exclusions: ["),
                |_| "{},".to_owned(),
                "]",
            ),
        ),
        (
            "policy: wrong overrides",
            filled(
                &format!("{POLICY}overrides:\n"),
                |_| "- {}\n".to_owned(),
                "",
            ),
        ),
        (
            "policy: overrides",
            filled(&format!("{POLICY}overrides:\n"), many_settings, ""),
        ),
        (
            "policy: overrides of much",
            filled(&laid_over, many_settings, ""),
        ),
        (
            "policy: overrides of a list",
            filled(
                &laid_over,
                |n| {
                    format!(
                        "- {{ match: {{ repositories: [r{n}] }}, rules: {{ public-access: {{}} }} }}\n"
                    )
                },
                "",
            ),
        ),
        (
            "policy: overrides with patterns",
            filled(
                &format!("{POLICY}overrides:\n"),
                |n| {
                    format!(
                        "- {{ match: {{ repositories: [r{n}] }}, rules: {{ nonconforming-name: {{ pattern: '{pattern}' }} }} }}\n"
                    )
                },
                "",
            ),
        ),
        (
            "policy: exemptions",
            filled(
                &format!("{POLICY}exemptions:\n"),
                |n| {
                    format!(
                        "- {{ repositories: [r{n}], rules: [mutable-tags], until: 2027-03-31, reason: r }}\n"
                    )
                },
                "",
            ),
        ),
    ];
    for (name, input) in inputs {
        case(cases, name, move || {
            let _ = Policy::parse(&input);
        });
    }
}

/// With the longest name, tag value and tag.
fn repository() -> Repository {
    let fine = fine();
    Repository {
        id: RepositoryId {
            name: "a".repeat(256),
            ..fine.id
        },
        tags: Read::Known(BTreeMap::from([("team".to_owned(), "a".repeat(256))])),
        pushed: Some(Push {
            tag: Some("a".repeat(128)),
            digest: None,
            refused: false,
        }),
        ..fine
    }
}

/// One event under a policy: it is read and one repository is judged.
fn judged(policy: &str, repository: &Repository) {
    let Ok(policy) = Policy::parse(policy) else {
        return;
    };
    let _ = policy.reads(&repository.id);
    if let Ok(resolved) = policy.for_repository(&repository.id, &repository.tags) {
        let _ = evaluate(&resolved, repository);
    }
}

fn patterns(cases: &mut Vec<Case>) {
    for (name, pattern) in [
        ("pattern: (a*)*b", "(a*)*b".to_owned()),
        ("pattern: (a|a)*b", "(a|aa)*(a|aa)*(a|aa)*b".to_owned()),
        ("pattern: a{1000}{1000}", "a{1000}{1000}".to_owned()),
        ("pattern: a{0,1000}{0,20}", "a{0,1000}{0,20}".to_owned()),
        ("pattern: ((a?){300}){9}", "((a?){300}){9}".to_owned()),
        (
            "pattern: the largest that is read",
            "(a?){40000}b".to_owned(),
        ),
        ("pattern: (a?){1000}", "(a?){1000}b".to_owned()),
        ("pattern: 30 × 60", "[a-z]{0,60}".repeat(30)),
        ("pattern: long enough", "a?".repeat(250)),
        ("pattern: large enough", "(a?){500}b".to_owned()),
        ("pattern: classes", "[a-z0-9._/-]{0,1000}".repeat(30)),
        ("pattern: 60 KiB of a", "a".repeat(60 * 1024)),
        ("pattern: 60 KiB of a?", "a?".repeat(30 * 1024)),
        ("pattern: 60 KiB of (", "(".repeat(60 * 1024)),
        ("pattern: 60 KiB of words", "a|".repeat(30 * 1024)),
    ] {
        let rules = ["nonconforming-name", "nonconforming-image-tag"];
        let rules = rules.map(|rule| format!("  {rule}: {{ pattern: '{pattern}' }}\n"));
        let rules = if pattern.len() > 25_000 {
            &rules[..1]
        } else {
            &rules[..]
        };
        let policy = format!("{POLICY}rules:\n{}", rules.concat());
        case(cases, name, move || judged(&policy, &repository()));
    }
    for (name, glob) in [
        ("globs: **/**/**/…a", "**/".repeat(84) + "b"),
        ("globs: *a*a*a*a*b", "*a".repeat(127) + "b"),
        ("globs: **/*a/**/*a/…b", "**/*a/".repeat(42) + "b"),
        ("globs: ????…*b", "?".repeat(254) + "*b"),
        ("globs: **a**a**a**b", "**a".repeat(84) + "b"),
    ] {
        for (name, of_name) in [(name, "a".repeat(256)), (name, "a/".repeat(128))] {
            let policy = filled(
                &format!("{POLICY}overrides:\n- match: {{ repositories: ["),
                |_| format!("'{glob}',"),
                "] }\n  rules: { mutable-tags: off }\n",
            );
            let mut repository = repository();
            repository.id.name = of_name;
            let alone = Glob::try_from(glob.clone());
            assert!(alone.is_ok() || name.contains("**a"), "{name}");
            case(cases, name, move || judged(&policy, &repository));
        }
    }
    for (name, value) in [
        ("tag values: *a*a*a*b", "*a".repeat(127) + "*b"),
        (
            "tag values: *aaa…b",
            "*".to_owned() + &"a".repeat(128) + "b",
        ),
        ("tag values: one of 60 KiB", "*a".repeat(30 * 1024) + "b"),
    ] {
        let overrides = filled(
            &format!("{POLICY}overrides:\n"),
            |_| {
                format!(
                    "- {{ match: {{ tags: {{ team: '{value}' }} }}, rules: {{ mutable-tags: off }} }}\n"
                )
            },
            "",
        );
        let repository = repository();
        case(cases, name, move || judged(&overrides, &repository));
    }
    for (name, value) in [
        ("allowed tags: *a*a*a*b", "*a".repeat(63) + "*b"),
        ("allowed tags: one of 60 KiB", "*a".repeat(30 * 1024) + "b"),
    ] {
        let policy = filled(
            &format!("{POLICY}rules: {{ nonconforming-image-tag: {{ pattern: x, allow: ["),
            |_| format!("'{value}',"),
            "] } }",
        );
        let repository = repository();
        case(cases, name, move || judged(&policy, &repository));
    }
    // As many as a registry has, each as long as one can be.
    let filter = "*a".repeat(127) + "*b";
    case(cases, "scan filters: *a*a*a*b", move || {
        for _ in 0..200 {
            assert!(!scan_filter_matches(&filter, &"a".repeat(256)));
        }
    });
}

fn repository_policies(cases: &mut Vec<Case>) {
    const LONGEST: usize = 10_240;
    let of = |head: &str, one: &str, tail: &str| {
        let room = LONGEST - head.len() - tail.len();
        let many = one.repeat(room / one.len());
        format!("{head}{}{tail}", many.trim_end_matches(','))
    };
    let open = r#"{"Effect":"Allow","NotPrincipal":0},"#;
    let fine = r#"{"Effect":"Deny"},"#;
    let statement = r#"{"Statement":[{"Effect":"Allow","Principal":"#;
    let all = format!("{statement}\"*\",\"Condition\":{{");
    let trusted = filled(
        &format!("{POLICY}rules: {{ public-access: {{ trusted-accounts: ["),
        |n| format!("'{n:012}',"),
        "] } }",
    );
    let unknown = "999999999999";
    for (name, text) in [
        (
            "repository policy: open statements",
            of("{\"Statement\":[", open, "]}"),
        ),
        (
            "repository policy: open and others",
            of("{\"Statement\":[", &format!("{open}{fine}"), "]}"),
        ),
        (
            "repository policy: other statements",
            of("{\"Statement\":[", fine, "]}"),
        ),
        (
            "repository policy: principals",
            of(
                &format!("{statement}{{\"AWS\":["),
                &format!("\"{unknown}\","),
                "]}}]}",
            ),
        ),
        (
            "repository policy: kinds",
            of(
                &format!("{statement}{{"),
                &format!("\"AWS\":\"{unknown}\","),
                "}}]}",
            ),
        ),
        (
            "repository policy: conditions",
            of(
                &format!("{all}\"StringLike\":{{\"aws:PrincipalAccount\":["),
                &format!("\"{unknown}\","),
                "]}}}]}",
            ),
        ),
        (
            "repository policy: wildcards",
            of(
                &format!("{all}\"ArnLike\":{{\"aws:PrincipalArn\":["),
                "\"*\",",
                "]}}}]}",
            ),
        ),
        (
            "repository policy: operators",
            of(&all, "\"StringLike\":{},", "}}]}"),
        ),
        (
            "repository policy: long operators",
            of(&format!("{all}\""), "ForAnyValue:", "\":{}}}]}"),
        ),
        ("repository policy: nested", nested(LONGEST / 2)),
        (
            "repository policy: nested statement",
            format!("{{\"Statement\":{}}}", nested(5_000)),
        ),
        (
            "repository policy: nested condition",
            format!("{all}\"a\":{}}}}}]}}", nested(5_000)),
        ),
        (
            "repository policy: text",
            of("{\"Statement\":\"", "\\u0000", "\"}"),
        ),
    ] {
        let mut repository = repository();
        repository.policy = Read::Known(Some(text.clone()));
        let trusted = trusted.clone();
        case(cases, name, move || {
            judged(&trusted, &repository);
            if let Ok(imposed) = quarantine::impose(Some(&text)) {
                let _ = quarantine::lift(&imposed);
            }
        });
    }
}
