//! With one permission taken from a role, something that worked does not, and it is said which permission is missing; no role
//! holds one of which that is not so.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecr::types::ImageTagMutability;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use ecr_warden_tests::caller::{Answer, Ask, Caller};
use ecr_warden_tests::eventually;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION};
use ecr_warden_tests::proxy::Needed;
use serde_json::{Value, json};

use crate::cases::{Case, Doer, Stage, hub_resource, name_of};
use crate::judge::{Principal, Request};
use crate::recreate::assert_everything;
use crate::roles::{Grant, Resources, Role};
use crate::support::{World, call};

/// Each permission in each statement that the local AWS asks for, and what is not done without it. Those that need another policy
/// than most come last.
const ASKED_FOR: [(&str, &str, Case); 43] = [
    ("ReadRepositories", "ecr:DescribeImages", Case::Recreated),
    (
        "ReadRepositories",
        "ecr:GetLifecyclePolicy",
        Case::Recreated,
    ),
    (
        "ReadRepositories",
        "ecr:GetRepositoryPolicy",
        Case::Recreated,
    ),
    (
        "ReadRepositoriesByAccount",
        "ecr:DescribeRepositories",
        Case::Recreated,
    ),
    (
        "ReadRepositoriesByAccount",
        "ecr:ListTagsForResource",
        Case::Recreated,
    ),
    ("RepairSettings", "ecr:PutLifecyclePolicy", Case::Recreated),
    ("RepairSettings", "ecr:SetRepositoryPolicy", Case::Recreated),
    (
        "RecreateRepositories",
        "ecr:CreateRepository",
        Case::Recreated,
    ),
    (
        "RecreateRepositories",
        "ecr:DeleteRepository",
        Case::Recreated,
    ),
    ("SetTags", "ecr:UntagResource", Case::Recreated),
    (
        "FindOwningStack",
        "cloudformation:DescribeStackResources",
        Case::Recreated,
    ),
    ("KeepState", "dynamodb:DeleteItem", Case::Recreated),
    ("KeepState", "dynamodb:PutItem", Case::Recreated),
    ("KeepState", "dynamodb:Query", Case::Recreated),
    ("ReadState", "dynamodb:Scan", Case::Recreated),
    ("KeepState", "dynamodb:UpdateItem", Case::TakenOver),
    ("TellKeysApart", "kms:DescribeKey", Case::CustomerKey),
    (
        "ReadRegistry",
        "ecr:DescribePullThroughCacheRules",
        Case::Immutable,
    ),
    (
        "RepairSettings",
        "ecr:PutImageTagMutability",
        Case::Immutable,
    ),
    (
        "ReadRegistry",
        "ecr:GetRegistryScanningConfiguration",
        Case::ScannedOnPush,
    ),
    (
        "ReadRepositoriesByAccount",
        "ecr:BatchGetRepositoryScanningConfiguration",
        Case::ScannedOnPush,
    ),
    (
        "RepairSettings",
        "ecr:PutImageScanningConfiguration",
        Case::ScannedOnPush,
    ),
    (
        "RepairRegistry",
        "ecr:PutRegistryScanningConfiguration",
        Case::RegistryScans,
    ),
    (
        "RepairSettings",
        "ecr:DeleteRepositoryPolicy",
        Case::StrangersOut,
    ),
    ("SetTags", "ecr:TagResource", Case::Tagged),
    ("Alert", "sns:Publish", Case::Told),
    ("Alert", "sns:GetTopicAttributes", Case::Unheard),
    (
        "KeepFailedSweeps",
        "sqs:GetQueueAttributes",
        Case::LettersCounted,
    ),
    (
        "ImportFindings",
        "securityhub:BatchImportFindings",
        Case::Imported,
    ),
    ("FindOwnFindings", "securityhub:GetFindings", Case::Archived),
    ("PutSweepsOff", "sqs:SendMessage", Case::GoesOn),
    (
        "ReadWebhook",
        "secretsmanager:GetSecretValue",
        Case::InSlack,
    ),
    ("ReadPolicy", "ssm:GetParameter", Case::PolicyRead),
    ("ReadPolicy", "ssm:GetParameterHistory", Case::EarlierPolicy),
    ("PutEventsOff", "sqs:SendMessage", Case::PutOff),
    ("KeepReports", "s3:PutObject", Case::Reported),
    ("KeepState", "dynamodb:DescribeTable", Case::NewRepository),
    (
        "ReadRegistry",
        "ecr:GetRegistryPolicy",
        Case::RegistryJudged,
    ),
    ("ReadRegistry", "ecr:DescribeRegistry", Case::RegistryJudged),
    ("ReadTagsAtOnce", "tag:GetResources", Case::TagsAtOnce),
    (
        "ReadRegistry",
        "ecr:DescribeRepositoryCreationTemplates",
        Case::RegistryJudged,
    ),
    (
        "ReadRegistry",
        "ecr:GetAccountSetting",
        Case::RegistryJudged,
    ),
    (
        "ReadRegistry",
        "ecr:GetSigningConfiguration",
        Case::RegistryJudged,
    ),
];

/// What fails without these is said in the log alone; the next sweep tries again.
const SAID_IN_THE_LOG: [(Doer, Case); 7] = [
    (Doer::Auditor, Case::TakenOver),
    (Doer::Auditor, Case::Unheard),
    (Doer::Enforcer, Case::Unheard),
    (Doer::Auditor, Case::LettersCounted),
    (Doer::Auditor, Case::Imported),
    (Doer::Auditor, Case::Archived),
    (Doer::Auditor, Case::TagsAtOnce),
];

/// Which of AWS's services takes a permission in the role's name, where the local one does not ask.
struct NotAsked {
    by: &'static str,
    documented: &'static str,
    permissions: &'static [(&'static str, &'static str)],
}

const NOT_ASKED_FOR: [NotAsked; 5] = [
    NotAsked {
        by: "Lambda writes the log of a function as its role",
        documented: "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-logs.html",
        permissions: &[
            ("WriteLog", "logs:CreateLogStream"),
            ("WriteLog", "logs:PutLogEvents"),
        ],
    },
    NotAsked {
        by: "Lambda polls a function's queue as its role, and refuses the mapping where the role may not",
        documented: "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-lambda-function-trigger.html",
        permissions: &[
            ("PutEventsOff", "sqs:DeleteMessage"),
            ("PutEventsOff", "sqs:GetQueueAttributes"),
            ("PutEventsOff", "sqs:ReceiveMessage"),
            ("PutSweepsOff", "sqs:DeleteMessage"),
            ("PutSweepsOff", "sqs:GetQueueAttributes"),
            ("PutSweepsOff", "sqs:ReceiveMessage"),
            ("TakeAlerts", "sqs:DeleteMessage"),
            ("TakeAlerts", "sqs:GetQueueAttributes"),
            ("TakeAlerts", "sqs:ReceiveMessage"),
        ],
    },
    NotAsked {
        by: "Lambda sends what failed for good to the destination as the function's role",
        documented: "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html",
        permissions: &[
            ("KeepFailedEvents", "sqs:SendMessage"),
            ("KeepFailedSweeps", "sqs:SendMessage"),
        ],
    },
    NotAsked {
        by: "SNS encrypts with the topic's key as who publishes",
        documented: "https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html",
        permissions: &[
            ("EncryptAlerts", "kms:Decrypt"),
            ("EncryptAlerts", "kms:GenerateDataKey*"),
        ],
    },
    NotAsked {
        by: "ECR takes a grant on the key, and gives it back, as who creates and deletes the repository",
        documented: "https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html",
        permissions: &[
            ("EncryptThroughEcr", "kms:CreateGrant"),
            ("EncryptThroughEcr", "kms:RetireGrant"),
        ],
    },
];

fn grant(of: (&str, &str)) -> Grant {
    (of.0.to_owned(), of.1.to_owned())
}

fn not_asked_for() -> Vec<Grant> {
    let all = NOT_ASKED_FOR.iter().flat_map(|one| one.permissions);
    all.map(|of| grant(*of)).collect()
}

impl Role {
    /// Those of the list that it has.
    fn not_asked_for(&self) -> Vec<Grant> {
        let grants = self.grants();
        let mut left = not_asked_for();
        left.retain(|grant| grants.contains(grant));
        left
    }
}

/// The roles that functions run as. Amazon Q's may do nothing.
fn of_functions(world: &World) -> Vec<Role> {
    let mut roles = world.roles();
    if let Some(chat) = roles.remove("ChatRole") {
        assert_eq!(chat.grants(), BTreeSet::new());
    }
    // No function runs as it: EventBridge Scheduler starts the auditor in its name.
    let sweep = roles.remove("SweepRole").unwrap();
    let may = [
        ("StartSweeps", "lambda:InvokeFunction"),
        ("KeepFailedStarts", "sqs:SendMessage"),
    ];
    assert_eq!(sweep.grants(), may.map(grant).into());
    roles.into_values().collect()
}

#[tokio::test]
async fn each_permission_is_missed() {
    let mut stage = Stage::set().await;
    let roles = of_functions(&stage.world);
    let mut tables: Vec<Grant> = ASKED_FOR
        .map(|(sid, action, _)| grant((sid, action)))
        .into();
    tables.extend(not_asked_for());
    let rows = tables.len();
    let tables: BTreeSet<Grant> = tables.into_iter().collect();
    assert_eq!(tables.len(), rows, "each is in one table, once");
    let held: BTreeSet<Grant> = roles.iter().flat_map(Role::grants).collect();
    assert_eq!(held, tables, "the roles hold what is in the tables");
    for role in &roles {
        let doer = Doer::of(&role.id);
        if doer == Doer::Auditor {
            // Of Security Hub the local AWS knows nothing, so the proxy asks its IAM.
            for (operation, permission) in [
                ("/findings/import", "securityhub:BatchImportFindings"),
                ("/findings", "securityhub:GetFindings"),
            ] {
                let needed = Needed {
                    role_arn: role.arn.clone(),
                    permission: permission.to_owned(),
                    resource: hub_resource(permission, ACCOUNT),
                };
                stage.world.local.proxy.need(operation, needed);
            }
        }
        let grants = role.grants();
        for (n, (sid, action, case)) in ASKED_FOR.into_iter().enumerate() {
            if grants.contains(&grant((sid, action))) {
                let name = name_of(case, doer, n);
                miss(&mut stage, role, &grant((sid, action)), case, &name).await;
            }
        }
    }
}

/// Without it the case is not done and the permission is named; with it the case is done.
async fn miss(stage: &mut Stage, role: &Role, lost: &Grant, case: Case, name: &str) {
    let (sid, permission) = lost;
    let doer = Doer::of(&role.id);
    stage.prepare(case, role, name).await;
    role.lose(&stage.world, std::slice::from_ref(lost)).await;
    let told = stage.inbox.alerts_of_arn("").await.unwrap().len();
    let lines = stage.world.local.log_lines();
    let answer = stage.happen(case, doer, name).await;
    let alerts = stage.inbox.alerts_of_arn("").await.unwrap();
    let said = format!("{answer:?}{}", json!(alerts[told..]));
    let context = format!("{}: {sid}: {permission}", role.id);
    if SAID_IN_THE_LOG.contains(&(doer, case)) {
        let is_in_log = || stage.world.local.said_since(lines).contains(permission);
        eventually(&context, Duration::from_secs(30), || async {
            Ok(is_in_log().then_some(()))
        })
        .await
        .unwrap();
    } else {
        assert!(said.contains(permission), "{context}: {said}");
    }
    assert!(
        !stage.is_done(case, doer, name, &answer).await,
        "{context}: {said}"
    );
    if [Case::Recreated, Case::TakenOver].contains(&case) {
        let encryption = stage.world.encryption(name).await;
        assert_everything(&stage.world, name, &encryption).await;
    }
    role.restore(&stage.world).await;
    // What is archived must be older than the sweep, by AWS's clock of seconds.
    let last = std::cell::RefCell::new(String::new());
    let stage = tokio::sync::Mutex::new(stage);
    let is_done = eventually(&context, Duration::from_secs(30), || async {
        let mut stage = stage.lock().await;
        stage.world.let_leases_run_out(name).await;
        if permission == "ecr:DeleteRepository" {
            // A deletion that was refused is not tried again for a day.
            stage.world.let_a_day_pass(name).await;
        }
        let answer = stage.happen(case, doer, name).await;
        last.replace(format!("{answer:?}"));
        Ok(stage.is_done(case, doer, name, &answer).await.then_some(()))
    });
    if let Err(why) = is_done.await {
        panic!("{why}: {}", last.borrow());
    }
}

/// The list is right: the local AWS asks for none of them. Where this fails, it has learned to, and the permission belongs
/// among those above.
#[tokio::test]
async fn what_the_local_aws_does_not_ask_for_is_listed() {
    let mut stage = Stage::set().await;
    let roles = of_functions(&stage.world);
    let resources = stage.world.resources();
    for role in &roles {
        role.lose(&stage.world, &role.not_asked_for()).await;
    }
    for role in &roles {
        let doer = Doer::of(&role.id);
        let Some((queue, log)) = surroundings(doer) else {
            continue;
        };
        // An encrypted topic, and a key that ECR takes a grant on.
        let name = name_of(Case::CustomerKey, doer, 0);
        stage.prepare(Case::CustomerKey, role, &name).await;
        let answer = stage.happen(Case::CustomerKey, doer, &name).await;
        for case in [Case::CustomerKey, Case::Told] {
            let is_done = stage.is_done(case, doer, &name, &answer).await;
            assert!(is_done, "{case:?}: {answer:?}");
        }
        // A queue.
        let name = name_of(Case::Immutable, doer, 1);
        stage.prepare(Case::Immutable, role, &name).await;
        let world = &stage.world;
        let body = event_of(doer, &name).to_string();
        let body = json!({ "QueueUrl": resources[queue].1, "MessageBody": body });
        let send = Ask::Json("AmazonSQS.SendMessage", &body);
        let session = role.session(world).await;
        let answer = session.ask(&world.local.endpoint, "sqs", &send).await;
        assert_eq!(answer.unwrap().status, 200);
        eventually(
            "the message to be worked on",
            Duration::from_secs(60),
            || async {
                let is_mended = world.mutability(&name).await == ImageTagMutability::Immutable;
                Ok(is_mended.then_some(()))
            },
        )
        .await
        .unwrap();
        // A log.
        let log = &resources[log].1;
        let of = ["logs", "filter-log-events", "--log-group-name", log];
        let written = world.cli(&of)["events"].as_array().unwrap().len();
        assert!(written > 0, "{log}");
        // A destination of what fails. Here each retry has a request id of its own, so what is claimed would be left to the first try:
        // nothing is.
        let mut lost = role.not_asked_for();
        lost.push(grant(("Alert", "sns:Publish")));
        lost.push(grant(("KeepState", "dynamodb:Query")));
        role.lose(world, &lost).await;
        let name = name_of(Case::Told, doer, 2);
        world.create(&name).await;
        let (function, event) = match doer {
            Doer::Enforcer => (&world.stack.enforcer, event_of(doer, &name)),
            _ => (&world.stack.auditor, json!({ "not": "a request" })),
        };
        let invoke = world.clients.lambda.invoke().function_name(function);
        let invoke = invoke.invocation_type(InvocationType::Event);
        let payload = Blob::new(event.to_string());
        invoke.payload(payload).send().await.unwrap();
        let letter = world.dead_letter().await;
        assert_eq!(letter["requestPayload"], event);
    }
    // And the queue of alerts.
    let told = name_of(Case::CustomerKey, Doer::Enforcer, 0);
    eventually("Slack's message", Duration::from_secs(60), || async {
        let taken = json!(stage.webhook.taken()).to_string();
        Ok(taken.contains(&told).then_some(()))
    })
    .await
    .unwrap();
}

/// EventBridge Scheduler may start the auditor in its role's name, and keep what it could not start. `audit::a_schedule_starts_sweeps`
/// has it do so.
#[test]
fn a_schedule_may_start_sweeps_and_nothing_else() {
    let world = World::shared();
    let role = world.roles().remove("SweepRole").unwrap();
    let function = |name: &str| format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
    let queue = |name: &str| {
        let url = &world.resources()[name].1;
        let name = url.rsplit('/').next().unwrap_or_default();
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
    };
    for (action, resource, is_allowed) in [
        (
            "lambda:InvokeFunction",
            function(&world.stack.auditor),
            true,
        ),
        (
            "lambda:InvokeFunction",
            function(&world.stack.enforcer),
            false,
        ),
        ("sqs:SendMessage", queue("DeadLetterQueue"), true),
        ("sqs:SendMessage", queue("SweepQueue"), false),
    ] {
        let request = Request {
            principal: Principal::Aws(&role.arn),
            action,
            resource: &resource,
            context: &[],
        };
        assert_eq!(role.may(&request, &[]), is_allowed, "{request:?}");
    }
    let trust = role.trust.to_string();
    assert!(
        trust.contains("scheduler.amazonaws.com") && trust.contains("aws:SourceAccount"),
        "{trust}"
    );
}

/// The queue and the log of a function that events are for.
fn surroundings(doer: Doer) -> Option<(&'static str, &'static str)> {
    match doer {
        Doer::Enforcer => Some(("RevisitQueue", "EnforcerLog")),
        Doer::Auditor => Some(("SweepQueue", "AuditorLog")),
        Doer::Notifier => None,
    }
}

fn event_of(doer: Doer, name: &str) -> Value {
    match doer {
        Doer::Enforcer => call("CreateRepository", name),
        _ => json!({ "repositories": [name], "mode": "enforce" }),
    }
}

impl World {
    async fn dead_letter(&self) -> Value {
        let letter = eventually("the dead letter", Duration::from_secs(120), || async {
            let sqs = &self.clients.sqs;
            let receive = sqs.receive_message().queue_url(&self.stack.dead_letters);
            let page = receive.send().await?;
            let Some(message) = page.messages().first() else {
                return Ok(None);
            };
            let receipt = message.receipt_handle().unwrap_or_default();
            let delete = sqs.delete_message().queue_url(&self.stack.dead_letters);
            delete.receipt_handle(receipt).send().await?;
            Ok(message.body().map(str::to_owned))
        });
        serde_json::from_str(&letter.await.unwrap()).unwrap()
    }
}

/// What AWS does in a role's name is done here in its name: it may with the permission, on the very resource, and not without.
#[tokio::test]
async fn what_aws_takes_in_a_roles_name_is_allowed_and_no_more() {
    let webhook = ecr_warden_tests::webhook::Webhook::start().unwrap();
    let world = World::own_after(|local| crate::cases::everything_on(local, &webhook));
    let resources = world.resources();
    let mut proven = Vec::new();
    for role in of_functions(&world) {
        let session = role.session(&world).await;
        let doer = Doer::of(&role.id);
        for lost in role.not_asked_for() {
            let context = format!("{} {lost:?}", role.id);
            let answer = in_its_name(&world, &resources, doer, &session, &lost).await;
            if let Some(questions) = judged(&resources, doer, &lost) {
                assert!(answer.is_denied(), "{context}: {}", answer.body);
                for (question, context, is_allowed) in questions {
                    let request = Request {
                        principal: Principal::Aws(&role.arn),
                        action: &lost.1,
                        resource: &question,
                        context,
                    };
                    assert_eq!(role.may(&request, &[]), is_allowed, "{request:?}");
                    assert!(
                        !role.may(&request, std::slice::from_ref(&lost)),
                        "{request:?}"
                    );
                }
            } else {
                assert!(!answer.is_denied(), "{context}: {}", answer.body);
                role.lose(&world, std::slice::from_ref(&lost)).await;
                let answer = in_its_name(&world, &resources, doer, &session, &lost).await;
                assert!(answer.is_denied(), "{context}: {}", answer.body);
                role.restore(&world).await;
            }
            proven.push(lost);
        }
    }
    let proven: BTreeSet<Grant> = proven.into_iter().collect();
    assert_eq!(proven, not_asked_for().into_iter().collect());
    for one in &NOT_ASKED_FOR {
        assert!(
            one.documented.starts_with("https://docs.aws.amazon.com/"),
            "{}",
            one.by
        );
    }
}

/// One call of the kind.
async fn in_its_name(
    world: &World,
    resources: &Resources,
    doer: Doer,
    session: &Caller,
    grant: &Grant,
) -> Answer {
    let (sid, action) = (grant.0.as_str(), grant.1.as_str());
    let id = |name: &str| resources[name].1.clone();
    let (queue, log) = surroundings(doer).unwrap_or(("SlackQueue", "SlackLog"));
    let queue = match sid {
        "KeepFailedEvents" | "KeepFailedSweeps" => "DeadLetterQueue",
        _ => queue,
    };
    let (service, operation) = action.split_once(':').unwrap();
    let (target, body) = match (service, operation) {
        ("logs", "CreateLogStream") => {
            let stream = format!("{doer:?}");
            let body = json!({ "logGroupName": id(log), "logStreamName": stream });
            ("Logs_20140328", body)
        }
        ("logs", _) => {
            let event = json!({ "timestamp": 1_800_000_000_000_i64, "message": "m" });
            let stream = format!("{doer:?}");
            let body =
                json!({ "logGroupName": id(log), "logStreamName": stream, "logEvents": [event] });
            ("Logs_20140328", body)
        }
        ("sqs", "SendMessage") => {
            let body = json!({ "QueueUrl": id(queue), "MessageBody": "m" });
            ("AmazonSQS", body)
        }
        ("sqs", "DeleteMessage") => {
            let body = json!({ "QueueUrl": id(queue), "ReceiptHandle": "r" });
            ("AmazonSQS", body)
        }
        ("sqs", _) => ("AmazonSQS", json!({ "QueueUrl": id(queue) })),
        ("kms", "CreateGrant") => {
            let body = json!({ "KeyId": id("AlertKey"), "GranteePrincipal": "me", "Operations": ["Decrypt"] });
            ("TrentService", body)
        }
        ("kms", "RetireGrant") => {
            let body = json!({ "KeyId": id("AlertKey"), "GrantId": "g" });
            ("TrentService", body)
        }
        ("kms", "GenerateDataKey*") => {
            let body = json!({ "KeyId": id("AlertKey"), "KeySpec": "AES_256" });
            ("TrentService", body)
        }
        ("kms", "Decrypt") => {
            let body = json!({ "KeyId": id("AlertKey"), "KeySpec": "AES_256" });
            let ask = Ask::Json("TrentService.GenerateDataKey", &body);
            let key = Caller::root().ask(&world.local.endpoint, "kms", &ask).await;
            let key: Value = serde_json::from_str(&key.unwrap().body).unwrap();
            (
                "TrentService",
                json!({ "CiphertextBlob": key["CiphertextBlob"] }),
            )
        }
        other => panic!("{other:?}"),
    };
    let target = format!("{target}.{}", operation.trim_end_matches('*'));
    let ask = Ask::Json(&target, &body);
    session
        .ask(&world.local.endpoint, service, &ask)
        .await
        .unwrap()
}

/// A resource, what else AWS knows of the request, and whether the role may.
type Question = (String, &'static [(&'static str, &'static str)], bool);

/// What the local AWS refuses whatever the role holds, so that it is judged by the role's policies. It decides about a log's group
/// where AWS decides about the stream, and does not know `kms:ViaService`: AWS, too, refuses the role a grant that it does not
/// take through ECR.
fn judged(resources: &Resources, doer: Doer, grant: &Grant) -> Option<Vec<Question>> {
    const ECR: &[(&str, &str)] = &[("kms:ViaService", "ecr.us-east-1.amazonaws.com")];
    const SQS: &[(&str, &str)] = &[("kms:ViaService", "sqs.us-east-1.amazonaws.com")];
    match grant.0.as_str() {
        "EncryptThroughEcr" => {
            let key = |account: &str| format!("arn:aws:kms:{REGION}:{account}:key/1");
            Some(vec![
                (key(ACCOUNT), ECR, true),
                (key(ACCOUNT), SQS, false),
                (key(ACCOUNT), &[], false),
                (key("111111111111"), ECR, false),
            ])
        }
        "WriteLog" => {
            let (_, log) = surroundings(doer).unwrap_or(("SlackQueue", "SlackLog"));
            let group = &resources[log].1;
            let stream = |group: &str| {
                format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:s")
            };
            Some(vec![
                (stream(group), &[], true),
                (stream("/aws/lambda/another"), &[], false),
            ])
        }
        _ => None,
    }
}
