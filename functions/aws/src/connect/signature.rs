//! Signs the requests that no client of the SDK sends.

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::SdkConfig;
use ecr_warden_core::repository::domain;

/// A POST to one of AWS's services.
#[derive(Clone, Debug)]
pub(crate) struct Post<'p> {
    /// As AWS names the service in host names and signatures.
    pub(crate) service: &'p str,
    pub(crate) region: &'p str,
    /// Beginning with `/`.
    pub(crate) path: &'p str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: &'p [u8],
}

impl Post<'_> {
    /// Where the service is, without a slash at the end.
    pub(crate) fn endpoint(&self, config: &SdkConfig) -> String {
        match config.endpoint_url() {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!(
                "https://{}.{}.{}",
                self.service,
                self.region,
                domain(self.region)
            ),
        }
    }

    /// All headers that the request must have, the signature among them.
    ///
    /// # Errors
    /// There are no credentials, or they cannot sign it, in one line.
    pub(crate) async fn signed_headers(
        &self,
        config: &SdkConfig,
    ) -> Result<Vec<(String, String)>, String> {
        let endpoint = self.endpoint(config);
        let uri = format!("{endpoint}{}", self.path);
        let host = endpoint.split_once("://").map_or("", |(_, host)| host);
        let headers = [("host", host)].into_iter().chain(self.headers.clone());
        let identity = config
            .credentials_provider()
            .ok_or("there are no credentials")?
            .provide_credentials()
            .await
            .map_err(|error| error.to_string())?
            .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let signable = SignableRequest::new(
            "POST",
            &uri,
            headers.clone(),
            SignableBody::Bytes(self.body),
        )
        .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| error.to_string())?
            .into_parts();
        let signature = instructions.headers();
        let all = headers.chain(signature);
        Ok(all
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}
