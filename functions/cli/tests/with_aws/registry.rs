//! What the command does with an AWS that answers as a test wants it to: who it is there, and what it says and exits with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::answering::{ecr_warden, said};

const TABLE: &str = "state";

/// A registry with repositories by name, which keep the tag mutability that is put to them.
struct Aws {
    port: u16,
    repositories: Repositories,
    changes: Changes,
}

/// Who holds the gate holds up all changes. Each that comes to it is announced.
#[derive(Clone)]
struct Changes {
    gate: Arc<Mutex<()>>,
    announce: Arc<Mutex<Option<Sender<()>>>>,
}

type Repositories = Arc<Mutex<BTreeMap<String, String>>>;

impl Aws {
    fn with(names: &[&str]) -> Self {
        let repositories: Repositories = Arc::new(Mutex::new(
            names
                .iter()
                .map(|name| ((*name).to_owned(), "MUTABLE".to_owned()))
                .collect(),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let changes = Changes {
            gate: Arc::default(),
            announce: Arc::default(),
        };
        let served = (Arc::clone(&repositories), changes.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (repositories, changes) = served.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &repositories, &changes));
            }
        });
        Self {
            port,
            repositories,
            changes,
        }
    }

    fn mutability(&self, name: &str) -> String {
        self.repositories.lock().unwrap()[name].clone()
    }

    /// With no configuration and no credentials but what the test gives.
    fn command(&self, arguments: &[&str]) -> Command {
        ecr_warden(self.port, arguments)
    }

    /// An audit by the keys of the environment.
    fn audit(&self, policy: &str, more: &[&str]) -> (i32, String, String) {
        said(
            &with_keys(&mut self.audit_command(policy, more))
                .output()
                .unwrap(),
        )
    }

    fn audit_command(&self, policy: &str, more: &[&str]) -> Command {
        let policy = file(&format!("{}.yaml", self.port), policy);
        self.command(&[&["audit", "--policy", policy.to_str().unwrap()], more].concat())
    }
}

const MUTABLE_TAGS: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";

/// The account is told by the access key: `KEY111111111111`.
fn with_keys(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "KEY111111111111")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "us-east-1")
}

fn serve(stream: TcpStream, repositories: &Repositories, changes: &Changes) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ") {
                headers.insert(name.to_lowercase(), value.to_owned());
            }
        }
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let credential = &headers["authorization"];
        let scope: Vec<&str> = credential
            .split_once("Credential=")
            .unwrap()
            .1
            .split('/')
            .collect();
        let account = scope[0].trim_start_matches("KEY");
        let target = headers.get("x-amz-target").map_or("", String::as_str);
        let operation = target.rsplit('.').next().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if operation == "PutImageTagMutability" {
            if let Some(announce) = &*changes.announce.lock().unwrap() {
                announce.send(()).unwrap();
            }
            drop(changes.gate.lock().unwrap());
        }
        let (status, answer) = match operation {
            "" => (200, caller(account)),
            other => answer(other, &body, (account, scope[2]), repositories),
        };
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if writer.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn caller(account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/mary</Arn><UserId>U</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

/// What the image weighs in each repository `large`, in bytes.
const LARGE: u64 = 10_000_000_000;

fn answer(
    operation: &str,
    body: &Value,
    (account, region): (&str, &str),
    repositories: &Repositories,
) -> (u16, String) {
    let mut repositories = repositories.lock().unwrap();
    let name = body["repositoryName"].as_str().unwrap_or_default();
    let answer = match operation {
        "DescribeRepositories" => {
            let described: Vec<Value> = repositories
                .iter()
                .filter(|(name, _)| {
                    let asked = body["repositoryNames"].as_array();
                    asked.is_none_or(|asked| asked.contains(&json!(name)))
                })
                .map(|(name, mutability)| {
                    json!({
                        "repositoryName": name, "registryId": account, "imageTagMutability": mutability, "createdAt": 1.0,
                        "repositoryArn": format!("arn:aws:ecr:{region}:{account}:repository/{name}"),
                        "encryptionConfiguration": { "encryptionType": "AES256" },
                        "imageScanningConfiguration": { "scanOnPush": false },
                    })
                })
                .collect();
            json!({ "repositories": described })
        }
        "PutImageTagMutability" => {
            let to = body["imageTagMutability"].as_str().unwrap();
            repositories.insert(name.to_owned(), to.to_owned());
            json!({ "repositoryName": name, "imageTagMutability": to })
        }
        "ListTagsForResource" => json!({ "tags": [] }),
        "ListImages" => json!({ "imageIds": [] }),
        "DescribeImages" if name.ends_with("/large") => {
            json!({ "imageDetails": [{ "imageSizeInBytes": LARGE, "imagePushedAt": 1.0 }] })
        }
        "DescribeImages" => json!({ "imageDetails": [] }),
        "DescribePullThroughCacheRules" => json!({ "pullThroughCacheRules": [] }),
        "DescribeRepositoryCreationTemplates" => json!({ "repositoryCreationTemplates": [] }),
        "Query" => json!({ "Items": [], "Count": 0 }),
        "DescribeRegistry" => json!({ "replicationConfiguration": { "rules": [] } }),
        "GetRepositoryPolicy" | "GetLifecyclePolicy" | "GetRegistryPolicy" => {
            let error = operation.trim_start_matches("Get").to_owned() + "NotFoundException";
            return (400, json!({ "__type": error, "message": "" }).to_string());
        }
        "PutItem" | "UpdateItem" | "TransactWriteItems" => json!({}),
        other => {
            let error =
                json!({ "__type": "ValidationException", "message": format!("no {other} here") });
            return (400, error.to_string());
        }
    };
    (200, answer.to_string())
}

/// A file for one test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const CONFIG: &str = "
[default]
aws_access_key_id = KEY333333333333
aws_secret_access_key = secret
[profile other]
region = eu-west-1
aws_access_key_id = KEY222222222222
aws_secret_access_key = secret
[profile process]
credential_process = echo '{\"Version\":1,\"AccessKeyId\":\"KEY444444444444\",\"SecretAccessKey\":\"s\"}'
[profile empty]
region = eu-west-1
";

/// The account and region that an audit with these arguments and variables looks into.
fn audited(config: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let aws = Aws::with(&["shop/api"]);
    let policy = file(&format!("accounts-{}.yaml", aws.port), MUTABLE_TAGS);
    let config = file(config, CONFIG);
    let policy = policy.to_str().unwrap();
    let all = [
        &["audit", "--policy", policy, "--format", "json"],
        arguments,
    ]
    .concat();
    let output = with_keys(&mut aws.command(&all))
        .env("AWS_CONFIG_FILE", config)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let (status, out, error) = said(&output);
    if status > 1 {
        return format!("{status}: {error}");
    }
    let audit: Value = serde_json::from_str(&out).unwrap();
    let arn = audit["findings"][0]["repository"].as_str().unwrap();
    let parts: Vec<&str> = arn.split(':').collect();
    format!("{} {}", parts[4], parts[3])
}

#[test]
fn a_profile_that_is_named_comes_before_the_keys_of_the_environment() {
    let audited = |arguments: &[&str], variables: &[(&str, &str)]| {
        audited("profiles.conf", arguments, variables)
    };
    assert_eq!(audited(&[], &[]), "111111111111 us-east-1");
    assert_eq!(
        audited(&["--profile", "other"], &[]),
        "222222222222 us-east-1"
    );
    let elsewhere = [("AWS_REGION", "")];
    assert_eq!(
        audited(&["--profile", "other"], &elsewhere),
        "222222222222 eu-west-1"
    );
    assert_eq!(
        audited(&["--profile", "process"], &[]),
        "444444444444 us-east-1"
    );
    let named = ["--profile", "other", "--region", "eu-north-1"];
    assert_eq!(audited(&named, &[]), "222222222222 eu-north-1");
    // AWS_PROFILE comes after the keys.
    let by_variable = [("AWS_PROFILE", "other")];
    assert_eq!(audited(&[], &by_variable), "111111111111 us-east-1");
    assert_eq!(
        audited(&["--profile", "default"], &by_variable),
        "333333333333 us-east-1"
    );
}

#[test]
fn an_unusable_profile_is_said_to_be_so() {
    let audited = |arguments: &[&str]| audited("no-profiles.conf", arguments, &[]);
    assert_eq!(
        audited(&["--profile", "nope"]),
        "2: the profile `nope` is in none of the AWS CLI's files\n"
    );
    let empty = audited(&["--profile", "empty"]);
    assert!(
        empty.starts_with("3: no credentials in the profile `empty`: "),
        "{empty}"
    );
}

#[test]
fn without_credentials_it_says_what_to_do() {
    let policy = file("nobody.yaml", MUTABLE_TAGS);
    let output = Aws::with(&[])
        .command(&["audit", "--policy", policy.to_str().unwrap()])
        .env("AWS_REGION", "us-east-1")
        .output()
        .unwrap();
    assert_eq!(
        said(&output),
        (
            3,
            String::new(),
            "no credentials: pass --profile, set AWS_PROFILE, or run `aws configure sso` or `aws login`\n"
                .to_owned()
        )
    );
}

#[test]
fn out_of_reach_is_one_line() {
    let aws = Aws::with(&[]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let output = with_keys(&mut aws.audit_command(MUTABLE_TAGS, &[]))
        .env("AWS_ENDPOINT_URL", format!("http://{}", nobody.unwrap()))
        .output()
        .unwrap();
    let (status, _, error) = said(&output);
    assert_eq!(status, 3);
    assert!(
        error.starts_with("AWS can't be reached in us-east-1: ") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn what_is_no_region_is_a_usage_error() {
    let aws = Aws::with(&[]);
    let regions = ["--region", "us-east-1", "--region", "EU WEST"];
    let said_of_audit = aws.audit(MUTABLE_TAGS, &regions);
    let wrong = (2, String::new(), "`EU WEST` is not a region\n".to_owned());
    assert_eq!(said_of_audit, wrong);
    let at = ["shop/api", "--state-table", TABLE, "--region", "EU WEST"];
    let mut rollback = aws.command(&[&["rollback"], &at[..]].concat());
    assert_eq!(said(&with_keys(&mut rollback).output().unwrap()), wrong);
}

#[test]
fn globs_that_match_nothing_are_named() {
    let aws = Aws::with(&["shop/api"]);
    let globs = ["--repository", "shop/*", "--repository", "nothing/**"];
    let (status, out, error) = aws.audit(MUTABLE_TAGS, &globs);
    assert_eq!((status, out.as_str()), (2, ""));
    let begins = "--repository: no repository matches `nothing/**` in account 111111111111, us-east-1; `aws ecr describe-repositories ";
    assert!(
        error.starts_with(begins) && error.lines().count() == 1,
        "{error}"
    );
    assert_eq!(aws.audit(MUTABLE_TAGS, &globs[..2]).0, 1);
    // An empty registry conforms.
    let (status, out, _) = Aws::with(&[]).audit(MUTABLE_TAGS, &[]);
    assert_eq!((status, out.as_str()), (0, "0 repositories, 0 compliant\n"));
}

/// As `| head -c 10`, and as a reader that takes nothing at all.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let names: Vec<String> = (0..2000).map(|n| format!("shop/repository{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let aws = Aws::with(&names);
    for format in ["sarif", "table", "json"] {
        let mut child = with_keys(&mut aws.audit_command(MUTABLE_TAGS, &["--format", format]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let (status, _, error) = said(&child.wait_with_output().unwrap());
        assert_eq!((status, error.as_str()), (1, ""), "{format}");
    }
    for arguments in [&["rules"][..], &["policy", "schema"]] {
        let mut child = aws
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let (status, _, error) = said(&child.wait_with_output().unwrap());
        assert_eq!((status, error.as_str()), (0, ""), "{arguments:?}");
    }
}

const FIX: [&str; 4] = ["--fix", "--yes", "--state-table", TABLE];

#[test]
fn a_complete_repair_leaves_nothing_to_fail_on() {
    let aws = Aws::with(&["shop/api", "shop/web"]);
    let json = [&["--format", "json"], &FIX[..]].concat();
    let (status, out, error) = aws.audit(MUTABLE_TAGS, &json);
    assert_eq!(status, 0, "{error}");
    // Standard output is the report and nothing else.
    let audit: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(audit["summary"]["findings"]["mutable-tags"], 2);
    assert!(error.contains("shop/web: MUTABLE → IMMUTABLE"), "{error}");
    assert!(!error.contains("us-east-1"), "one region: {error}");
    assert_eq!(aws.mutability("shop/api"), "IMMUTABLE");
    // Something that is not repaired still stands.
    let aws = Aws::with(&["unnamed"]);
    let policy = "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-name: { pattern: shop/* } }\n";
    let (status, _, error) = aws.audit(policy, &FIX);
    assert_eq!(status, 1, "{error}");
    assert_eq!(aws.mutability("unnamed"), "IMMUTABLE");
}

#[test]
fn nobody_to_ask_changes_nothing() {
    let aws = Aws::with(&["shop/api"]);
    let ask = ["--fix", "--state-table", TABLE];
    let (status, _, error) = aws.audit(MUTABLE_TAGS, &ask);
    assert_eq!(status, 2);
    assert!(error.ends_with("pass --yes to confirm\n"), "{error}");
    assert_eq!(aws.mutability("shop/api"), "MUTABLE");
}

#[test]
fn changes_in_several_regions_are_told_apart() {
    let aws = Aws::with(&["shop/api"]);
    let regions = ["--region", "us-east-1", "--region", "eu-west-1"];
    let (status, out, _) = aws.audit(MUTABLE_TAGS, &regions);
    assert_eq!(status, 1);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[2].starts_with("  shop/api (eu-west-1)  "), "{out}");
    assert!(lines[3].starts_with("  shop/api (us-east-1)  "), "{out}");
    let (_, _, plan) = aws.audit(MUTABLE_TAGS, &[&regions[..], &FIX[..]].concat());
    assert!(
        plan.contains("eu-west-1  shop/api") && plan.contains("us-east-1  shop/api"),
        "{plan}"
    );
}

#[test]
fn a_policy_that_only_monitors_says_so() {
    let aws = Aws::with(&["shop/api"]);
    let (status, _, error) = aws.audit(
        "version: 1\nmode: monitor\nrules: { mutable-tags: {} }\n",
        &FIX,
    );
    assert_eq!(status, 1);
    assert_eq!(
        error,
        "1 finding is left alone: the policy only monitors there; `mode: enforce` has it repaired\n"
    );
}

#[test]
fn recreations_are_left_without_a_contradiction() {
    let aws = Aws::with(&["shop/api", "shop/web"]);
    let policy = "version: 1\nmode: enforce\nrules: { weak-encryption: { require: KMS, when-empty: recreate } }\n";
    let (status, out, error) = aws.audit(policy, &FIX);
    assert_eq!(status, 1, "{error}");
    assert_eq!(
        error,
        "2 empty repositories are to be recreated: the enforcer or the next sweep does that\n",
        "{out}"
    );
}

#[test]
fn a_file_is_opened_before_the_audit_and_replaced_after_it() {
    let (status, _, error) =
        Aws::with(&[]).audit(MUTABLE_TAGS, &["--output", "/nonexistent/report"]);
    assert_eq!(status, 2);
    assert!(
        error.starts_with("/nonexistent/report: ") && error.lines().count() == 1,
        "{error}"
    );
    // Before anybody is asked who they are.
    let output = Aws::with(&[])
        .audit_command(MUTABLE_TAGS, &["--output", "/nonexistent/report"])
        .output()
        .unwrap();
    assert_eq!(said(&output).0, 2);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("output");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let report = folder.join("report.json");
    std::fs::write(&report, "before").unwrap();
    let to = ["--format", "json", "--output", report.to_str().unwrap()];
    let failing = [&to[..], &["--repository", "nothing/**"]].concat();
    assert_eq!(Aws::with(&[]).audit(MUTABLE_TAGS, &failing).0, 2);
    assert_eq!(std::fs::read_to_string(&report).unwrap(), "before");
    let (status, out, _) = Aws::with(&["shop/api"]).audit(MUTABLE_TAGS, &to);
    assert_eq!((status, out.as_str()), (1, ""));
    let written = std::fs::read_to_string(&report).unwrap();
    assert!(serde_json::from_str::<Value>(&written).is_ok(), "{written}");
    let there: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");
    // A device stays one.
    let (status, ..) = Aws::with(&[]).audit(MUTABLE_TAGS, &["--output", "/dev/null"]);
    assert_eq!(status, 0);
}

#[test]
fn costs_are_refused_where_there_is_no_place_for_them() {
    let policy = format!("{MUTABLE_TAGS}costs: {{ usd-per-gb-month: 0.10 }}\n");
    let aws = Aws::with(&[]);
    for format in ["csv", "sarif", "ocsf"] {
        let (status, _, error) = aws.audit(&policy, &["--cost", "--format", format]);
        assert!(status == 2 && error.starts_with("--cost: "), "{error}");
    }
    let (status, ..) = aws.audit(&policy, &["--cost", "--format", "json"]);
    assert_eq!(status, 0);
}

#[test]
fn what_is_free_is_not_taken_off_a_part_of_the_repositories() {
    let policy = format!("{MUTABLE_TAGS}costs: {{ usd-per-gb-month: 0.10, free-gb: 4 }}\n");
    let aws = Aws::with(&["shop/large", "team/large"]);
    for (globs, cost) in [
        (&[][..], 1.6),
        (&["--repository", "shop/*"], 1.0),
        (&["--repository", "team/*"], 1.0),
    ] {
        let arguments = [&["--cost", "--format", "json"], globs].concat();
        let (_, out, error) = aws.audit(&policy, &arguments);
        let audit: Value = serde_json::from_str(&out).expect(&error);
        assert_eq!(
            audit["summary"]["estimated_monthly_cost_usd"], cost,
            "{globs:?}"
        );
    }
}

#[test]
fn in_a_pipe_a_finding_is_a_line_below_its_rule_and_what_to_do() {
    let (_, out, _) = Aws::with(&["shop/api"]).audit(MUTABLE_TAGS, &[]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            "mutable-tags  medium  1 finding",
            "  repair withheld: monitor mode; would change MUTABLE to IMMUTABLE",
            "  shop/api  tags can be overwritten (MUTABLE)",
            "",
            "1 repository, 0 compliant; mutable-tags 1",
        ]
    );
}

#[test]
fn without_a_policy_the_built_in_one_reports() {
    let aws = Aws::with(&["shop/api"]);
    let mut command = aws.command(&["audit"]);
    let (status, out, error) = said(&with_keys(&mut command).output().unwrap());
    assert_eq!(status, 1, "{error}");
    for rule in ["mutable-tags", "weak-encryption", "no-lifecycle-policy"] {
        assert!(out.contains(rule), "{rule}: {out}");
    }
    assert!(
        error.ends_with("`--policy policy.yaml` uses it.\n"),
        "{error}"
    );
    let fix = ["audit", "--fix", "--state-table", TABLE];
    let (status, _, error) = said(&aws.command(&fix).output().unwrap());
    assert!(status == 2 && error.contains("--policy <FILE>"), "{error}");
    assert_eq!(aws.mutability("shop/api"), "MUTABLE");
}

/// The worst rule is the first group.
#[test]
fn a_table_begins_with_the_worst() {
    let policy = "version: 1\nmode: monitor\nrules: { mutable-tags: {}, nonconforming-name: { pattern: '^x/' }, untrusted-access: {} }\n";
    let (_, out, _) = Aws::with(&["shop/api", "shop/web"]).audit(policy, &[]);
    let groups: Vec<&str> = out.split("\n\n").collect();
    assert!(
        groups[0].starts_with("mutable-tags  medium  2 findings\n"),
        "{out}"
    );
    assert!(
        groups[1].starts_with("nonconforming-name  low  2 findings\n"),
        "{out}"
    );
}

#[test]
fn a_long_table_ends_and_names_where_the_rest_is() {
    let names: Vec<String> = (0..203).map(|n| format!("shop/repository{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (_, out, _) = Aws::with(&names).audit(MUTABLE_TAGS, &[]);
    assert_eq!(out.matches("shop/repository").count(), 10);
    assert!(
        out.contains("\n  … and 193 more\n")
            && out.contains("`--format csv --output findings.csv` writes all of them"),
        "{out}"
    );
}

#[test]
fn ctrl_c_ends_between_two_changes() {
    let aws = Aws::with(&["shop/api", "shop/web"]);
    let (announce, announced) = channel();
    *aws.changes.announce.lock().unwrap() = Some(announce);
    let gate = aws.changes.gate.lock().unwrap();
    let mut child = with_keys(&mut aws.audit_command(MUTABLE_TAGS, &FIX))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    announced.recv().unwrap();
    *aws.changes.announce.lock().unwrap() = None;
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "stopping after this change"));
    drop(gate);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(
        rest,
        [
            "shop/api: MUTABLE → IMMUTABLE",
            "stopped: 1 change was not made"
        ]
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(aws.mutability("shop/web"), "MUTABLE");
}

/// With `script`, which gives it a terminal, one that says it has no columns.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_asks_and_no_is_no_failure() {
    let aws = Aws::with(&["shop/api"]);
    let policy = file("asked.yaml", MUTABLE_TAGS);
    let run = format!(
        "{} audit --policy {} --fix --state-table {TABLE}",
        env!("CARGO_BIN_EXE_ecr-warden"),
        policy.display()
    );
    let on_terminal = |answer: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", &run, "/dev/null"]);
        for (name, value) in with_keys(&mut aws.command(&[])).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        said(&output)
    };
    let (status, out, _) = on_terminal("n\n");
    assert_eq!(status, 1, "{out}");
    for part in [
        " shop/api     mutable-tags ",
        "Make this change in account 111111111111, us-east-1? [y/N]",
        "nothing was changed",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(aws.mutability("shop/api"), "MUTABLE");
    let (status, out, _) = on_terminal("y\n");
    assert_eq!(status, 0, "{out}");
    assert_eq!(aws.mutability("shop/api"), "IMMUTABLE");
}
