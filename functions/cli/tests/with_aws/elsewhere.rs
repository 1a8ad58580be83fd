//! `ecr-warden audit` of all regions and by the deployed auditor, and its first use: what goes wrong, and what it says then.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::answering::{Answer, Answering, Call, repository};

/// A file with a policy of one rule. It is written once: the tests run side by side.
fn policy() -> String {
    static WRITTEN: LazyLock<String> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere.yaml");
        let text = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    });
    WRITTEN.clone()
}

fn audit(aws: &Answering, more: &[&str]) -> (i32, String, String) {
    let policy = policy();
    aws.run(&[&["audit", "--policy", &policy], more].concat())
}

const DENIED: &str = "User: arn:aws:iam::111111111111:user/mary is not authorized to perform: ecr:DescribeRepositories on \
    resource: * with an explicit deny in a service control policy: arn:aws:organizations::999999999999:policy/o-x/service_control_policy/p-x";

/// Three regions are enabled; one is denied, and `shop/api` is in the others.
fn regions(call: &Call) -> Option<Answer> {
    match (call.operation.as_str(), call.region.as_str()) {
        ("listRegions", _) => {
            let names = ["us-east-1", "ap-east-1", "eu-central-1"];
            let regions =
                names.map(|name| json!({ "RegionName": name, "RegionOptStatus": "ENABLED" }));
            Some(Answer::ok(json!({ "Regions": regions })))
        }
        ("DescribeRepositories", "ap-east-1") => {
            Some(Answer::refused("AccessDeniedException", DENIED))
        }
        ("DescribeRepositories", region) => Some(Answer::ok(
            json!({ "repositories": [repository(region, "shop/api")] }),
        )),
        _ => None,
    }
}

#[test]
fn all_regions_are_audited_and_one_that_cannot_be_read_is_named() {
    let aws = Answering::with(regions);
    let (status, out, error) = audit(&aws, &["--region", "all"]);
    assert_eq!(status, 3, "{error}");
    assert_eq!(
        out,
        "mutable-tags  medium  2 findings\n\
         \x20 repair withheld: monitor mode; would change MUTABLE to IMMUTABLE\n\
         \x20 shop/api (eu-central-1)  tags can be overwritten (MUTABLE)\n\
         \x20 shop/api (us-east-1)     tags can be overwritten (MUTABLE)\n\n\
         2 repositories, 0 compliant; mutable-tags 2\n"
    );
    assert!(
        error.starts_with("1 of 3 regions could not be audited:\n  the repositories in ap-east-1 can't be listed: ")
            && error.contains("service control policy")
            && error.contains("arn:aws:iam::111111111111:user/mary"),
        "{error}"
    );
    let asked: Value = serde_json::from_str(&aws.asked("listRegions")[0]).unwrap();
    assert_eq!(
        asked["RegionOptStatusContains"],
        json!(["ENABLED", "ENABLED_BY_DEFAULT"])
    );
    // The formats for programs have the same findings.
    let (status, out, _) = audit(&aws, &["--region", "all", "--format", "json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &found["summary"]["repositories"]), (3, &json!(2)));
    // What is found nowhere may be in the region that could not be read.
    let (status, _, error) = audit(&aws, &["--region", "all", "--repository", "no/*"]);
    assert!(
        status == 3 && error.contains("no repository matches `no/*` in the others"),
        "{error}"
    );
}

#[test]
fn regions_that_are_named_are_audited_each_for_itself() {
    let aws = Answering::with(regions);
    let two = ["--region", "ap-east-1", "--region", "us-east-1"];
    let (status, out, error) = audit(&aws, &two);
    assert!(status == 3 && out.contains("  shop/api  "), "{out}{error}");
    assert!(
        error.starts_with("1 of 2 regions could not be audited:"),
        "{error}"
    );
    // None at all: there is no report.
    let (status, out, error) = audit(&aws, &two[..2]);
    assert_eq!((status, out.as_str()), (3, ""));
    assert!(
        error.starts_with("the repositories in ap-east-1 can't be listed: ")
            && error.lines().count() == 1,
        "{error}"
    );
    let (status, _, error) = audit(&aws, &["--region", "all", "--region", "us-east-1"]);
    assert_eq!(
        (status, error.as_str()),
        (2, "--region all: leave the other regions out\n")
    );
}

#[test]
fn all_regions_need_no_configured_one() {
    let aws = Answering::with(regions);
    let policy = policy();
    let all = ["audit", "--policy", &policy, "--region", "all"];
    let unset = |command: &mut std::process::Command| {
        command.env_remove("AWS_REGION");
    };
    let (status, out, error) = aws.run_with(&all, unset);
    assert!(
        status == 3 && out.contains("2 repositories"),
        "{out}{error}"
    );
    let (status, _, error) = aws.run_with(&all[..3], unset);
    assert_eq!(
        (status, error.as_str()),
        (
            2,
            "no region is configured; pass --region, or set AWS_REGION\n"
        )
    );
}

#[test]
fn a_missing_permission_is_named_with_who_needs_it() {
    let aws = Answering::with(|call| match call.operation.as_str() {
        "listRegions" => Some(Answer {
            status: 403,
            header: "x-amzn-errortype: AccessDeniedException\r\n",
            body: json!({ "message": "no" }).to_string(),
        }),
        "DescribeRepositories" => Some(Answer::refused("AccessDeniedException", "no")),
        _ => None,
    });
    assert_eq!(
        audit(&aws, &["--region", "all"]),
        (
            3,
            String::new(),
            "--region all: the regions of account 111111111111 can't be listed: the permission account:ListRegions is missing \
             (asked as arn:aws:iam::111111111111:user/mary); name each with --region instead\n"
                .to_owned()
        )
    );
    assert_eq!(
        audit(&aws, &[]),
        (
            3,
            String::new(),
            "the repositories in eu-central-1 can't be listed: the permission ecr:DescribeRepositories is missing \
             (asked as arn:aws:iam::111111111111:user/mary; docs/operations.md lists the permissions of `audit`)\n"
                .to_owned()
        )
    );
}

#[test]
fn a_region_that_is_not_enabled_is_asked_about() {
    let aws = Answering::with(|call| match call.operation.as_str() {
        "DescribeRepositories" => Some(Answer::refused(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )),
        "GetCallerIdentity" if call.region == "ap-east-1" => Some(Answer::refused_in_xml(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid",
        )),
        _ => None,
    });
    let (status, _, error) = audit(&aws, &["--region", "ap-east-1"]);
    assert!(
        status == 3 && error.contains("whether ap-east-1 is enabled for the account"),
        "{error}"
    );
    let (status, _, error) = audit(&aws, &["--region", "me-south-1"]);
    assert!(
        status == 3 && error.contains("is the region enabled for the account?"),
        "{error}"
    );
}

#[test]
fn the_first_part_of_a_name_is_a_likely_mistake() {
    let aws = Answering::with(regions);
    let (status, _, error) = audit(&aws, &["--repository", "shop"]);
    assert_eq!(status, 2);
    assert_eq!(
        error,
        "--repository: no repository matches `shop` in account 111111111111, eu-central-1; a glob matches the whole name: \
         `shop/**` matches all names below `shop/`; `aws ecr describe-repositories --query 'repositories[].repositoryName'` lists \
         the names\n"
    );
}

const BUCKET: &str = "s3://reports/2026-11-24/1";

fn found(name: &str, severity: &str) -> Value {
    json!({
        "repository": format!("arn:aws:ecr:eu-central-1:111111111111:repository/{name}"),
        "rule": "mutable-tags", "severity": severity, "status": "open", "reason": "no-repair",
        "detail": "tags can be overwritten", "to_do": "make them immutable",
    })
}

fn part(findings: Option<Value>, next: Option<&str>) -> Value {
    let mut part = json!({
        "schema": "ecr-warden.audit/1",
        "summary": {
            "repositories": 2, "compliant": 1, "unjudged": 0, "findings": { "mutable-tags": 1 }, "fixed": {},
            "estimated_monthly_cost_usd": null,
        },
        "next": next,
    });
    match findings {
        Some(findings) => part["findings"] = findings,
        None => {
            part["report"] = json!({
                "json": format!("{BUCKET}.json"), "csv": format!("{BUCKET}.csv"), "html": format!("{BUCKET}.html"),
            });
        }
    }
    part
}

const STACK: &str = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>warden</StackName><Outputs><member>\
    <OutputKey>AuditorFunctionName</OutputKey><OutputValue>warden-Auditor</OutputValue></member></Outputs></member></Stacks>\
    </DescribeStacksResult></DescribeStacksResponse>";

/// An auditor that answers in two parts, the second by the bucket.
fn auditor(call: &Call) -> Option<Answer> {
    match call.operation.as_str() {
        "DescribeStacks" if call.body.contains("StackName=warden") => Some(Answer::ok(STACK)),
        "DescribeStacks" => Some(Answer::refused_in_xml(
            400,
            "ValidationError",
            "Stack with id x does not exist",
        )),
        "Invoke" => {
            assert!(call.path.contains("warden-Auditor/invocations"), "{call:?}");
            let request: Value = serde_json::from_str(&call.body).unwrap();
            Some(if request["repositories"] == json!(["none/**"]) {
                let mut nothing = part(Some(json!([])), None);
                nothing["summary"]["repositories"] = json!(0);
                Answer::ok(nothing)
            } else if request["seconds"] == 3 {
                Answer {
                    header: "x-amz-function-error: Unhandled\r\n",
                    ..Answer::ok(json!({
                        "errorType": "Error", "errorMessage": "`seconds` is 3: ask for at least 10",
                    }))
                }
            } else if request["next"] == "second" {
                Answer::ok(part(None, None))
            } else {
                Answer::ok(part(
                    Some(json!([found("shop/api", "medium")])),
                    Some("second"),
                ))
            })
        }
        "GetObject" => {
            assert!(
                call.path.starts_with("/reports/2026-11-24/1.json"),
                "{call:?}"
            );
            Some(Answer::ok(part(
                Some(json!([found("shop/web", "high")])),
                None,
            )))
        }
        _ => None,
    }
}

const ASK: [&str; 3] = ["audit", "--stack", "warden"];

/// An audit that audits nothing is no success, and neither is one that goes on without the command.
#[test]
fn what_the_auditor_leaves_out_is_said() {
    let aws = Answering::with(|call| match call.operation.as_str() {
        "Invoke" => {
            let mut nothing = part(Some(json!([])), None);
            nothing["ignored"] = json!("another sweep runs");
            nothing["reason"] = json!("covered-by-another-sweep");
            Some(Answer::ok(nothing))
        }
        _ => auditor(call),
    });
    let (status, out, error) = aws.run(&ASK);
    assert_eq!((status, out.as_str()), (3, ""));
    assert_eq!(error, "nothing was audited: another sweep runs\n");
    let aws = Answering::with(auditor);
    let goes_on = ["--request", r#"{"continue": true}"#];
    let (status, out, error) = aws.run(&[&ASK[..], &goes_on].concat());
    assert!(status == 1 && out.contains("shop/api"), "{out}{error}");
    assert!(error.contains("this is the first part"), "{error}");
}

#[test]
fn the_deployed_auditor_is_asked_to_the_end() {
    let aws = Answering::with(auditor);
    let (status, out, error) = aws.run(&ASK);
    assert_eq!((status, error.as_str()), (1, ""));
    assert_eq!(
        out,
        "mutable-tags  high  2 findings\n\
         \x20 to do: make them immutable\n\
         \x20 shop/web  tags can be overwritten\n\
         \x20 shop/api  tags can be overwritten\n\n\
         4 repositories, 2 compliant; mutable-tags 2\n"
    );
    let requests: Vec<Value> = aws
        .asked("Invoke")
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    assert_eq!(
        requests,
        [
            json!({ "seconds": 240 }),
            json!({ "seconds": 240, "next": "second" })
        ]
    );
}

#[test]
fn each_format_and_option_of_an_audit_works_with_the_deployed_auditor() {
    let aws = Answering::with(auditor);
    let run = |more: &[&str]| aws.run(&[&ASK, more].concat());
    for (format, sign) in [
        ("csv", "repository,rule"),
        ("sarif", "\"2.1.0\""),
        ("ocsf", "\"class_uid\":2003"),
        ("html", "<!doctype html>"),
        ("json", "\"schema\": \"ecr-warden.audit/1\""),
    ] {
        let (status, out, error) = run(&["--format", format]);
        assert!(status == 1 && out.contains(sign), "{format}: {error}");
        assert!(out.contains("shop/api") || format == "html", "{format}");
    }
    assert_eq!(run(&["--fail-on", "critical"]).0, 0);
    assert_eq!(run(&["--fail-on", "high"]).0, 1);
    run(&["--repository", "shop/**", "--cost"]);
    let last: Value = serde_json::from_str(aws.asked("Invoke").last().unwrap()).unwrap();
    assert_eq!(
        last,
        json!({ "seconds": 240, "repositories": ["shop/**"], "cost": true, "next": "second" })
    );
    let (status, _, error) = run(&["--repository", "none/**"]);
    assert!(
        status == 2 && error.contains("no repository matches `none/**`"),
        "{error}"
    );
}

#[test]
fn what_makes_no_sense_with_the_deployed_auditor_is_refused() {
    let aws = Answering::with(auditor);
    let policy = policy();
    for more in [
        &["--policy", &policy][..],
        &["--compliance"],
        &["--fix", "--policy", &policy, "--state-table", "state"],
        &["--region", "all"],
        &["--region", "us-east-1", "--region", "eu-west-1"],
        &["--request", "[]"],
        &["--request", "{}", "--cost"],
    ] {
        let (status, _, error) = aws.run(&[&ASK, more].concat());
        assert!(status == 2 && error.contains(more[0]), "{more:?}: {error}");
    }
    let (status, _, error) = aws.run(&["audit", "--request", "{}"]);
    assert!(status == 2 && error.contains("--stack"), "{error}");
    assert!(aws.asked("Invoke").is_empty());
}

#[test]
fn a_failure_of_the_function_is_quoted_and_it_is_not_asked_again() {
    let aws = Answering::with(auditor);
    let (status, out, error) = aws.run(&[&ASK[..], &["--request", r#"{"seconds": 3}"#]].concat());
    assert_eq!((status, out.as_str()), (3, ""));
    assert_eq!(
        error,
        "--stack warden: warden-Auditor failed: `seconds` is 3: ask for at least 10 (asked as \
         arn:aws:iam::111111111111:user/mary)\n"
    );
    assert_eq!(aws.asked("Invoke").len(), 1);
    // What a retry could help against is not tried again, either: the first invocation may run.
    let aws = Answering::with(|call| match call.operation.as_str() {
        "Invoke" => Some(Answer {
            status: 500,
            header: "",
            body: "{}".to_owned(),
        }),
        _ => auditor(call),
    });
    assert_eq!(aws.run(&ASK).0, 3);
    assert_eq!(aws.asked("Invoke").len(), 1);
}

#[test]
fn a_stack_that_does_not_exist_is_named_with_where_it_was_looked_for() {
    let aws = Answering::with(auditor);
    let (status, _, error) = aws.run(&["audit", "--stack", "wardn"]);
    assert_eq!(status, 2);
    assert!(
        error.starts_with(
            "--stack wardn: there is no such stack in account 111111111111, eu-central-1; "
        ) && error.contains("aws cloudformation describe-stacks")
            && error.lines().count() == 1,
        "{error}"
    );
    let other = STACK.replace("AuditorFunctionName", "VpcId");
    let aws = Answering::with(move |call| match call.operation.as_str() {
        "DescribeStacks" => Some(Answer::ok(&other)),
        _ => None,
    });
    let (status, _, error) = aws.run(&ASK);
    assert!(
        status == 2 && error.contains("the stack has no output AuditorFunctionName"),
        "{error}"
    );
}

#[test]
fn what_the_caller_may_not_do_with_the_stack_is_named() {
    for (operation, permission) in [
        ("DescribeStacks", "cloudformation:DescribeStacks"),
        ("Invoke", "lambda:InvokeFunction"),
        ("GetObject", "s3:GetObject"),
    ] {
        let aws = Answering::with(move |call| {
            if call.operation == operation {
                let header = "x-amzn-errortype: AccessDeniedException\r\n";
                let xml = Answer::refused_in_xml(403, "AccessDenied", "no");
                return Some(match operation {
                    "Invoke" => Answer {
                        status: 403,
                        header,
                        body: "{}".to_owned(),
                    },
                    "GetObject" => Answer {
                        body: "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                            .to_owned(),
                        ..xml
                    },
                    _ => xml,
                });
            }
            auditor(call)
        });
        let (status, out, error) = aws.run(&ASK);
        // What was answered before is not lost.
        let first = out.contains("shop/api") && !out.contains("shop/web");
        assert_eq!(first, operation == "GetObject", "{out}");
        assert_eq!((status, out.is_empty()), (3, !first), "{operation}");
        assert!(
            error.contains(&format!("the permission {permission} is missing"))
                && error.contains("arn:aws:iam::111111111111:user/mary"),
            "{error}"
        );
    }
}
