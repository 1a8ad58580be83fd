//! Pages as a reader sees them, in `snapshots`: `UPDATE=1` writes them again.

use std::path::Path;

use super::*;
use ecr_warden_core::report::json;
use serde_json::{Value, json};

fn finding(place: &str, name: &str, rule: &str, severity: &str, texts: [&str; 3]) -> Value {
    let [status, detail, to_do] = texts;
    json!({
        "repository": format!("arn:aws:ecr:{place}:repository/{name}"),
        "rule": rule, "severity": severity, "status": status, "detail": detail, "to_do": to_do,
    })
}

fn audit(repositories: usize, findings: Vec<Value>) -> Audit {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for finding in &findings {
        if finding["status"] != "exempt" {
            let rule = finding["rule"].as_str().unwrap();
            *counts.entry(rule.to_owned()).or_default() += 1;
        }
    }
    let audit = json!({
        "schema": "ecr-warden.audit/1",
        "summary": {
            "repositories": repositories, "compliant": 1, "unjudged": 0, "findings": counts, "fixed": {},
            "estimated_monthly_cost_usd": null,
        },
        "findings": findings,
        "next": null,
    });
    Audit::read(&audit.to_string()).unwrap()
}

const HOME: &str = "eu-central-1:123456789012";
const MUTABLE: [&str; 3] = [
    "withheld",
    "tags can be overwritten (MUTABLE)",
    "monitor mode; would change MUTABLE to IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)",
];

fn three() -> Audit {
    let public = [
        "open",
        "the repository policy lets everyone pull: statement `AllowPull` has the principal `*`, and no condition narrows it",
        "remove the statement `AllowPull`, or name the accounts that may pull",
    ];
    let exempt = [
        "exempt",
        MUTABLE[1],
        "exempt until 2027-03-31: moving to immutable tags, OPS-1234",
    ];
    audit(
        4,
        vec![
            finding(HOME, "shop/api", "mutable-tags", "medium", MUTABLE),
            finding(HOME, "shop/web", "public-access", "high", public),
            finding(HOME, "legacy/batch", "mutable-tags", "medium", exempt),
        ],
    )
}

/// Two accounts and regions, a long name, and findings about which each something else is to be done.
fn places() -> Audit {
    let long = "platform/observability/collectors/opentelemetry-collector-contrib-with-extensions";
    let lifecycle = [
        "open",
        "no lifecycle policy",
        "add a lifecycle policy, for example one that expires untagged images after 14 days",
    ];
    let tags = |detail, to_do| ["open", detail, to_do];
    let other = "us-east-1:210987654321";
    audit(
        4,
        vec![
            finding(HOME, "shop/api", "no-lifecycle-policy", "low", lifecycle),
            finding(other, "shop/api", "no-lifecycle-policy", "low", lifecycle),
            finding(HOME, long, "no-lifecycle-policy", "low", lifecycle),
            finding(
                HOME,
                "shop/api",
                "missing-tags",
                "low",
                tags("`team` is missing", "tag it with `team`"),
            ),
            finding(
                other,
                "shop/api",
                "missing-tags",
                "low",
                tags(
                    "`owner` is `unknown`, which is not one of the values that are allowed",
                    "tag it with `owner`",
                ),
            ),
            finding(
                HOME,
                "shop/web",
                "mutable-tags",
                "medium",
                [
                    "failed",
                    MUTABLE[1],
                    "the permission ecr:PutImageTagMutability is missing",
                ],
            ),
            finding(
                HOME,
                "shop/job",
                "mutable-tags",
                "medium",
                ["fixed", MUTABLE[1], ""],
            ),
        ],
    )
}

fn many() -> Audit {
    let rules = [
        ("mutable-tags", "medium"),
        ("weak-encryption", "medium"),
        ("no-scan-on-push", "medium"),
        ("no-lifecycle-policy", "low"),
        ("missing-tags", "low"),
        ("nonconforming-name", "low"),
    ];
    let findings = (0..2000).map(|n| {
        let (rule, severity) = rules[n % 6];
        let name = format!("team-{}/service-{n:04}", n % 17);
        let status = if n % 50 == 0 { "exempt" } else { "open" };
        let texts = [status, "it is as it should not be", "change it"];
        finding(HOME, &name, rule, severity, texts)
    });
    audit(2000, findings.collect())
}

fn page(columns: usize) -> Page {
    Page {
        columns: Some(columns),
        ..Page::PLAIN
    }
}

#[test]
fn a_page_reads_well_at_80_and_140_columns() {
    for (name, audit) in [("three", three()), ("places", places()), ("many", many())] {
        for columns in [80, 140] {
            let text = findings(&audit, page(columns)) + "\n";
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(
                longest.unwrap() <= columns || name == "places",
                "{name} {columns}"
            );
            let file = format!(
                "{}/src/audit/findings/snapshots/{name}-{columns}.txt",
                env!("CARGO_MANIFEST_DIR")
            );
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let kept = std::fs::read_to_string(Path::new(&file)).unwrap();
            assert_eq!(text, kept, "{name} at {columns} columns");
        }
    }
}

#[test]
fn colours_change_nothing_else() {
    let coloured = Page {
        colour: true,
        ..page(80)
    };
    let text = findings(&three(), coloured);
    assert!(text.contains("\u{1b}[1;31mhigh\u{1b}[0m"), "{text}");
    assert!(text.contains("\u{1b}[1mmutable-tags\u{1b}[0m"), "{text}");
    let mut plain = String::new();
    for part in text.split('\u{1b}') {
        let shown = part
            .strip_prefix('[')
            .and_then(|part| part.split_once('m'))
            .map_or(part, |(_, shown)| shown);
        plain.push_str(shown);
    }
    assert_eq!(plain, findings(&three(), page(80)));
}

/// Each finding has one line, with the repository and what was found.
#[test]
fn lines_do_not_break_in_a_pipe() {
    let text = findings(&three(), Page::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "public-access  high  1 finding",
            "  to do: remove the statement `AllowPull`, or name the accounts that may pull",
            "  shop/web  the repository policy lets everyone pull: statement `AllowPull` has the principal `*`, and no condition narrows it",
            "",
            "mutable-tags  medium  1 finding",
            "  repair withheld: monitor mode; would change MUTABLE to IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)",
            "  shop/api  tags can be overwritten (MUTABLE)",
            "",
            "mutable-tags  exempt  1 finding",
            "  exempt until 2027-03-31: moving to immutable tags, OPS-1234",
            "  legacy/batch  tags can be overwritten (MUTABLE)",
            "",
            "4 repositories, 1 compliant; mutable-tags 1, public-access 1",
        ]
    );
}

#[test]
fn each_rule_has_its_place_among_many_findings() {
    let text = findings(&many(), page(80));
    let listed = text.matches("/service-").count();
    assert_eq!(listed, 9 * OF_A_RULE);
    for rule in [
        "mutable-tags  medium",
        "missing-tags  low",
        "missing-tags  exempt",
    ] {
        assert!(text.contains(rule), "{rule}: {text}");
    }
    assert!(json(&many()).len() > 2000, "and no report is cut");
}

/// Each repository leads to its page, and without the codes the text is the same.
#[test]
fn links_change_nothing_else() {
    let linked = Page {
        links: true,
        ..page(80)
    };
    let plain = findings(&places(), page(80));
    let mut text = findings(&places(), linked);
    let (open, close) = ("\u{1b}]8;;", "\u{1b}\\");
    let mut links = Vec::new();
    while let Some((before, rest)) = text.split_once(open) {
        let (url, after) = rest.split_once(close).unwrap();
        links.push(url.to_owned());
        text = format!("{before}{after}");
    }
    assert_eq!(text, plain);
    let opened: Vec<&String> = links.iter().filter(|url| !url.is_empty()).collect();
    assert_eq!(links.len(), 2 * opened.len());
    assert!(
        opened.iter().any(|url| url
            .starts_with("https://eu-central-1.console.aws.amazon.com/ecr/repositories/private/")),
        "{opened:?}"
    );
}
