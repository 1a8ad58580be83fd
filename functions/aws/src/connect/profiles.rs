//! Clients for people: by the configuration, profile and credentials that the AWS CLI would use.

use std::error::Error;

use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_types::os_shim_internal::{Env, Fs};
use ecr_warden_core::repository::check_region;

use crate::connect::clients::{Clients, environment};
use crate::connect::error::{Failure, chain, one_line};

/// Who the credentials belong to, and where they work.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: String,
    pub arn: String,
    pub region: String,
}

/// Why nobody is reached, in one line.
#[derive(Debug, thiserror::Error)]
pub enum NotConnected {
    /// A profile or a region that there is not.
    #[error("{0}")]
    Usage(String),
    /// No usable credentials, or no answer.
    #[error("{0}")]
    Aws(String),
}

impl Clients {
    /// As the AWS CLI finds them: `--profile` and `--region`, else its environment variables and files. A `profile` comes
    /// before credentials in the environment, and `AWS_PROFILE` after them; a profile's region comes after the environment's.
    ///
    /// # Errors
    /// An unknown profile, no region, or no usable credentials.
    pub async fn of_profile(
        profile: Option<&str>,
        region: Option<&str>,
    ) -> Result<(Self, Caller), NotConnected> {
        Self::of_profile_or(profile, region, None).await
    }

    /// The same with a region for where none is configured.
    ///
    /// # Errors
    /// As of [`Self::of_profile`].
    pub async fn of_profile_or(
        profile: Option<&str>,
        region: Option<&str>,
        fallback: Option<&str>,
    ) -> Result<(Self, Caller), NotConnected> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut region = region.map(|region| Region::new(region.to_owned()));
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        if let Some(profile) = profile {
            must_exist(profile).await?;
            let around = ProviderConfig::without_region().with_http_client(http);
            let of_environment =
                environment("AWS_REGION").or_else(|| environment("AWS_DEFAULT_REGION"));
            region = region.or(of_environment.map(Region::new));
            if region.is_none() {
                let of_profile = ProfileFileRegionProvider::builder()
                    .configure(&around)
                    .profile_name(profile)
                    .build();
                region = of_profile.region().await;
            }
            // The default chain would prefer the credentials of the environment, which may be another account's.
            let credentials = ProfileFileCredentialsProvider::builder()
                .configure(&around.with_region(region.clone()))
                .profile_name(profile)
                .build();
            loader = loader
                .profile_name(profile)
                .credentials_provider(credentials);
        }
        if let Some(region) = region {
            loader = loader.region(region);
        }
        let mut config = loader.load().await;
        if let (None, Some(fallback)) = (config.region(), fallback) {
            let fallback = Region::new(fallback.to_owned());
            config = config.into_builder().region(fallback).build();
        }
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            NotConnected::Usage(
                "no region is configured; pass --region, or set AWS_REGION".to_owned(),
            )
        })?;
        check_region(&region).map_err(|error| NotConnected::Usage(error.to_string()))?;
        let identity = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| NotConnected::Aws(why(&error, profile, &region)))?;
        let caller = Caller {
            account: identity.account.unwrap_or_default(),
            arn: identity.arn.unwrap_or_default(),
            region,
        };
        Ok((Self::new(config, Some(caller.account.clone())), caller))
    }
}

async fn must_exist(profile: &str) -> Result<(), NotConnected> {
    let known = aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), None)
        .await
        .map_err(|error| {
            NotConnected::Usage(format!(
                "the AWS CLI's files can't be read: {}",
                chain(&error)
            ))
        })?;
    match known.get_profile(profile) {
        Some(_) => Ok(()),
        None => Err(NotConnected::Usage(format!(
            "the profile `{profile}` is in none of the AWS CLI's files"
        ))),
    }
}

/// In people's words, not in the SDK's.
fn why<E>(error: &SdkError<E, HttpResponse>, profile: Option<&str>, region: &str) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (of, login) = match profile {
        Some(profile) => (
            format!(" in the profile `{profile}`"),
            format!("`aws sso login --profile {profile}`"),
        ),
        None => (String::new(), "`aws sso login`".to_owned()),
    };
    if let Some(credentials) = credentials_error(error) {
        return match (credentials, profile) {
            (CredentialsError::CredentialsNotLoaded(_), None) => {
                format!("no credentials: set AWS_PROFILE, or run {login}")
            }
            (CredentialsError::CredentialsNotLoaded(_), Some(_)) => {
                format!("no credentials{of}: run {login}, or say which with --profile")
            }
            (other, _) => format!(
                "no usable credentials{of}: {}; {login} may help",
                innermost(other)
            ),
        };
    }
    match error {
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => format!(
            "AWS can't be reached in {region}: is there such a region (`aws account list-regions` lists them), and a network? ({})",
            innermost(error)
        ),
        _ => {
            let failure = Failure::of("sts:GetCallerIdentity", error);
            // STS's answer to keys that it does not know, and in a region that the account has not enabled.
            let hint = if failure.is("InvalidClientTokenId") {
                format!("; check the keys{of}, and whether {region} is enabled for the account")
            } else {
                String::new()
            };
            format!("cannot determine the caller identity: {failure}{hint}")
        }
    }
}

fn credentials_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    one_line(&last.to_string())
}
