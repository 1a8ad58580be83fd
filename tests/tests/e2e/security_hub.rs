//! The sweep keeps Security Hub up to date.

use std::process::Command;

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::local_aws::root;
use ecr_warden_tests::moto::Moto;
use ecr_warden_tests::proxy::Fault;
use serde_json::{Value, json};

use crate::support::World;

/// What Security Hub has, as the AWS CLI shows it: names and states.
pub(crate) fn findings(moto: &Moto) -> Vec<(String, String, String)> {
    let output = Command::new(root().join(".venv/bin/aws"))
        .args([
            "securityhub",
            "get-findings",
            "--endpoint-url",
            &moto.endpoint(),
        ])
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found: Vec<_> = answer["Findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let id = text(&finding["Id"]);
            let name = id.split_once("repository/").unwrap().1.to_owned();
            (
                name,
                text(&finding["RecordState"]),
                text(&finding["Compliance"]["Status"]),
            )
        })
        .collect();
    found.sort();
    found
}

fn row(name: &str, state: &str, compliance: &str) -> (String, String, String) {
    (name.to_owned(), state.to_owned(), compliance.to_owned())
}

#[tokio::test]
async fn security_hub_has_what_stands_and_archives_what_does_not() {
    let world = World::own_with("SecurityHub=true", |_| {});
    let moto = Moto::start().unwrap();
    for operation in ["/findings", "/findings/import"] {
        world.local.proxy.route(operation, moto.port);
    }
    world
        .set_policy("version: 1\nmode: monitor\nrules: { mutable-tags: {} }\n")
        .await;
    for name in ["shop/one", "shop/two", "shop/three"] {
        world.create(name).await;
    }
    let sweep = async || {
        let request = json!({ "mode": "enforce" });
        world
            .invoke_function(&world.stack.auditor, &request)
            .await
            .unwrap()
    };
    sweep().await;
    let active = |name| row(&format!("{name}/mutable-tags"), "ACTIVE", "FAILED");
    let archived = |name| row(&format!("{name}/mutable-tags"), "ARCHIVED", "PASSED");
    assert_eq!(
        findings(&moto),
        [active("shop/one"), active("shop/three"), active("shop/two")]
    );

    // One is mended and one is gone; an audit on demand says nothing of it.
    let ecr = &world.clients.ecr;
    ecr.put_image_tag_mutability()
        .repository_name("shop/one")
        .image_tag_mutability(ImageTagMutability::Immutable)
        .send()
        .await
        .unwrap();
    ecr.delete_repository()
        .repository_name("shop/two")
        .send()
        .await
        .unwrap();
    world
        .invoke_function(&world.stack.auditor, &json!({}))
        .await
        .unwrap();
    assert_eq!(
        findings(&moto).iter().filter(|f| f.1 == "ACTIVE").count(),
        3
    );

    // While Security Hub does not take what stands, nothing is archived, and the sweep does its work.
    world.local.proxy.plan("SchemaVersion", |call| {
        (call.operation == "/findings/import").then_some(Fault::ServerError)
    });
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let audit = sweep().await;
    assert_eq!(audit["summary"]["repositories"], 2);
    assert_eq!(
        findings(&moto).iter().filter(|f| f.1 == "ACTIVE").count(),
        3
    );
    world.local.proxy.calm("SchemaVersion");

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    sweep().await;
    assert_eq!(
        findings(&moto),
        [
            archived("shop/one"),
            active("shop/three"),
            archived("shop/two")
        ]
    );
}
