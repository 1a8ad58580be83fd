//! Throttling, errors, lost answers, and people who can't be told.

use aws_sdk_ecr::types::ImageTagMutability;
use ecr_warden_tests::proxy::{Fault, Refusal};
use serde_json::json;

use crate::support::{World, call, status};

#[tokio::test]
async fn calls_that_fail_twice_succeed_in_the_end() {
    let world = World::shared();
    for (label, fault) in [
        ("throttled", Fault::Throttle),
        ("failed", Fault::ServerError),
        ("lost", Fault::DropAnswer),
    ] {
        let name = format!("shop/{label}");
        world.create(&name).await;
        let mut failures = std::collections::HashMap::new();
        world.local.proxy.plan(&name, move |call| {
            let count = failures.entry(call.operation.clone()).or_insert(0);
            *count += 1;
            (*count <= 2).then_some(fault)
        });
        let outcome = world
            .deliver(&call("CreateRepository", &name))
            .await
            .unwrap();
        world.local.proxy.calm(&name);
        assert_eq!(
            world.mutability(&name).await,
            ImageTagMutability::ImmutableWithExclusion,
            "{label}: {outcome}"
        );
    }
}

/// A repair that throttling keeps from being made is made by the retry, and not called failed before.
#[tokio::test]
async fn a_repair_that_is_throttled_for_long_is_made_by_the_retry() {
    let world = World::shared();
    let mut inbox = world.inbox("bad-luck-repair").await;
    let name = "shop/throttled-for-long";
    world.create(name).await;
    world.local.proxy.plan(name, |call| {
        (call.operation == "PutImageTagMutability").then_some(Fault::Throttle)
    });
    let event = call("CreateRepository", name);
    world.invoke(&event).await.unwrap_err();
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 0);
    world.local.proxy.calm(name);
    world.let_leases_run_out(name).await;
    let outcome = world.invoke(&event).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 1);
}

/// The alert is not lost: the invocation fails, and the retry tells of the repair of the first try.
#[tokio::test]
async fn an_alert_that_could_not_be_published_is_told_by_the_retry() {
    let world = World::shared();
    let mut inbox = world.inbox("bad-luck-publish").await;
    let name = "shop/unheard";
    world.create(name).await;
    world.local.proxy.plan(name, |call| {
        (call.operation == "Publish").then_some(Fault::ServerError)
    });
    let error = world
        .invoke(&call("CreateRepository", name))
        .await
        .unwrap_err();
    assert!(error.contains("could not be published"), "{error}");
    assert_eq!(
        world.mutability(name).await,
        ImageTagMutability::ImmutableWithExclusion,
        "the repair was made"
    );
    assert_eq!(inbox.alerts_of(name).await.unwrap().len(), 0);
    world.local.proxy.calm(name);
    world.let_leases_run_out(name).await;
    let outcome = world.invoke(&call("CreateRepository", name)).await.unwrap();
    assert_eq!(status(&outcome, "mutable-tags"), Some("fixed"), "{outcome}");
    let alert = inbox.wait_for(name).await.unwrap();
    assert_eq!(alert["actions"][0]["from"], "MUTABLE", "{alert}");
}

/// What is wrong on the way to the repository keeps it as it is, and the event waits in the dead-letter queue.
#[tokio::test]
async fn an_event_that_keeps_failing_waits_in_the_dead_letter_queue() {
    let world = World::own();
    let name = "shop/out-of-order";
    world.create(name).await;
    world.local.proxy.plan(name, |call| {
        (call.operation == "DescribeRepositories").then_some(Fault::ServerError)
    });
    let event = call("PutImage", name);
    world
        .clients
        .lambda
        .invoke()
        .function_name(&world.stack.enforcer)
        .invocation_type(aws_sdk_lambda::types::InvocationType::Event)
        .payload(aws_sdk_lambda::primitives::Blob::new(event.to_string()))
        .send()
        .await
        .unwrap();
    let letter = ecr_warden_tests::eventually(
        "the dead letter",
        std::time::Duration::from_secs(120),
        || async {
            let page = world
                .clients
                .sqs
                .receive_message()
                .queue_url(&world.stack.dead_letters)
                .send()
                .await?;
            Ok(page
                .messages()
                .first()
                .and_then(|message| message.body().map(str::to_owned)))
        },
    )
    .await
    .unwrap();
    let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
    assert_eq!(letter["requestPayload"], event);
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
}

#[tokio::test]
async fn a_repository_that_is_gone_is_ignored() {
    let world = World::shared();
    let outcome = world
        .invoke(&call("CreateRepository", "shop/never-there"))
        .await
        .unwrap();
    assert_eq!(outcome["reason"], "repository-gone");
    assert_eq!(outcome["findings"], json!([]));
}

/// The repair is made, people can't be told, and the event waits for those who can be.
#[tokio::test]
async fn a_topic_that_is_gone_is_loud() {
    let world = World::own();
    let name = "shop/unheard-of";
    world.create(name).await;
    let topic = &world.stack.topic_arn;
    world
        .local
        .cli(&["sns", "delete-topic", "--topic-arn", topic])
        .unwrap();
    let why = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap_err();
    assert!(why.contains("could not be published"), "{why}");
    assert_eq!(
        world.mutability(name).await,
        ImageTagMutability::ImmutableWithExclusion
    );
    // What was not told is on record as such.
    assert_eq!(
        world.state(name).await,
        ["finding#mutable-tags", "fix#mutable-tags"]
    );
}

#[tokio::test]
async fn a_state_table_that_is_gone_changes_nothing_and_is_loud() {
    let world = World::own();
    let mut inbox = world.inbox("bad-luck-state").await;
    let name = "shop/forgotten";
    world.create(name).await;
    let table = ["--table-name", &world.stack.state_table];
    let delete = || {
        let call = ["dynamodb", "delete-table"];
        world.local.cli(&[&call[..], &table].concat())
    };
    let why = delete().unwrap_err().to_string();
    assert!(why.contains("deletion protection"), "{why}");
    let unprotect = [
        "dynamodb",
        "update-table",
        "--no-deletion-protection-enabled",
    ];
    world.cli(&[&unprotect[..], &table].concat());
    delete().unwrap();
    let outcome = world
        .deliver(&call("CreateRepository", name))
        .await
        .unwrap();
    assert_eq!(
        status(&outcome, "mutable-tags"),
        Some("withheld"),
        "{outcome}"
    );
    assert_eq!(world.mutability(name).await, ImageTagMutability::Mutable);
    let alert = inbox.wait_for(name).await.unwrap();
    assert!(alert.to_string().contains("state table"), "{alert}");
}

/// A repository that is gone may be in the middle of a recreation: where the record can't be read, that is a failure, and critical.
#[tokio::test]
async fn a_repository_that_is_gone_is_no_success_while_its_record_cannot_be_read() {
    let world = World::shared();
    let mut inbox = world.inbox("bad-luck-gone").await;
    let name = "bad-luck/gone-x";
    world.local.proxy.plan(name, |call| {
        let refused = Refusal::denied("is not authorized to perform: dynamodb:Query");
        (call.operation == "Query").then_some(Fault::Refuse(refused))
    });
    let outcome = world.invoke(&call("PutImage", name)).await;
    world.local.proxy.calm(name);
    let why = outcome.expect_err("it may be being recreated");
    assert!(why.contains("dynamodb:Query"), "{why}");
    let alert = inbox.wait_for(name).await.unwrap();
    assert_eq!(alert["severity"], "critical", "{alert}");
}

/// How AWS's messages end when a policy other than the role's own denies a call (IAM User Guide, "Troubleshoot access denied error
/// messages"), and how the alert names that policy.
const DENIALS: [(&str, &str, &str); 5] = [
    (
        "scp",
        "is not authorized to perform: ecr:PutImageTagMutability with an explicit deny in a service control policy: \
         arn:aws:organizations::000000000000:policy/o-a/service_control_policy/p-b",
        "a service control policy of the organization denies it (`arn:aws:organizations::000000000000:policy/o-a/service_control_policy/p-b`)",
    ),
    (
        "rcp",
        "is not authorized to perform: ecr:PutImageTagMutability with an explicit deny in a resource control policy",
        "a resource control policy of the organization denies it",
    ),
    (
        "boundary",
        "is not authorized to perform: ecr:PutImageTagMutability because no permissions boundary allows the \
         ecr:PutImageTagMutability action",
        "the permissions boundary of ecr-warden's role does not allow it",
    ),
    (
        "endpoint",
        "is not authorized to perform: ecr:PutImageTagMutability because no VPC endpoint policy allows the \
         ecr:PutImageTagMutability action",
        "the policy of a VPC endpoint does not allow it",
    ),
    (
        "session",
        "is not authorized to perform: ecr:PutImageTagMutability with an explicit deny in a session policy",
        "the session policy of the caller denies it",
    ),
];

#[tokio::test]
async fn an_alert_names_the_kind_of_policy_that_denies_a_repair() {
    let world = World::shared();
    for (label, message, expected) in DENIALS {
        let name = format!("bad-luck/denied-by-{label}-x");
        let mut inbox = world.inbox(&format!("bad-luck-{label}")).await;
        world.create(&name).await;
        world.local.proxy.plan(&name, move |call| {
            (call.operation == "PutImageTagMutability")
                .then_some(Fault::Refuse(Refusal::denied(message)))
        });
        let outcome = world.deliver(&call("CreateRepository", &name)).await;
        world.local.proxy.calm(&name);
        let outcome = outcome.unwrap();
        assert_eq!(
            status(&outcome, "mutable-tags"),
            Some("failed"),
            "{outcome}"
        );
        assert_eq!(world.mutability(&name).await, ImageTagMutability::Mutable);
        let alert = inbox.wait_for(&name).await.unwrap().to_string();
        assert!(alert.contains(expected), "{label}: {alert}");
    }
}
