//! Clients for people: by the configuration, profile and credentials that the AWS CLI would use.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::clients::Clients;

/// Who the credentials belong to, and where they work.
#[derive(Clone, Debug)]
pub struct Caller {
    pub account: String,
    pub arn: String,
    pub region: String,
}

impl Clients {
    /// As the AWS CLI finds them: `--profile` and `--region`, else its environment variables and files.
    ///
    /// # Errors
    /// No region, or no usable credentials, in one line.
    pub async fn of_profile(
        profile: Option<&str>,
        region: Option<&str>,
    ) -> Result<(Self, Caller), String> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
        if let Some(profile) = profile {
            // The SDK asks the environment's keys first, whatever profile is named: that would be another account than the
            // one that was meant.
            let surroundings = ProviderConfig::default()
                .with_http_client(http)
                .with_region(region.map(|region| Region::new(region.to_owned())));
            let provider = ProfileFileCredentialsProvider::builder()
                .configure(&surroundings)
                .profile_name(profile)
                .build();
            loader = loader.profile_name(profile).credentials_provider(provider);
        }
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        let region = config
            .region()
            .map(ToString::to_string)
            .ok_or("no region is known: say which with --region, or set AWS_REGION")?;
        let identity = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| {
                let failure =
                    crate::failure::Failure::of("sts:GetCallerIdentity", &error).to_string();
                match profile {
                    Some(profile) if failure.contains("was not defined") => {
                        format!("the profile `{profile}` is in none of the AWS CLI's files")
                    }
                    Some(profile) if failure.contains("credentials") => {
                        format!("the profile `{profile}` has no usable credentials: {failure}")
                    }
                    None if failure.contains("credentials") => {
                        "no credentials: set AWS_PROFILE or say --profile, or run `aws sso login`"
                            .to_owned()
                    }
                    _ => format!("who you are to AWS can't be told: {failure}"),
                }
            })?;
        let caller = Caller {
            account: identity.account.unwrap_or_default(),
            arn: identity.arn.unwrap_or_default(),
            region,
        };
        Ok((Self::new(config, Some(caller.account.clone())), caller))
    }
}
