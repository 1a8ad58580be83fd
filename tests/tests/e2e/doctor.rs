//! `ecr-warden doctor` on the deployed stack: what is right is ok, and what an operator breaks is found.
//!
//! The local simulator of permissions ignores context keys, so that check is not asserted here.

use serde_json::Value;

use crate::careful::ecr_warden;
use crate::support::World;

impl World {
    /// What `ecr-warden doctor --format json` prints.
    fn doctor(&self) -> Value {
        let output = ecr_warden(self, &["doctor", "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn aws_cli(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.local.cli(&words).unwrap()
    }

    fn physical(&self, logical: &str) -> String {
        let query = "--query StackResourceDetail.PhysicalResourceId --output text";
        let asked = "cloudformation describe-stack-resource --stack-name ecr-warden";
        let name = self.aws_cli(&format!("{asked} --logical-resource-id {logical} {query}"));
        name.trim().to_owned()
    }
}

fn status<'d>(diagnosis: &'d Value, check: &str) -> &'d str {
    let mut checks = diagnosis["checks"].as_array().unwrap().iter();
    let found = checks.find(|it| it["check"] == check).unwrap();
    found["status"].as_str().unwrap()
}

#[tokio::test]
async fn a_deployed_stack_is_ok_and_what_is_broken_is_found() {
    let world = World::own();
    // The local CloudFormation knows no trails.
    world.aws_cli("s3api create-bucket --bucket trails");
    world.aws_cli(
        "cloudtrail create-trail --name main --s3-bucket-name trails --is-multi-region-trail",
    );
    world.aws_cli("cloudtrail start-logging --name main");
    // The local CloudFormation ignores `RecursiveLoop`.
    for function in [&world.stack.enforcer, &world.stack.auditor] {
        world.aws_cli(&format!(
            "lambda put-function-recursion-config --function-name {function} --recursive-loop Allow"
        ));
    }
    let diagnosis = world.doctor();
    let all = [
        "credentials",
        "stack",
        "trail",
        "triggers",
        "subscribers",
        "policy",
        "dead-letters",
        "functions",
    ];
    for check in all {
        assert_eq!(status(&diagnosis, check), "ok", "{diagnosis:#}");
    }

    let rule = world.physical("CallsRule");
    world.aws_cli(&format!("events disable-rule --name {rule}"));
    world.aws_cli("cloudtrail stop-logging --name main");
    let queue = &world.stack.dead_letters;
    world.aws_cli(&format!(
        "sqs send-message --queue-url {queue} --message-body lost"
    ));
    let auditor = &world.stack.auditor;
    world.aws_cli(&format!(
        "lambda put-function-concurrency --function-name {auditor} --reserved-concurrent-executions 0"
    ));
    let diagnosis = world.doctor();
    for check in ["trail", "triggers", "dead-letters", "functions"] {
        assert_eq!(status(&diagnosis, check), "failing", "{diagnosis:#}");
    }
    assert_eq!(diagnosis["healthy"], false);
}
