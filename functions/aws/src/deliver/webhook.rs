//! Slack's incoming webhook. Its URL is a secret: it is in no log and in no error.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::connect::clients::{Clients, ConfigError};
use crate::connect::error::Failure;
use crate::connect::http::{Http, client};

const ANSWER: Duration = Duration::from_secs(8);
/// Slack answers in a word.
const LONGEST_ANSWER: usize = 200;

/// The webhook, and the secret that its URL is in.
#[derive(Debug)]
pub struct Webhook {
    secrets: aws_sdk_secretsmanager::Client,
    secret: String,
    http: Http,
    url: Mutex<Option<String>>,
}

/// What Slack said.
#[derive(Debug, PartialEq, Eq)]
pub enum Posted {
    Taken,
    /// Too many messages, or Slack is out of order.
    TryAgain {
        after: Option<Duration>,
        why: String,
    },
    /// It will not take this, now or later.
    Refused(String),
}

impl Webhook {
    /// # Errors
    /// A variable of Lambda's environment is missing.
    pub fn from_lambda_environment(secret: String) -> Result<Self, ConfigError> {
        let clients = Clients::from_lambda_environment(None)?;
        Ok(Self {
            secrets: clients.secrets(),
            secret,
            http: client()?,
            url: Mutex::default(),
        })
    }

    /// # Errors
    /// The secret can't be read, in one line.
    pub async fn post(&self, message: &Value) -> Result<Posted, String> {
        let url = self.url().await?;
        let request = Request::post(url)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(message.to_string())))
            .map_err(|_| "the secret does not contain the URL of a webhook".to_owned())?;
        let not_yet = |why: &str| {
            Ok(Posted::TryAgain {
                after: None,
                why: why.to_owned(),
            })
        };
        let answer = match tokio::time::timeout(ANSWER, self.http.request(request)).await {
            Err(_) => return not_yet("it does not answer"),
            // The error may name the URL.
            Ok(Err(_)) => return not_yet("it is out of reach"),
            Ok(Ok(answer)) => answer,
        };
        let status = answer.status().as_u16();
        let after = answer
            .headers()
            .get("retry-after")
            .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect();
        let word: String = match tokio::time::timeout(ANSWER, body).await {
            Ok(Ok(body)) => String::from_utf8_lossy(&body.to_bytes())
                .chars()
                .filter(|c| !c.is_control())
                .collect(),
            _ => String::new(),
        };
        let why = format!("{status} {word}");
        Ok(match status {
            200..=299 => Posted::Taken,
            429 | 500..=599 => Posted::TryAgain { after, why },
            _ => {
                // It may have been replaced: the next message reads the secret anew.
                *self.url.lock().await = None;
                Posted::Refused(why)
            }
        })
    }

    /// The secret is the URL, or JSON with it under `url`.
    async fn url(&self) -> Result<String, String> {
        let mut url = self.url.lock().await;
        if let Some(url) = &*url {
            return Ok(url.clone());
        }
        let answer = self
            .secrets
            .get_secret_value()
            .secret_id(&self.secret)
            .send()
            .await
            .map_err(|error| Failure::of("secretsmanager:GetSecretValue", &error))
            .map_err(|failure| format!("the webhook's secret can't be read: {failure}"))?;
        let text = answer.secret_string.unwrap_or_default();
        let of_json = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|json| Some(json.get("url")?.as_str()?.to_owned()));
        let read = of_json.unwrap_or(text).trim().to_owned();
        *url = Some(read.clone());
        Ok(read)
    }
}
