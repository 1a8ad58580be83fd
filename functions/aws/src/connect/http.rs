//! HTTPS where no client of the SDK is.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::connect::clients::ConfigError;

pub(crate) type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Trusts the system's roots.
pub(crate) fn client() -> Result<Http, ConfigError> {
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|error| ConfigError::Tls(error.to_string()))?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(https))
}
