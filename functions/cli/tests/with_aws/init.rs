//! `ecr-warden init`: what it writes is valid, and an audit with it finds what it states.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::answering::{Answer, Answering, Call, nothing_set, repository};

/// Twelve repositories with every fault that an audit finds, and with tags that are no plain text.
fn registry() -> Answering {
    Answering::with(answer)
}

fn answer(call: &Call) -> Option<Answer> {
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let name = body["repositoryName"].as_str().unwrap_or_default();
    let of = body["resourceArn"].as_str().unwrap_or_default();
    Some(match call.operation.as_str() {
        "DescribeRepositories" => {
            let all = (0..12).map(|n| {
                let mut one = repository(
                    &call.region,
                    &format!("{}/service-{n}", ["shop", "payments"][n % 2]),
                );
                match n % 4 {
                    0 => one["imageTagMutability"] = json!("IMMUTABLE"),
                    1 => {
                        one["encryptionConfiguration"]["encryptionType"] = json!("KMS");
                        one["imageScanningConfiguration"]["scanOnPush"] = json!(true);
                    }
                    _ => {}
                }
                one
            });
            Answer::ok(json!({ "repositories": all.collect::<Vec<_>>() }))
        }
        "DescribeImages" => Answer::ok(json!({ "imageDetails": [
            { "imageTags": ["latest", "main", "1.4.0", "1.4.1"], "imagePushedAt": 1.0, "imageDigest": "sha256:0", "imageSizeInBytes": 1 }] })),
        "ListTagsForResource" => {
            let mut tags = vec![json!({ "Key": "owner\": {}\nmode: enforce #", "Value": "x" })];
            if !of.ends_with("service-3") {
                tags.push(json!({ "Key": "team", "Value": "shop" }));
            }
            Answer::ok(json!({ "tags": tags }))
        }
        "GetRepositoryPolicy" if name.ends_with('5') => Answer::ok(json!({ "policyText": json!({
            "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "ecr:*" }] }).to_string() })),
        "GetRepositoryPolicy" if name.ends_with('6') => Answer::ok(json!({ "policyText": json!({
            "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "222222222222" }, "Action": "ecr:*" }] }).to_string() })),
        other => return nothing_set(other),
    })
}

/// A path at which nothing is.
fn new(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

fn audit(aws: &Answering, policy: &Path, more: &[&str]) -> (i32, Value) {
    let arguments = [
        "audit",
        "--format",
        "json",
        "--policy",
        policy.to_str().unwrap(),
    ];
    let (status, out, error) = aws.run(&[&arguments[..], more].concat());
    assert!(status <= 1, "{error}");
    (status, serde_json::from_str(&out).unwrap())
}

#[test]
fn an_audit_with_what_it_writes_finds_what_it_states() {
    let aws = registry();
    let path = new("init-plain.yaml");
    let file = path.to_str().unwrap();
    let (status, out, error) = aws.run(&["init", "--output", file, "--format", "json"]);
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    let stated: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&stated["schema"], &stated["repositories"]),
        (&json!("ecr-warden.init/1"), &json!(12))
    );
    let (status, _, error) = aws.run(&["policy", "check", file]);
    assert_eq!(status, 0, "{error}");
    let (status, audit) = audit(&aws, &path, &[]);
    assert_eq!(status, 1);
    assert_eq!(audit["summary"]["findings"], stated["findings"]);
    for (rule, count) in [
        ("mutable-tags", 9),
        ("weak-encryption", 9),
        ("public-access", 1),
        ("untrusted-access", 1),
        ("missing-tags", 1),
    ] {
        assert_eq!(stated["findings"][rule], count, "{rule}: {stated}");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(
            "\n    # trusted-accounts:\n    #   - \"222222222222\" # by `shop/service-6`\n"
        ),
        "{text}"
    );
    assert!(
        text.contains("\n    allow-exclusions: [\"latest\", \"main\"]\n"),
        "{text}"
    );
}

#[test]
fn with_a_baseline_only_new_faults_are_found() {
    let aws = registry();
    let path = new("init-baseline.yaml");
    let (status, out, error) = aws.run(&[
        "init",
        "--output",
        path.to_str().unwrap(),
        "--baseline",
        "--region",
        "eu-central-1",
    ]);
    assert_eq!(status, 0, "{error}");
    assert!(out.contains(" of them exempt until "), "{out}");
    let (status, found) = audit(&aws, &path, &[]);
    assert_eq!((status, &found["summary"]["findings"]), (0, &json!({})));
    assert!(
        found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["status"] == "exempt")
    );
    // Another region has the same names, and other faults.
    let (status, _) = audit(&aws, &path, &["--region", "us-east-1"]);
    assert_eq!(status, 1);
}

#[test]
fn several_regions_are_one_policy() {
    let aws = registry();
    let path = new("init-regions.yaml");
    let regions = ["--region", "eu-central-1", "--region", "us-east-1"];
    let arguments = [
        "init",
        "--output",
        path.to_str().unwrap(),
        "--baseline",
        "30",
    ];
    let (status, out, error) = aws.run(&[&arguments[..], &regions].concat());
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("24 repositories"), "{out}");
    assert_eq!(audit(&aws, &path, &regions).0, 0);
}

#[test]
fn a_file_is_never_overwritten() {
    let aws = registry();
    let path = new("init-exists.yaml");
    std::fs::write(&path, "mine").unwrap();
    let (status, _, error) = aws.run(&["init", "--output", path.to_str().unwrap()]);
    assert_eq!(status, 2);
    assert!(
        error.contains("the file exists and is not overwritten"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    // It is known before anything is asked of AWS.
    assert!(aws.calls().is_empty());
    // A link that leads nowhere is there, too.
    let link = new("init-link.yaml");
    std::os::unix::fs::symlink(new("init-nowhere.yaml"), &link).unwrap();
    let (status, _, _) = aws.run(&["init", "--output", link.to_str().unwrap()]);
    assert_eq!(status, 2);
}

#[test]
fn a_script_is_asked_nothing() {
    let aws = registry();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("init-script");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (status, out, _) = aws.run_with(&["init"], |command| {
        command.current_dir(&folder);
    });
    assert_eq!(status, 0);
    assert!(out.starts_with("policy.yaml: 12 repositories, "), "{out}");
    let text = std::fs::read_to_string(folder.join("policy.yaml")).unwrap();
    assert!(
        text.contains("\nmode: monitor\n") && !text.contains("\nexemptions:"),
        "{text}"
    );
    let (status, out, _) = aws.run(&["init", "--output", "-", "--mode", "enforce"]);
    assert_eq!(status, 0);
    assert!(out.contains("\nmode: enforce\n"), "{out}");
}

#[test]
fn a_region_that_cannot_be_read_gives_no_policy() {
    let aws = Answering::with(|call| match call.operation.as_str() {
        "DescribeRepositories" if call.region == "us-east-1" => {
            Some(Answer::refused("AccessDeniedException", "no"))
        }
        _ => answer(call),
    });
    let path = new("init-denied.yaml");
    let arguments = [
        "init",
        "--output",
        path.to_str().unwrap(),
        "--region",
        "eu-central-1",
        "--region",
        "us-east-1",
    ];
    let (status, _, error) = aws.run(&arguments);
    assert_eq!(status, 3, "{error}");
    assert!(!path.exists());
}

#[test]
fn a_baseline_must_be_a_time_to_come() {
    let aws = registry();
    for (baseline, words) in [
        ("soon", "`soon` is not a day"),
        ("2020-01-31", "2020-01-31 is over"),
        ("5000", "5000 days are too many"),
        ("70000", "`70000` is not a day"),
    ] {
        let path = new("init-wrong.yaml");
        let (status, _, error) = aws.run(&[
            "init",
            "--output",
            path.to_str().unwrap(),
            "--baseline",
            baseline,
        ]);
        assert_eq!(status, 2);
        assert!(error.contains(words), "{error}");
        assert!(!path.exists());
    }
}
