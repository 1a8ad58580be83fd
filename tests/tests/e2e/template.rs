//! The template is plain CloudFormation, deploys through a bucket, and takes what a locked-down account demands.

use std::collections::BTreeSet;
use std::path::Path;

use aws_sdk_ecr::types::{EncryptionType, ImageTagMutability};
use ecr_warden_tests::caller::Ask;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION};
use serde_json::{Value, json};

use crate::careful::{ecr_warden, said};
use crate::judge::{Principal, Request};
use crate::support::{World, call, status};

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

/// The default execution role of service-managed StackSets cannot expand macros (CloudFormation API, CreateStackSet), and a stack
/// policy or a change set shows the resources only after the transform.
#[test]
fn template_needs_no_transform() {
    assert!(!TEMPLATE.contains("\nTransform:"));
    assert!(!TEMPLATE.contains("Fn::Transform"));
    assert!(!TEMPLATE.contains("AWS::Serverless"));
    let deploy = include_str!("../../../scripts/deploy");
    assert!(deploy.contains(" --capabilities CAPABILITY_IAM "));
    assert!(!deploy.contains("CAPABILITY_AUTO_EXPAND"));
}

/// CloudFormation takes at most 51,200 bytes of a template inline, and a function's zip from a bucket only.
#[test]
fn template_and_zips_go_through_the_bucket() {
    let world = World::shared();
    let bucket = format!("ecr-warden-artifacts-{ACCOUNT}-{REGION}");
    let stack = ["--stack-name", "ecr-warden"];
    let get = ["cloudformation", "get-template"];
    let body = world.cli(&[&get[..], &stack].concat())["TemplateBody"].to_string();
    assert!(body.contains(&bucket) && !body.contains("bootstrap.zip"));
    let listed = world.cli(&["s3api", "list-objects-v2", "--bucket", &bucket]);
    let objects = listed["Contents"].as_array().unwrap();
    let keys: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["Key"].as_str())
        .collect();
    let is_template = |key: &&str| key.starts_with("ecr-warden/") && key.ends_with(".template");
    assert!(keys.iter().any(is_template), "{keys:?}");
    for function in [&world.stack.enforcer, &world.stack.auditor] {
        let of = ["lambda", "get-function", "--function-name", function];
        let deployed: Value = world.cli(&of);
        assert!(deployed["Configuration"]["CodeSize"].as_u64() > Some(1_000_000));
    }
}

/// The lines of a parameter or resource of the template.
fn part(name: &str) -> &'static str {
    let rest = TEMPLATE
        .split_once(&format!("\n  {name}:\n"))
        .expect(name)
        .1;
    let end = rest
        .match_indices("\n  ")
        .find(|(at, _)| !rest[at + 3..].starts_with([' ', '\n']))
        .map_or(rest.len(), |(at, _)| at);
    &rest[..end]
}

/// The types of all resources by their names.
fn kinds() -> Vec<(&'static str, &'static str)> {
    let resources = TEMPLATE.split_once("\nResources:\n").unwrap().1;
    let resources = resources.split("\nOutputs:\n").next().unwrap();
    let lines: Vec<&str> = resources.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let name = pair[0].strip_prefix("  ")?.strip_suffix(':')?;
            Some((name, pair[1].strip_prefix("    Type: ")?))
        })
        .collect()
}

/// Who upgrades a stack and says nothing gets what there was before.
#[test]
fn parameters_for_locked_down_accounts_change_nothing_by_default() {
    for (name, default) in [
        ("MayChange", "yes"),
        ("MayRecreate", "yes"),
        ("RepositoryPrefix", ""),
        ("PermissionsBoundary", ""),
        ("RolePath", ""),
        ("VpcSubnetIds", ""),
        ("VpcSecurityGroupIds", ""),
        ("ReservedConcurrency", ""),
        ("ProtectStateTable", "yes"),
        ("QueueConcurrency", "10"),
        ("ExistingStateTable", ""),
        ("CreateDashboard", "true"),
    ] {
        let text = part(name).replace('"', "");
        assert!(
            text.contains(&format!("    Default: {default}\n")),
            "{name}"
        );
        let described = include_str!("../../../docs/deploy.md");
        assert!(
            described.contains(&format!("`{name}=")),
            "docs/deploy.md: {name}"
        );
    }
}

/// A guard-rail that demands a boundary or a path demands it of every role. CloudFormation replaces a role whose template gets a path,
/// even the default one, so the property is left out where the parameter is empty.
#[test]
fn every_role_and_function_takes_the_parameters_of_the_account() {
    let path = "      Path: !If [WithRolePath, !Ref RolePath, !Ref AWS::NoValue]\n";
    let boundary = "      PermissionsBoundary: !If [WithBoundary, !Ref PermissionsBoundary, !Ref AWS::NoValue]\n";
    let vpc = "      VpcConfig: !If\n        - InVpc\n";
    let join = "!If [InVpc, ";
    let mut counts = [0; 3];
    for (name, kind) in kinds() {
        let text = part(name);
        match kind {
            "AWS::IAM::Role" => {
                counts[0] += 1;
                assert!(text.contains(path) && text.contains(boundary), "{name}");
            }
            "AWS::IAM::ManagedPolicy" => {
                counts[1] += 1;
                assert!(text.contains(path), "{name}");
            }
            "AWS::Lambda::Function" => {
                counts[2] += 1;
                assert!(text.contains(vpc), "{name}");
                let role = text.split_once("Role: !GetAtt ").unwrap().1;
                let role = part(role.split('.').next().unwrap());
                let arns = role.split_once("ManagedPolicyArns:").unwrap().1;
                assert!(arns.contains(join), "{name}");
            }
            other => assert!(
                !["AWS::IAM::User", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"].contains(&other),
                "{name}"
            ),
        }
    }
    assert_eq!(counts, [5, 5, 3], "roles, managed policies, functions");
}

/// Without a VPC no role may touch network interfaces; in one, Lambda may, and the function's own code may not.
#[test]
fn network_interfaces_are_for_lambda_alone() {
    let policy = part("FunctionsMayJoinVpc");
    assert!(policy.contains("    Condition: InVpc\n"));
    assert!(policy.contains("\"Null\": { \"lambda:SourceFunctionArn\": \"true\" }"));
    assert_eq!(
        TEMPLATE.matches("ec2:").count(),
        policy.matches("ec2:").count()
    );
}

/// IAM counts characters without white space (IAM and STS quotas).
#[test]
fn policies_of_the_deployed_roles_are_within_the_limits_of_iam() {
    for role in World::shared().roles().values() {
        for size in role.attached_sizes() {
            assert!(size <= 6_144, "{}: {size}", role.id);
        }
        let inline = role.inline_size();
        assert!(inline <= 10_240, "{}: {inline}", role.id);
    }
}

const RECREATES: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {}, weak-encryption: { require: KMS, when-empty: recreate } }\n";

/// What an event of a new repository comes to, and the alert of it.
async fn enforced(world: &World, inbox: &mut Inbox, name: &str) -> (Value, String) {
    world.create(name).await;
    let outcome = world.deliver(&call("CreateRepository", name)).await;
    let alert = inbox.wait_for(name).await.unwrap().to_string();
    (outcome.unwrap(), alert)
}

#[tokio::test]
async fn without_may_recreate_nothing_is_deleted_and_the_alert_says_why() {
    let world = World::own_with("MayRecreate=no", |_| {});
    world.set_policy(RECREATES).await;
    let mut inbox = world.inbox("no-recreation").await;
    let name = "shop/stays";
    let (outcome, alert) = enforced(&world, &mut inbox, name).await;
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_ne!(
        status(&outcome, "weak-encryption"),
        Some("fixed"),
        "{outcome}"
    );
    // The rehearsal finds it out before anything is deleted.
    assert!(alert.contains("rehearsal-refused"), "{alert}");
    assert!(
        alert.contains("permission ecr:CreateRepository is missing"),
        "{alert}"
    );
    assert_eq!(world.count("DeleteRepository", name), 0);
    assert_eq!(world.encryption(name).await, EncryptionType::Aes256);
    assert_eq!(world.mutability(name).await, ImageTagMutability::Immutable);
    // Nor could any other code in its place.
    for role in ["EnforcerRole", "AuditorRole"] {
        let session = world.roles()[role].session(&world).await;
        let body = json!({ "repositoryName": name });
        let delete = Ask::Json(
            "AmazonEC2ContainerRegistry_V20150921.DeleteRepository",
            &body,
        );
        let answer = session.ask(&world.local.endpoint, "ecr", &delete).await;
        let answer = answer.unwrap();
        assert!(answer.is_denied(), "{role}: {}", answer.body);
    }
    let actions = actions(&world);
    assert!(!actions.contains("ecr:DeleteRepository") && !actions.contains("kms:CreateGrant"));
    assert!(actions.contains("ecr:PutImageTagMutability"));
}

#[tokio::test]
async fn without_may_change_nothing_is_changed_and_all_is_reported() {
    let world = World::own_with("MayChange=no", |_| {});
    world.set_policy(RECREATES).await;
    let mut inbox = world.inbox("no-changes").await;
    let name = "shop/untouched";
    let (outcome, alert) = enforced(&world, &mut inbox, name).await;
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("failed"),
        "{outcome}"
    );
    assert!(alert.contains("ecr:PutImageTagMutability"), "{alert}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    assert_eq!(world.encryption(name).await, EncryptionType::Aes256);
    let reads = ["BatchGet", "Describe", "Get", "List"];
    for action in actions(&world) {
        let operation = action.strip_prefix("ecr:").unwrap_or("Get");
        assert!(
            reads.iter().any(|read| operation.starts_with(read)),
            "{action}"
        );
    }
}

#[tokio::test]
async fn repository_prefix_leaves_other_repositories_alone() {
    let world = World::own_with("RepositoryPrefix=shop/", |_| {});
    world.set_policy(RECREATES).await;
    let mut inbox = world.inbox("prefix").await;
    let (outcome, _) = enforced(&world, &mut inbox, "shop/inside").await;
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let (outcome, alert) = enforced(&world, &mut inbox, "shopping/outside").await;
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("failed"),
        "{outcome}"
    );
    assert!(alert.contains("ecr:PutImageTagMutability"), "{alert}");
    let outside = world.mutability("shopping/outside").await;
    assert_eq!(outside, ImageTagMutability::Mutable);
    // The local AWS decides about tags and deletions of all repositories at once, so these are judged by the deployed documents.
    for role in ["EnforcerRole", "AuditorRole"] {
        let role = &world.roles()[role];
        for action in [
            "ecr:TagResource",
            "ecr:UntagResource",
            "ecr:DeleteRepository",
            "ecr:CreateRepository",
            "ecr:PutLifecyclePolicy",
            "ecr:SetRepositoryPolicy",
        ] {
            for (region, account, name, may) in [
                (REGION, ACCOUNT, "shop/inside", true),
                (REGION, ACCOUNT, "shopping/outside", false),
                ("eu-west-1", ACCOUNT, "shop/inside", false),
                (REGION, "111111111111", "shop/inside", false),
            ] {
                let resource = format!("arn:aws:ecr:{region}:{account}:repository/{name}");
                let request = Request {
                    principal: Principal::Aws(&role.arn),
                    action,
                    resource: &resource,
                    context: &[
                        ("aws:RequestedRegion", region),
                        ("aws:ResourceAccount", account),
                    ],
                };
                assert_eq!(role.may(&request, &[]), may, "{request:?}");
            }
        }
    }
    assert!(!actions(&world).contains("ecr:PutRegistryScanningConfiguration"));
}

/// The path is a part of the role's ARN, by which a function knows its own changes and queues know their senders.
#[tokio::test]
async fn boundary_and_path_hold_for_every_role() {
    let boundary = format!("arn:aws:iam::{ACCOUNT}:policy/guard-rail");
    let parameters = format!("RolePath=/teams/security/ PermissionsBoundary={boundary}");
    let world = World::own_with(&parameters, |local| {
        let document = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "*", "Resource": "*" },
            { "Effect": "Deny", "Action": "ecr:PutImageTagMutability", "Resource": "*" },
        ] });
        let create = ["iam", "create-policy", "--policy-name", "guard-rail"];
        let document = document.to_string();
        let create = [&create[..], &["--policy-document", &document]].concat();
        local.cli(&create).unwrap();
    });
    for role in world.roles().values() {
        assert!(role.arn.contains(":role/teams/security/"), "{}", role.arn);
    }
    let policy = RECREATES.replace("mode: enforce", "mode: enforce\nsettle: 90s");
    let name = "shop/bounded";
    let mut inbox = world.inbox("boundary").await;
    world.set_policy(RECREATES).await;
    let (outcome, alert) = enforced(&world, &mut inbox, name).await;
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("failed"),
        "{outcome}"
    );
    assert!(alert.contains("ecr:PutImageTagMutability"), "{alert}");
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    // The queue's policy names the role.
    world.set_policy(&policy).await;
    world.create("shop/young").await;
    let outcome = world.invoke(&call("CreateRepository", "shop/young")).await;
    assert_eq!(outcome.unwrap()["reason"], "settling");
    // Its own change.
    let mut own = call("PutImageTagMutability", name);
    let role = &world.roles()["EnforcerRole"];
    own["detail"]["userIdentity"] = json!({
        "type": "AssumedRole",
        "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/x", role.name),
        "sessionContext": { "sessionIssuer": { "type": "Role", "arn": role.arn, "userName": role.name } },
    });
    let outcome = world.invoke(&own).await.unwrap();
    assert_eq!(outcome["reason"], "own-change", "{outcome}");
}

const REPAIRS: &str = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";

/// Deploys the stack again with these parameters beside those that it has.
fn redeployed(world: &World, parameters: &str) -> World {
    let stack = world.local.make_deploy("ecr-warden", parameters).unwrap();
    World::of(world.local.clone(), stack.into())
}

/// The tables that the stack has among its resources.
fn own_tables(world: &World) -> Vec<String> {
    let resources = world.resources().into_values();
    let tables = resources.filter(|(kind, _)| kind == "AWS::DynamoDB::Table");
    tables.map(|(_, name)| name).collect()
}

/// A table with the keys of a state table.
fn create_table(local: &LocalAws, name: &str) {
    let create = ["dynamodb", "create-table", "--table-name", name];
    let keys = [
        "--billing-mode",
        "PAY_PER_REQUEST",
        "--attribute-definitions",
        "AttributeName=pk,AttributeType=S",
        "AttributeName=sk,AttributeType=S",
        "--key-schema",
        "AttributeName=pk,KeyType=HASH",
        "AttributeName=sk,KeyType=RANGE",
    ];
    local.cli(&[&create[..], &keys].concat()).unwrap();
}

/// A table is all that is left of a stack: what was repaired, and what an operator has suspended. The next stack continues with both.
#[tokio::test]
async fn a_new_stack_continues_with_the_state_table_of_an_earlier_one() {
    let first = World::own();
    first.set_policy(REPAIRS).await;
    let name = "shop/continued";
    first.create(name).await;
    let outcome = first.deliver(&call("CreateRepository", name)).await;
    let outcome = outcome.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let revert = ["rollback", name, "--change", "1", "--yes"];
    said(&ecr_warden(&first, &revert), 0);

    let table = first.stack.state_table.clone();
    let stack = ["--stack-name", "ecr-warden"];
    first.cli(&[&["cloudformation", "delete-stack"][..], &stack].concat());
    let wait = ["cloudformation", "wait", "stack-delete-complete"];
    first.local.cli(&[&wait[..], &stack].concat()).unwrap();

    let second = redeployed(&first, &format!("ExistingStateTable={table}"));
    assert_eq!(second.stack.state_table, table);
    assert_eq!(own_tables(&second), Vec::<String>::new());
    second.set_policy(REPAIRS).await;
    let changed = call("PutImageTagMutability", name);
    let outcome = second.deliver(&changed).await.unwrap();
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("withheld"),
        "{outcome}"
    );
    assert_eq!(outcome["findings"][0]["reason"], "rolled-back", "{outcome}");
    let request = json!({ "mode": "enforce", "repositories": [name] });
    let auditor = &second.stack.auditor;
    let swept = second.invoke_function(auditor, &request).await.unwrap();
    assert!(swept.to_string().contains("rolled-back"), "{swept}");
    assert_eq!(second.mutability(name).await, ImageTagMutability::Mutable);

    // It writes there, too.
    said(&ecr_warden(&second, &["resume", name, "mutable-tags"]), 0);
    let outcome = second.deliver(&changed).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let list = said(&ecr_warden(&second, &["rollback", name]), 0);
    // The repair before, the rollback and the repair after.
    assert_eq!(list.matches("mutable-tags: done").count(), 3, "{list}");

    only_this_table(&second, &table).await;
}

/// A workspace that is not authorised, for example: CloudFormation takes the stack back. The table is kept, and no sweep has run.
#[tokio::test]
async fn a_chat_channel_that_fails_takes_neither_the_table_nor_starts_a_sweep() {
    let world = World::own();
    let deployed = "s3://artifacts/template";
    let template = world.local.cli(&["s3", "cp", deployed, "-"]).unwrap();
    // The local AWS has no channels; a condition that cannot be fulfilled fails in its place.
    let channel = "Type: AWS::Chatbot::SlackChannelConfiguration";
    assert!(template.contains(channel));
    let late = "Type: AWS::CloudFormation::WaitCondition\n    DependsOn: [StateTable, Auditor]";
    let template = template
        .replace(channel, late)
        // Nor does it know the partition in a condition.
        .replace("!Equals [!Ref AWS::Partition, aws]", "!Equals [aws, aws]")
        .replace(
            "      ConfigurationName: ",
            "      Count: 0\n      IgnoredName: ",
        );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failing-channel.yaml");
    std::fs::write(&file, template).unwrap();
    let to = "s3://artifacts/failing-channel";
    let file = file.to_str().unwrap();
    world.local.cli(&["s3", "cp", file, to]).unwrap();
    let url = format!("{}/artifacts/failing-channel", world.local.endpoint());
    let create = ["cloudformation", "create-stack", "--stack-name", "refused"];
    let more = [
        "--template-url",
        &url,
        "--capabilities",
        "CAPABILITY_IAM",
        "--parameters",
        "ParameterKey=SlackWorkspaceId,ParameterValue=T0000000",
        "ParameterKey=SlackChannelId,ParameterValue=C0000000",
    ];
    world.local.cli(&[&create[..], &more].concat()).unwrap();
    let status = async || {
        let stacks = [
            "cloudformation",
            "describe-stacks",
            "--stack-name",
            "refused",
        ];
        let only = ["--query", "Stacks[0].StackStatus", "--output", "text"];
        let status = world.local.cli(&[&stacks[..], &only].concat())?;
        Ok(status
            .contains("COMPLETE")
            .then(|| status.trim().to_owned()))
    };
    let longest = std::time::Duration::from_secs(60);
    let status = ecr_warden_tests::eventually("the rollback", longest, status);
    let status = status.await.unwrap();
    let events = [
        "cloudformation",
        "describe-stack-events",
        "--stack-name",
        "refused",
    ];
    let events: Value = serde_json::from_str(&world.local.cli(&events).unwrap()).unwrap();
    let events = events["StackEvents"].as_array().unwrap();
    assert_eq!(status, "ROLLBACK_COMPLETE", "{events:#?}");

    let had = |id: &str, status: &str| {
        events
            .iter()
            .any(|event| event["LogicalResourceId"] == id && event["ResourceStatus"] == status)
    };
    assert!(had("ChatChannel", "CREATE_FAILED"), "{events:#?}");
    assert!(had("StateTable", "CREATE_COMPLETE"), "{events:#?}");
    assert!(had("StateTable", "DELETE_SKIPPED"), "{events:#?}");
    assert!(!had("Sweeps", "CREATE_COMPLETE"), "{events:#?}");
    let tables = world.local.cli(&["dynamodb", "list-tables"]).unwrap();
    assert!(tables.contains("refused-StateTable"), "{tables}");
}

/// The roles of both functions may use this table and no other.
async fn only_this_table(world: &World, table: &str) {
    let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}");
    let other = "another-table";
    create_table(&world.local, other);
    for role in ["EnforcerRole", "AuditorRole"] {
        let role = &world.roles()[role];
        let statements = role.statements().map(Value::to_string);
        let about_tables: Vec<String> = statements
            .filter(|statement| statement.contains("dynamodb:"))
            .collect();
        assert!(!about_tables.is_empty());
        for statement in about_tables {
            assert!(
                statement.contains(&format!("\"Resource\":\"{arn}\"")),
                "{statement}"
            );
        }
        let session = role.session(world).await;
        for (name, may) in [(table, true), (other, false)] {
            let body = json!({
                "TableName": name,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": { ":pk": { "S": "nothing" } },
            });
            let query = Ask::Json("DynamoDB_20120810.Query", &body);
            let answer = session.ask(&world.local.endpoint, "dynamodb", &query).await;
            let answer = answer.unwrap();
            assert_eq!(answer.status == 200, may, "{name}: {}", answer.body);
            assert_eq!(answer.is_denied(), !may, "{name}: {}", answer.body);
        }
    }
}

/// An update creates a table, or takes one out of the stack; the table before stays with its records.
#[tokio::test]
async fn an_update_leaves_the_table_that_the_stack_had() {
    let given = "given-before";
    let world = World::own_after(|local| {
        create_table(local, given);
        format!("ExistingStateTable={given}")
    });
    assert_eq!(own_tables(&world), Vec::<String>::new());
    let name = "shop/updated";
    world.set_policy(REPAIRS).await;
    world.create(name).await;
    let outcome = world.deliver(&call("CreateRepository", name)).await;
    let outcome = outcome.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let on_record = world.state(name).await;
    assert!(on_record.contains(&"fix#mutable-tags".to_owned()));

    let with_own = redeployed(&world, "ExistingStateTable=");
    let own = with_own.stack.state_table.clone();
    assert_ne!(own, given);
    assert_eq!(own_tables(&with_own), [own.as_str()]);
    assert_eq!(with_own.state(name).await, Vec::<String>::new());
    assert_eq!(world.state(name).await, on_record);

    let back = redeployed(&world, &format!("ExistingStateTable={given}"));
    assert_eq!(back.stack.state_table, given);
    assert_eq!(own_tables(&back), Vec::<String>::new());
    assert_eq!(back.state(name).await, on_record);
    // It is there, and empty.
    assert_eq!(with_own.state(name).await, Vec::<String>::new());
}

/// The name is a part of an ARN in the roles' policies.
#[test]
fn a_state_table_is_named_by_its_plain_name() {
    let world = World::shared();
    let parameter = part("ExistingStateTable");
    let parameter = parameter.split("\nConditions:").next().unwrap();
    let body = format!(
        "Parameters:\n  ExistingStateTable:\n{parameter}\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n"
    );
    let deploy = |number: usize, table: &str| {
        let name = format!("named-{number}");
        let value = format!("ParameterKey=ExistingStateTable,ParameterValue={table}");
        let create = ["cloudformation", "create-stack", "--stack-name", &name];
        let more = ["--template-body", &body, "--parameters", &value];
        world.local.cli(&[&create[..], &more].concat())
    };
    let arn = format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/ecr-warden");
    for (number, wrong) in ["*", "ecr-*", "a/b", "ab", &arn].into_iter().enumerate() {
        let why = deploy(number, wrong).expect_err(wrong).to_string();
        assert!(why.contains("the name of a table"), "{wrong}: {why}");
    }
    for (number, right) in ["", "ecr-warden-StateTable-1A2B3C4D5E6F", "a.b_c"]
        .into_iter()
        .enumerate()
    {
        deploy(10 + number, right).expect(right);
    }
}

/// What the deployed roles of both functions may.
fn actions(world: &World) -> BTreeSet<String> {
    let roles = world.roles();
    let both = ["EnforcerRole", "AuditorRole"].map(|name| roles[name].grants());
    let [enforcers, auditors] = &both;
    assert!(!enforcers.is_empty() && !auditors.is_empty());
    let all = both.iter().flatten();
    all.map(|(_, action)| action.clone()).collect()
}
