//! Two invocations at the same repository, one of which claims first: on an AWS that is a function.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::config::{BehaviorVersion, Region};
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_types::SdkConfig;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::RepositoryId;
use hyper::Response;
use serde_json::Value;

use crate::clients::Clients;
use crate::pipeline::{Occurrence, Pipeline};
use crate::work::{Round, Work};

const POLICY: &str =
    "version: 1\nmode: enforce\nrules: { mutable-tags: {}, nonconforming-name: {} }\n";

const CANCELED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"}]}"#;
const PUBLISHED: &str =
    "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>";

/// A mutable repository with a wrong name. Of the name somebody else tells; `others` also of the tags.
fn answer(operation: &str, body: &str, others: &[&str]) -> (u16, String) {
    let told_by_others = others
        .iter()
        .any(|rule| body.contains(&format!("finding#{rule}")));
    let answer = match operation {
        "DescribeRepositories" => {
            r#"{"repositories":[{"repositoryName":"api","imageTagMutability":"MUTABLE"}]}"#
        }
        "PutImageTagMutability" => r#"{"repositoryName":"api","imageTagMutability":"IMMUTABLE"}"#,
        "Query" => r#"{"Items":[]}"#,
        "TransactWriteItems" if told_by_others => return (400, CANCELED.to_owned()),
        "Publish" => PUBLISHED,
        _ => "{}",
    };
    (200, answer.to_owned())
}

/// What one round comes to: whether another one follows, and what was published.
async fn round(others: &'static [&'static str]) -> (bool, Vec<String>) {
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
    let occurrence = Occurrence {
        repository: RepositoryId::new("123456789012", "eu-central-1", "api").unwrap(),
        cause: "CreateRepository".to_owned(),
        actor: None,
        occurred_at: String::new(),
        pushed: None,
        replicated: false,
        young: false,
        request_id: "me".to_owned(),
        deadline: i64::MAX,
        event: Value::Null,
        deferred: None,
    };
    let aws = pipeline.clients.of("123456789012", "eu-central-1").unwrap();
    let mut work = Work::new(&pipeline, &policy, &occurrence, aws, None);
    let round = work.round().await.unwrap();
    let published = published.lock().unwrap().clone();
    (matches!(round, Round::Again), published)
}

#[tokio::test]
async fn what_is_repaired_is_told_though_somebody_else_tells_the_rest() {
    let (again, published) = round(&["nonconforming-name"]).await;
    assert!(again, "it looks at what the others say of the rest");
    let [told] = published.as_slice() else {
        panic!("{published:?}")
    };
    assert!(told.contains("FIXED%20%20mutable-tags"), "{told}");
    assert!(!told.contains("OPEN"), "{told}");
}

#[tokio::test]
async fn what_somebody_else_tells_is_not_told_twice() {
    let all = &["nonconforming-name", "mutable-tags"];
    let (again, published) = round(all).await;
    assert!(again);
    assert_eq!(published, Vec::<String>::new());
}

#[tokio::test]
async fn alone_it_tells_everything_at_once() {
    let (again, published) = round(&[]).await;
    assert!(!again);
    let [told] = published.as_slice() else {
        panic!("{published:?}")
    };
    assert!(told.contains("OPEN%20%20nonconforming-name"), "{told}");
}
