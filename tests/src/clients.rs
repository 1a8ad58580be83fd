//! Clients for the local AWS. Made for each test anew: a connection belongs to the runtime that opened it.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::config::{BehaviorVersion, Region};
use aws_types::SdkConfig;

/// One of each.
#[derive(Clone, Debug)]
pub struct Clients {
    pub cloudtrail: aws_sdk_cloudtrail::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub ecr: aws_sdk_ecr::Client,
    pub eventbridge: aws_sdk_eventbridge::Client,
    pub lambda: aws_sdk_lambda::Client,
    pub sns: aws_sdk_sns::Client,
    pub sqs: aws_sdk_sqs::Client,
}

impl Clients {
    /// As the account's root, whom ministack knows as `test`.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        let config = config(endpoint);
        Self {
            cloudtrail: aws_sdk_cloudtrail::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            ecr: aws_sdk_ecr::Client::new(&config),
            eventbridge: aws_sdk_eventbridge::Client::new(&config),
            lambda: aws_sdk_lambda::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
        }
    }
}

/// What clients for a local AWS are made of.
#[must_use]
pub fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}
