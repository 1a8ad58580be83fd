//! Clients by account and region, sharing one connection pool and one set of credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ecr::config::retry::RetryConfig;
use aws_sdk_ecr::config::timeout::TimeoutConfig;
use aws_sdk_ecr::config::{BehaviorVersion, Region};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpConnector, http_client_fn,
};
use aws_types::SdkConfig;

use crate::connect::rate_limit::{PATIENCE, Paced, Quota, Turns};

/// The roots that AWS's public endpoints are certified by (Amazon Trust Services). Parsing a system's whole trust
/// store is two thirds of a cold start.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Until a connection stands, or another one is tried.
const CONNECT: Duration = Duration::from_secs(2);

/// Why there are no clients.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the environment variable {0} is not set")]
    NotSet(&'static str),
    #[error("the certificates for TLS can't be used: {0}")]
    Tls(String),
    #[error("the policy is not valid: {0}")]
    Policy(String),
    #[error("account {account} is not this function's ({own})")]
    ForeignAccount { account: String, own: String },
}

/// A variable of the environment; set to nothing, it is not set.
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Hands out clients for an account and a region. All of them share what is costly to set up.
#[derive(Debug)]
pub struct Clients {
    config: SdkConfig,
    /// The account whose credentials these are; unknown outside a Lambda.
    own_account: Option<String>,
    by_region: Mutex<HashMap<String, Regional>>,
    /// One for all: to make a client costs a cold start some time.
    dynamodb: OnceLock<aws_sdk_dynamodb::Client>,
    pub(crate) quota: Arc<Quota>,
}

/// The clients that repositories of one account and region are reached by.
#[derive(Clone, Debug)]
pub struct Regional {
    pub(crate) ecr: aws_sdk_ecr::Client,
    /// Made when it is needed: most policies ask for no key, and a client costs a cold start some time.
    pub(crate) kms: Arc<OnceLock<aws_sdk_kms::Client>>,
    pub(crate) config: SdkConfig,
    /// Of what the policy grants.
    pub(crate) turns: Arc<Turns>,
}

impl Regional {
    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms
            .get_or_init(|| aws_sdk_kms::Client::new(&self.config))
    }
}

impl Clients {
    /// From the environment that Lambda sets: region, credentials, and `AWS_ENDPOINT_URL` where AWS is elsewhere. Not
    /// by the SDK's default chain: looking for profiles and metadata services costs a cold start more than the rest.
    ///
    /// # Errors
    /// A variable that is not set, or unusable certificates.
    pub fn from_lambda_environment(own_account: Option<String>) -> Result<Self, ConfigError> {
        let required = |name| std::env::var(name).map_err(|_| ConfigError::NotSet(name));
        let region = required("AWS_REGION")?;
        let credentials = Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            std::env::var("AWS_SESSION_TOKEN").ok(),
            None,
            "Lambda",
        );
        // AWS's endpoints in China are certified by others.
        let mut roots = TrustStore::empty().with_native_roots(region.starts_with("cn-"));
        roots.add_pem_certificate(AMAZON_ROOTS);
        let tls = TlsContext::builder()
            .with_trust_store(roots)
            .build()
            .map_err(|error| ConfigError::Tls(error.to_string()))?;
        // The SDK's own HTTP client reads the certificates once more for each client of a service.
        let connector = SharedHttpConnector::new(
            Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls)
                .connector_settings(
                    HttpConnectorSettings::builder()
                        .connect_timeout(CONNECT)
                        .build(),
                )
                .build(),
        );
        let http = http_client_fn(move |_, _| connector.clone());
        let mut config = SdkConfig::builder();
        config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL").ok());
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(http)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(5)
                    .with_initial_backoff(Duration::from_millis(200))
                    .with_max_backoff(Duration::from_secs(5)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(Duration::from_secs(6))
                    .operation_timeout(Duration::from_secs(25))
                    .build(),
            )
            .build();
        Ok(Self::new(config, own_account))
    }

    /// From a configuration that somebody else has made. `own_account`: the only one that is reached.
    #[must_use]
    pub fn new(config: SdkConfig, own_account: Option<String>) -> Self {
        Self {
            config,
            own_account,
            by_region: Mutex::default(),
            dynamodb: OnceLock::new(),
            quota: Arc::default(),
        }
    }

    /// The clients for a repository's account and region.
    ///
    /// # Errors
    /// The account is another one's: a role there is not set up.
    pub fn of(&self, account: &str, region: &str) -> Result<Regional, ConfigError> {
        if let Some(own) = self.own_account.as_ref().filter(|own| *own != account) {
            return Err(ConfigError::ForeignAccount {
                account: account.to_owned(),
                own: own.clone(),
            });
        }
        let mut by_region = self
            .by_region
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let regional = by_region.entry(region.to_owned()).or_insert_with(|| {
            let config = self
                .config
                .clone()
                .into_builder()
                .region(Region::new(region.to_owned()))
                .build();
            let turns = Arc::new(Turns::new(Arc::clone(&self.quota), account, region));
            Regional {
                ecr: paced(&config, Arc::clone(&turns)),
                kms: Arc::default(),
                config,
                turns,
            }
        });
        Ok(regional.clone())
    }

    /// Keeps to so many calls of ECR a second from now on; `None`: to as many as ECR takes.
    pub fn grant(&self, ecr_calls_per_second: Option<u32>) {
        self.quota.grant(ecr_calls_per_second);
    }

    /// What is granted is granted to all who share this state table together.
    pub fn share_turns(&self, table: String) {
        self.quota.share(self.dynamodb(), table);
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let client = self
            .dynamodb
            .get_or_init(|| aws_sdk_dynamodb::Client::new(&self.config));
        client.clone()
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config)
            // Elsewhere than on AWS, a bucket has no host name of its own.
            .force_path_style(self.config.endpoint_url().is_some())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    pub(crate) fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config)
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    pub(crate) fn ssm(&self) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.config)
    }
}

/// A client whose calls take their turns. To wait for one is no time-out.
fn paced(config: &SdkConfig, turns: Arc<Turns>) -> aws_sdk_ecr::Client {
    let mut paced = aws_sdk_ecr::config::Builder::from(config);
    if let Some(inner) = config.http_client() {
        paced = paced.http_client(Paced { inner, turns });
    }
    let timeouts = config.timeout_config();
    if let Some(attempt) = timeouts.and_then(TimeoutConfig::operation_attempt_timeout) {
        let timeouts = timeouts.cloned().unwrap_or_else(TimeoutConfig::disabled);
        let waiting = timeouts
            .into_builder()
            .operation_attempt_timeout(attempt + PATIENCE);
        paced = paced.timeout_config(waiting.build());
    }
    aws_sdk_ecr::Client::from_conf(paced.build())
}
