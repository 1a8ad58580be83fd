//! Two invocations at the same repository, one of which claims first, on an AWS that is a function.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::config::{BehaviorVersion, Region};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_types::SdkConfig;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::reconcile::{Earlier, Observation, Reconciler, Requeue};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Invocation, Origin, Trigger};
use hyper::Response;

use super::Pipeline;
use super::reconcile::Driver;
use crate::connect::clients::Clients;

const POLICY: &str =
    "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-name: {} }\n";

const CANCELED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"}]}"#;
const PUBLISHED: &str =
    "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";

/// A mutable repository with a wrong name. `others` lists the rules that another invocation has claimed.
fn answer(operation: &str, body: &str, others: &[&str]) -> (u16, String) {
    let claimed_by_others = others
        .iter()
        .any(|rule| body.contains(&format!("finding#{rule}")));
    let answer = match operation {
        "DescribeRepositories" => {
            r#"{"repositories":[{"repositoryName":"api","imageTagMutability":"MUTABLE"}]}"#
        }
        "PutImageTagMutability" => r#"{"repositoryName":"api","imageTagMutability":"IMMUTABLE"}"#,
        "Query" => r#"{"Items":[]}"#,
        "TransactWriteItems" if claimed_by_others => return (400, CANCELED.to_owned()),
        "Publish" => PUBLISHED,
        _ => "{}",
    };
    (200, answer.to_owned())
}

/// What one attempt comes to: whether another one follows, and what was published.
async fn attempt(others: &'static [&'static str]) -> (bool, Vec<String>) {
    let published = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&published);
    let aws = infallible_client_fn(move |request| {
        let body = request.body().bytes().unwrap_or_default();
        let body = String::from_utf8_lossy(body).into_owned();
        let target = request.headers().get("x-amz-target");
        let target = target.and_then(|target| target.to_str().ok());
        let target = target.and_then(|target| target.rsplit('.').next());
        // SNS speaks the query protocol.
        let action = body
            .strip_prefix("Action=")
            .and_then(|rest| rest.split('&').next());
        let operation = target.or(action).unwrap_or_default();
        if operation == "Publish" {
            heard.lock().unwrap().push(body.clone());
        }
        let (status, answer) = answer(operation, &body, others);
        Response::builder().status(status).body(answer).unwrap()
    });
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(aws)
        .build();
    let policy = Policy::parse(POLICY).unwrap();
    let pipeline = Pipeline::in_test(Clients::new(config, None), policy.clone());
    let trigger = Trigger {
        repository: RepositoryId::new("123456789012", "eu-central-1", "api").unwrap(),
        origin: Origin::of(Cause::TagResource),
        pushed: None,
        replicated: false,
        created_as: None,
    };
    let invocation = Invocation {
        id: "me".to_owned(),
        deadline: i64::MAX,
        event: None,
        deferred: None,
        hold: None,
    };
    let driver = Driver {
        reconciler: Reconciler {
            policy: &policy,
            trigger: &trigger,
            invocation: &invocation,
            delivery: "me/1",
            requeue: Requeue::NoQueue,
        },
        aws: pipeline.clients.of("123456789012", "eu-central-1").unwrap(),
        state: &pipeline.state,
        topic: &pipeline.topic,
        queue: None,
        collected: None,
    };
    let (mut seen, mut earlier) = (Observation::default(), Earlier::default());
    let done = driver.attempt(&mut seen, &mut earlier).await.unwrap();
    let published = published.lock().unwrap().clone();
    (done.is_none(), published)
}

#[tokio::test]
async fn a_repair_is_reported_though_another_invocation_reports_the_rest() {
    let (again, published) = attempt(&["nonconforming-name"]).await;
    assert!(again, "it evaluates what the others report of the rest");
    let [alert] = published.as_slice() else {
        panic!("{published:?}")
    };
    assert!(alert.contains("FIXED%20%20mutable-tags"), "{alert}");
    assert!(!alert.contains("OPEN"), "{alert}");
}

#[tokio::test]
async fn what_another_invocation_reports_is_not_reported_twice() {
    let all = &["nonconforming-name", "mutable-tags"];
    let (again, published) = attempt(all).await;
    assert!(again);
    assert_eq!(published, Vec::<String>::new());
}

#[tokio::test]
async fn one_invocation_alone_reports_everything_at_once() {
    let (again, published) = attempt(&[]).await;
    assert!(!again);
    let [alert] = published.as_slice() else {
        panic!("{published:?}")
    };
    assert!(alert.contains("OPEN%20%20nonconforming-name"), "{alert}");
}
