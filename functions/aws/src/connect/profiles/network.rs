//! The way to AWS as the AWS CLI finds it: through the proxy of the environment, and trusting the CA bundle that is configured.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::CertificateError;

use crate::connect::error::innermost;
use crate::connect::profiles::bundle::Bundle;

/// The variables with a proxy for HTTPS, in the order in which `Matcher::from_env` reads them: the first of a pair that is set, even
/// to nothing.
const HTTPS: [[&str; 2]; 2] = [["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];
const HTTP: [[&str; 2]; 2] = [["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]];

/// AWS was not reached, and the reason may be the proxy or the CA bundle. The message has both, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoWay(String);

/// An HTTP client for all services, credentials included.
///
/// # Errors
/// A proxy's address that can't be used, in one line.
pub(super) fn client(bundle: Option<Bundle>) -> Result<SharedHttpClient, String> {
    if let Some((variable, value)) = named(HTTPS, |name| std::env::var(name).ok())
        && address(&value).is_none()
    {
        return Err(format!(
            "{variable} is not the address of a proxy: `{}`; set it to one such as `http://proxy.example.com:3128`",
            without_user(&value)
        ));
    }
    let roots = bundle.as_ref().map_or_else(TrustStore::default, |bundle| {
        TrustStore::empty().with_pem_certificate(bundle.pem.as_str())
    });
    let tls = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .map_err(|error| format!("the certificates for TLS can't be used: {error}"))?;
    let by = |proxy: ProxyConfig| {
        let tls = tls.clone();
        // As the SDK makes its own client (aws-smithy-runtime, `default_https_client`), but with ring.
        Builder::new().build_with_connector_fn(move |settings, _| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls.clone())
                .proxy_config(proxy.clone());
            connector.set_connector_settings(settings.cloned());
            connector.build()
        })
    };
    Ok(SharedHttpClient::new(Network {
        direct: by(ProxyConfig::disabled()),
        proxied: by(ProxyConfig::from_env()),
        way: Arc::new(Way {
            proxies: Matcher::from_env(),
            bundle: bundle.map(|bundle| bundle.named),
        }),
    }))
}

#[derive(Debug)]
struct Network {
    direct: SharedHttpClient,
    proxied: SharedHttpClient,
    way: Arc<Way>,
}

impl HttpClient for Network {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Route {
            direct: self.direct.http_connector(settings, components),
            proxied: self.proxied.http_connector(settings, components),
            way: Arc::clone(&self.way),
        })
    }
}

#[derive(Debug)]
struct Route {
    direct: SharedHttpConnector,
    proxied: SharedHttpConnector,
    way: Arc<Way>,
}

impl HttpConnector for Route {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri: Uri = request.uri().parse().unwrap_or_default();
        let proxy = self.way.proxy(&uri);
        let connector = if proxy.is_some() {
            &self.proxied
        } else {
            &self.direct
        };
        let answer = connector.call(request);
        let way = Arc::clone(&self.way);
        HttpConnectorFuture::new(async move {
            answer.await.map_err(|error| {
                let host = uri.host().unwrap_or_default();
                match way.explain(&error, host, proxy.as_deref()) {
                    Some(text) => with_text(&error, text),
                    None => error,
                }
            })
        })
    }
}

/// What is between the command and AWS.
#[derive(Debug)]
struct Way {
    proxies: Matcher,
    /// The CA bundle, as a message names it.
    bundle: Option<String>,
}

impl Way {
    /// The proxy for a request, as a message names it. There is none on the way to this machine and to the metadata services of
    /// EC2, ECS and EKS, with any `NO_PROXY`: they answer this machine only.
    fn proxy(&self, uri: &Uri) -> Option<String> {
        let intercept = self.proxies.intercept(uri).filter(|_| !is_local(uri))?;
        let variables = if uri.scheme_str() == Some("http") {
            HTTP
        } else {
            HTTPS
        };
        let (variable, _) = named(variables, |name| std::env::var(name).ok())?;
        let address = intercept.uri().to_string();
        Some(format!(
            "the proxy `{}` of {variable}",
            address.trim_end_matches('/')
        ))
    }

    /// An error in which the proxy or the trusted certificates have a part.
    fn explain(&self, error: &ConnectorError, host: &str, proxy: Option<&str>) -> Option<String> {
        let through = proxy.map_or_else(String::new, |proxy| format!(", through {proxy},"));
        let reason = innermost(error);
        if is_of_unknown_issuer(error) {
            return Some(match &self.bundle {
                Some(bundle) => format!(
                    "the certificate of {host}{through} is not trusted: the {bundle} does not have its issuer; add the CA of your network \
                     to it ({reason})"
                ),
                None => format!(
                    "the certificate of {host}{through} is not trusted: its issuer is unknown; set AWS_CA_BUNDLE, or `ca_bundle` in \
                     the profile, to a PEM file with the CA of your network ({reason})"
                ),
            });
        }
        proxy.map(|proxy| {
            format!(
                "{host} can't be reached through {proxy}: {reason}; correct the variable, or exempt the host with NO_PROXY"
            )
        })
    }
}

/// The first of the variables that names a proxy, and its value.
fn named(
    variables: [[&str; 2]; 2],
    environment: impl Fn(&str) -> Option<String>,
) -> Option<(&str, String)> {
    variables.into_iter().find_map(|pair| {
        let set = |name| Some((name, environment(name)?));
        pair.into_iter()
            .find_map(set)
            .filter(|(_, value)| !value.is_empty())
    })
}

/// The address of a proxy, without user and password, where the SDK can use it.
fn address(value: &str) -> Option<Uri> {
    let matcher = Matcher::builder().all(value).build();
    let proxy = matcher.intercept(&Uri::from_static("https://aws"))?;
    Some(proxy.uri().clone())
}

fn without_user(value: &str) -> &str {
    value.rsplit('@').next().unwrap_or_default()
}

/// Whether only this machine can be meant: loopback, and the link-local and unique addresses of metadata services.
fn is_local(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse();
    host == "localhost"
        || address.is_ok_and(|address| match address {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.segments()[..2] == [0xfd00, 0x0ec2],
        })
}

/// Whether no trusted root certifies the server. hyper-rustls has the reason within `io::Error`s, which don't name it as source.
fn is_of_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return *reason == CertificateError::UnknownIssuer;
        }
        let within = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match within {
            Some(within) => Some(within),
            None => error.source(),
        };
    }
    false
}

/// An error of the same kind, which decides about retries.
fn with_text(error: &ConnectorError, text: String) -> ConnectorError {
    let source = Box::new(NoWay(text));
    if error.is_timeout() {
        ConnectorError::timeout(source)
    } else if error.is_io() {
        ConnectorError::io(source)
    } else if error.is_user() {
        ConnectorError::user(source)
    } else {
        ConnectorError::other(source, error.as_other())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&'static str, &str)]) -> Option<(&'static str, String)> {
        named(HTTPS, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variable_is_the_one_that_the_sdk_takes() {
        let named = |name, value: &str| Some((name, value.to_owned()));
        for (variables, expected) in [
            (&[][..], None),
            (&[("HTTP_PROXY", "http://a")], None),
            (
                &[("https_proxy", "http://a"), ("ALL_PROXY", "http://b")],
                named("https_proxy", "http://a"),
            ),
            (
                &[("https_proxy", "http://a"), ("HTTPS_PROXY", "http://b")],
                named("HTTPS_PROXY", "http://b"),
            ),
            (&[("all_proxy", "http://a")], named("all_proxy", "http://a")),
            // Set to nothing, it switches the other spelling off.
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://a")], None),
            (
                &[("HTTPS_PROXY", ""), ("ALL_PROXY", "http://b")],
                named("ALL_PROXY", "http://b"),
            ),
        ] {
            assert_eq!(of(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn addresses_have_no_password() {
        for (value, expected) in [
            ("http://proxy:3128", Some("http://proxy:3128/")),
            ("proxy:3128", Some("http://proxy:3128/")),
            ("http://mary:secret@proxy:3128", Some("http://proxy:3128/")),
            ("ftp://proxy", None),
            ("http://mary:se cret@proxy", None),
        ] {
            let found = address(value).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
        assert_eq!(without_user("http://mary:s@e cret@proxy"), "proxy");
        assert_eq!(without_user("no proxy"), "no proxy");
    }

    #[test]
    fn no_proxy_is_on_the_way_to_this_machine() {
        for (uri, expected) in [
            ("http://127.0.0.1:4566/", true),
            ("https://localhost:4566/", true),
            ("http://[::1]:4566/", true),
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://[fd00:ec3::254]/latest", false),
            ("https://sts.eu-central-1.amazonaws.com/", false),
            ("https://localhost.example.com/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_local(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
