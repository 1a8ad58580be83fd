//! The roles in the template allow what the code can do, and no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ecr_warden_core::action::Action;
use ecr_warden_core::trigger::Cause;
use ecr_warden_tests::local_aws::root;

/// What the code does not name: Lambda, its event sources and SNS use these in the role's name.
const SURROUNDINGS: [&str; 9] = [
    "kms:Decrypt",
    "kms:GenerateDataKey*",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sns:Publish",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
];

/// Only the command takes these, which people run with permissions of their own.
const PEOPLES: [&str; 7] = [
    "account:ListRegions",
    "cloudformation:DescribeStacks",
    "ecr:DeleteLifecyclePolicy",
    "lambda:InvokeFunction",
    "s3:GetObject",
    "ssm:PutParameter",
    "sts:GetCallerIdentity",
];

/// Only the Slack notifier takes this.
const NOTIFIERS: [&str; 1] = ["secretsmanager:GetSecretValue"];

/// Each call of the AWS crate says which permission it takes, for where AWS's refusal does not.
fn named_by_the_code() -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for file in files_below(&root().join("functions/aws/src")) {
        let source = std::fs::read_to_string(file).unwrap();
        let calls = source.split("Failure::of(\"").skip(1);
        named.extend(calls.filter_map(|call| call.split('"').next().map(str::to_owned)));
    }
    assert!(named.len() > 10, "{named:?}");
    named
}

/// Of a folder and of those in it, the sources.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Only the auditor does these.
const AUDITORS: [&str; 3] = ["dynamodb:Scan", "s3:PutObject", "tag:GetResources"];

/// A policy of its own lets both functions do these, where there is a parameter.
const FOR_BOTH: [&str; 2] = ["ssm:GetParameter", "ssm:GetParameterHistory"];

/// The actions that a resource of the template allows.
fn granted(name: &str) -> BTreeSet<&'static str> {
    let all = resources();
    let (_, text) = all.iter().find(|(other, _)| *other == name).expect(name);
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            line.trim()
                .trim_start_matches("- ")
                .trim_start_matches("Action: ")
                .split_whitespace()
                .next()
        })
        .filter(|word| {
            let service = word.split(':').next().unwrap_or_default();
            [
                "cloudformation",
                "ec2",
                "ecr",
                "kms",
                "dynamodb",
                "sns",
                "sqs",
                "logs",
                "events",
                "s3",
                "ssm",
                "iam",
                "tag",
            ]
            .contains(&service)
                && word.contains(':')
                && !word.ends_with(':')
        })
        .collect()
}

/// What a role may with the managed policies that both roles have.
fn held(role: &str) -> BTreeSet<&'static str> {
    let parts = [role, "BothMayReadAndReport", "BothMayChange"];
    parts.iter().flat_map(|name| granted(name)).collect()
}

#[test]
fn the_roles_hold_exactly_what_the_code_can_do() {
    let samples = Action::samples();
    let named = named_by_the_code();
    let needed: BTreeSet<&str> = samples
        .iter()
        .flat_map(|action| action.permissions().iter().copied())
        .chain(named.iter().map(String::as_str))
        .chain(SURROUNDINGS)
        .filter(|permission| !PEOPLES.contains(permission))
        .filter(|permission| !NOTIFIERS.contains(permission))
        .filter(|permission| !FOR_BOTH.contains(permission))
        .collect();
    assert_eq!(held("AuditorRole"), needed);
    let less: BTreeSet<&str> = needed
        .iter()
        .copied()
        .filter(|permission| !AUDITORS.contains(permission))
        .collect();
    assert_eq!(held("EnforcerRole"), less);
    assert_eq!(granted("PolicyParameterMayBeRead"), FOR_BOTH.into());
}

/// All permissions that change something in ECR are in the policy that `MayChange` leaves out.
#[test]
fn only_one_policy_changes_anything_in_ecr() {
    let changes = |permission: &&str| {
        let (service, operation) = permission.split_once(':').unwrap();
        let reads = ["BatchGet", "Describe", "Get", "List"];
        service == "ecr" && !reads.iter().any(|read| operation.starts_with(read))
    };
    let changing: BTreeSet<&str> = granted("BothMayChange")
        .into_iter()
        .filter(changes)
        .collect();
    assert!(changing.len() > 5, "{changing:?}");
    for (name, _) in resources() {
        let other = granted(name)
            .into_iter()
            .find(|permission| changes(permission));
        assert!(
            name == "BothMayChange" || other.is_none(),
            "{name}: {other:?}"
        );
    }
}

/// Each statement is written once.
#[test]
fn no_two_policies_of_a_function_have_the_same_statement() {
    let mut seen = BTreeSet::new();
    for name in [
        "EnforcerRole",
        "AuditorRole",
        "BothMayReadAndReport",
        "BothMayChange",
    ] {
        let all = resources();
        let (_, text) = all.iter().find(|(other, _)| *other == name).unwrap();
        let named = text.lines().filter_map(|line| {
            let sid = line.trim().trim_start_matches("- ").strip_prefix("Sid: ")?;
            // The log of each function is another one.
            (sid != "WriteLog").then_some(sid)
        });
        for sid in named {
            assert!(seen.insert(sid), "{sid}");
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

#[test]
fn the_rule_delivers_every_call_that_is_acted_on() {
    let template = include_str!("../../../infra/template.yaml");
    let names = template
        .split("          eventName:\n")
        .nth(1)
        .and_then(|rest| rest.split("      Targets:").next())
        .expect("the rule lists calls");
    let listed: BTreeSet<&str> = names
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .collect();
    assert_eq!(listed, Cause::CALLS.map(Cause::name).into());
}

/// The resources of the template: name and text.
fn resources() -> Vec<(&'static str, &'static str)> {
    let template = include_str!("../../../infra/template.yaml");
    let all = template.split("\nResources:\n").nth(1).unwrap();
    let all = all.split("\nOutputs:\n").next().unwrap();
    let mut starts: Vec<usize> = all
        .match_indices("\n  ")
        .map(|(at, _)| at + 1)
        .filter(|at| all[at + 2..].starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    starts.push(all.len());
    starts
        .windows(2)
        .map(|ends| {
            let text = &all[ends[0]..ends[1]];
            (text.trim().split(':').next().unwrap(), text)
        })
        .collect()
}

const TLS_ONLY: &str = r#"
          - Sid: TlsOnly
            Effect: Deny
            Principal: "*"
"#;

const NOT_FROM_HERE: &str = r#"
            Condition:
              Bool: { "aws:SecureTransport": "false" }
              NotIpAddress: { "aws:SourceIp": [127.0.0.0/8, "::1/128"] }
"#;

/// `strangers.rs` judges the deployed policies; the trail's bucket and the chat's role the local AWS can't deploy.
#[test]
fn whatever_can_refuse_plain_http_does_and_the_chat_may_nothing() {
    let resources = resources();
    let is_of = |text: &str, kinds: &[&str]| {
        kinds
            .iter()
            .any(|kind| text.contains(&format!("Type: AWS::{kind}\n")))
    };
    let mut refusing = 0;
    for (name, text) in &resources {
        if !is_of(text, &["SQS::Queue", "SNS::Topic", "S3::Bucket"]) {
            continue;
        }
        let policies: Vec<&str> = resources
            .iter()
            .map(|(_, text)| *text)
            .filter(|text| {
                is_of(
                    text,
                    &["SQS::QueuePolicy", "SNS::TopicPolicy", "S3::BucketPolicy"],
                )
            })
            .filter(|text| {
                text.contains(&format!("Queues: [!Ref {name}]\n"))
                    || text.contains(&format!("Topics: [!Ref {name}]\n"))
                    || text.contains(&format!("Bucket: !Ref {name}\n"))
            })
            .collect();
        assert_eq!(policies.len(), 1, "{name}");
        let statement = policies[0].split_once(TLS_ONLY).expect(name).1;
        assert!(statement.contains(NOT_FROM_HERE), "{name}: {statement}");
        refusing += 1;
    }
    assert_eq!(refusing, 7, "four queues, a topic, two buckets");
    let (_, chat) = resources
        .iter()
        .find(|(name, _)| *name == "ChatRole")
        .unwrap();
    assert!(
        !chat.contains("Policies") && !chat.contains("PolicyArns"),
        "{chat}"
    );
    for (name, text) in resources {
        let is_policy = is_of(
            text,
            &["IAM::ManagedPolicy", "IAM::Policy", "IAM::RolePolicy"],
        );
        assert!(!(is_policy && text.contains("ChatRole")), "{name}");
    }
}

/// The names of the resources that a resource waits for: what it refers to and what it depends on.
fn waits_for(text: &str, all: &[(&'static str, &'static str)]) -> BTreeSet<&'static str> {
    let names = all.iter().map(|(name, _)| *name);
    names
        .filter(|name| {
            let refers = |mark: &str, ends: &[char]| {
                text.match_indices(&format!("{mark}{name}"))
                    .any(|(at, found)| text[at + found.len()..].starts_with(ends))
            };
            refers("!Ref ", &['\n', ',', ']', ' '])
                || refers("!GetAtt ", &['.'])
                || refers("${", &['}', '.'])
                || refers("DependsOn: ", &['\n'])
                || refers("\n      - ", &['\n'])
        })
        .collect()
}

/// A rate schedule starts at once: what a sweep uses, and what may fail and take the stack back, is created before.
#[test]
fn the_first_sweep_waits_for_everything() {
    let all = resources();
    let text_of = |name: &str| all.iter().find(|(other, _)| *other == name).unwrap().1;
    let mut before: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec!["Sweeps"];
    while let Some(name) = open.pop() {
        for other in waits_for(text_of(name), &all) {
            if other != name && before.insert(other) {
                open.push(other);
            }
        }
    }
    assert!(!before.contains("Sweeps"), "a circle");
    let only_shows = |text: &str| {
        [
            "CloudWatch::Alarm",
            "CloudWatch::Dashboard",
            "Logs::MetricFilter",
        ]
        .iter()
        .any(|kind| text.contains(&format!("Type: AWS::{kind}\n")))
    };
    let expected: BTreeSet<&str> = all
        .iter()
        .filter(|(name, text)| *name != "Sweeps" && !only_shows(text))
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(before, expected);
}

/// A creation that fails must take neither the state of a recreation nor reports, and CloudFormation can't delete a bucket with
/// objects.
#[test]
fn what_holds_something_outlives_its_stack() {
    let mut kept = BTreeSet::new();
    for (name, text) in resources() {
        let holds = ["DynamoDB::Table", "S3::Bucket"]
            .iter()
            .any(|kind| text.contains(&format!("Type: AWS::{kind}\n")));
        if holds {
            assert!(text.contains("\n    DeletionPolicy: Retain\n"), "{name}");
            let protected =
                "\n      DeletionProtectionEnabled: !If [WithProtectedTable, true, false]\n";
            assert_eq!(text.contains(protected), name == "StateTable");
            kept.insert(name);
        }
    }
    assert_eq!(kept, ["ReportBucket", "StateTable", "TrailBucket"].into());
}

/// `platform.report`, with duration and memory, is of this level.
#[test]
fn functions_log_how_near_they_are_to_their_limits() {
    let functions: Vec<&str> = resources()
        .into_iter()
        .map(|(_, text)| text)
        .filter(|text| text.contains("Type: AWS::Lambda::Function\n"))
        .collect();
    assert_eq!(functions.len(), 3);
    for text in functions {
        assert!(text.contains("SystemLogLevel: INFO\n"), "{text}");
    }
}
