//! Clients for the command: by the configuration, profile and credentials that the AWS CLI would use.

mod bundle;
mod network;
mod provenance;
mod why;

use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};
use ecr_warden_core::repository::check_region;

use self::bundle::Bundle;
use self::provenance::{Provenance, Source};
use crate::connect::clients::{Clients, environment};
use crate::connect::error::chain;

/// Who the credentials belong to, and where they work.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: String,
    pub arn: String,
    pub region: String,
}

/// Why AWS is not reached, in one line.
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
        let profiles = load(profile).await?;
        let provenance = Provenance::new(&profiles, profile.is_some(), environment);
        let http = prepared(&profiles, profile, &provenance).map_err(NotConnected::Usage)?;
        let mut region = region.map(|region| Region::new(region.to_owned()));
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        if let Some(profile) = profile {
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
            .map_err(|error| NotConnected::Aws(why::why(&error, &provenance, &region)))?;
        let caller = Caller {
            account: identity.account.unwrap_or_default(),
            arn: identity.arn.unwrap_or_default(),
            region,
        };
        Ok((Self::new(config, Some(caller.account.clone())), caller))
    }
}

/// Checks what is configured before any call, and makes the HTTP client for all calls.
fn prepared(
    profiles: &ProfileSet,
    explicit: Option<&str>,
    provenance: &Provenance,
) -> Result<SharedHttpClient, String> {
    let selected = profiles.selected_profile();
    let profile = profiles.get_profile(selected);
    let by_variable = || {
        environment("AWS_PROFILE")
            .filter(|_| provenance.source != Source::Environment)
            .map(|_| " of AWS_PROFILE")
    };
    let named = explicit.map(|_| "").or_else(by_variable);
    if let (None, Some(by)) = (profile, named) {
        return Err(format!(
            "the profile `{selected}`{by} is in none of the AWS CLI's files"
        ));
    }
    if let Some(refusal) = provenance.refusal() {
        return Err(refusal);
    }
    let of_profile = profile.and_then(|profile| profile.get("ca_bundle"));
    let bundle = Bundle::read(
        environment("AWS_CA_BUNDLE"),
        of_profile.map(|file| (selected, file)),
    )?;
    network::client(bundle)
}

/// The AWS CLI's files, with the profile that is selected in them.
async fn load(profile: Option<&str>) -> Result<ProfileSet, NotConnected> {
    let selected = profile.map(|profile| profile.to_owned().into());
    aws_config::profile::load(&Fs::real(), &Env::real(), &Default::default(), selected)
        .await
        .map_err(|error| {
            NotConnected::Usage(format!(
                "the AWS CLI's files can't be read: {}",
                chain(&error)
            ))
        })
}
