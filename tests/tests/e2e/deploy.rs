//! `make deploy` ends with `ecr-warden doctor`. Scripts stand in for the AWS CLI and cargo: no test has an AWS account.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ecr_warden_tests::local_aws::root;

const AWS: &str = r#"#!/bin/sh
case "$1 $2" in
  "--version "*) echo "aws-cli/2.30.0" ;;
  "sts get-caller-identity") echo 123456789012 ;;
  "configure get") echo eu-west-1 ;;
  "cloudformation describe-stacks") printf 'AlertTopicArn\tarn:aws:sns:eu-west-1:123456789012:alerts\n' ;;
  "sns get-topic-attributes") echo 1 ;;
esac
"#;

/// Writes a command into the folder that is searched first.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    std::fs::write(&file, script).unwrap();
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, executable).unwrap();
}

/// Runs `scripts/deploy`; `doctor` ends with this exit status.
fn deploy(test: &str, local_aws: &str, doctor: i32) -> (String, String, Output) {
    // A local AWS is deployed to with the AWS CLI of the virtual environment.
    let place: PathBuf = [env!("CARGO_TARGET_TMPDIR"), test].iter().collect();
    let folder = place.join(".venv/bin");
    std::fs::create_dir_all(&folder).unwrap();
    stand_in(&folder, "aws", AWS);
    let cargo = format!("#!/bin/sh\necho \"ran cargo $* as $AWS_PROFILE\"\nexit {doctor}\n");
    stand_in(&folder, "cargo", &cargo);
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(root().join("scripts/deploy"));
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"] {
        command.env_remove(name);
    }
    let output = command
        .current_dir(&place)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("STACK_NAME", "trial")
        .env("LOCAL_AWS", local_aws)
        .env("AWS_PROFILE", "team")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output)
}

const DOCTOR: &str = "ran cargo run --quiet --package ecr-warden-cli -- doctor --stack trial --region eu-west-1 as team\n";

#[test]
fn a_deployment_to_aws_ends_with_doctor() {
    let (out, err, output) = deploy("doctor-ok", "", 0);
    assert!(output.status.success(), "{out}{err}");
    let (before, _) = out.split_once(DOCTOR).expect(&out);
    assert!(before.contains("cargo builds the command"), "{before}");
    assert_eq!(err, "");
}

/// A subscription, for example, is confirmed only later.
#[test]
fn findings_of_doctor_do_not_fail_the_deployment() {
    for status in [1, 3] {
        let (out, err, output) = deploy(&format!("doctor-{status}"), "", status);
        assert!(output.status.success(), "{out}{err}");
        assert!(out.ends_with(DOCTOR), "{out}");
        assert!(err.contains("the stack is deployed"), "{err}");
    }
}

/// The tests and the demo deploy often, and a local AWS lacks what `doctor` reads.
#[test]
fn a_local_deployment_ends_without_doctor() {
    let (out, err, output) = deploy("doctor-local", "yes", 1);
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("AlertTopicArn"), "{out}");
    assert!(!out.contains("ran cargo"), "{out}");
}
