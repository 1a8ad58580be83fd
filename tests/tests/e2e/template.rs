//! The template is plain CloudFormation, and deploys through a bucket.

use ecr_warden_tests::local_aws::{ACCOUNT, REGION};
use serde_json::Value;

use crate::support::World;

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

/// The default execution role of service-managed StackSets cannot expand macros (CloudFormation API, CreateStackSet), and a stack
/// policy or a change set shows the resources only after the transform.
#[test]
fn template_needs_no_transform() {
    assert!(!TEMPLATE.contains("\nTransform:"));
    assert!(!TEMPLATE.contains("Fn::Transform"));
    assert!(!TEMPLATE.contains("AWS::Serverless"));
    let deploy = include_str!("../../../scripts/deploy");
    assert!(deploy.contains(" --capabilities CAPABILITY_IAM "));
    assert!(!deploy.contains("CAPABILITY_AUTO_EXPAND"));
}

/// CloudFormation takes at most 51,200 bytes of a template inline, and a function's zip from a bucket only.
#[test]
fn template_and_zips_go_through_the_bucket() {
    let world = World::shared();
    let bucket = format!("ecr-warden-artifacts-{ACCOUNT}-{REGION}");
    let stack = ["--stack-name", "ecr-warden"];
    let get = ["cloudformation", "get-template"];
    let body = world.cli(&[&get[..], &stack].concat())["TemplateBody"].to_string();
    assert!(body.contains(&bucket) && !body.contains("bootstrap.zip"));
    let listed = world.cli(&["s3api", "list-objects-v2", "--bucket", &bucket]);
    let objects = listed["Contents"].as_array().unwrap();
    let keys: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["Key"].as_str())
        .collect();
    let is_template = |key: &&str| key.starts_with("ecr-warden/") && key.ends_with(".template");
    assert!(keys.iter().any(is_template), "{keys:?}");
    for function in [&world.stack.enforcer, &world.stack.auditor] {
        let of = ["lambda", "get-function", "--function-name", function];
        let deployed: Value = world.cli(&of);
        assert!(deployed["Configuration"]["CodeSize"].as_u64() > Some(1_000_000));
    }
}
