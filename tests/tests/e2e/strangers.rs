//! Nobody invokes the functions, publishes, sends, or reads what is kept, but who the stack lets; nothing takes plain HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_sdk_eventbridge::types::{PutEventsRequestEntry, Target};
use ecr_warden_tests::caller::{Answer, Ask, Caller};
use ecr_warden_tests::eventually;
use ecr_warden_tests::inbox::Inbox;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION, Stack, root};
use ecr_warden_tests::webhook::Webhook;
use serde_json::{Value, json};

use crate::cases::everything_on;
use crate::judge::{Principal, Request, Verdict, judge, statements, texts};
use crate::roles::{Resources, Role};
use crate::support::{World, call};

/// A stack with every option that the local AWS can deploy. Nothing here changes it.
static FURNISHED: LazyLock<(Arc<LocalAws>, Arc<Stack>)> = LazyLock::new(|| {
    let local = LocalAws::start().expect("the local AWS starts");
    let webhook = Webhook::start().expect("the webhook starts");
    let parameters = everything_on(&local, &webhook);
    let stack = local
        .deploy("ecr-warden", &parameters)
        .expect("the stack deploys");
    (local.into(), stack.into())
});

static RESOURCES: LazyLock<Resources> = LazyLock::new(|| furnished().resources());
static ROLES: LazyLock<BTreeMap<String, Role>> = LazyLock::new(|| furnished().roles());
static GUARDED: LazyLock<Vec<Guarded>> = LazyLock::new(|| guarded(&furnished(), &RESOURCES));

fn furnished() -> World {
    let (local, stack) = FURNISHED.clone();
    World::of(local, stack)
}

/// A resource with a policy of its own.
struct Guarded {
    /// Its name in the template.
    name: String,
    arn: String,
    policy: Value,
    /// What can be done to it.
    actions: &'static [&'static str],
}

const OF_QUEUES: &[&str] = &[
    "sqs:SendMessage",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:PurgeQueue",
];

/// Everything in the stack that can have one, whether it has one or not.
fn guarded(world: &World, resources: &Resources) -> Vec<Guarded> {
    let parsed = |text: &Value| serde_json::from_str(text.as_str().unwrap_or("null")).unwrap();
    let mut all = Vec::new();
    for (name, (kind, id)) in resources.clone() {
        let of = |service: &str, call: &str, more: &[&str]| {
            world.cli(&[&[service, call], more].concat())
        };
        let (arn, policy, actions): (_, Value, &'static [_]) = match kind.as_str() {
            "AWS::Lambda::Function" => {
                let policy = world
                    .local
                    .cli(&["lambda", "get-policy", "--function-name", &id]);
                let policy = policy.map_or(Value::Null, |answer| {
                    parsed(&serde_json::from_str::<Value>(&answer).unwrap()["Policy"])
                });
                let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{id}");
                (arn, policy, &["lambda:InvokeFunction"])
            }
            "AWS::SQS::Queue" => {
                let more = ["--queue-url", &id, "--attribute-names", "All"];
                let attributes = &of("sqs", "get-queue-attributes", &more)["Attributes"];
                let arn = attributes["QueueArn"].as_str().unwrap().to_owned();
                (arn, parsed(&attributes["Policy"]), OF_QUEUES)
            }
            "AWS::SNS::Topic" => {
                let attributes = of("sns", "get-topic-attributes", &["--topic-arn", &id]);
                let policy = parsed(&attributes["Attributes"]["Policy"]);
                (id, policy, &["sns:Publish"])
            }
            "AWS::S3::Bucket" => {
                let policy = of("s3api", "get-bucket-policy", &["--bucket", &id]);
                let objects = format!("arn:aws:s3:::{id}/report.json");
                (
                    objects,
                    parsed(&policy["Policy"]),
                    &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                )
            }
            "AWS::KMS::Key" => {
                let more = ["--key-id", &id, "--policy-name", "default"];
                let policy = of("kms", "get-key-policy", &more);
                let arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}");
                (
                    arn,
                    parsed(&policy["Policy"]),
                    &["kms:Decrypt", "kms:GenerateDataKey", "kms:PutKeyPolicy"],
                )
            }
            _ => continue,
        };
        all.push(Guarded {
            name,
            arn,
            policy,
            actions,
        });
    }
    all
}

fn name_of_rule(resources: &Resources, name: &str) -> String {
    let (_, id) = &resources[name];
    id.rsplit('|').next().unwrap().to_owned()
}

fn rule_arn(rule: &str) -> String {
    format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}")
}

/// Services act for whoever has them act, so each that may is let in for one resource of this stack, or of this account.
#[test]
fn only_the_stacks_own_are_let_in() {
    let resources = &*RESOURCES;
    let rule = |name: &str| rule_arn(&name_of_rule(resources, name));
    let topic = &resources["AlertTopic"].1;
    let alarm = |name: &str| format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}");
    let (own_alarm, other_alarm) = (&resources["ErrorsAlarm"].1, alarm("any"));
    let own_alarm = alarm(own_alarm.rsplit(':').next().unwrap());
    let (events, alarms) = ("events.amazonaws.com", "cloudwatch.amazonaws.com");
    // Resource, action, service, source: all that is let in but the account's own roles and users.
    let mut let_in: BTreeSet<(&str, &str, &str, String)> = BTreeSet::new();
    for (name, rules) in [
        ("Enforcer", &["CallsRule", "PushesRule"][..]),
        ("Auditor", &["RegistryRule"]),
    ] {
        for one in rules {
            let_in.insert((name, "lambda:InvokeFunction", events, rule(one)));
            let_in.insert(("DeadLetterQueue", "sqs:SendMessage", events, rule(one)));
        }
    }
    let_in.insert(("AlertTopic", "sns:Publish", alarms, own_alarm.clone()));
    // Of the key, the topic's policy is the limit.
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        for alarm in [&own_alarm, &other_alarm] {
            let_in.insert(("AlertKey", action, alarms, alarm.clone()));
        }
    }
    let_in.insert((
        "SlackQueue",
        "sqs:SendMessage",
        "sns.amazonaws.com",
        topic.clone(),
    ));

    let elsewhere = "111111111111";
    let services = [
        events,
        alarms,
        "sns.amazonaws.com",
        "s3.amazonaws.com",
        "lambda.amazonaws.com",
        "scheduler.amazonaws.com",
        "apigateway.amazonaws.com",
        "chatbot.amazonaws.com",
    ];
    // What each of them may act for: what is let in, other things of this account, and the same of another one.
    let mut sources: BTreeSet<String> = let_in.iter().map(|(.., source)| source.clone()).collect();
    sources.extend([
        rule_arn("somebody-elses"),
        // Made by hand, with a name that the stack could have given.
        rule_arn("ecr-warden-CallsRule-BY0HAND"),
    ]);
    sources.extend(services.map(|name| {
        let service = name.trim_end_matches(".amazonaws.com");
        // Of CloudWatch it is alarms alone that act.
        let kind = if name == alarms { "alarm:any" } else { "other" };
        format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}")
    }));
    let foreign: Vec<String> = sources
        .iter()
        .map(|arn| arn.replace(ACCOUNT, elsewhere))
        .collect();
    sources.extend(foreign);
    let all = &*GUARDED;
    assert_eq!(
        all.len(),
        10,
        "three functions, four queues, a topic, a bucket, a key"
    );
    let mut found = BTreeSet::new();
    for one in all {
        for (service, source, action) in services
            .iter()
            .flat_map(|service| sources.iter().map(move |source| (*service, source)))
            .flat_map(|(service, source)| {
                one.actions
                    .iter()
                    .map(move |action| (service, source, *action))
            })
        {
            let parts: Vec<&str> = source.split(':').collect();
            let (of_service, account) = (parts[2], parts[4]);
            if !service.starts_with(&format!("{of_service}.")) {
                continue;
            }
            let context = [
                ("aws:SourceArn", source.as_str()),
                ("aws:SourceAccount", account),
                ("aws:SecureTransport", "true"),
                ("aws:SourceIp", "203.0.113.1"),
            ];
            let request = Request {
                principal: Principal::Service(service),
                action,
                resource: &one.arn,
                context: &context,
            };
            if judge(&one.policy, &request) == Verdict::Allowed {
                found.insert((one.name.as_str(), action, service, source.clone()));
            }
        }
        // Other accounts; and everybody, which is what an asterisk would let in.
        for arn in [
            format!("arn:aws:iam::{elsewhere}:root"),
            format!("arn:aws:iam::{elsewhere}:role/any"),
        ] {
            for action in one.actions {
                let request = Request {
                    principal: Principal::Aws(&arn),
                    action,
                    resource: &one.arn,
                    context: &[("aws:SecureTransport", "true")],
                };
                assert_ne!(
                    judge(&one.policy, &request),
                    Verdict::Allowed,
                    "{}: {arn}",
                    one.name
                );
            }
        }
        // The services above are all that are named.
        for statement in statements(&one.policy) {
            for named in texts(&statement["Principal"]["Service"]) {
                assert!(services.contains(&named), "{}: {named}", one.name);
            }
        }
    }
    assert_eq!(found, let_in);
}

/// Whether CloudWatch names the account to KMS is not documented: an alarm arrives in both cases, of this account's alarms alone.
#[test]
fn alarms_arrive_whether_kms_hears_of_their_account_or_not() {
    let of = |name: &str| GUARDED.iter().find(|one| one.name == name).unwrap();
    let judged = |name: &str, action: &str, account: Option<&str>| {
        let mut context = vec![("aws:SecureTransport", "true")];
        context.extend(account.map(|account| ("aws:SourceAccount", account)));
        let one = of(name);
        let request = Request {
            principal: Principal::Service("cloudwatch.amazonaws.com"),
            action,
            resource: &one.arn,
            context: &context,
        };
        judge(&one.policy, &request)
    };
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        assert_eq!(judged("AlertKey", action, None), Verdict::Allowed);
        let own = judged("AlertKey", action, Some(ACCOUNT));
        assert_eq!(own, Verdict::Allowed);
        let other = judged("AlertKey", action, Some("111111111111"));
        assert_ne!(other, Verdict::Allowed);
    }
    assert_ne!(judged("AlertTopic", "sns:Publish", None), Verdict::Allowed);
}

/// A resource that takes plain HTTP from anywhere but this machine takes it from nowhere, whoever asks. DynamoDB, KMS and Lambda have
/// no policies that could refuse it here.
#[test]
fn plain_http_is_refused() {
    let mut refusing = BTreeSet::new();
    for one in &*GUARDED {
        let kind = one.actions[0].split(':').next().unwrap();
        if !["sqs", "sns", "s3"].contains(&kind) {
            continue;
        }
        let owner = format!("arn:aws:iam::{ACCOUNT}:root");
        let sender = sender(&one.name).map_or(owner.as_str(), |role| &ROLES[role].arn);
        for principal in [
            Principal::Aws(&owner),
            Principal::Service("events.amazonaws.com"),
            Principal::Service("sns.amazonaws.com"),
        ] {
            for action in one.actions {
                let verdict = |tls, address| {
                    let request = Request {
                        principal,
                        action,
                        resource: &one.arn,
                        context: &[
                            ("aws:SecureTransport", tls),
                            ("aws:SourceIp", address),
                            ("aws:PrincipalArn", sender),
                        ],
                    };
                    judge(&one.policy, &request)
                };
                for address in ["203.0.113.1", "10.0.0.1", "128.0.0.1", "2001:db8::1"] {
                    assert_eq!(
                        verdict("false", address),
                        Verdict::Denied,
                        "{}: {action}",
                        one.name
                    );
                    assert_ne!(
                        verdict("true", address),
                        Verdict::Denied,
                        "{}: {action}",
                        one.name
                    );
                }
            }
        }
        refusing.insert(one.name.clone());
    }
    let all = [
        "AlertTopic",
        "DeadLetterQueue",
        "ReportBucket",
        "RevisitQueue",
        "SlackQueue",
        "SweepQueue",
    ];
    assert_eq!(refusing, all.map(str::to_owned).into());
}

/// What is judged above is what is enforced: a queue and a topic of the test's own with the deployed documents are used by plain HTTP
/// from this machine as long as they spare it, and not any more without that exception.
#[tokio::test]
async fn the_local_aws_refuses_plain_http_where_this_machine_is_not_spared() {
    let world = furnished();
    for one in &*GUARDED {
        let twin = match one.actions[0].split(':').next() {
            Some("sqs") => Twin::queue(&world, "plain", one).await,
            Some("sns") => Twin::topic(&world, one).await,
            _ => continue,
        };
        let mut policy: Value =
            serde_json::from_str(&one.policy.to_string().replace(&one.arn, &twin.arn)).unwrap();
        // The root, who sends here, may not send to all of them.
        let statements = policy["Statement"].as_array_mut().unwrap();
        statements.retain(|statement| statement["Sid"] != "OnlyItsFunctionMaySend");
        let answer = twin.set_policy(&world, &policy).await;
        assert_eq!(answer.status, 200, "{}: {}", one.name, answer.body);
        let answer = twin.send(&world).await;
        assert_eq!(answer.status, 200, "{}: {}", one.name, answer.body);
        for statement in policy["Statement"].as_array_mut().unwrap() {
            if let Some(conditions) = statement["Condition"].as_object_mut() {
                conditions.remove("NotIpAddress");
            }
        }
        twin.set_policy(&world, &policy).await;
        let answer = twin.send(&world).await;
        assert!(answer.is_denied(), "{}: {}", one.name, answer.body);
    }
}

/// The role whose function alone sends to a delay queue.
fn sender(queue: &str) -> Option<&'static str> {
    match queue {
        "RevisitQueue" => Some("EnforcerRole"),
        "SweepQueue" => Some("AuditorRole"),
        _ => None,
    }
}

/// A deferred event is believed as if EventBridge had delivered it, so only the function itself may defer one: by the deployed
/// documents, and for real.
#[tokio::test]
async fn only_a_function_defers_its_events() {
    for one in &*GUARDED {
        let Some(role) = sender(&one.name) else {
            continue;
        };
        let own = &ROLES[role].arn;
        let other = if role == "AuditorRole" {
            "EnforcerRole"
        } else {
            "AuditorRole"
        };
        let root = format!("arn:aws:iam::{ACCOUNT}:root");
        let strangers = [
            &root,
            &format!("arn:aws:iam::{ACCOUNT}:user/ciso"),
            &format!("{own}-2"),
            &ROLES[other].arn,
        ];
        let verdict = |arn: &str, action| {
            let request = Request {
                principal: Principal::Aws(arn),
                action,
                resource: &one.arn,
                context: &[("aws:SecureTransport", "true"), ("aws:PrincipalArn", arn)],
            };
            judge(&one.policy, &request)
        };
        assert_eq!(verdict(own, "sqs:SendMessage"), Verdict::Silent);
        for arn in strangers {
            assert_eq!(verdict(arn, "sqs:SendMessage"), Verdict::Denied, "{arn}");
            // Lambda receives in the role's name, and an operator may purge.
            for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:PurgeQueue"] {
                assert_eq!(verdict(arn, action), Verdict::Silent, "{arn} {action}");
            }
        }
        // A service has no such ARN, and is refused, too.
        let request = Request {
            principal: Principal::Service("events.amazonaws.com"),
            action: "sqs:SendMessage",
            resource: &one.arn,
            context: &[("aws:SecureTransport", "true")],
        };
        assert_eq!(judge(&one.policy, &request), Verdict::Denied);
    }

    let world = World::own();
    let policy = "version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n";
    world.set_policy(policy).await;
    let name = "shop/forged-x";
    world.create(name).await;
    let queue = world.resources()["RevisitQueue"].1.clone();
    let mut event = call("PutImage", name);
    event["detail"]["userIdentity"]["arn"] = json!(format!("arn:aws:iam::{ACCOUNT}:user/ciso"));
    let body = json!({ "QueueUrl": queue, "MessageBody": event.to_string() });
    let send = Ask::Json("AmazonSQS.SendMessage", &body);
    let answer = world.ask(&Caller::root(), "sqs", &send).await;
    assert!(answer.is_denied(), "{}", answer.body);
    let session = world.roles()["EnforcerRole"].session(&world).await;
    let answer = world.ask(&session, "sqs", &send).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A queue or topic of the test's own.
struct Twin {
    arn: String,
    /// `None`: a topic.
    url: Option<String>,
}

impl Twin {
    async fn queue(world: &World, kind: &str, of: &Guarded) -> Self {
        let name = format!("{kind}-{}", of.name);
        let create = world.clients.sqs.create_queue().queue_name(&name);
        Self {
            url: create.send().await.unwrap().queue_url,
            arn: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"),
        }
    }

    async fn topic(world: &World, of: &Guarded) -> Self {
        let create = world.clients.sns.create_topic();
        let topic = create.name(format!("plain-{}", of.name)).send().await;
        Self {
            url: None,
            arn: topic.unwrap().topic_arn.unwrap(),
        }
    }

    async fn set_policy(&self, world: &World, policy: &Value) -> Answer {
        let policy = policy.to_string();
        if let Some(url) = &self.url {
            let body = json!({ "QueueUrl": url, "Attributes": { "Policy": policy } });
            let ask = Ask::Json("AmazonSQS.SetQueueAttributes", &body);
            return world.ask(&Caller::root(), "sqs", &ask).await;
        }
        let parameters = [
            ("TopicArn", self.arn.as_str()),
            ("AttributeName", "Policy"),
            ("AttributeValue", &policy),
        ];
        let ask = Ask::Query("SetTopicAttributes", "2010-03-31", &parameters);
        world.ask(&Caller::root(), "sns", &ask).await
    }

    async fn send(&self, world: &World) -> Answer {
        if let Some(url) = &self.url {
            let body = json!({ "QueueUrl": url, "MessageBody": "m" });
            let ask = Ask::Json("AmazonSQS.SendMessage", &body);
            return world.ask(&Caller::root(), "sqs", &ask).await;
        }
        let parameters = [("TopicArn", self.arn.as_str()), ("Message", "m")];
        let ask = Ask::Query("Publish", "2010-03-31", &parameters);
        world.ask(&Caller::root(), "sns", &ask).await
    }
}

impl World {
    async fn ask(&self, caller: &Caller, service: &str, ask: &Ask<'_>) -> Answer {
        caller
            .ask(&self.local.endpoint, service, ask)
            .await
            .unwrap()
    }

    /// A user of the account who holds nothing.
    fn user(&self, name: &str) -> Caller {
        self.cli(&["iam", "create-user", "--user-name", name]);
        let key = self.cli(&["iam", "create-access-key", "--user-name", name]);
        let part = |of: &str| key["AccessKey"][of].as_str().unwrap().to_owned();
        Caller::with(&part("AccessKeyId"), &part("SecretAccessKey"), None)
    }
}

/// For real: nothing of the stack is for whoever is merely in the account. The root, who may do everything, does each of the same calls.
#[tokio::test]
async fn a_user_without_permissions_gets_nowhere() {
    let world = furnished();
    let resources = &*RESOURCES;
    let id = |name: &str| resources[name].1.as_str();
    let user = world.user("mallory");
    let invocations: Vec<String> = ["Enforcer", "Auditor", "SlackNotifier"]
        .map(|name| format!("/2015-03-31/functions/{}/invocations", id(name)))
        .into();
    let publish = [("TopicArn", id("AlertTopic")), ("Message", "{}")];
    // An event that nothing comes of, which is what the root's is.
    let event = json!({ "source": "a.stranger" }).to_string();
    let object = format!("/{}/report.json", id("ReportBucket"));
    let table = json!({ "TableName": id("StateTable") });
    let key = json!({ "KeyId": id("AlertKey"), "KeySpec": "AES_256" });
    let queues: Vec<Value> = [
        "DeadLetterQueue",
        "RevisitQueue",
        "SlackQueue",
        "SweepQueue",
    ]
    .map(|name| json!({ "QueueUrl": id(name), "MessageBody": "{}" }))
    .into();
    let mut asks = vec![
        ("sns", Ask::Query("Publish", "2010-03-31", &publish)),
        ("s3", Ask::Rest("PUT", &object, "{}")),
        ("s3", Ask::Rest("GET", &object, "")),
        ("dynamodb", Ask::Json("DynamoDB_20120810.Scan", &table)),
        ("kms", Ask::Json("TrentService.GenerateDataKey", &key)),
    ];
    asks.extend(
        invocations
            .iter()
            .map(|path| ("lambda", Ask::Rest("POST", path, &event))),
    );
    for queue in &queues {
        for target in [
            "AmazonSQS.SendMessage",
            "AmazonSQS.ReceiveMessage",
            "AmazonSQS.PurgeQueue",
        ] {
            asks.push(("sqs", Ask::Json(target, queue)));
        }
    }
    for (service, ask) in &asks {
        let answer = world.ask(&user, service, ask).await;
        assert!(answer.is_denied(), "{service} {ask:?}: {}", answer.body);
    }
    for (service, ask) in &asks {
        let answer = world.ask(&Caller::root(), service, ask).await;
        // Not even the root defers an event.
        let is_for = |queue| matches!(ask, Ask::Json("AmazonSQS.SendMessage", body) if body["QueueUrl"] == id(queue));
        if is_for("RevisitQueue") || is_for("SweepQueue") {
            assert!(answer.is_denied(), "{service} {ask:?}: {}", answer.body);
            continue;
        }
        assert_eq!(answer.status, 200, "{service} {ask:?}: {}", answer.body);
    }
}

/// For real: a topic that is not the stack's delivers to no queue with the policy of one of the stack's, and to one that lets it. The
/// stack's own have consumers, who would take a message away before it is seen.
#[tokio::test]
async fn another_topic_delivers_nothing() {
    let world = furnished();
    let (sns, sqs) = (&world.clients.sns, &world.clients.sqs);
    let topic = sns.create_topic().name("another").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let mut twins = Vec::new();
    for one in &*GUARDED {
        if !one.arn.starts_with("arn:aws:sqs:") {
            continue;
        }
        let twin = Twin::queue(&world, "deaf", one).await;
        let policy = one.policy.to_string().replace(&one.arn, &twin.arn);
        let policy = serde_json::from_str(&policy).unwrap();
        twin.set_policy(&world, &policy).await;
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs");
        subscribe.endpoint(&twin.arn).send().await.unwrap();
        twins.push(twin);
    }
    assert_eq!(twins.len(), 4);
    // Subscribed last, it is served last.
    let mut inbox = Inbox::open(&world.clients, &topic, "anothers")
        .await
        .unwrap();
    let text = json!({ "repository": "repository/for-strangers" }).to_string();
    sns.publish()
        .topic_arn(&topic)
        .message(text)
        .send()
        .await
        .unwrap();
    inbox.wait_for("for-strangers").await.unwrap();
    for twin in twins {
        let receive = sqs.receive_message().set_queue_url(twin.url);
        let page = receive.send().await.unwrap();
        assert_eq!(page.messages().len(), 0, "{}", twin.arn);
    }
}

/// The local AWS asks no function and no queue whether a rule may. Where this fails, it has learned to, and what is judged above can be
/// tried. It is documented that AWS does: "resource-based policies", https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
#[tokio::test]
async fn the_local_aws_lets_any_rule_invoke() {
    let world = furnished();
    let name = "of-another-rule";
    world.create(name).await;
    let events = &world.clients.eventbridge;
    let put = events.put_rule().name("somebody-elses");
    let pattern = json!({ "source": ["somebody.else"] }).to_string();
    put.event_pattern(pattern).send().await.unwrap();
    let arn = format!(
        "arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}",
        world.stack.enforcer
    );
    let event = call("CreateRepository", name).to_string();
    let target = Target::builder().id("enforcer").arn(arn).input(event);
    let put = events.put_targets().rule("somebody-elses");
    put.targets(target.build().unwrap()).send().await.unwrap();
    let entry = PutEventsRequestEntry::builder()
        .source("somebody.else")
        .detail_type("any");
    let entry = entry.detail("{}").build();
    events.put_events().entries(entry).send().await.unwrap();
    eventually(
        "the enforcer to be invoked",
        Duration::from_secs(60),
        || async {
            let is_told = !world.state(name).await.is_empty();
            Ok(is_told.then_some(()))
        },
    )
    .await
    .unwrap();
}

/// Only the service that runs something can take its role.
#[tokio::test]
async fn nobody_takes_a_role() {
    let world = furnished();
    let user = world.user("trent");
    let document = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*" },
    ] });
    let document = document.to_string();
    let parameters = [
        ("UserName", "trent"),
        ("PolicyName", "assume"),
        ("PolicyDocument", document.as_str()),
    ];
    world.iam("PutUserPolicy", &parameters).await;
    assert_eq!(ROLES.len(), 4, "three functions, and the schedule");
    for role in ROLES.values() {
        let by = |service: &str| json!({ "Effect": "Allow", "Principal": { "Service": service }, "Action": "sts:AssumeRole" });
        let mut trusted = by("lambda.amazonaws.com");
        if role.id == "SweepRole" {
            trusted = by("scheduler.amazonaws.com");
            trusted["Condition"] = json!({ "StringEquals": { "aws:SourceAccount": ACCOUNT } });
        }
        assert_eq!(statements(&role.trust), [&trusted], "{}", role.id);
        let of = [("RoleArn", role.arn.as_str()), ("RoleSessionName", "trent")];
        let ask = Ask::Query("AssumeRole", "2011-06-15", &of);
        let answer = world.ask(&user, "sts", &ask).await;
        assert!(answer.is_denied(), "{}: {}", role.id, answer.body);
    }
}

/// Actions that AWS decides about a single repository, and the local AWS about all of them: see the decision.
const BY_ACCOUNT: [&str; 5] = [
    "ecr:BatchGetRepositoryScanningConfiguration",
    "ecr:DescribeRepositories",
    "ecr:ListTagsForResource",
    "ecr:TagResource",
    "ecr:UntagResource",
];

/// An action that is asked by the name of a resource, without the stack that is its resource for IAM. Whether AWS would decide about the
/// stack that it finds is not documented, and it reads no more than the account's own stacks.
const BY_NAME: &str = "cloudformation:DescribeStackResources";

/// AWS's Service Authorization Reference, as cfn-lint has it.
fn authorization_reference() -> Value {
    let installed = root().join(".venv/lib");
    let versions = std::fs::read_dir(installed).unwrap();
    let path = "site-packages/cfnlint/data/AdditionalSpecs/Policies.json";
    let mut files = versions.map(|version| version.unwrap().path().join(path));
    let file = files.find(|file| file.exists()).unwrap();
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// No wildcard where AWS can decide about a single resource.
#[test]
fn an_asterisk_is_only_for_what_has_no_resource() {
    let reference = authorization_reference();
    let decision =
        include_str!("../../../docs/decisions/0004-one-template-for-aws-and-the-local-aws.md");
    let mut found = BTreeSet::new();
    for role in ROLES.values() {
        for statement in role.statements() {
            let resources = texts(&statement["Resource"]);
            for action in texts(&statement["Action"]) {
                let (service, name) = action.split_once(':').unwrap();
                let of = &reference[service]["Actions"];
                // `kms:GenerateDataKey*` is the one that is written so.
                let name = name.trim_end_matches('*').to_lowercase();
                let known = of
                    .get(&name)
                    .unwrap_or_else(|| panic!("AWS has no {action}"));
                let has_resources = known["Resources"].is_array();
                let is_for_all = resources.contains(&"*");
                if !has_resources {
                    assert!(is_for_all, "{action} has no resource");
                } else if is_for_all && action != BY_NAME {
                    assert!(
                        BY_ACCOUNT.contains(&action),
                        "{}: {action} has resources",
                        role.id
                    );
                    let mut only = json!({ "aws:ResourceAccount": ACCOUNT });
                    if ["ecr:TagResource", "ecr:UntagResource"].contains(&action) {
                        only["aws:RequestedRegion"] = json!(REGION);
                    }
                    assert_eq!(statement["Condition"]["StringEquals"], only, "{action}");
                    assert!(decision.contains(&action["ecr:".len()..]), "{action}");
                }
                if is_for_all {
                    found.insert(action.to_owned());
                }
            }
            // Nor a service's whole namespace, nor another account's.
            for resource in resources.iter().filter(|resource| **resource != "*") {
                let parts: Vec<&str> = resource.splitn(6, ':').collect();
                let [_, partition, service, _, account, name] = parts[..] else {
                    panic!("{resource}");
                };
                assert_eq!(
                    (partition, account),
                    ("aws", if service == "s3" { "" } else { ACCOUNT })
                );
                assert!(name != "*" && !service.contains('*'), "{resource}");
            }
        }
    }
    let registry = [
        "ecr:DescribePullThroughCacheRules",
        "ecr:DescribeRegistry",
        "ecr:DescribeRepositoryCreationTemplates",
        "ecr:GetAccountSetting",
        "ecr:GetRegistryPolicy",
        "ecr:GetRegistryScanningConfiguration",
        "ecr:GetSigningConfiguration",
        "ecr:PutRegistryScanningConfiguration",
        "tag:GetResources",
    ];
    let all = BY_ACCOUNT.iter().chain(&registry).chain([&BY_NAME]);
    assert_eq!(found, all.map(|action| (*action).to_owned()).collect());
}
