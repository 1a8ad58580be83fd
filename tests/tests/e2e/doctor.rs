//! `ecr-warden doctor` on the deployed stack: what is right is ok, and what an operator breaks is found.
//!
//! The local simulator of permissions ignores context keys, so that check is not asserted here.

use ecr_warden_aws::{Caller, Clients, diagnose};
use ecr_warden_core::doctor::{AwsCli, CheckName, Diagnosis, Health};
use ecr_warden_tests::clients::config;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION};

use crate::support::World;

impl World {
    async fn doctor(&self) -> Diagnosis {
        let clients = Clients::new(config(&self.local.endpoint), Some(ACCOUNT.to_owned()));
        let caller = Caller {
            account: ACCOUNT.to_owned(),
            arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            region: REGION.to_owned(),
        };
        let aws = AwsCli {
            profile: None,
            region: REGION.to_owned(),
        };
        diagnose(&clients, &caller, "ecr-warden", &aws).await
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

fn status(diagnosis: &Diagnosis, check: CheckName) -> Health {
    let found = diagnosis.checks.iter().find(|it| it.check == check);
    found.unwrap().status
}

#[tokio::test]
async fn a_deployed_stack_is_ok_and_what_is_broken_is_found() {
    let world = World::own_with("CreateTrail=true", |_| {});
    // The local CloudFormation ignores `RecursiveLoop`.
    for function in [&world.stack.enforcer, &world.stack.auditor] {
        world.aws_cli(&format!(
            "lambda put-function-recursion-config --function-name {function} --recursive-loop Allow"
        ));
    }
    let diagnosis = world.doctor().await;
    let all = [
        CheckName::Credentials,
        CheckName::Stack,
        CheckName::Trail,
        CheckName::Triggers,
        CheckName::Subscribers,
        CheckName::Policy,
        CheckName::DeadLetters,
        CheckName::Functions,
    ];
    for check in all {
        assert_eq!(status(&diagnosis, check), Health::Ok, "{diagnosis:#?}");
    }

    let rule = world.physical("CallsRule");
    world.aws_cli(&format!("events disable-rule --name {rule}"));
    let trail = world.physical("Trail");
    world.aws_cli(&format!("cloudtrail stop-logging --name {trail}"));
    let queue = &world.stack.dead_letters;
    world.aws_cli(&format!(
        "sqs send-message --queue-url {queue} --message-body lost"
    ));
    let auditor = &world.stack.auditor;
    world.aws_cli(&format!(
        "lambda put-function-concurrency --function-name {auditor} --reserved-concurrent-executions 0"
    ));
    let diagnosis = world.doctor().await;
    for check in [
        CheckName::Trail,
        CheckName::Triggers,
        CheckName::DeadLetters,
        CheckName::Functions,
    ] {
        assert_eq!(status(&diagnosis, check), Health::Failing, "{diagnosis:#?}");
    }
    assert!(!diagnosis.healthy);
}
