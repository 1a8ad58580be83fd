//! What concerns the registry rather than a repository: one finding for an account and region.

use std::time::Duration;

use ecr_warden_tests::eventually;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION};
use ecr_warden_tests::proxy::{Fault, new_template};
use ecr_warden_tests::relay::Relay;
use serde_json::{Value, json};

use crate::support::{World, call, status};

const POLICY: &str = "version: 1\nmode: enforce\nrules: { public-access: {} }\n";
const OPEN: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"AllPull","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Resource":"*"}]}"#;

fn registry() -> String {
    format!("arn:aws:ecr:{REGION}:{ACCOUNT}:registry")
}

async fn audit(world: &World, mode: &str) -> Value {
    let request = json!({ "mode": mode });
    let answer = world.invoke_function(&world.stack.auditor, &request).await;
    answer.unwrap()
}

fn found(audit: &Value) -> Vec<(&str, &str)> {
    let findings = audit["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            let text = |key: &str| finding[key].as_str().unwrap();
            (text("repository"), text("rule"))
        })
        .collect()
}

/// It is reported when it is put, not again by audits and sweeps, and as resolved when it is gone; nothing changes it.
#[tokio::test]
async fn a_public_registry_policy_is_one_finding_until_it_is_gone() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("public-registry").await;
    for name in ["shop/one", "shop/two"] {
        world.create(name).await;
    }
    let proxy = &world.local.proxy;
    proxy.real_aws(|aws| aws.registry_policy.text = Some(OPEN.to_owned()));
    let relay = Relay::start(&world.clients).await.unwrap();
    let record = call("PutRegistryPolicy", "")["detail"].clone();
    relay.recorded(&record).await.unwrap();
    let shared = tokio::sync::Mutex::new(&mut inbox);
    let alert = eventually("the alert", Duration::from_secs(60), || async {
        let mut inbox = shared.lock().await;
        Ok(inbox.alerts_of_arn(&registry()).await?.pop())
    })
    .await
    .unwrap();
    assert_eq!(status(&alert, "public-access"), Some("open"), "{alert}");
    let text = alert.to_string();
    assert!(
        text.contains("AllPull") && text.contains("everyone"),
        "{text}"
    );
    assert!(text.contains("user/mary"), "{text}");

    for mode in ["monitor", "enforce"] {
        let audit = audit(&world, mode).await;
        let arn = registry();
        assert_eq!(found(&audit), [(arn.as_str(), "public-access")], "{mode}");
        assert_eq!(audit["summary"]["repositories"], 2, "{audit}");
        assert_eq!(audit["summary"]["compliant"], 2, "{audit}");
    }
    // Some repositories are not the registry.
    let request = json!({ "repositories": ["shop/**"] });
    let some = world.invoke_function(&world.stack.auditor, &request).await;
    assert_eq!(found(&some.unwrap()), []);
    let event = call("PutRegistryPolicy", "");
    world.invoke(&event).await.unwrap();
    let again = inbox.alerts_of_arn(&registry()).await.unwrap();
    assert_eq!(again.len(), 1, "{again:?}");

    proxy.real_aws(|aws| {
        let kept = aws.registry_policy.text.take();
        assert_eq!(kept.as_deref(), Some(OPEN), "it is never changed");
    });
    let event = call("DeleteRegistryPolicy", "");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "public-access"), Some("resolved"));
    assert_eq!(found(&audit(&world, "monitor").await), []);
}

/// A sweep reports what no event has, and goes on where the registry does not answer.
#[tokio::test]
async fn a_sweep_reports_replication_to_a_stranger() {
    let world = World::own();
    world.set_policy(POLICY).await;
    let mut inbox = world.inbox("replication").await;
    world.create("shop/one").await;
    let proxy = &world.local.proxy;
    proxy.real_aws(|aws| {
        let destination = json!({ "region": "us-west-2", "registryId": "999988887777" });
        aws.registry_policy.replication =
            Some(json!({ "rules": [{ "destinations": [destination] }] }));
    });
    let swept = audit(&world, "enforce").await;
    let arn = registry();
    assert_eq!(found(&swept), [(arn.as_str(), "untrusted-access")]);
    let alerts = inbox.take().await.unwrap();
    let text = json!(alerts).to_string();
    assert!(
        text.contains("999988887777 (us-west-2)") && text.contains(&arn),
        "{text}"
    );
    let again = audit(&world, "enforce").await;
    assert_eq!(found(&again), [(arn.as_str(), "untrusted-access")]);
    assert_eq!(inbox.take().await.unwrap(), Vec::<Value>::new());

    proxy.plan("", |call| {
        (call.operation == "DescribeRegistry").then_some(Fault::ServerError)
    });
    let audit = audit(&world, "monitor").await;
    assert_eq!(audit["summary"]["repositories"], 1, "{audit}");
    assert!(
        audit["findings"]
            .to_string()
            .contains("ecr:DescribeRegistry"),
        "{audit}"
    );
}

const TEMPLATES: &str = "
version: 1
mode: enforce
rules: { nonconforming-template: {}, weak-encryption: { require: AES256 } }
overrides:
  - match: { repositories: [\"payments/**\"] }
    rules: { weak-encryption: { require: KMS } }
";

/// The policy of its prefix decides about a template, and one that a command corrects is resolved. A setting that cannot be read is one
/// finding and ends no audit.
#[tokio::test]
async fn a_template_is_one_finding_until_it_is_corrected() {
    let world = World::own();
    world.set_policy(TEMPLATES).await;
    let mut inbox = world.inbox("templates").await;
    for name in ["shop/one", "shop/two"] {
        world.create(name).await;
    }
    let proxy = &world.local.proxy;
    let template =
        |prefix: &str| new_template(&json!({ "prefix": prefix, "appliedFor": ["CREATE_ON_PUSH"] }));
    proxy.real_aws(|aws| {
        aws.creation_templates.templates = vec![template("shop"), template("payments")];
    });
    let event = call("CreateRepositoryCreationTemplate", "");
    let outcome = world.invoke(&event).await.unwrap();
    let rule = "nonconforming-template";
    assert_eq!(status(&outcome, rule), Some("open"), "{outcome}");
    let alert = inbox
        .alerts_of_arn(&registry())
        .await
        .unwrap()
        .pop()
        .unwrap();
    let text = alert.to_string();
    assert!(text.contains("the creation template `payments`"), "{text}");
    assert!(!text.contains("template `shop`"), "{text}");
    let command = "update-repository-creation-template --prefix 'payments' --encryption-configuration 'encryptionType=KMS'";
    assert!(text.contains(command), "{text}");
    let terraform = alert["findings"][0]["iac"]["terraform"].as_str().unwrap();
    assert!(
        terraform.contains("encryption_type = \"KMS\""),
        "{terraform}"
    );
    let arn = registry();
    let found_now = audit(&world, "monitor").await;
    assert_eq!(found(&found_now), [(arn.as_str(), rule)]);

    let caches = [
        "DescribePullThroughCacheRules",
        "DescribeRepositoryCreationTemplates",
    ];
    for operation in caches {
        proxy.plan("", move |call| {
            (call.operation == operation).then_some(Fault::ServerError)
        });
        let audit = audit(&world, "monitor").await;
        assert_eq!(audit["summary"]["repositories"], 2, "{audit}");
        assert_eq!(found(&audit), [(arn.as_str(), rule)], "{audit}");
        let permission = format!("ecr:{operation}");
        assert!(
            audit["findings"].to_string().contains(&permission),
            "{audit}"
        );
    }
    proxy.plan("", |_| None);

    proxy.real_aws(|aws| {
        let kms = json!({ "encryptionType": "KMS" });
        aws.creation_templates.templates[1]["encryptionConfiguration"] = kms;
    });
    let event = call("UpdateRepositoryCreationTemplate", "");
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, rule), Some("resolved"), "{outcome}");
    assert_eq!(found(&audit(&world, "monitor").await), []);
}
