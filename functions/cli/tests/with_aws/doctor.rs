//! `ecr-warden doctor` with an AWS in which all is well but for what a test changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::answering::{Answer, Answering};

/// The answer of each operation: its HTTP status and body.
type Answers = BTreeMap<&'static str, (u16, String)>;

const TOPIC: &str = "arn:aws:sns:us-east-1:111111111111:ecr-warden-AlertTopic-1";
const POLICY: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";

/// A stack that works, with one rule, function and role.
fn well() -> Answers {
    let xml = |operation: &str, result: &str| {
        format!(
            "<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"
        )
    };
    let resource = |logical: &str, physical: &str, kind: &str| {
        format!(
            "<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>\
             <ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>\
             <LastUpdatedTimestamp>2026-11-23T08:00:00Z</LastUpdatedTimestamp></member>"
        )
    };
    let resources = [
        resource("AlertTopic", TOPIC, "AWS::SNS::Topic"),
        resource("DeadLetterQueue", "https://sqs/q", "AWS::SQS::Queue"),
        resource("CallsRule", "calls-1", "AWS::Events::Rule"),
        resource("Sweeps", "sweeps-1", "AWS::Scheduler::Schedule"),
        resource("Enforcer", "enforcer-1", "AWS::Lambda::Function"),
        resource("EnforcerRole", "role-1", "AWS::IAM::Role"),
    ];
    let resources = format!(
        "<StackResourceSummaries>{}</StackResourceSummaries>",
        resources.concat()
    );
    let trail = "arn:aws:cloudtrail:us-east-1:111111111111:trail/main";
    let document = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ecr%3ADescribeImages%22%2C\
                    %22Resource%22%3A%22%2A%22%7D%5D%7D";
    let answers = [
        (
            "GetCallerIdentity",
            xml("GetCallerIdentity", "<Arn>arn:aws:iam::111111111111:user/mary</Arn><UserId>U</UserId><Account>111111111111</Account>"),
        ),
        (
            "DescribeStacks",
            xml(
                "DescribeStacks",
                "<Stacks><member><StackName>ecr-warden</StackName><StackStatus>CREATE_COMPLETE</StackStatus>\
                 <CreationTime>2026-11-23T08:00:00Z</CreationTime><Parameters><member><ParameterKey>PolicyParameterName</ParameterKey>\
                 <ParameterValue>/ecr-warden/policy</ParameterValue></member></Parameters>\
                 <Outputs><member><OutputKey>StateTableName</OutputKey><OutputValue>state</OutputValue></member></Outputs></member></Stacks>",
            ),
        ),
        ("ListStackResources", xml("ListStackResources", &resources)),
        (
            "DescribeTrails",
            json!({ "trailList": [{ "Name": "main", "TrailARN": trail, "HomeRegion": "us-east-1", "IsMultiRegionTrail": false }] }).to_string(),
        ),
        ("GetTrailStatus", json!({ "IsLogging": true }).to_string()),
        (
            "GetEventSelectors",
            json!({ "TrailARN": trail, "EventSelectors": [{ "ReadWriteType": "WriteOnly", "IncludeManagementEvents": true }] }).to_string(),
        ),
        ("DescribeRule", json!({ "Name": "calls-1", "State": "ENABLED" }).to_string()),
        ("GetSchedule", json!({ "Name": "sweeps-1", "State": "ENABLED" }).to_string()),
        ("GetTopicAttributes", subscriptions(1, 0)),
        ("GetParameter", json!({ "Parameter": { "Value": POLICY } }).to_string()),
        ("Query", json!({ "Items": [] }).to_string()),
        ("GetQueueAttributes", json!({ "Attributes": { "ApproximateNumberOfMessages": "0" } }).to_string()),
        ("GetFunctionRecursionConfig", json!({ "RecursiveLoop": "Allow" }).to_string()),
        ("GetFunctionConcurrency", json!({}).to_string()),
        (
            "ListRolePolicies",
            xml("ListRolePolicies", "<PolicyNames><member>enforcer</member></PolicyNames><IsTruncated>false</IsTruncated>"),
        ),
        (
            "GetRolePolicy",
            xml(
                "GetRolePolicy",
                &format!("<RoleName>role-1</RoleName><PolicyName>enforcer</PolicyName><PolicyDocument>{document}</PolicyDocument>"),
            ),
        ),
        (
            "ListAttachedRolePolicies",
            xml(
                "ListAttachedRolePolicies",
                "<AttachedPolicies><member><PolicyName>AwsOwn</PolicyName><PolicyArn>arn:aws:iam::aws:policy/AwsOwn</PolicyArn></member>\
                 <member><PolicyName>both</PolicyName><PolicyArn>arn:aws:iam::111111111111:policy/both</PolicyArn></member>\
                 </AttachedPolicies><IsTruncated>false</IsTruncated>",
            ),
        ),
        (
            "GetPolicy",
            xml("GetPolicy", "<Policy><PolicyName>both</PolicyName><DefaultVersionId>v2</DefaultVersionId></Policy>"),
        ),
        (
            "GetPolicyVersion",
            xml(
                "GetPolicyVersion",
                &format!("<PolicyVersion><VersionId>v2</VersionId><Document>{}</Document></PolicyVersion>", document.replace("DescribeImages", "PutImageTagMutability")),
            ),
        ),
        (
            "GetRole",
            xml(
                "GetRole",
                "<Role><Path>/</Path><RoleName>role-1</RoleName><RoleId>R</RoleId><Arn>arn:aws:iam::111111111111:role/role-1</Arn>\
                 <CreateDate>2026-11-23T08:00:00Z</CreateDate></Role>",
            ),
        ),
        ("SimulatePrincipalPolicy", simulated("allowed", "")),
    ];
    let answers = answers.into_iter().map(|(name, body)| (name, (200, body)));
    answers.collect()
}

fn subscriptions(confirmed: u32, pending: u32) -> String {
    let entry =
        |key: &str, value: u32| format!("<entry><key>{key}</key><value>{value}</value></entry>");
    format!(
        "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes>{}{}</Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>",
        entry("SubscriptionsConfirmed", confirmed),
        entry("SubscriptionsPending", pending)
    )
}

fn simulated(decision: &str, more: &str) -> String {
    format!(
        "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults><member>\
         <EvalActionName>ecr:DescribeImages</EvalActionName><EvalDecision>{decision}</EvalDecision>{more}</member></EvaluationResults>\
         </SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    )
}

fn json_error(code: &str) -> (u16, String) {
    (
        400,
        json!({ "__type": code, "message": "refused" }).to_string(),
    )
}

fn xml_error(status: u16, code: &str, message: &str) -> (u16, String) {
    let text = format!(
        "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    (status, text)
}

/// Exit status, standard output and standard error.
fn doctor(answers: Answers, arguments: &[&str]) -> (i32, String, String) {
    let aws = Answering::with(move |call| {
        let (status, body) = answers[call.operation.as_str()].clone();
        Some(Answer {
            status,
            header: "",
            body,
        })
    });
    aws.run_with(&[&["doctor"], arguments].concat(), |command| {
        command.env("AWS_REGION", "us-east-1");
    })
}

/// The checks that are not ok when one operation is answered otherwise: each with its status, detail and advice.
fn changed(
    operation: &'static str,
    answer: (u16, String),
) -> Vec<(String, String, String, String)> {
    let mut answers = well();
    answers.insert(operation, answer);
    let (status, out, error) = doctor(answers, &["--format", "json"]);
    assert_eq!(status, 1, "{out}{error}");
    let diagnosis: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(diagnosis["healthy"], false);
    let checks = diagnosis["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 10, "{out}");
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let wrong = checks.iter().filter(|check| check["status"] != "ok");
    wrong
        .map(|check| {
            (
                text(check, "check"),
                text(check, "status"),
                text(check, "detail"),
                text(check, "advice"),
            )
        })
        .collect()
}

#[test]
fn a_stack_that_works_is_ok_in_every_check() {
    let (status, out, error) = doctor(well(), &[]);
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    let rows: Vec<Vec<&str>> = lines[1..11]
        .iter()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let checks: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(
        checks,
        [
            "credentials",
            "stack",
            "trail",
            "triggers",
            "subscribers",
            "policy",
            "brakes",
            "dead-letters",
            "functions",
            "permissions"
        ]
    );
    assert!(rows.iter().all(|row| row[1] == "ok"), "{out}");
    assert_eq!(lines.last(), Some(&"all checks are ok"));
    assert!(!out.contains("To do:") && !out.contains('{'), "{out}");
}

#[test]
fn each_fault_has_a_line_and_says_what_to_do() {
    let role_refused = "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary>\
                        </PermissionsBoundaryDecisionDetail>";
    let invalid = json!({ "Parameter": { "Value": "version: 1\nmode: enforce\nrules: { mutable-tag: {} }\n" } });
    let stop = json!({ "by": "arn:aws:iam::111111111111:user/joe", "at": 1_800_000_000, "reason": "INC-1" }).to_string();
    let stopped = json!({ "Items": [{ "pk": { "S": "brakes" }, "sk": { "S": "brakes" }, "stopped": { "S": stop } }] });
    let full = json!({ "Attributes": { "ApproximateNumberOfMessages": "3" } });
    for (operation, answer, check, detail, advice) in [
        (
            "DescribeTrails",
            (200, "{\"trailList\":[]}".to_owned()),
            "trail",
            "no CloudTrail trail",
            "CreateTrail=true",
        ),
        (
            "GetTrailStatus",
            (200, "{\"IsLogging\":false}".to_owned()),
            "trail",
            "does not log",
            "cloudtrail start-logging",
        ),
        (
            "DescribeRule",
            (200, "{\"State\":\"DISABLED\"}".to_owned()),
            "triggers",
            "rule CallsRule is DISABLED",
            "enable-rule --name calls-1",
        ),
        (
            "GetSchedule",
            (200, "{\"State\":\"DISABLED\"}".to_owned()),
            "triggers",
            "schedule Sweeps is DISABLED",
            "sweeps-1",
        ),
        (
            "DescribeRule",
            json_error("ResourceNotFoundException"),
            "triggers",
            "was deleted",
            "deploy it again",
        ),
        (
            "GetTopicAttributes",
            (200, subscriptions(0, 1)),
            "subscribers",
            "1 not confirmed",
            "follow the link",
        ),
        (
            "GetTopicAttributes",
            (200, subscriptions(0, 0)),
            "subscribers",
            "no subscription",
            TOPIC,
        ),
        (
            "GetParameter",
            (200, invalid.to_string()),
            "policy",
            "mutable-tag",
            "policy check",
        ),
        (
            "GetParameter",
            json_error("ParameterNotFound"),
            "policy",
            "does not exist",
            "put-parameter",
        ),
        (
            "Query",
            (200, stopped.to_string()),
            "brakes",
            "user/joe: INC-1",
            "ecr-warden start",
        ),
        (
            "Query",
            json_error("ResourceNotFoundException"),
            "brakes",
            "does not exist",
            "docs/deploy.md",
        ),
        (
            "GetQueueAttributes",
            (200, full.to_string()),
            "dead-letters",
            "3 messages wait",
            "--queue-url https://sqs/q",
        ),
        (
            "GetFunctionRecursionConfig",
            (200, "{\"RecursiveLoop\":\"Terminate\"}".to_owned()),
            "functions",
            "Terminate",
            "--recursive-loop Allow",
        ),
        (
            "GetFunctionConcurrency",
            (200, "{\"ReservedConcurrentExecutions\":0}".to_owned()),
            "functions",
            "switched off",
            "delete-function-concurrency",
        ),
        (
            "SimulatePrincipalPolicy",
            (200, simulated("implicitDeny", role_refused)),
            "permissions",
            "boundary: ecr:DescribeImages of EnforcerRole",
            "boundary",
        ),
    ] {
        let found = changed(operation, answer);
        let [(name, status, said, to_do)] = &found[..] else {
            panic!("{operation}: {found:?}");
        };
        assert_eq!(
            (name.as_str(), status.as_str()),
            (check, "failing"),
            "{found:?}"
        );
        assert!(said.contains(detail), "{found:?}");
        assert!(to_do.contains(advice), "{found:?}");
        assert!(!said.contains('\n') && !to_do.contains('\n'), "{found:?}");
    }
}

#[test]
fn a_missing_permission_is_unknown_and_the_other_checks_go_on() {
    let denied = |operation: &str| {
        if ["DescribeStacks", "ListStackResources", "GetTopicAttributes"].contains(&operation)
            || operation.contains("Role")
            || operation.contains("Policy")
        {
            xml_error(403, "AccessDenied", "refused")
        } else {
            json_error("AccessDeniedException")
        }
    };
    for (operation, check, permission) in [
        ("DescribeTrails", "trail", "cloudtrail:DescribeTrails"),
        ("GetTrailStatus", "trail", "cloudtrail:GetTrailStatus"),
        ("GetEventSelectors", "trail", "cloudtrail:GetEventSelectors"),
        ("DescribeRule", "triggers", "events:DescribeRule"),
        ("GetSchedule", "triggers", "scheduler:GetSchedule"),
        (
            "GetTopicAttributes",
            "subscribers",
            "sns:GetTopicAttributes",
        ),
        ("GetParameter", "policy", "ssm:GetParameter"),
        ("Query", "brakes", "dynamodb:Query"),
        (
            "GetQueueAttributes",
            "dead-letters",
            "sqs:GetQueueAttributes",
        ),
        (
            "GetFunctionRecursionConfig",
            "functions",
            "lambda:GetFunctionRecursionConfig",
        ),
        (
            "GetFunctionConcurrency",
            "functions",
            "lambda:GetFunctionConcurrency",
        ),
        ("ListRolePolicies", "permissions", "iam:ListRolePolicies"),
        ("GetRolePolicy", "permissions", "iam:GetRolePolicy"),
        (
            "ListAttachedRolePolicies",
            "permissions",
            "iam:ListAttachedRolePolicies",
        ),
        ("GetPolicy", "permissions", "iam:GetPolicy"),
        ("GetPolicyVersion", "permissions", "iam:GetPolicyVersion"),
        ("GetRole", "permissions", "iam:GetRole"),
        (
            "SimulatePrincipalPolicy",
            "permissions",
            "iam:SimulatePrincipalPolicy",
        ),
    ] {
        let found = changed(operation, denied(operation));
        let [(name, status, said, to_do)] = &found[..] else {
            panic!("{operation}: {found:?}");
        };
        assert_eq!(
            (name.as_str(), status.as_str()),
            (check, "unknown"),
            "{found:?}"
        );
        assert!(said.contains(permission), "{found:?}");
        assert!(
            to_do.contains(&format!("allow {permission} for")),
            "{found:?}"
        );
    }
    let found = changed("DescribeStacks", denied("DescribeStacks"));
    let checks: Vec<&str> = found.iter().map(|(check, ..)| check.as_str()).collect();
    assert_eq!(checks, ["stack", "policy", "brakes"]);
    let found = changed("ListStackResources", denied("ListStackResources"));
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(
        found.iter().all(|(_, status, ..)| status == "unknown"),
        "{found:?}"
    );
}

#[test]
fn an_absent_stack_fails_once_and_the_trail_is_checked_all_the_same() {
    let mut answers = well();
    let absent = xml_error(400, "ValidationError", "Stack with id other does not exist");
    answers.insert("DescribeStacks", absent.clone());
    answers.insert("ListStackResources", absent);
    let (status, out, _) = doctor(answers, &["--stack", "other"]);
    assert_eq!(status, 1, "{out}");
    assert!(
        out.contains("there is no stack `other` in us-east-1"),
        "{out}"
    );
    assert!(
        out.contains("the trail `main` records management writes"),
        "{out}"
    );
    assert!(
        out.ends_with("1 check is failing, 7 checks are unknown\n"),
        "{out}"
    );
    assert_eq!(
        out.matches("not checked: there is no stack").count(),
        7,
        "{out}"
    );
}

#[test]
fn a_stack_in_the_middle_of_an_update_says_so() {
    let (_, text) = well().remove("DescribeStacks").unwrap();
    let found = changed(
        "DescribeStacks",
        (200, text.replace("CREATE_COMPLETE", "UPDATE_IN_PROGRESS")),
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .2
            .contains("is UPDATE_IN_PROGRESS: an operation is not finished"),
        "{found:?}"
    );
}

#[test]
fn a_stack_that_failed_says_why_and_one_without_a_parameter_has_its_own_policy() {
    let (_, text) = well().remove("DescribeStacks").unwrap();
    let reason = "ROLLBACK_COMPLETE</StackStatus><StackStatusReason>no quota</StackStatusReason>";
    let failed = text.replace("CREATE_COMPLETE</StackStatus>", reason);
    let found = changed("DescribeStacks", (200, failed));
    assert!(found[0].2.ends_with(": no quota"), "{found:?}");
    let mut answers = well();
    let built_in = text.replace("/ecr-warden/policy", "");
    answers.insert("DescribeStacks", (200, built_in));
    answers.insert("GetParameter", json_error("ParameterNotFound"));
    let (status, out, _) = doctor(answers, &[]);
    assert_eq!(status, 0, "{out}");
    assert!(out.contains("were built with is in use"), "{out}");
}

#[test]
fn advanced_selectors_and_trails_of_the_organization_are_read() {
    let field = |field: &str, value: &str| json!({ "Field": field, "Equals": [value] });
    let selectors = |reads: &str| {
        let fields = [
            field("eventCategory", "Management"),
            field("readOnly", reads),
        ];
        json!({ "AdvancedEventSelectors": [{ "FieldSelectors": fields }] }).to_string()
    };
    let found = changed("GetEventSelectors", (200, selectors("true")));
    assert!(
        found[0].2.contains("does not record management writes"),
        "{found:?}"
    );
    let mut answers = well();
    answers.insert("GetEventSelectors", (200, selectors("false")));
    assert_eq!(doctor(answers, &[]).0, 0);

    let mut answers = well();
    let (_, trails) = &answers["DescribeTrails"];
    let mut trails: Value = serde_json::from_str(trails).unwrap();
    trails["trailList"][0]["IsOrganizationTrail"] = true.into();
    trails["trailList"][0]["IsMultiRegionTrail"] = true.into();
    trails["trailList"][0]["HomeRegion"] = "eu-west-1".into();
    answers.insert("DescribeTrails", (200, trails.to_string()));
    assert_eq!(doctor(answers.clone(), &[]).0, 0);
    answers.insert("GetEventSelectors", json_error("TrailNotFoundException"));
    let (status, out, _) = doctor(answers, &[]);
    assert_eq!(status, 1, "{out}");
    assert!(
        out.contains("unknown  the organization's trail `main` logs, but"),
        "{out}"
    );
}

#[test]
fn without_an_answer_to_who_the_caller_is_it_ends_with_3() {
    let mut answers = well();
    answers.insert(
        "GetCallerIdentity",
        xml_error(403, "InvalidClientTokenId", "not valid"),
    );
    let (status, out, error) = doctor(answers, &[]);
    assert_eq!((status, out.as_str()), (3, ""), "{error}");
    let (status, ..) = doctor(well(), &["--format", "yaml"]);
    assert_eq!(status, 2);
}

#[test]
fn the_documented_policy_allows_each_call_and_no_other() {
    let document = include_str!("../../../../docs/operations.md");
    let (_, rest) = document.split_once("```json\n").unwrap();
    let policy: Value = serde_json::from_str(rest.split_once("```").unwrap().0).unwrap();
    let actions = policy["Statement"][0]["Action"].as_array().unwrap();
    let actions = actions
        .iter()
        .map(|action| action.as_str().unwrap().split_once(':').unwrap().1);
    let mut documented: Vec<&str> = actions.chain(["GetCallerIdentity"]).collect();
    documented.sort_unstable();
    let called: Vec<&str> = well().into_keys().collect();
    assert_eq!(documented, called);
}
