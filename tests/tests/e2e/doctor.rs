//! `ecr-warden doctor` on the deployed stack: what is right is ok, and what an operator breaks is found.
//!
//! The local simulator of permissions ignores context keys, so that check is not asserted here.

use std::process::{Command, Stdio};
use std::time::Duration;

use ecr_warden_tests::relay::Relay;
use ecr_warden_tests::{eventually, local_aws::LocalAws};
use serde_json::Value;

use crate::careful::command;
use crate::support::World;

const ENFORCE: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
const PARAMETER: &str = "/ecr-warden/policy";

impl World {
    /// What `ecr-warden doctor --format json` prints with further arguments, its calls going through the proxy.
    fn doctor(&self, arguments: &[&str]) -> Value {
        let mut doctor = self.doctor_command(arguments);
        let output = doctor.stderr(Stdio::inherit()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn doctor_command(&self, arguments: &[&str]) -> Command {
        let mut doctor = command(self, &[&["doctor", "--format", "json"], arguments].concat());
        doctor.env("AWS_ENDPOINT_URL", self.local.proxy.endpoint());
        doctor
    }

    /// What a canary's run creates and that is there.
    fn canaries(&self) -> String {
        let lists = [
            "ecr describe-repositories --query repositories[].repositoryName --output text",
            "sqs list-queues --output text",
            "sns list-subscriptions --output text",
        ];
        let all = lists.map(|list| self.aws_cli(list)).concat();
        let mut words = all.split_whitespace();
        let canaries = words.by_ref().filter(|word| word.contains("canary"));
        canaries.collect::<Vec<_>>().join(" ")
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
    let diagnosis = world.doctor(&[]);
    let all = [
        "credentials",
        "stack",
        "trail",
        "triggers",
        "subscribers",
        "policy",
        "brakes",
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
    world
        .local
        .proxy
        .real_aws(|aws| aws.subscriptions.confirmed = Some(0));
    let diagnosis = world.doctor(&[]);
    for check in [
        "trail",
        "triggers",
        "subscribers",
        "dead-letters",
        "functions",
    ] {
        assert_eq!(status(&diagnosis, check), "failing", "{diagnosis:#}");
    }
    assert_eq!(diagnosis["healthy"], false);
}

fn detail<'d>(diagnosis: &'d Value, check: &str) -> &'d str {
    let mut checks = diagnosis["checks"].as_array().unwrap().iter();
    let found = checks.find(|it| it["check"] == check).unwrap();
    found["detail"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_repaired_and_reported_and_nothing_of_it_is_left() {
    let world = World::own();
    world.set_policy(ENFORCE).await;
    let relay = Relay::start(&world.clients).await.unwrap();
    let diagnosis = world.doctor(&["--canary", "--wait", "60"]);
    for check in ["canary-repair", "canary-alert", "canary-removal"] {
        assert_eq!(status(&diagnosis, check), "ok", "{diagnosis:#}");
    }
    let alert = detail(&diagnosis, "canary-alert");
    assert!(alert.contains("mutable-tags fixed"), "{alert}");
    assert_eq!(diagnosis["observations"].as_array().unwrap().len(), 3);
    assert_eq!(world.canaries(), "");

    // Without a confirmed subscription, the canary's own queue would count as one, so it is not made.
    world
        .local
        .proxy
        .real_aws(|aws| aws.subscriptions.confirmed = Some(0));
    let diagnosis = world.doctor(&["--canary", "--wait", "60"]);
    assert_eq!(status(&diagnosis, "canary-repair"), "ok", "{diagnosis:#}");
    assert_eq!(
        status(&diagnosis, "canary-alert"),
        "unknown",
        "{diagnosis:#}"
    );
    world
        .local
        .proxy
        .real_aws(|aws| aws.subscriptions.confirmed = None);

    // Without the rule no event arrives.
    drop(relay);
    let rule = world.physical("CallsRule");
    world.aws_cli(&format!("events disable-rule --name {rule}"));
    let relay = Relay::start(&world.clients).await.unwrap();
    let diagnosis = world.doctor(&["--canary", "--wait", "5"]);
    for check in ["triggers", "canary-repair", "canary-alert"] {
        assert_eq!(status(&diagnosis, check), "failing", "{diagnosis:#}");
    }
    assert_eq!(status(&diagnosis, "canary-removal"), "ok", "{diagnosis:#}");

    // Ctrl-C while it waits.
    let mut waiting = world.doctor_command(&["--canary", "--wait", "600"]);
    let waiting = waiting.stdout(Stdio::piped()).spawn().unwrap();
    // The repository comes last; its name begins the list.
    let created = async || {
        Ok(world
            .canaries()
            .starts_with("ecr-warden-canary")
            .then_some(()))
    };
    let minute = Duration::from_secs(60);
    eventually("the repository", minute, created).await.unwrap();
    let interrupt = Command::new("kill")
        .args(["-INT", &waiting.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status(&diagnosis, "canary-removal"), "ok", "{diagnosis:#}");
    assert_eq!(world.canaries(), "");
    drop(relay);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_shows_what_the_role_may_not_do_and_an_invalid_policy_is_found() {
    let put = |local: &LocalAws, text: &str| {
        let words = ["ssm", "put-parameter", "--overwrite", "--type", "String"];
        let value = ["--name", PARAMETER, "--value", text];
        local.cli(&[&words[..], &value].concat()).unwrap();
    };
    let parameters = format!("MayChange=no PolicyParameterName={PARAMETER}");
    let world = World::own_with(&parameters, |local| put(local, ENFORCE));
    let relay = Relay::start(&world.clients).await.unwrap();
    let diagnosis = world.doctor(&["--canary", "--wait", "60"]);
    assert_eq!(status(&diagnosis, "policy"), "ok", "{diagnosis:#}");
    assert_eq!(
        status(&diagnosis, "canary-repair"),
        "failing",
        "{diagnosis:#}"
    );
    let repair = detail(&diagnosis, "canary-repair");
    assert!(repair.contains("ecr:PutImageTagMutability"), "{repair}");
    assert_eq!(status(&diagnosis, "canary-alert"), "ok", "{diagnosis:#}");
    drop(relay);

    put(&world.local, "version: 1\nmode: enforse\n");
    let diagnosis = world.doctor(&[]);
    assert_eq!(status(&diagnosis, "policy"), "failing", "{diagnosis:#}");
}
