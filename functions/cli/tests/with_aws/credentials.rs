//! Every kind of credentials that docs/command.md lists: what comes of it, what was called with which key, and what is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::answering::{Answer, Answering, Call, ecr_warden, said};

const KEYS: &str = "aws_access_key_id = FILE\naws_secret_access_key = hunter2\n";
pub(crate) const SSO: &str = "[profile dev]\nregion = eu-central-1\nsso_session = dev\nsso_account_id = 111111111111\nsso_role_name = Reader\n\
    [sso-session dev]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n";
/// The SDK's name for the token of the session `dev`.
pub(crate) const SSO_TOKEN: &str = ".aws/sso/cache/34c6fceca75e456f25e7e99531e2425c6c1de443.json";
const LOGIN: &str =
    "[profile dev]\nregion = eu-central-1\nlogin_session = arn:aws:iam::111111111111:user/mary\n";
/// The SDK's name for the token of that user.
const LOGIN_TOKEN: &str =
    ".aws/login/cache/9923fa44af5ce3e817fa3ec311cb4b456068e82d0844e6214fbe628be2538957.json";
const DEV: &[&str] = &["--profile", "dev"];
/// The way out of MFA.
const EXPORT: &str = "eval \"$(aws configure export-credentials --profile dev --format env)\"";
/// The first call of each command.
const WHO: &str = "GetCallerIdentity";

#[derive(Default)]
struct Row {
    /// As in the table of docs/command.md.
    kind: &'static str,
    /// `HOME` and `{port}` in these three are replaced by what they are.
    config: String,
    environment: &'static [(&'static str, &'static str)],
    /// Other files below the home directory.
    file: Option<(&'static str, String)>,
    arguments: &'static [&'static str],
    status: i32,
    /// All calls for credentials, each with the key that signs it.
    calls: &'static [&'static str],
    says: &'static [&'static str],
}

fn rows() -> Vec<Row> {
    let keys = format!("[profile dev]\nregion = eu-central-1\n{KEYS}");
    let role = |rest: &str| {
        format!(
            "[profile dev]\nregion = eu-central-1\nrole_arn = arn:aws:iam::111111111111:role/reader\n{rest}"
        )
    };
    let base = format!("source_profile = base\n[profile base]\n{KEYS}");
    let mfa = "mfa_serial = arn:aws:iam::111111111111:mfa/mary\n";
    let environment: &[_] = &[
        ("AWS_ACCESS_KEY_ID", "ENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let sso_token = |until: &str| {
        json!({ "accessToken": "token", "expiresAt": until, "region": "us-east-1" }).to_string()
    };
    let process = |command: &str| {
        format!("[profile dev]\nregion = eu-central-1\ncredential_process = {command}\n")
    };
    let printed = |key: &str| {
        json!({ "Version": 1, "AccessKeyId": key, "SecretAccessKey": "hunter2" }).to_string()
    };
    vec![
        Row {
            kind: "keys in the environment",
            environment,
            calls: &["GetCallerIdentity ENVIRONMENT"],
            ..Row::default()
        },
        Row {
            kind: "keys in the environment",
            config: keys.clone(),
            environment: &[
                ("AWS_ACCESS_KEY_ID", "ENVIRONMENT"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2"),
                ("AWS_PROFILE", "dev"),
            ],
            calls: &["GetCallerIdentity ENVIRONMENT"],
            ..Row::default()
        },
        Row {
            kind: "keys in the environment",
            environment: &[
                ("AWS_ACCESS_KEY_ID", "EXPIRED"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2"),
                ("AWS_REGION", "eu-central-1"),
            ],
            status: 3,
            calls: &["GetCallerIdentity EXPIRED"],
            says: &["ExpiredToken", "unset AWS_ACCESS_KEY_ID"],
            ..Row::default()
        },
        Row {
            kind: "keys of a profile",
            config: keys.clone(),
            environment,
            arguments: DEV,
            calls: &["GetCallerIdentity FILE"],
            ..Row::default()
        },
        Row {
            kind: "keys of a profile",
            config: keys.clone(),
            environment: &[("AWS_PROFILE", "dev")],
            calls: &["GetCallerIdentity FILE"],
            ..Row::default()
        },
        Row {
            kind: "keys of a profile",
            config: keys.replace("profile dev", "default"),
            calls: &["GetCallerIdentity FILE"],
            ..Row::default()
        },
        // Without a role, the AWS CLI ignores it.
        Row {
            kind: "keys of a profile",
            config: format!("{keys}{mfa}"),
            arguments: DEV,
            calls: &["GetCallerIdentity FILE"],
            ..Row::default()
        },
        Row {
            kind: "SSO",
            config: SSO.to_owned(),
            file: Some((SSO_TOKEN, sso_token("2099-01-01T00:00:00Z"))),
            arguments: DEV,
            calls: &["/federation/credentials ", "GetCallerIdentity SSO"],
            ..Row::default()
        },
        Row {
            kind: "SSO",
            config: SSO.to_owned(),
            arguments: DEV,
            status: 3,
            says: &["in the profile `dev`", "run `aws sso login --profile dev`"],
            ..Row::default()
        },
        Row {
            kind: "SSO",
            config: SSO.to_owned(),
            environment: &[("AWS_PROFILE", "dev")],
            file: Some((SSO_TOKEN, sso_token("2020-01-01T00:00:00Z"))),
            status: 3,
            says: &["expired", "run `aws sso login --profile dev`"],
            ..Row::default()
        },
        Row {
            kind: "`aws login`",
            config: LOGIN.to_owned(),
            file: Some((LOGIN_TOKEN, login_token())),
            arguments: DEV,
            calls: &["GetCallerIdentity LOGIN"],
            ..Row::default()
        },
        Row {
            kind: "`aws login`",
            config: LOGIN.to_owned(),
            arguments: DEV,
            status: 3,
            says: &[
                "in the profile `dev`",
                ".aws/login/cache/9923fa44",
                "run `aws login --profile dev`",
            ],
            ..Row::default()
        },
        Row {
            kind: "a role with `mfa_serial`",
            config: role(&format!("{mfa}{base}")),
            arguments: DEV,
            status: 2,
            says: &["MFA", "`mfa_serial`", EXPORT, "without --profile"],
            ..Row::default()
        },
        Row {
            kind: "a role with `mfa_serial`",
            config: role(&format!(
                "source_profile = middle\n[profile middle]\nrole_arn = arn:aws:iam::111111111111:role/x\n{mfa}{base}"
            )),
            environment: &[("AWS_PROFILE", "dev")],
            status: 2,
            says: &["`source_profile` leads to `middle`", EXPORT],
            ..Row::default()
        },
        // The way out, in a shell in which the profile is still selected.
        Row {
            kind: "a role with `mfa_serial`",
            config: role(&format!("{mfa}{base}")),
            environment: &[
                ("AWS_PROFILE", "dev"),
                ("AWS_ACCESS_KEY_ID", "TEMPORARY"),
                ("AWS_SECRET_ACCESS_KEY", "hunter2"),
                ("AWS_SESSION_TOKEN", "token"),
                ("AWS_CREDENTIAL_EXPIRATION", "2099-01-01T00:00:00Z"),
            ],
            calls: &["GetCallerIdentity TEMPORARY"],
            ..Row::default()
        },
        Row {
            kind: "`credential_process`",
            config: process("cat HOME/printed"),
            file: Some(("printed", printed("PROCESS"))),
            arguments: DEV,
            calls: &["GetCallerIdentity PROCESS"],
            ..Row::default()
        },
        Row {
            kind: "`credential_process`",
            config: process("HOME/vault --password hunter2"),
            arguments: DEV,
            status: 3,
            says: &[
                "in the profile `dev`",
                "not found",
                "`credential_process` of the profile `dev`, `HOME/vault`",
            ],
            ..Row::default()
        },
        Row {
            kind: "`role_arn` with `source_profile`",
            config: role(&base),
            arguments: DEV,
            calls: &["AssumeRole FILE", "GetCallerIdentity ROLE"],
            ..Row::default()
        },
        Row {
            kind: "`role_arn` with `source_profile`",
            config: role(&base.replace("FILE", "DENIED")),
            arguments: DEV,
            status: 3,
            calls: &["AssumeRole DENIED"],
            says: &[
                "a role can't be assumed: AccessDenied: not authorized to perform: sts:AssumeRole",
                "correct `role_arn`",
            ],
            ..Row::default()
        },
        Row {
            kind: "`role_arn` with `source_profile`",
            config: role(&SSO.replace("[profile dev]", "source_profile = base\n[profile base]")),
            arguments: DEV,
            status: 3,
            says: &["in the profile `dev`", "run `aws sso login --profile base`"],
            ..Row::default()
        },
        Row {
            kind: "`role_arn` with `source_profile`",
            config: role("source_profile = nowhere\n"),
            arguments: DEV,
            status: 3,
            says: &[
                "in the profile `dev`",
                "could not find source profile nowhere",
                "correct `source_profile`, which leads to the profile `nowhere`",
            ],
            ..Row::default()
        },
        Row {
            kind: "`credential_source = Environment`",
            config: role("credential_source = Environment\n"),
            environment,
            arguments: DEV,
            calls: &["AssumeRole ENVIRONMENT", "GetCallerIdentity ROLE"],
            ..Row::default()
        },
        Row {
            kind: "`credential_source = Environment`",
            config: role("credential_source = Environment\n"),
            arguments: DEV,
            status: 3,
            says: &[
                "in the profile `dev`",
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ],
            ..Row::default()
        },
        Row {
            kind: "`credential_source = EcsContainer` or `Ec2InstanceMetadata`",
            config: role("credential_source = EcsContainer\n"),
            environment: &[(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://127.0.0.1:{port}/container",
            )],
            arguments: DEV,
            calls: &[
                "/container ",
                "AssumeRole CONTAINER",
                "GetCallerIdentity ROLE",
            ],
            ..Row::default()
        },
        Row {
            kind: "`credential_source = EcsContainer` or `Ec2InstanceMetadata`",
            config: role("credential_source = EcsContainer\n"),
            arguments: DEV,
            status: 3,
            says: &["in the profile `dev`", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            ..Row::default()
        },
        Row {
            kind: "`credential_source = EcsContainer` or `Ec2InstanceMetadata`",
            config: role("credential_source = Ec2InstanceMetadata\n"),
            arguments: DEV,
            status: 3,
            says: &["in the profile `dev`", "on an EC2 instance"],
            ..Row::default()
        },
        Row {
            kind: "a web identity token",
            config: role("web_identity_token_file = HOME/token\n"),
            file: Some(("token", "token".to_owned())),
            arguments: DEV,
            calls: &["AssumeRoleWithWebIdentity ", "GetCallerIdentity WEB"],
            ..Row::default()
        },
        Row {
            kind: "a web identity token",
            environment: &[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token"),
                ("AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/reader"),
                ("AWS_REGION", "eu-central-1"),
            ],
            file: Some(("token", "token".to_owned())),
            calls: &["AssumeRoleWithWebIdentity ", "GetCallerIdentity WEB"],
            ..Row::default()
        },
        Row {
            kind: "a web identity token",
            config: role("web_identity_token_file = HOME/token\n"),
            arguments: DEV,
            status: 3,
            says: &["in the profile `dev`", "`web_identity_token_file`"],
            ..Row::default()
        },
        Row {
            kind: "the container or EC2 instance",
            environment: &[
                (
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "http://127.0.0.1:{port}/container",
                ),
                ("AWS_REGION", "eu-central-1"),
            ],
            calls: &["/container ", "GetCallerIdentity CONTAINER"],
            ..Row::default()
        },
        Row {
            kind: "a profile that is in none of the files",
            config: keys.clone(),
            arguments: &["--profile", "nowhere"],
            status: 2,
            says: &["the profile `nowhere` is in none of the AWS CLI's files"],
            ..Row::default()
        },
        Row {
            kind: "a profile that is in none of the files",
            config: keys.clone(),
            environment: &[("AWS_PROFILE", "nowhere")],
            status: 2,
            says: &["the profile `nowhere` of AWS_PROFILE is in none of the AWS CLI's files"],
            ..Row::default()
        },
        Row {
            kind: "no region",
            config: keys.replace("region = eu-central-1\n", ""),
            arguments: DEV,
            status: 2,
            says: &["no region is configured; pass --region, or set AWS_REGION"],
            ..Row::default()
        },
        Row {
            kind: "no credentials",
            environment: &[("AWS_REGION", "eu-central-1")],
            status: 3,
            says: &[
                "no credentials: pass --profile, set AWS_PROFILE, or run `aws configure sso` or `aws login`",
            ],
            ..Row::default()
        },
        Row {
            kind: "no credentials",
            config: "[profile dev]\nregion = eu-central-1\n".to_owned(),
            environment: &[("AWS_PROFILE", "dev")],
            status: 3,
            says: &[
                "no credentials in the profile `dev`: ",
                "`aws configure sso --profile dev`",
            ],
            ..Row::default()
        },
        Row {
            kind: "no credentials",
            config: "[profile dev]\nregion = eu-central-1\n".to_owned(),
            arguments: DEV,
            status: 3,
            says: &[
                "no credentials in the profile `dev`: ",
                "`aws configure sso --profile dev`",
            ],
            ..Row::default()
        },
    ]
}

fn login_token() -> String {
    json!({
        "accessToken": {
            "accessKeyId": "LOGIN", "secretAccessKey": "hunter2", "sessionToken": "token", "accountId": "111111111111",
            "expiresAt": "2099-01-01T00:00:00Z",
        },
        "tokenType": "aws_sigv4", "refreshToken": "refresh", "idToken": "identity",
        "clientId": "arn:aws:signin:::devtools/same-device", "dpopKey": "unused until it is refreshed",
    })
    .to_string()
}

/// What STS, SSO and a container answer. The key `DENIED` may assume no role, and `EXPIRED` has run out.
fn give(call: &Call) -> Option<Answer> {
    let assumed = |operation: &str, key: &str| {
        Answer::ok(format!(
            "<{operation}Response><{operation}Result><Credentials><AccessKeyId>{key}</AccessKeyId>\
             <SecretAccessKey>hunter2</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials><AssumedRoleUser><Arn>arn:aws:sts::111111111111:assumed-role/reader/x</Arn><AssumedRoleId>A:x</AssumedRoleId>\
             </AssumedRoleUser></{operation}Result></{operation}Response>"
        ))
    };
    match (call.operation.as_str(), call.key.as_str()) {
        ("AssumeRole", "DENIED") => Some(Answer::refused_in_xml(
            403,
            "AccessDenied",
            "not authorized to perform: sts:AssumeRole",
        )),
        (WHO, "EXPIRED") => Some(Answer::refused_in_xml(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        )),
        ("AssumeRole", _) => Some(assumed("AssumeRole", "ROLE")),
        ("AssumeRoleWithWebIdentity", _) => Some(assumed("AssumeRoleWithWebIdentity", "WEB")),
        ("/federation/credentials", _) => Some(Answer::ok(json!({ "roleCredentials": {
            "accessKeyId": "SSO", "secretAccessKey": "hunter2", "sessionToken": "token", "expiration": 4_070_908_800_000_i64,
        } }))),
        ("/container", _) => Some(Answer::ok(json!({
            "AccessKeyId": "CONTAINER", "SecretAccessKey": "hunter2", "Token": "token", "Expiration": "2099-01-01T00:00:00Z",
        }))),
        _ => None,
    }
}

/// A home directory with the AWS CLI's files.
fn home(name: &str, config: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("homes")
        .join(name);
    let _ = std::fs::remove_dir_all(&home);
    write(&home.join(".aws/config"), config);
    write(&home.join(".aws/credentials"), "");
    home
}

/// A file, and the directories above it.
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The command with that home directory and nothing else of the environment but the path.
pub(crate) fn at_home(name: &str, config: &str, arguments: &[&str]) -> (PathBuf, Command) {
    let home = home(name, config);
    let mut command = ecr_warden(0, arguments);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", &home)
        .env("AWS_CONFIG_FILE", home.join(".aws/config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", home.join(".aws/credentials"))
        .env("AWS_EC2_METADATA_DISABLED", "true");
    (home, command)
}

#[test]
fn each_kind_of_credentials_works_or_says_what_to_do() {
    for (number, row) in rows().into_iter().enumerate() {
        let aws = Answering::with(give);
        let name = number.to_string();
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("homes")
            .join(&name);
        let home = home.to_str().unwrap();
        let filled = |text: &str| {
            text.replace("HOME", home)
                .replace("{port}", &aws.port.to_string())
        };
        let arguments = [&["audit"], row.arguments].concat();
        let (home, mut command) = at_home(&name, &filled(&row.config), &arguments);
        if let Some((path, text)) = &row.file {
            write(&home.join(path), text);
        }
        for (variable, value) in row.environment {
            command.env(variable, filled(value));
        }
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", aws.port));
        let (status, out, error) = said(&command.output().unwrap());
        let calls: Vec<String> = aws
            .calls()
            .iter()
            .map(|call| format!("{} {}", call.operation, call.key))
            .collect();
        let case = format!("{number} {}: {out}{error}{calls:?}", row.kind);
        assert_eq!(status, row.status, "{case}");
        let until = calls.iter().position(|call| call.starts_with(WHO));
        let credentials = until.map_or(calls.as_slice(), |position| &calls[..=position]);
        assert_eq!(credentials, row.calls, "{case}");
        if status != 0 {
            assert_eq!(error.lines().count(), 1, "{case}");
        }
        for words in row.says {
            assert!(error.contains(&filled(words)), "{words}: {case}");
        }
        assert!(!error.contains("hunter2"), "{case}");
        std::fs::remove_dir_all(home).unwrap();
    }
}

#[test]
fn the_documented_kinds_are_the_tested_ones() {
    let page = include_str!("../../../../docs/command.md");
    let table = page
        .split_once("| credentials |")
        .unwrap()
        .1
        .split_once("\n\n")
        .unwrap()
        .0;
    let documented: BTreeSet<&str> = table
        .lines()
        .skip(2)
        .map(|line| line.split('|').nth(1).unwrap().trim())
        .collect();
    let tested: BTreeSet<&str> = rows().iter().map(|row| row.kind).collect();
    assert_eq!(documented, tested);
}
