//! SARIF and OCSF reports, against the schemas that their authors publish.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod sample;

use std::collections::BTreeSet;

use ecr_warden_core::audit::Audit;
use ecr_warden_core::report::{ocsf, sarif};
use ecr_warden_core::rules::RULES;
use jsonschema::Validator;
use serde_json::{Value, json};

fn sarif_schema() -> Validator {
    // As published, the pattern of `language` is no regular expression of ECMA-262; Errata 01 of SARIF 2.1.0 mends it so.
    let text = include_str!("schemas/sarif-2.1.0.json");
    validator(&text.replace(
        "^[a-zA-Z]{2}|^[a-zA-Z]{2}-[a-zA-Z]{2}]?$",
        "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$",
    ))
}

fn ocsf_schema() -> Validator {
    validator(include_str!("schemas/ocsf-1.3.0-compliance-finding.json"))
}

fn validator(text: &str) -> Validator {
    let schema = serde_json::from_str(text).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn problems(schema: &Validator, document: &Value) -> Vec<String> {
    schema
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn log(audit: &Audit) -> Value {
    serde_json::from_str(&sarif(audit)).unwrap()
}

fn events(audit: &Audit) -> Vec<Value> {
    ocsf(audit, 1_800_000_000_000)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The document with one value changed, or taken away.
fn with(document: &Value, at: &str, value: Option<Value>) -> Value {
    let mut changed = document.clone();
    let (parent, key) = at.rsplit_once('/').unwrap();
    let parent = changed
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap();
    match value {
        Some(value) => parent.insert(key.to_owned(), value),
        None => parent.remove(key),
    };
    changed
}

#[test]
fn the_sample_has_every_rule_and_every_status() {
    let audit = sample::audit(6);
    let findings = audit.findings.unwrap();
    let rules: BTreeSet<&str> = findings.iter().map(|f| f.rule.as_str()).collect();
    assert_eq!(rules.len(), RULES.len() + 1, "and one that is no rule's");
    for rule in rules {
        let statuses: BTreeSet<_> = findings
            .iter()
            .filter(|finding| finding.rule == rule)
            .map(|finding| finding.status)
            .collect();
        assert_eq!(statuses.len(), 6, "{rule}");
    }
}

#[test]
fn sarif_is_valid() {
    let schema = sarif_schema();
    for audit in [Audit::default(), sample::audit(6), sample::audit(40)] {
        assert_eq!(problems(&schema, &log(&audit)), Vec::<String>::new());
    }
}

#[test]
fn sarif_that_is_not_valid_is_refused() {
    let schema = sarif_schema();
    let valid = log(&sample::audit(6));
    let result = "/runs/0/results/0";
    for (at, value) in [
        ("/version".to_owned(), Some(json!("2.0.0"))),
        ("/runs".to_owned(), None),
        ("/runs/0/tool".to_owned(), None),
        ("/runs/0/tool/driver/name".to_owned(), None),
        ("/runs/0/tool/driver/rules/0/id".to_owned(), None),
        (
            "/runs/0/tool/driver/rules/0/properties/tags".to_owned(),
            Some(json!(["a", "a"])),
        ),
        (format!("{result}/message"), None),
        (format!("{result}/level"), Some(json!("high"))),
        (format!("{result}/ruleIndex"), Some(json!(-2))),
        (
            format!("{result}/suppressions"),
            Some(json!([{ "justification": "why" }])),
        ),
        (format!("{result}/unheard-of"), Some(json!(1))),
    ] {
        let broken = with(&valid, &at, value);
        assert_ne!(problems(&schema, &broken), Vec::<String>::new(), "{at}");
    }
}

/// What the schema can't say (SARIF 2.1.0, 3.27.7 and 3.27.9).
#[test]
fn a_sarif_result_names_its_rule_and_fails_only_while_it_stands() {
    let log = log(&sample::audit(6));
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    let ids: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), rules.len(), "each once");
    for result in log["runs"][0]["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(
            result["kind"] == "fail",
            result["level"] != "none",
            "{result}"
        );
    }
}

/// What code scanning asks for beyond the schema: a file for each result, always the same, and a score for each rule.
#[test]
fn a_sarif_result_has_a_place_that_code_scanning_takes() {
    let audit = sample::audit(6);
    let log = log(&audit);
    let run = &log["runs"][0];
    let mut fingerprints = BTreeSet::new();
    let mut paths = BTreeSet::new();
    let results = run["results"].as_array().unwrap();
    for result in results {
        let location = &result["locations"][0];
        let physical = &location["physicalLocation"];
        assert_eq!(physical["region"]["startLine"], 1, "{result}");
        let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
        assert!(
            uri.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~/%".contains(&b)),
            "{uri}"
        );
        assert!(
            uri.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "{uri}"
        );
        paths.insert(uri);
        assert!(location["logicalLocations"][0]["fullyQualifiedName"].is_string());
        let hash = &result["partialFingerprints"]["primaryLocationLineHash"];
        fingerprints.insert(hash.as_str().unwrap());
    }
    assert_eq!(fingerprints.len(), results.len(), "one for each");
    assert_eq!(paths.len(), 6, "one for each repository: {paths:?}");
    assert!(
        paths.contains("ecr/123456789012/eu-central-1/shop/service-0"),
        "{paths:?}"
    );
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        let properties = &rule["properties"];
        let score = properties["security-severity"].as_str().unwrap();
        assert!(
            (0.1..10.0).contains(&score.parse::<f64>().unwrap()),
            "{rule}"
        );
        assert_eq!(properties["tags"][0], "security");
    }
}

#[test]
fn ocsf_is_valid() {
    let schema = ocsf_schema();
    assert_eq!(events(&Audit::default()), Vec::<Value>::new());
    let events = events(&sample::audit(40));
    assert!(events.len() > 100);
    for event in events {
        assert_eq!(problems(&schema, &event), Vec::<String>::new(), "{event:#}");
    }
}

#[test]
fn ocsf_that_is_not_valid_is_refused() {
    let schema = ocsf_schema();
    let valid = events(&sample::audit(6))
        .into_iter()
        .find(|event| event.pointer("/cloud/account").is_some())
        .unwrap();
    for (at, value) in [
        ("/time", None),
        ("/time", Some(json!("2026-11-23T00:00:00Z"))),
        ("/class_uid", Some(json!(2004))),
        ("/type_uid", Some(json!(200_399_999))),
        ("/severity_id", Some(json!(7))),
        ("/status_id", Some(json!(42))),
        ("/metadata/product", None),
        ("/metadata/product/vendor_name", None),
        ("/finding_info/title", None),
        ("/compliance/standards", None),
        ("/compliance/status_id", Some(json!(2003))),
        ("/cloud/provider", None),
        // Attributes that OCSF does not know, or not there.
        ("/rule", Some(json!("mutable-tags"))),
        ("/compliance/rule", Some(json!("mutable-tags"))),
        ("/cloud/account/arn", Some(json!("x"))),
    ] {
        let broken = with(&valid, at, value);
        assert_ne!(problems(&schema, &broken), Vec::<String>::new(), "{at}");
    }
}

/// What the schema can't say: names go with their numbers, attributes with their profile, and what is there says something.
#[test]
fn an_ocsf_event_agrees_with_itself() {
    for event in events(&sample::audit(6)) {
        assert_eq!(
            event["type_uid"].as_u64().unwrap(),
            event["class_uid"].as_u64().unwrap() * 100 + event["activity_id"].as_u64().unwrap()
        );
        assert_eq!(event["metadata"]["profiles"], json!(["cloud"]));
        assert_ne!(event["compliance"]["standards"], json!([]));
        assert_eq!(
            event["status"] == "Resolved",
            event["compliance"]["status"] == "Pass"
        );
        for part in [
            "/remediation/desc",
            "/cloud/region",
            "/cloud/account/uid",
            "/resources/0/region",
        ] {
            assert_ne!(event.pointer(part), Some(&json!("")), "{part}");
        }
    }
}
