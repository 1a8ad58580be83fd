//! Reports of hostile and of many findings.

use super::*;
use crate::audit::AuditFinding;
use crate::finding::{Severity, Status};
use crate::rule::Advice;

fn finding(name: &str, rule: &str, detail: &str, status: Status) -> AuditFinding {
    AuditFinding {
        repository: format!("arn:aws:ecr:eu-central-1:123456789012:repository/{name}"),
        rule: rule.to_owned(),
        severity: Severity::Medium,
        status,
        detail: detail.to_owned(),
        to_do: "do <b>this</b>".to_owned(),
        advice: Some(Advice {
            text: "Set it.".to_owned(),
            terraform: "a = \"</code><script>alert(1)</script>\"".to_owned(),
            cloudformation: "A: b".to_owned(),
            cli: "aws ecr".to_owned(),
        }),
        since: None,
        news: false,
        reason: None,
    }
}

pub(super) fn audit() -> Audit {
    let mut audit = Audit::default();
    audit.summary.repositories = 3;
    audit.summary.compliant = 1;
    audit.findings = Some(vec![
        finding(
            "shop/a",
            "mutable-tags",
            "=HYPERLINK(\"http://x\")",
            Status::Open,
        ),
        finding(
            "shop/b",
            "mutable-tags",
            "<script>alert(1)</script>",
            Status::Exempt,
        ),
        finding(
            "shop/b",
            "unreadable-repository",
            "\u{202e}x, \"quoted\"",
            Status::Open,
        ),
    ]);
    audit
}

#[test]
fn nothing_from_outside_is_markup() {
    let page = html(&audit(), "2026-11-23").unwrap();
    assert_eq!(page.matches("<script>").count(), 1, "its own");
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(page.contains("33 %"), "of three repositories one complies");
    for part in [
        "mutable-tags",
        "unreadable-repository",
        "shop&#x2f;a",
        "AWS CLI",
        "Terraform",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("http://www") && !page.contains("https://"),
        "it loads nothing"
    );
}

#[test]
fn an_empty_audit_says_so() {
    let page = html(&Audit::default(), "2026-11-23").unwrap();
    assert!(page.contains("Every repository conforms") && page.contains("100 %"));
}

#[test]
fn a_spreadsheet_sees_no_formula() {
    let text = csv(&audit());
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("repository,rule,severity,status,detail,to do")
    );
    assert!(text.contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{text}");
    assert_eq!(lines.count(), 3);
}

#[test]
fn no_column_begins_a_formula() {
    for begins in [
        "=1+1",
        "+1",
        "-1",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\r\n=1",
        "＝1",
        "＋1",
        "－1",
        "＠1",
        "=1\",=2,\"",
        "=1;=2",
    ] {
        let mut audit = audit();
        audit.findings = Some(vec![AuditFinding {
            repository: begins.to_owned(),
            to_do: begins.to_owned(),
            ..finding("shop/a", begins, begins, Status::Open)
        }]);
        let text = csv(&audit);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        for column in [0, 1, 4, 5] {
            assert_eq!(record[column], format!("'{begins}"));
        }
    }
}

#[test]
fn sarif_names_each_finding_and_suppresses_what_is_exempt() {
    let log: serde_json::Value = serde_json::from_str(&sarif(&audit())).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["level"], "warning");
    assert_eq!(results[0]["suppressions"], serde_json::Value::Null);
    assert_eq!(results[1]["suppressions"][0]["kind"], "external");
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    assert_eq!(
        rules.len(),
        crate::rules::RULES.len() + 1,
        "and what is no rule's"
    );
}

#[test]
fn ocsf_is_one_object_a_line() {
    let text = ocsf(&audit(), 1_800_000_000_000);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["class_uid"], &lines[0]["severity_id"]),
        (&2003.into(), &3.into())
    );
    assert_eq!(lines[0]["cloud"]["account"]["uid"], "123456789012");
    assert_eq!(lines[1]["status"], "Suppressed");
    assert_ne!(
        lines[0]["finding_info"]["uid"],
        lines[1]["finding_info"]["uid"]
    );
}

/// Five thousand repositories are one page, and not a large one.
#[test]
fn many_repositories_fit() {
    let mut many = Audit::default();
    many.summary.repositories = 5000;
    many.findings = Some(
        (0..5000)
            .map(|n| {
                finding(
                    &format!("shop/{n}"),
                    "mutable-tags",
                    "tags can be overwritten",
                    Status::Open,
                )
            })
            .collect(),
    );
    let page = html(&many, "2026-11-23").unwrap();
    assert!(page.len() < 6_000_000, "{}", page.len());
    assert_eq!(page.matches("data-name=\"shop&#x2f;").count(), 10_000);
}

fn advised(name: &str, region: &str, text: &str) -> AuditFinding {
    let mut finding = finding(
        name,
        "mutable-tags",
        "tags can be overwritten",
        Status::Open,
    );
    finding.repository = format!("arn:aws:ecr:{region}:123456789012:repository/{name}");
    finding.advice = Some(Advice {
        text: text.to_owned(),
        terraform: format!("terraform of {text}"),
        cloudformation: format!("template of {text}"),
        cli: format!("aws ecr {text} \"$REPOSITORY\""),
    });
    finding
}

/// Repositories under different settings are not mended alike.
#[test]
fn each_finding_has_its_own_fix() {
    let mut audit = Audit::default();
    audit.findings = Some(vec![
        advised("shop/a", "eu-central-1", "strict"),
        advised("no'name", "eu-central-1", "lenient"),
        advised("shop/b", "eu-central-1", "lenient"),
        advised("shop/c", "eu-central-1", "strict"),
    ]);
    let page = html(&audit, "now").unwrap();
    let fixes: Vec<&str> = page.split("<div class=\"fix\">").skip(1).collect();
    assert_eq!(fixes.len(), 2);
    for (fix, text, names) in [
        (fixes[0], "strict", "For shop&#x2f;a, shop&#x2f;c<"),
        (fixes[1], "lenient", ", shop&#x2f;b<"),
    ] {
        let terraform = format!("<code>terraform of {text}</code>");
        assert!(fix.contains(&terraform) && fix.contains(names), "{fix}");
    }
    assert!(
        fixes[1]
            .contains("REPOSITORY=&#x27;shop&#x2f;b&#x27;   # and so for each\naws ecr lenient"),
        "{}",
        fixes[1]
    );
    assert_eq!(page.matches("; fix 1<").count(), 2);
    assert_eq!(page.matches("fix 2<").count(), 2);
    // The same for all is there once, and numbers would say nothing.
    audit.findings = Some(vec![
        advised("shop/a", "eu-central-1", "strict"),
        advised("shop/c", "eu-central-1", "strict"),
    ]);
    let page = html(&audit, "now").unwrap();
    assert_eq!(page.matches("<div class=\"fix\">").count(), 1);
    assert!(!page.contains("; fix 1") && !page.contains("Fix 1"));
}

#[test]
fn more_regions_are_told_apart() {
    let mut audit = Audit::default();
    let two = ["eu-central-1", "us-east-1"].map(|region| advised("shop/a", region, "x"));
    audit.findings = Some(two.to_vec());
    let page = html(&audit, "now").unwrap();
    assert!(page.contains("account 123456789012 · regions eu-central-1, us-east-1"));
    let matrix = page.split("<table class=\"matrix\">").nth(1).unwrap();
    for region in ["eu-central-1", "us-east-1"] {
        assert!(matrix.contains(&format!("<span class=\"quiet\">{region}</span>")));
    }
    audit.findings = Some(two[..1].to_vec());
    let page = html(&audit, "now").unwrap();
    assert!(page.contains("account 123456789012 · region eu-central-1"));
    let matrix = page.split("<table class=\"matrix\">").nth(1).unwrap();
    assert!(!matrix.contains("eu-central-1"));
}

#[test]
fn times_and_numbers_are_for_people() {
    let mut audit = audit();
    audit.summary.repositories = 12_345;
    audit.summary.compliant = 1_234;
    let page = html(&audit, "2026-11-24T14:05:59.123456789+01:00").unwrap();
    assert!(page.contains("<title>ECR audit, 2026-11-24 13:05 UTC</title>"));
    for number in ["<b>12,345</b>", "<b>1,234</b>"] {
        assert!(page.contains(number), "{number}");
    }
}
