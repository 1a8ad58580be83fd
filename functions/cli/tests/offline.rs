//! What the command does without AWS.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Its exit status, and what it said on standard output and on standard error.
fn ecr_warden(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecr-warden"))
        .current_dir(ROOT)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A file for one test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_built_in_policy_is_valid_and_has_each_rule_without_required_settings() {
    let (status, text, _) = ecr_warden(&["policy", "built-in"]);
    assert_eq!(status, 0);
    let path = file("built-in.yaml", &text);
    let (status, _, error) = ecr_warden(&["policy", "check", path.to_str().unwrap()]);
    assert_eq!(status, 0, "{error}");
    let (_, rules, _) = ecr_warden(&["rules"]);
    let ids = rules
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let known = ids.filter(|id| id.contains('-')).map(str::to_owned);
    let needs_settings = [
        // Without settings they find nothing, or are about pushes, which an audit does not see.
        "missing-statements",
        "missing-tags",
        "nonconforming-name",
        "nonconforming-image-tag",
        "disallowed-region",
        "over-budget",
        "unsigned-images",
        // Registries that ECR has set up since 2025 conform, and many who may read ECR may not read this.
        "nonconforming-account-setting",
        "blocked-push",
    ];
    for id in known.filter(|id| !needs_settings.contains(&id.as_str())) {
        assert!(text.contains(&format!("\n  {id}:")), "{id}: {text}");
    }
}

#[test]
fn policies_are_checked() {
    let (status, out, _) = ecr_warden(&["policy", "check", "infra/policy.yaml"]);
    assert_eq!((status, out.as_str()), (0, "infra/policy.yaml: valid\n"));
    let wrong = file(
        "wrong.yaml",
        "version: 1\nmode: enforc\nrules: { mutable-tag: {} }\n",
    );
    let (status, _, error) = ecr_warden(&["policy", "check", wrong.to_str().unwrap()]);
    assert_eq!(status, 2);
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].contains("wrong.yaml:2:7: unknown value `enforc`"),
        "{error}"
    );
    assert!(
        lines[1].contains("wrong.yaml:3:10: unknown rule `mutable-tag`"),
        "{error}"
    );
    let (status, _, error) = ecr_warden(&["policy", "check", "no/such.yaml"]);
    assert!(status == 2 && error.contains("no/such.yaml"), "{error}");
    // Of several, the mistakes of all.
    let wrong = wrong.to_str().unwrap();
    let files = [wrong, "infra/policy.yaml", "no/such.yaml"];
    let (status, out, error) = ecr_warden(&[&["policy", "check"], &files[..]].concat());
    assert_eq!((status, out.as_str()), (2, "infra/policy.yaml: valid\n"));
    assert_eq!(error.lines().count(), 3, "{error}");
    assert!(error.contains("no/such.yaml"), "{error}");
}

#[test]
fn the_schema_is_the_committed_one() {
    let (status, out, _) = ecr_warden(&["policy", "schema"]);
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let committed = std::fs::read_to_string(format!("{ROOT}/docs/policy.schema.json")).unwrap();
    assert_eq!(status, 0);
    assert_eq!(parsed(&out), parsed(&committed));
}

#[test]
fn rules_are_listed_and_explained() {
    let (status, out, _) = ecr_warden(&["rules"]);
    assert!(
        status == 0 && out.contains("weak-encryption") && out.contains("ECR.5"),
        "{out}"
    );
    let (status, out, _) = ecr_warden(&["rules", "mutable-tags"]);
    assert!(status == 0 && out.contains("allow-exclusions"), "{out}");
    let (status, _, error) = ecr_warden(&["rules", "mutable"]);
    assert!(
        status == 2 && error.contains("unknown rule `mutable`"),
        "{error}"
    );
}

#[test]
fn an_event_is_explained() {
    let created = [
        "explain",
        "events/create-repository-by-role.json",
        "--policy",
        "infra/policy.yaml",
    ];
    let (status, out, _) = ecr_warden(&created);
    assert_eq!(status, 1, "{out}");
    assert!(
        out.contains("mutable-tags") && out.contains("MUTABLE → IMMUTABLE"),
        "{out}"
    );
    // What is said of the repository counts.
    let snapshot = file(
        "repository.yaml",
        "mutability: immutable\nencryption: { kind: kms }\nhas-images: true\ntags: { team: payments }\n",
    );
    let with = [&created[..], &["--repository", snapshot.to_str().unwrap()]].concat();
    let (status, out, error) = ecr_warden(&with);
    assert!(status == 0 && out.contains("It conforms"), "{out}{error}");
    let unreadable = file("unreadable.yaml", "recent-tags: { unreadable: denied }\n");
    let with = [
        &created[..],
        &["--repository", unreadable.to_str().unwrap()],
    ]
    .concat();
    let (status, out, _) = ecr_warden(&with);
    assert!(
        status == 1 && out.contains("report only: not changed"),
        "{out}"
    );
    let wrong = file("wrong-snapshot.yaml", "mutabilty: immutable\n");
    let with = [&created[..], &["--repository", wrong.to_str().unwrap()]].concat();
    let (status, _, error) = ecr_warden(&with);
    assert!(status == 2 && error.contains("mutabilty"), "{error}");
}

#[test]
fn an_event_that_leads_to_nothing_is_explained_too() {
    let policy = ["--policy", "infra/policy.yaml"];
    let ignored = file("ignored.json", r#"{"source":"aws.s3","detail-type":"x"}"#);
    let (status, out, _) =
        ecr_warden(&[&["explain", ignored.to_str().unwrap()], &policy[..]].concat());
    assert!(status == 0 && out.contains("is ignored"), "{out}");
    let wrong = file("wrong.json", "{");
    let (status, _, error) =
        ecr_warden(&[&["explain", wrong.to_str().unwrap()], &policy[..]].concat());
    assert!(status == 2 && error.contains("wrong.json"), "{error}");
}

#[test]
fn usage_errors_say_what_was_meant() {
    let (status, _, error) = ecr_warden(&["polcy", "check"]);
    assert!(status == 2 && error.contains("policy"), "{error}");
    let (status, _, error) = ecr_warden(&["rollback", "shop/api"]);
    assert!(status == 2 && error.contains("--state-table"), "{error}");
}

#[test]
fn the_command_goes_by_its_name_and_explains_its_regions() {
    let (status, out, _) = ecr_warden(&["--version"]);
    assert!(status == 0 && out.starts_with("ecr-warden 0"), "{out}");
    for command in ["audit", "rollback", "resume"] {
        let (_, out, _) = ecr_warden(&[command, "--help"]);
        let said = out.split_once("--region <REGION>").unwrap().1;
        let said: Vec<&str> = said.split_whitespace().take(2).collect();
        assert_eq!(said, ["The", "region"], "{out}");
    }
}

/// An event of the registry is explained by what the AWS CLI prints of the registry.
#[test]
fn an_event_of_the_registry_is_explained() {
    let policy = file(
        "registry-policy.yaml",
        "version: 1\nmode: enforce\nrules: { public-access: {}, nonconforming-account-setting: {}, unsigned-images: { repositories: [prod/*] } }\n",
    );
    let scope = file(
        "get-account-setting.json",
        r#"{ "name": "REGISTRY_POLICY_SCOPE", "value": "V1" }"#,
    );
    let signing = file(
        "get-signing-configuration.json",
        r#"{ "registryId": "123456789012", "signingConfiguration": { "rules": [{
            "signingProfileArn": "arn:aws:signer:us-east-1:123456789012:/signing-profiles/base",
            "repositoryFilters": [{ "filter": "base/*", "filterType": "WILDCARD_MATCH" }] }] } }"#,
    );
    let document = r#"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"AllPull\",\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"ecr:BatchGetImage\",\"Resource\":\"*\"}]}"#;
    let printed = file(
        "get-registry-policy.json",
        &format!(r#"{{ "registryId": "123456789012", "policyText": "{document}" }}"#),
    );
    let replication = file(
        "describe-registry.json",
        r#"{ "registryId": "123456789012", "replicationConfiguration": { "rules": [{ "destinations": [
            { "region": "us-east-1", "registryId": "999988887777" }] }] } }"#,
    );
    let explain = |files: &[&Path]| {
        let mut arguments = vec!["explain", "events/put-registry-policy.json", "--policy"];
        arguments.push(policy.to_str().unwrap());
        for file in files {
            arguments.extend(["--repository", file.to_str().unwrap()]);
        }
        let (status, out, error) = ecr_warden(&arguments);
        let words: Vec<&str> = out.split_whitespace().collect();
        (status, format!("{} {error}", words.join(" ")))
    };
    let (status, said) = explain(&[]);
    assert!(
        status == 1 && said.contains("registry 123456789012"),
        "{said}"
    );
    assert!(said.contains("no signing rule"), "{said}");
    assert!(!said.contains("nonconforming-account-setting"), "{said}");
    let (status, said) = explain(&[&printed, &replication, &scope, &signing]);
    assert_eq!(status, 1, "{said}");
    for part in [
        "public-access",
        "AllPull",
        "untrusted-access",
        "999988887777",
        "REGISTRY_POLICY_SCOPE is `V1`",
        "signing-profiles/base",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let wrong = file("no-registry.yaml", "mutability: IMMUTABLE\n");
    let (status, said) = explain(&[&wrong]);
    assert!(
        status == 2 && said.contains("get-registry-policy"),
        "{said}"
    );
}

const POLICY: &str = "# ours\nversion: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";

const EXEMPT: [&str; 5] = [
    "exempt",
    "shop/api",
    "mutable-tags",
    "--until",
    "2999-01-31",
];

#[test]
fn an_exemption_is_a_patch_of_the_policy_or_written() {
    let policy = file("exempt.yaml", POLICY);
    let path = policy.to_str().unwrap();
    let exempt = |more: &[&str]| {
        let why = ["--reason", "OPS-1: moving", "--policy", path];
        ecr_warden(&[&EXEMPT[..], &why, more].concat())
    };
    let (status, patch, error) = exempt(&[]);
    assert_eq!(status, 0, "{error}");
    assert!(
        patch.contains("\n+  - repositories: [\"shop/api\"]\n"),
        "{patch}"
    );
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), POLICY);

    let (status, _, error) = exempt(&["--write"]);
    assert_eq!(status, 0, "{error}");
    let written = std::fs::read_to_string(&policy).unwrap();
    assert!(written.starts_with(POLICY), "{written}");
    let (status, _, error) = ecr_warden(&["policy", "check", path]);
    assert_eq!(status, 0, "{error}");

    // The same again.
    let (status, _, error) = exempt(&["--write"]);
    assert_eq!(status, 2);
    assert!(error.contains("exempt until 2999-01-31"), "{error}");
}

#[test]
fn mistakes_with_exemptions_are_named() {
    let policy = file("exempt-mistakes.yaml", POLICY);
    let path = policy.to_str().unwrap();
    for (repository, rule, until, words) in [
        (
            "shop/api",
            "mutable-tag",
            "2999-01-31",
            "did you mean `mutable-tags`",
        ),
        ("shop/api", "mutable-tags", "soon", "`soon` is not a day"),
        (
            "shop/api",
            "mutable-tags",
            "2020-01-31",
            "2020-01-31 is over",
        ),
        ("Shop/API", "mutable-tags", "2999-01-31", "Shop/API"),
    ] {
        let (status, _, error) = ecr_warden(&[
            "exempt", repository, rule, "--until", until, "--reason", "x", "--policy", path,
        ]);
        assert_eq!(status, 2, "{error}");
        assert!(error.contains(words), "{error}");
    }
    let (status, _, error) = ecr_warden(&["exempt", "a", "mutable-tags", "--until", "2999-01-31"]);
    assert_eq!(status, 2);
    assert!(error.contains("--reason"), "{error}");
}

const COMMANDS: [&str; 15] = [
    "approve",
    "audit",
    "completions",
    "doctor",
    "exempt",
    "explain",
    "history",
    "init",
    "man",
    "policy",
    "resume",
    "rollback",
    "rules",
    "start",
    "stop",
];

#[test]
fn shells_complete_each_command_and_its_options() {
    for shell in ["bash", "zsh", "fish"] {
        let (status, script, error) = ecr_warden(&["completions", shell]);
        assert_eq!(status, 0, "{error}");
        for word in COMMANDS.iter().chain(&["state-table", "baseline"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    // The shell that runs the tests takes the script.
    let (_, script, _) = ecr_warden(&["completions", "bash"]);
    let script = file("completions.bash", &script);
    let words = "COMP_WORDS=(ecr-warden i) COMP_CWORD=1; _ecr__warden ecr-warden i ecr-warden; echo \"${COMPREPLY[@]}\"";
    let command = format!("source {}; {words}", script.display());
    let output = Command::new("bash")
        .args(["-c", &command])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "init\n");
}

#[test]
fn each_command_has_a_manual_page() {
    let (status, page, _) = ecr_warden(&["man"]);
    assert!(status == 0 && page.contains(".TH ecr-warden 1"), "{page}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (status, out, error) = ecr_warden(&["man", "--output", folder.to_str().unwrap()]);
    assert!(status == 0 && out.contains("man ecr-warden"), "{error}");
    for command in COMMANDS {
        let page = std::fs::read_to_string(folder.join(format!("ecr-warden-{command}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{page}");
    }
}

#[test]
fn programs_read_json() {
    let json = |arguments: &[&str]| {
        let (status, out, error) = ecr_warden(arguments);
        let value: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out}{error}"));
        (status, value)
    };
    let (status, rules) = json(&["rules", "--format", "json"]);
    assert_eq!(
        (status, &rules["schema"]),
        (0, &"ecr-warden.rules/1".into())
    );
    assert_eq!(rules["rules"][0]["rule"], "mutable-tags");
    let (_, one) = json(&["rules", "mutable-tags", "--format", "json"]);
    assert_eq!(one["rules"][0], rules["rules"][0]);

    let wrong = file("wrong-as-json.yaml", "version: 1\nmode: enforc\n");
    let wrong = wrong.to_str().unwrap();
    let check = [
        "policy",
        "check",
        "infra/policy.yaml",
        wrong,
        "--format",
        "json",
    ];
    let (status, checked) = json(&check);
    assert_eq!(status, 2);
    assert_eq!(checked["files"][0]["valid"], true);
    assert_eq!(checked["files"][1]["problems"][0]["line"], 2);

    let event = "events/create-repository-by-role.json";
    let explain = [
        "explain",
        event,
        "--policy",
        "infra/policy.yaml",
        "--format",
        "json",
    ];
    let (status, explained) = json(&explain);
    assert_eq!(
        (status, &explained["schema"]),
        (1, &"ecr-warden.explain/1".into())
    );
    assert_eq!(explained["findings"][0]["then"], "repair");
    assert_eq!(explained["findings"][0]["action"]["from"], "MUTABLE");

    let policy = file("exempt-as-json.yaml", POLICY);
    let policy = policy.to_str().unwrap();
    let how = [
        "--reason", "x", "--policy", policy, "--write", "--format", "json",
    ];
    let (status, exempt) = json(&[&EXEMPT[..], &how].concat());
    assert_eq!((status, &exempt["written"]), (0, &true.into()));
    assert!(exempt["patch"].as_str().unwrap().contains("+exemptions:"));
}

#[test]
fn quiet_leaves_results_and_errors() {
    let (status, out, error) = ecr_warden(&["policy", "check", "infra/policy.yaml", "--quiet"]);
    assert_eq!((status, out.as_str(), error.as_str()), (0, "", ""));
    let wrong = file("wrong-quietly.yaml", "version: 1\nmode: enforc\n");
    let (status, _, error) = ecr_warden(&["-q", "policy", "check", wrong.to_str().unwrap()]);
    assert!(
        status == 2 && error.contains("did you mean `enforce`"),
        "{error}"
    );
    let (_, out, _) = ecr_warden(&["-q", "rules"]);
    assert!(out.contains("mutable-tags"), "{out}");
}
