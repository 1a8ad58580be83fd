//! `ecr-warden audit --fix` where one change is all repositories'.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::answering::{Answer, Answering, repository};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { no-scan-on-push: { fix: registry, registry-filters: [\"*\"] } }\n";

/// Each of two repositories asks for the registry's scanning. It is set once, and neither is a failure.
#[test]
fn a_change_of_the_registry_is_made_once_for_all_repositories() {
    let scans = Arc::new(AtomicBool::new(false));
    let aws = Answering::with(move |call| {
        let rules = if scans.load(Ordering::SeqCst) {
            json!([{ "scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{ "filter": "*", "filterType": "WILDCARD" }] }])
        } else {
            json!([])
        };
        let frequency = if rules == json!([]) {
            "MANUAL"
        } else {
            "SCAN_ON_PUSH"
        };
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        Some(match call.operation.as_str() {
            "DescribeRepositories" => {
                let all = ["shop/api", "shop/web"].iter().filter(|name| {
                    let asked = body["repositoryNames"].as_array();
                    asked.is_none_or(|asked| asked.contains(&json!(name)))
                });
                let all: Vec<Value> = all.map(|name| repository(&call.region, name)).collect();
                Answer::ok(json!({ "repositories": all }))
            }
            "GetRegistryScanningConfiguration" => Answer::ok(
                json!({ "scanningConfiguration": { "scanType": "BASIC", "rules": rules } }),
            ),
            "BatchGetRepositoryScanningConfiguration" => {
                let of = body["repositoryNames"].as_array().unwrap().iter();
                let all: Vec<Value> = of
                    .map(|name| json!({ "repositoryName": name, "scanFrequency": frequency, "scanOnPush": false }))
                    .collect();
                Answer::ok(json!({ "scanningConfigurations": all, "failures": [] }))
            }
            "PutRegistryScanningConfiguration" => {
                scans.store(true, Ordering::SeqCst);
                Answer::ok(
                    json!({ "registryScanningConfiguration": { "scanType": body["scanType"], "rules": body["rules"] } }),
                )
            }
            "Query" => Answer::ok(json!({ "Items": [], "Count": 0 })),
            "PutItem" | "TransactWriteItems" => Answer::ok(json!({})),
            _ => return None,
        })
    });
    let policy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fix-registry.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let audit = [
        "audit",
        "--policy",
        policy.to_str().unwrap(),
        "--fix",
        "--yes",
    ];
    let (status, out, error) = aws.run(&[&audit[..], &["--state-table", "state"]].concat());
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(
        aws.asked("PutRegistryScanningConfiguration").len(),
        1,
        "{error}"
    );
}
