//! `make undeploy` deletes the stack only when nothing depends on it, and says what stays.

use std::process::{Command, Output};

use ecr_warden_tests::local_aws::root;

use crate::support::{World, arn};

fn undeploy(world: &World, force: &str) -> (String, String, Output) {
    let output = Command::new("make")
        .current_dir(root())
        .args(["--no-print-directory", "undeploy"])
        .env("AWS_ENDPOINT_URL", world.local.endpoint())
        .env("FORCE", force)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output)
}

fn key(name: &str, kind: &str) -> String {
    format!(r#"{{"pk":{{"S":"{}"}},"sk":{{"S":"{kind}"}}}}"#, arn(name))
}

fn there(world: &World, stack: &str) -> bool {
    let describe = ["cloudformation", "describe-stacks", "--stack-name", stack];
    world.local.cli(&describe).is_ok()
}

#[tokio::test]
async fn a_stack_is_not_deleted_while_a_repository_depends_on_it() {
    let world = World::own();
    let cli = |arguments: &[&str]| world.local.cli(arguments).unwrap();
    let table = world.stack.state_table.clone();
    let refused = |reason: &str| {
        let (out, err, output) = undeploy(&world, "");
        assert!(!output.status.success(), "{out}{err}");
        assert!(err.contains(reason), "{out}{err}");
        assert!(err.contains("nothing was deleted"), "{out}{err}");
        assert!(there(&world, "ecr-warden"));
    };

    let under_way = key("undeploy/gone", "recreate");
    let put = ["dynamodb", "put-item", "--table-name", &table, "--item"];
    cli(&[&put[..], &[&under_way]].concat());
    refused("undeploy/gone is being recreated");
    let delete = ["dynamodb", "delete-item", "--table-name", &table, "--key"];
    cli(&[&delete[..], &[&under_way]].concat());

    let closed = "undeploy/closed";
    world.create(closed).await;
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Sid":"EcrWardenQuarantine","Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}]}"#;
    let set = ["ecr", "set-repository-policy", "--repository-name", closed];
    cli(&[&set[..], &["--policy-text", policy]].concat());
    let record = serde_json::json!({
        "pk": { "S": arn(closed) }, "sk": { "S": "fix#weak-encryption" }, "body": { "S": policy },
    });
    let record = record.to_string();
    cli(&[&put[..], &[&record]].concat());
    refused("undeploy/closed refuses pushes");
    let lift = [
        "ecr",
        "delete-repository-policy",
        "--repository-name",
        closed,
    ];
    cli(&lift);

    let letters = world.stack.dead_letters.clone();
    let send = [
        "sqs",
        "send-message",
        "--queue-url",
        &letters,
        "--message-body",
        "{}",
    ];
    cli(&send);
    refused("1 events were given up");

    let (out, err, output) = undeploy(&world, "1");
    assert!(output.status.success(), "{out}{err}");
    assert!(err.contains("1 events were given up"), "{out}{err}");
    assert!(
        out.contains(&format!("ExistingStateTable={table}")),
        "{out}"
    );
    assert!(
        out.contains(&format!("s3://{}", world.stack.report_bucket)),
        "{out}"
    );
    assert!(!there(&world, "ecr-warden"));
    cli(&["dynamodb", "describe-table", "--table-name", &table]);
}

#[tokio::test]
async fn what_has_no_stack_is_not_undeployed() {
    let world = World::shared();
    let output = Command::new("make")
        .current_dir(root())
        .args(["--no-print-directory", "undeploy", "STACK_NAME=typo"])
        .env("AWS_ENDPOINT_URL", world.local.endpoint())
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("typo"), "{said}");
}
