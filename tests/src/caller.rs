//! Somebody who calls the local AWS by plain signed requests, with whatever credentials it is.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Problem;
use crate::local_aws::REGION;

/// A user, a role's session, or the account's root.
#[derive(Clone, Debug)]
pub struct Caller {
    credentials: Credentials,
}

/// What is asked of AWS, in the protocol that the service speaks.
#[derive(Clone, Debug)]
pub enum Ask<'a> {
    /// The `X-Amz-Target` and the body.
    Json(&'a str, &'a Value),
    /// The action, the API's version and the parameters.
    Query(&'a str, &'a str, &'a [(&'a str, &'a str)]),
    /// Method, path and body.
    Rest(&'a str, &'a str, &'a str),
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// Whether the caller was refused for want of a permission. ministack says so with 403, and Systems Manager and Logs, as AWS's,
    /// with 400.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.status >= 400
            && (self.body.contains("AccessDenied") || self.body.contains("AuthorizationError"))
    }

    /// The text of an XML element.
    #[must_use]
    pub fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    }
}

impl Caller {
    /// The account's root, whom ministack knows as `test`.
    #[must_use]
    pub fn root() -> Self {
        Self::with("test", "test", None)
    }

    #[must_use]
    pub fn with(access_key: &str, secret: &str, token: Option<String>) -> Self {
        Self {
            credentials: Credentials::new(access_key, secret, token, None, "local"),
        }
    }

    /// # Errors
    /// There is no answer.
    pub async fn ask(
        &self,
        endpoint: &str,
        service: &str,
        ask: &Ask<'_>,
    ) -> Result<Answer, Problem> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(self.signed(endpoint, service, ask)?).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    pub(crate) fn signed(
        &self,
        endpoint: &str,
        service: &str,
        ask: &Ask<'_>,
    ) -> Result<Request<Full<Bytes>>, Problem> {
        let (method, path, kind, target, body) = match ask {
            Ask::Json(target, body) => (
                "POST",
                "/",
                "application/x-amz-json-1.1",
                Some(*target),
                body.to_string(),
            ),
            Ask::Query(action, version, parameters) => {
                let mut body = format!("Action={action}&Version={version}");
                for (key, value) in *parameters {
                    body.push_str(&format!("&{key}={}", encoded(value)));
                }
                let kind = "application/x-www-form-urlencoded";
                ("POST", "/", kind, None, body)
            }
            Ask::Rest(method, path, body) => {
                (*method, *path, "application/json", None, (*body).to_owned())
            }
        };
        let uri = format!("{endpoint}{path}");
        let host = endpoint
            .split_once("://")
            .map_or(endpoint, |(_, host)| host);
        let mut headers = vec![("content-type", kind), ("host", host)];
        headers.extend(target.map(|target| ("x-amz-target", target)));
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            method,
            &uri,
            headers.iter().copied(),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let mut request = Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(Bytes::from(body)))?;
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// As forms encode what is not one of RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
