//! Scanning on push, as ECR itself says whether it does it.

use ecr_warden_tests::proxy::{Fault, Refusal};
use serde_json::json;

use crate::support::{World, call, status};

const BATCH: &str = "BatchGetRepositoryScanningConfiguration";

/// A repository's own setting is on, and ECR scans it manually all the same: the event, the audit and the sweep report it.
#[tokio::test]
async fn what_ecr_does_not_scan_is_reported_whatever_its_own_setting() {
    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { no-scan-on-push: {} }\n")
        .await;
    let proxy = &world.local.proxy;
    for name in ["shop/manual", "shop/scanned"] {
        world.create(name).await;
        let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
        assert_eq!(status(&outcome, "no-scan-on-push"), Some("fixed"));
    }
    proxy.real_aws(|aws| {
        let frequencies = &mut aws.registry_scanning.frequencies;
        frequencies.insert("shop/manual".to_owned(), "MANUAL");
    });
    let event = call("PutImage", "shop/manual");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(
        status(&outcome, "no-scan-on-push"),
        Some("open"),
        "{outcome}"
    );
    assert!(
        outcome
            .to_string()
            .contains("its own setting has no effect"),
        "{outcome}"
    );
    for mode in ["monitor", "enforce"] {
        let request = json!({ "mode": mode });
        let audit = world.invoke_function(&world.stack.auditor, &request).await;
        let audit = audit.unwrap();
        let found = audit["findings"].as_array().unwrap();
        let names: Vec<&str> = found
            .iter()
            .filter_map(|finding| finding["repository"].as_str()?.rsplit('/').next())
            .collect();
        assert_eq!(names, ["manual"], "{mode}: {audit}");
    }
    // Many names with each call.
    for n in 0..60 {
        world.create(&format!("many/r{n}")).await;
    }
    let before = world.count(BATCH, "");
    let request = json!({});
    let audit = world.invoke_function(&world.stack.auditor, &request).await;
    assert_eq!(audit.unwrap()["summary"]["repositories"], 62);
    assert_eq!(world.count(BATCH, "") - before, 3, "25 names each");

    // Who may not ask is not answered that all is well.
    let message = "User: ecr-warden is not authorized to perform: ecr:BatchGetRepositoryScanningConfiguration";
    proxy.plan("shop/scanned", move |call| {
        (call.operation == BATCH).then_some(Fault::Refuse(Refusal::denied(message)))
    });
    let event = call("PutImage", "shop/scanned");
    let outcome = world.invoke(&event).await.unwrap();
    assert!(
        outcome
            .to_string()
            .contains("ecr:BatchGetRepositoryScanningConfiguration"),
        "{outcome}"
    );
}

/// What the registry does not answer ends no audit: the repositories that need it say so, the others are evaluated.
#[tokio::test]
async fn a_registry_that_does_not_answer_ends_no_audit() {
    let world = World::own();
    world
        .set_policy(
            "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-name: {} }\n",
        )
        .await;
    for name in ["shop/mutable", "unnamed"] {
        world.create(name).await;
    }
    world.local.proxy.plan("", |call| {
        (call.operation == "DescribePullThroughCacheRules").then_some(Fault::ServerError)
    });
    let audit = world
        .invoke_function(&world.stack.auditor, &json!({}))
        .await;
    let audit = audit.unwrap();
    assert_eq!(audit["summary"]["repositories"], 2, "{audit}");
    assert_eq!(audit["summary"]["unjudged"], 0, "{audit}");
    let text = audit["findings"].to_string();
    assert!(
        text.contains("nonconforming-name") && text.contains("ecr:DescribePullThroughCacheRules"),
        "{text}"
    );
}

/// Enhanced scanning may take a permission of Amazon Inspector's: the message names the one that AWS names.
#[tokio::test]
async fn a_change_of_the_registry_that_takes_inspectors_permission_names_it() {
    let world = World::own();
    let rule = "no-scan-on-push: { fix: registry, registry-filters: [\"*\"] }";
    world
        .set_policy(&format!("version: 1\nmode: enforce\nrules: {{ {rule} }}\n"))
        .await;
    let proxy = &world.local.proxy;
    proxy.real_aws(|aws| {
        aws.registry_scanning.configuration = json!({ "scanType": "ENHANCED", "rules": [] });
    });
    proxy.plan("ENHANCED", |call| {
        let message =
            "User: ecr-warden is not authorized to perform: inspector2:Enable on resource: *";
        (call.operation == "PutRegistryScanningConfiguration")
            .then_some(Fault::Refuse(Refusal::denied(message)))
    });
    let mut inbox = world.inbox("inspector").await;
    world.create("shop/inspected").await;
    let event = call("CreateRepository", "shop/inspected");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(
        status(&outcome, "no-scan-on-push"),
        Some("failed"),
        "{outcome}"
    );
    let alerts = inbox.take().await.unwrap();
    assert!(
        json!(alerts).to_string().contains("inspector2:Enable"),
        "{alerts:?}"
    );
}
