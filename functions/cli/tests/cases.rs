//! Real situations: what a repository, an event and a policy come to. Each folder under `cases` holds inputs made after a public report; accounts,
//! organizations and names are invented.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::process::Command;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// Its exit status, and all that it said, as one line.
fn ecr_warden(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ecr-warden"))
        .current_dir(CASES)
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    (output.status.code().unwrap(), words.join(" "))
}

/// `policy`: of the case, or what it says with other settings.
fn explained(case: &str, policy: Option<&str>) -> (i32, String) {
    let path = |end: &str| format!("{case}.{end}");
    let other = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{}.yaml", case.replace('/', "-")));
    let policy = match policy {
        None => path("policy.yaml"),
        Some(text) => {
            std::fs::write(&other, text).unwrap();
            other.to_str().unwrap().to_owned()
        }
    };
    let (event, repository) = (path("event.json"), path("repository.json"));
    ecr_warden(&[
        "explain",
        &event,
        "--policy",
        &policy,
        "--repository",
        &repository,
    ])
}

/// What is said of a case, and what is not.
fn expect(case: &str, policy: Option<&str>, status: i32, said: &[&str], unsaid: &[&str]) {
    let (found, text) = explained(case, policy);
    assert_eq!(found, status, "{case}: {text}");
    for part in said {
        assert!(text.contains(part), "{case} does not say `{part}`: {text}");
    }
    for part in unsaid {
        assert!(!text.contains(part), "{case} says `{part}`: {text}");
    }
}

const PUBLIC: &str = "public-access high";
const UNTRUSTED: &str = "untrusted-access medium";
const REMOVED: &str = "→ no repository policy";
const CONFORMS: &str = "It conforms";
const BOTH: &str = "trusted-accounts: [\"222233334444\"], trusted-organizations: [o-exampleorg]";

/// The case's policy with more settings of `untrusted-access`.
fn with(more: &str) -> String {
    format!(
        "version: 1\nmode: enforce\nrules:\n  public-access: {{ {BOTH} }}\n  untrusted-access: {{ {more} }}\n"
    )
}

#[test]
fn a_deny_narrows_what_is_allowed() {
    let case = |name: &str| format!("deny-narrows-allow/{name}");
    expect(
        &case("1-deny-unless-organization"),
        None,
        0,
        &[CONFORMS],
        &[],
    );
    let said = [
        PUBLIC,
        "`AllowPull`",
        "`Perimeter`",
        "o-exampleorg",
        "AWS services",
        "aws:SourceOrgID",
    ];
    expect(
        &case("2-perimeter-with-services"),
        None,
        1,
        &said,
        &[REMOVED, "set-repository-policy:"],
    );
}

#[test]
fn services_act_for_whom_their_condition_names() {
    let case = |name: &str| format!("service-principal-names-stranger/{name}");
    let lambda = case("1-lambda-sourcearn-of-stranger");
    let said = [
        UNTRUSTED,
        "`LambdaECRImageRetrievalPolicy`",
        "lambda.amazonaws.com",
        "999988887777",
        "pull",
    ];
    expect(&lambda, None, 1, &said, &[PUBLIC, "set-repository-policy:"]);
    let left = "→ {\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": {\"AWS\": \"arn:aws:iam::222233334444:root\"}";
    expect(&lambda, Some(&with("fix: remove")), 1, &[left], &[]);
    let build = case("2-codebuild-sourceaccount-of-stranger");
    let said = [
        UNTRUSTED,
        "`CodeBuild`",
        "codebuild.amazonaws.com",
        "999988887777",
        "pull and push",
    ];
    expect(&build, None, 1, &said, &[PUBLIC, "set-repository-policy:"]);
    expect(&build, Some(&with("fix: remove")), 1, &[REMOVED], &[]);
    let any = case("4-codebuild-for-any-account-push");
    expect(&any, None, 0, &[CONFORMS], &[]);
    let said = [
        UNTRUSTED,
        "`CodeBuildAccess`",
        "push",
        "any AWS account",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceOrgID",
    ];
    expect(
        &any,
        Some(&with("services: with-source")),
        1,
        &said,
        &[PUBLIC, "set-repository-policy:"],
    );
}

#[test]
fn doubt_does_not_shield_what_is_public() {
    let case = |name: &str| format!("doubt-shields-public/{name}");
    let said = [
        PUBLIC,
        UNTRUSTED,
        "statement `Public` lets everyone pull",
        "→ {\"Version\": \"2012-10-17\", \"Statement\": [{\"Sid\": \"Vpce\"",
        "vpce-0a1b2c3d",
        "push",
    ];
    expect(&case("1-public-and-vpce"), None, 1, &said, &[]);
    let said = [
        PUBLIC,
        UNTRUSTED,
        "→ {\"Version\": \"2012-10-17\", \"Statement\": [{\"Sid\": \"Partners\"",
        "statement `Partners` lets account 999988887777 pull",
    ];
    expect(&case("2-public-and-mixed"), None, 1, &said, &[]);
}

#[test]
fn sharing_is_not_public() {
    let case = |name: &str| format!("cross-account-is-not-public/{name}");
    let said = [
        UNTRUSTED,
        "333344445555",
        "444455556666",
        "pull",
        "trusted-accounts",
        "aws:PrincipalOrgID",
    ];
    expect(
        &case("1-shared-with-two-accounts"),
        None,
        1,
        &said,
        &[PUBLIC, "set-repository-policy:"],
    );
    expect(
        &case("2-everyone"),
        None,
        1,
        &[PUBLIC, "everyone", REMOVED],
        &[UNTRUSTED],
    );
}

#[test]
fn a_finding_names_who_is_let_in() {
    let case = |name: &str| format!("finding-names-nobody/{name}");
    let five = case("1-three-strangers-of-five");
    let said = [UNTRUSTED, "300000000000", "300000000001", "300000000002"];
    let unsaid = [
        PUBLIC,
        "222233334444",
        "account 111122223333",
        "set-repository-policy:",
    ];
    expect(&five, None, 1, &said, &unsaid);
    expect(&five, Some(&with("fix: remove")), 1, &said, &unsaid);
    let other = case("2-other-organization");
    expect(
        &other,
        None,
        1,
        &[
            UNTRUSTED,
            "`OrgRead`",
            "o-otherorg00",
            "trusted-organizations",
        ],
        &[PUBLIC],
    );
    expect(&other, Some(&with("fix: remove")), 1, &[REMOVED], &[]);
    let said = [
        PUBLIC,
        "`OrgRead`",
        "`ForAllValues:StringEquals`",
        "`StringEquals`",
    ];
    expect(
        &case("3-forallvalues"),
        None,
        1,
        &said,
        &[UNTRUSTED, "set-repository-policy:"],
    );
}

#[test]
fn endpoints_and_the_own_organization_can_be_trusted() {
    let case = |name: &str| format!("vpc-endpoint-cannot-be-trusted/{name}");
    let said = [UNTRUSTED, "vpce-0a1b2c3d", "trusted-vpc-endpoints"];
    expect(&case("1"), None, 1, &said, &["everyone"]);
    expect(
        &case("1"),
        Some(&with("trusted-vpc-endpoints: [vpce-0a1b2c3d]")),
        0,
        &[CONFORMS],
        &[],
    );
    expect(
        &case("2-own-organization-by-variable"),
        None,
        0,
        &[CONFORMS],
        &[],
    );
}

#[test]
fn allowed_exclusions_are_granted_from_the_start() {
    let case = |name: &str| format!("new-repository-loses-allowed-exclusions/{name}");
    let all = "MUTABLE → IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)";
    expect(
        &case("1-created"),
        None,
        1,
        &["mutable-tags medium", all],
        &[],
    );
    let latest = case("2-latest-pushed-again");
    let said = [
        "blocked-push informational",
        "IMMUTABLE → IMMUTABLE_WITH_EXCLUSION (latest)",
        "push it again",
    ];
    expect(&latest, None, 0, &said, &["mutable-tags medium"]);
    let monitor = "version: 1\nmode: monitor\nrules: { mutable-tags: { allow-exclusions: [latest] }, blocked-push: {} }\n";
    let said = [
        "aws ecr put-image-tag-mutability --repository-name \"$REPOSITORY\" --image-tag-mutability IMMUTABLE_WITH_EXCLUSION \
         --image-tag-mutability-exclusion-filters 'filterType=WILDCARD,filter=latest'",
    ];
    expect(&latest, Some(monitor), 0, &said, &[]);
    let said = [
        "blocked-push informational",
        "IMMUTABLE_WITH_EXCLUSION (sha256-*)",
        &format!("sha256-{}.att", "7".repeat(64)),
    ];
    expect(
        &case("3-second-cosign-attestation"),
        None,
        0,
        &said,
        &["mutable-tags medium"],
    );
}

#[test]
fn tags_that_move_are_named_before_they_break() {
    let case = |name: &str| format!("moving-tags-environments/{name}");
    let tags = [
        "`prod`",
        "`production`",
        "`staging`",
        "`release`",
        "`v1`",
        "`v1.2`",
        "`1`",
        "`1.0.0-SNAPSHOT`",
        "`canary`",
        "`stable-alpine`",
        "`main-amd64`",
        "`latest-arm64`",
        "`pr-12`",
        "`buildcache`",
        "IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)",
    ];
    expect(&case("1"), None, 1, &tags, &[]);
    let said = ["mutable-tags medium", "cache-repositories"];
    expect(
        &case("2-kaniko-cache-repository"),
        None,
        1,
        &said,
        &["set-tag-mutability:"],
    );
}

#[test]
fn replicas_are_left_alone() {
    let with = |replicas: &str| {
        format!(
            "version: 1\nmode: enforce\nrules: {{ mutable-tags: {{ allow-exclusions: [latest, cache*, sha256-*], replicas: {replicas} }} }}\n"
        )
    };
    for case in ["1-created-by-replication", "2-filled-by-replication"] {
        let case = format!("replication-destination/{case}");
        let said = [
            "mutable-tags medium",
            "replication fills it",
            "without the tag",
            "`replicas`",
        ];
        expect(&case, None, 1, &said, &["set-tag-mutability:"]);
        expect(&case, Some(&with("ignore")), 0, &[CONFORMS], &[]);
        let all = "MUTABLE → IMMUTABLE_WITH_EXCLUSION (cache*, latest, sha256-*)";
        expect(&case, Some(&with("repair")), 1, &[all], &[]);
    }
}

#[test]
fn what_the_aws_cli_prints_is_taken() {
    let case = |name: &str| format!("explain-does-not-take-aws-shapes/{name}");
    expect(
        &case("1-policy-as-document"),
        None,
        1,
        &[PUBLIC, "number 1", REMOVED],
        &[],
    );
    let said = ["The repository: IMMUTABLE, AES256", CONFORMS];
    expect(&case("2-mutability-as-aws-says"), None, 0, &said, &[]);
    expect(
        &case("3-get-repository-policy"),
        None,
        1,
        &[PUBLIC],
        &["set-repository-policy:"],
    );
}

/// Several answers of AWS together, so that a customer's key is known to be one.
#[test]
fn what_the_aws_cli_prints_is_laid_together() {
    let file = |name: &str, text: &str| {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let described = file(
        "described.json",
        &format!(
            r#"{{"repositories": [{{"repositoryName": "other"}}, {{
                "repositoryArn": "arn:aws:ecr:eu-central-1:111122223333:repository/shop/api", "registryId": "111122223333",
                "repositoryName": "shop/api", "createdAt": "2026-11-23T08:00:02+00:00", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
                "imageTagMutabilityExclusionFilters": [{{"filterType": "WILDCARD", "filter": "latest"}}],
                "imageScanningConfiguration": {{"scanOnPush": true}},
                "encryptionConfiguration": {{"encryptionType": "KMS", "kmsKey": "{key}"}} }}]}}"#
        ),
    );
    let tags = file(
        "tags.json",
        r#"{"tags": [{"Key": "team", "Value": "shop"}]}"#,
    );
    let customer = file(
        "key.json",
        &format!(
            r#"{{"KeyMetadata": {{"Arn": "{key}", "KeyManager": "CUSTOMER", "KeyState": "Enabled"}}}}"#
        ),
    );
    let policy = file(
        "key-policy.yaml",
        "version: 1\nmode: enforce\nrules: { weak-encryption: { require: CUSTOMER_KEY }, no-scan-on-push: {}, missing-tags: { require: { team: {} } }, \
         mutable-tags: { allow-exclusions: [latest] } }\n",
    );
    let event = "explain-does-not-take-aws-shapes/2-mutability-as-aws-says.event.json";
    let explain = |files: &[&String]| {
        let mut arguments = vec!["explain", event, "--policy", &policy];
        files
            .iter()
            .for_each(|file| arguments.extend(["--repository", file.as_str()]));
        ecr_warden(&arguments)
    };
    let (status, said) = explain(&[&described, &tags, &customer]);
    assert!(status == 0 && said.contains(CONFORMS), "{said}");
    let (status, said) = explain(&[&described, &tags]);
    assert!(
        status == 1 && said.contains("weak-encryption"),
        "whose key it is was not said: {said}"
    );
    let wrong = file("wrong-tags.json", "{\n \"tags\": 7\n}");
    let (status, said) = explain(&[&wrong]);
    assert!(
        status == 2
            && said.contains(
                "wrong-tags.json:2:2: `tags` can't be read: write it as `tags: { team: payments }`"
            ),
        "{said}"
    );
    let elsewhere = file(
        "elsewhere.json",
        r#"{"repositories": [{"repositoryName": "other"}]}"#,
    );
    let (status, said) = explain(&[&elsewhere]);
    assert!(
        status == 2 && said.contains("`shop/api`, which the event is about"),
        "{said}"
    );
}

#[test]
fn events_in_each_shape_that_aws_documents() {
    let case = |name: &str| format!("events/{name}");
    let said = [
        "AROAEXAMPLEID0000000B:ci-42 of account 222233334444",
        CONFORMS,
    ];
    expect(
        &case("1-cross-account-push-has-no-account"),
        None,
        0,
        &said,
        &[],
    );
    let said = [
        "nonconforming-image-tag low",
        "platforms and attestations",
        "pushed by digest",
    ];
    expect(
        &case("2-child-of-a-multi-platform-image"),
        None,
        1,
        &said,
        &[],
    );
    let bare = case("3-cloudtrail-record-without-envelope");
    expect(
        &bare,
        None,
        2,
        &["`awsRegion`", "\"awsRegion\": \"eu-central-1\"", "`detail`"],
        &[],
    );
    // With it, alone and in a file of records.
    let record = std::fs::read_to_string(format!("{CASES}/{bare}.event.json")).unwrap();
    let record =
        record.trim_end().trim_end_matches('}').to_owned() + ", \"awsRegion\": \"eu-central-1\" }";
    for (name, text) in [
        ("one", record.clone()),
        ("many", format!("{{\"Records\": [{record}, {record}]}}")),
    ] {
        let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
        std::fs::write(&file, text).unwrap();
        let (status, said) = ecr_warden(&[
            "explain",
            file.to_str().unwrap(),
            "--policy",
            &format!("{bare}.policy.yaml"),
        ]);
        assert!(
            status == 0 && said.contains(CONFORMS) && said.contains("eu-central-1"),
            "{said}"
        );
    }
}

#[test]
fn policy_mistakes_are_said_in_words_of_the_file() {
    let check = |name: &str| {
        ecr_warden(&[
            "policy",
            "check",
            &format!("policy-check-speaks-rust/{name}.policy.yaml"),
        ])
    };
    for (name, said) in [
        ("1-empty", &[":4:15:", "write `{}`", "`off`"][..]),
        ("2-false", &[":4:17:", "write `off`", "\"off\""]),
        ("3-anchor", &["anchors"]),
    ] {
        let (status, text) = check(name);
        assert_eq!(status, 2, "{text}");
        for part in said {
            assert!(text.contains(part), "{name} does not say `{part}`: {text}");
        }
        for rust in ["unit", "struct", "sequence", "variant", " map"] {
            assert!(!text.contains(rust), "{text}");
        }
    }
}

#[test]
fn lifecycle_documents_are_what_ecr_takes() {
    for case in ["L01", "L02"] {
        let file = format!("lifecycle-default-archive/{case}.policy.yaml");
        let (status, said) = ecr_warden(&["policy", "check", &file]);
        assert_eq!(status, 0, "{said}");
    }
    for (case, parts) in [
        ("L09", &[":25:", "rule 1", "`prod`"][..]),
        ("L10", &[":22:", "`untagged`", "`standard`"]),
        ("L12", &[":14:", "`tagPrefixList` and `tagPatternList`"]),
        (
            "L15",
            &[":9:", "`descripton`", "did you mean `description`?"],
        ),
    ] {
        let file = format!("lifecycle-default-refused-by-ecr/{case}.policy.yaml");
        let (status, said) = ecr_warden(&["policy", "check", &file]);
        assert_eq!(status, 2, "{said}");
        for part in parts {
            assert!(said.contains(part), "{case} does not say `{part}`: {said}");
        }
    }
}
