//! Security Hub: what stands is imported, and what does not stand any more is archived.
//!
//! Two calls, signed and sent here: the SDK's crate for Security Hub takes longer to build than everything else together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_types::SdkConfig;
use ecr_warden_core::asff::{self, GENERATOR, archived, imported, product_arn, record_state};
use ecr_warden_core::audit::{AuditFinding, Request};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::text::rfc3339;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use crate::connect::clients::{Clients, ConfigError};
use crate::connect::http::{Http, client};
use crate::connect::signature::Post;

/// BatchImportFindings takes no more.
const BATCH: usize = 100;
const TRIES: u32 = 5;
/// For an answer, all of it.
const ANSWER: Duration = Duration::from_secs(20);
/// A page of 100 findings is at most some hundred kilobytes.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// What a sweep has looked at.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'s> {
    pub request: &'s Request,
    pub regions: &'s [String],
    /// When it began, in seconds since the epoch.
    pub began: i64,
    /// ARNs of the repositories that could not be judged.
    pub unjudged: &'s [String],
    /// What was found; what of it was imported a moment ago, Security Hub may still show as it was.
    pub found: &'s [AuditFinding],
}

/// Security Hub in the regions of one account.
#[derive(Debug)]
pub struct SecurityHub {
    config: SdkConfig,
    http: Http,
    account: String,
}

impl SecurityHub {
    /// # Errors
    /// The system has no usable certificates.
    pub fn new(clients: &Clients, account: String) -> Result<Self, ConfigError> {
        Ok(Self {
            config: clients.config().clone(),
            http: client()?,
            account,
        })
    }

    /// Imports what stands, and puts away what is exempt by now; no call takes longer than `until`.
    ///
    /// # Errors
    /// What was not imported, in one line; the rest was.
    pub async fn import(
        &self,
        findings: &[AuditFinding],
        now: i64,
        until: Instant,
    ) -> Result<(), String> {
        let now = rfc3339(now).unwrap_or_default();
        let mut by_region: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for finding in findings {
            if let (Some(id), Some(asff)) = (
                RepositoryId::from_arn(&finding.repository),
                imported(finding, &now),
            ) {
                by_region.entry(id.region).or_default().push(asff);
            }
        }
        let mut failed = Failed::default();
        for (region, findings) in by_region {
            self.put(&region, findings, until, &mut failed).await;
        }
        failed.result()
    }

    /// Archives what was imported before a sweep began and not since, as far as the sweep has looked: what stands was imported
    /// since. No call takes longer than `until`.
    ///
    /// # Errors
    /// What was not archived, in one line; the rest was.
    pub async fn archive(
        &self,
        extent: &Extent<'_>,
        now: i64,
        until: Instant,
    ) -> Result<(), String> {
        let now = rfc3339(now).unwrap_or_default();
        let imported = extent.found.iter().filter(|it| record_state(it).is_some());
        let fresh: BTreeSet<String> = imported.map(asff::id).collect();
        let mut failed = Failed::default();
        for region in extent.regions {
            let stale = self.stale(region, extent.began, until).await?;
            let covers = |id: &RepositoryId| {
                extent.request.covers(id)
                    && id.region == *region
                    && !extent.unjudged.contains(&id.arn())
            };
            let is_fresh = |finding: &&Value| {
                let id = finding.get("Id").and_then(Value::as_str);
                id.is_some_and(|id| fresh.contains(id))
            };
            let away = stale
                .iter()
                .filter(|finding| !is_fresh(finding))
                .filter_map(|finding| archived(finding, &covers, &now))
                .collect();
            self.put(region, away, until, &mut failed).await;
        }
        failed.result()
    }

    async fn put(
        &self,
        region: &str,
        mut findings: Vec<Value>,
        until: Instant,
        failed: &mut Failed,
    ) {
        while !findings.is_empty() {
            let rest = findings.split_off(findings.len().min(BATCH));
            let batch = std::mem::replace(&mut findings, rest);
            let count = batch.len();
            let request = json!({ "Findings": batch });
            match self.call(region, "/findings/import", &request, until).await {
                // It takes some and refuses others, and says so only here.
                Ok(answer) => {
                    for refused in list(&answer, "FailedFindings") {
                        let text = |key| refused.get(key).and_then(Value::as_str).unwrap_or("?");
                        failed.add(1, || {
                            format!(
                                "{}: {} {}",
                                text("Id"),
                                text("ErrorCode"),
                                text("ErrorMessage")
                            )
                        });
                    }
                }
                Err(why) => failed.add(count, || why),
            }
        }
    }

    /// Ours that are active and were not imported since a time.
    async fn stale(&self, region: &str, before: i64, until: Instant) -> Result<Vec<Value>, String> {
        let before = rfc3339(before).unwrap_or_default();
        let equal = |value: &str| json!([{ "Value": value, "Comparison": "EQUALS" }]);
        let mut found = Vec::new();
        let mut token = Value::Null;
        loop {
            let mut request = json!({
                "Filters": {
                    "ProductArn": equal(&product_arn(&self.account, region)),
                    "AwsAccountId": equal(&self.account),
                    "RecordState": equal("ACTIVE"),
                    "GeneratorId": [{ "Value": GENERATOR, "Comparison": "PREFIX" }],
                },
                "MaxResults": BATCH,
            });
            if let (Some(fields), false) = (request.as_object_mut(), token.is_null()) {
                fields.insert("NextToken".to_owned(), token);
            }
            let answer = self.call(region, "/findings", &request, until).await;
            let answer = answer
                .map_err(|why| format!("resolved findings were not archived in {region}: {why}"))?;
            found.extend(list(&answer, "Findings").iter().filter_map(|finding| {
                let updated = finding.get("UpdatedAt")?.as_str()?;
                is_before(updated, &before).then(|| finding.clone())
            }));
            token = answer.get("NextToken").cloned().unwrap_or_default();
            if token.is_null() || token == "" {
                return Ok(found);
            }
        }
    }

    async fn call(
        &self,
        region: &str,
        path: &str,
        body: &Value,
        until: Instant,
    ) -> Result<Value, String> {
        if Instant::now() >= until {
            return Err(format!("securityhub {path}: there was no time left"));
        }
        let mut pause = Duration::from_millis(500);
        let mut tries = 1;
        loop {
            let limit = until.min(Instant::now() + ANSWER);
            let answer = timeout_at(limit, self.send(region, path, body)).await;
            let answer = answer.unwrap_or_else(|_| {
                let why = format!("securityhub {path}: no answer in time");
                Err(Unanswered::Later(why))
            });
            match answer {
                Err(Unanswered::Later(_)) if tries < TRIES && Instant::now() + pause < until => {
                    sleep(pause).await;
                    pause = pause.saturating_mul(2);
                    tries = tries.saturating_add(1);
                }
                Err(Unanswered::Later(why) | Unanswered::Never(why)) => return Err(why),
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn send(&self, region: &str, path: &str, body: &Value) -> Result<Value, Unanswered> {
        let request = self
            .signed(region, path, body.to_string().into_bytes())
            .await;
        let request = request.map_err(|why| Unanswered::Never(format!("securityhub: {why}")))?;
        let later = |why: &str| Unanswered::Later(format!("securityhub {path}: {why}"));
        let answer = self.http.request(request).await;
        let answer = answer.map_err(|error| later(&error.to_string()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect();
        let body = body.await.map_err(|error| later(&error.to_string()))?;
        let body = body.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| later(&error.to_string()));
        }
        let text: String = String::from_utf8_lossy(&body)
            .chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect();
        let why = format!("securityhub {path}: {} {text}", status.as_u16());
        // It throttles with 429.
        Err(if status.is_server_error() || status.as_u16() == 429 {
            Unanswered::Later(why)
        } else {
            Unanswered::Never(why)
        })
    }

    async fn signed(
        &self,
        region: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<hyper::Request<Full<Bytes>>, String> {
        let post = Post {
            service: "securityhub",
            region,
            path,
            headers: vec![("content-type", "application/json")],
            body: &body,
        };
        let headers = post.signed_headers(&self.config).await?;
        let uri = format!("{}{path}", post.endpoint(&self.config));
        let mut request = hyper::Request::post(uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        Ok(request)
    }
}

enum Unanswered {
    Later(String),
    Never(String),
}

/// How many findings were not taken, and why the first was not.
#[derive(Default)]
struct Failed {
    count: usize,
    first: Option<String>,
}

impl Failed {
    fn add(&mut self, count: usize, why: impl FnOnce() -> String) {
        self.count = self.count.saturating_add(count);
        self.first.get_or_insert_with(why);
    }

    fn result(self) -> Result<(), String> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(format!(
                "Security Hub did not take {} findings; the first: {first}",
                self.count
            )),
        }
    }
}

fn list<'v>(answer: &'v Value, key: &str) -> &'v [Value] {
    answer
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Both in RFC 3339. What can't be read is not before anything.
fn is_before(at: &str, limit: &str) -> bool {
    let read = |text| {
        time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
    };
    read(at)
        .zip(read(limit))
        .is_some_and(|(at, limit)| at < limit)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_types::region::Region;
    use ecr_warden_core::finding::{Severity, Status};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    const ACCOUNT: &str = "123456789012";

    /// A Security Hub that gives these answers in turn, and what it was asked.
    async fn hub(answers: Vec<(u16, Value)>) -> (SecurityHub, Arc<Mutex<Vec<(String, Value)>>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
                    async move {
                        let path = request.uri().path().to_owned();
                        assert!(request.headers().contains_key("authorization"));
                        let body = request.into_body().collect().await?.to_bytes();
                        let body = serde_json::from_slice(&body).unwrap();
                        seen.lock().unwrap().push((path, body));
                        let (status, answer) = answers.lock().unwrap().next().unwrap();
                        let answer = Full::new(Bytes::from(answer.to_string()));
                        let mut answer = hyper::Response::new(answer);
                        *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
                        Ok::<_, hyper::Error>(answer)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        });
        let credentials = Credentials::new("a", "b", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(aws_sdk_ecr::config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let clients = Clients::new(config, None);
        let hub = SecurityHub::new(&clients, ACCOUNT.to_owned()).unwrap();
        (hub, asked)
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn finding(n: usize) -> AuditFinding {
        AuditFinding {
            repository: format!("arn:aws:ecr:us-east-1:{ACCOUNT}:repository/shop/r{n}"),
            rule: "mutable-tags".to_owned(),
            severity: Severity::Medium,
            status: Status::Open,
            detail: "d".to_owned(),
            to_do: "t".to_owned(),
            advice: None,
            since: None,
            news: false,
            reason: None,
        }
    }

    #[tokio::test]
    async fn what_is_refused_among_what_is_taken_is_seen() {
        let (hub, asked) = hub(vec![
            (
                200,
                json!({ "SuccessCount": 100, "FailedCount": 0, "FailedFindings": [] }),
            ),
            (
                200,
                json!({ "SuccessCount": 49, "FailedCount": 1, "FailedFindings": [
                    { "Id": "x", "ErrorCode": "InvalidInput", "ErrorMessage": "too long" }] }),
            ),
        ])
        .await;
        let findings: Vec<_> = (0..150).map(finding).collect();
        let why = hub
            .import(&findings, 1_800_000_000, in_time())
            .await
            .unwrap_err();
        assert_eq!(
            why,
            "Security Hub did not take 1 findings; the first: x: InvalidInput too long"
        );
        let asked = asked.lock().unwrap();
        let sizes: Vec<usize> = asked
            .iter()
            .map(|(_, b)| list(b, "Findings").len())
            .collect();
        assert_eq!(sizes, [100, 50]);
        assert!(asked.iter().all(|(path, _)| path == "/findings/import"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_tries_again_when_throttled_and_not_when_refused() {
        let taken = json!({ "SuccessCount": 1, "FailedCount": 0, "FailedFindings": [] });
        let (throttling, asked) = hub(vec![(429, json!({})), (500, json!({})), (200, taken)]).await;
        throttling
            .import(&[finding(1)], 0, in_time())
            .await
            .unwrap();
        assert_eq!(asked.lock().unwrap().len(), 3);
        let (refusing, asked) = hub(vec![(403, json!({ "Message": "not subscribed" }))]).await;
        let why = refusing
            .import(&[finding(1)], 0, in_time())
            .await
            .unwrap_err();
        assert!(
            why.contains("403") && why.contains("not subscribed"),
            "{why}"
        );
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_in_time_and_says_what_was_not_taken() {
        let busy = || (500, json!({}));
        let (hub, asked) = hub(vec![busy(), busy(), busy(), busy()]).await;
        let findings: Vec<_> = (0..250).map(finding).collect();
        let began = Instant::now();
        // The pauses are of half a second and of one.
        let until = began + Duration::from_secs(1);
        let why = hub.import(&findings, 0, until).await.unwrap_err();
        assert!(Instant::now() <= until, "{:?}", began.elapsed());
        assert!(why.contains("did not take 250 findings"), "{why}");
        // Three batches, of which none has time for all its tries.
        let calls = asked.lock().unwrap().len();
        assert!((1..=4).contains(&calls), "{calls}");
        let why = hub.import(&findings, 0, began).await.unwrap_err();
        assert!(why.contains("no time left"), "{why}");
        assert_eq!(asked.lock().unwrap().len(), calls);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_wait_for_an_answer_longer_than_there_is_time() {
        let (mut hub, _) = hub(Vec::new()).await;
        // It takes calls and never answers.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        hub.config = hub.config.to_builder().endpoint_url(endpoint).build();
        let began = Instant::now();
        let until = began + Duration::from_secs(3);
        let why = hub.import(&[finding(1)], 0, until).await.unwrap_err();
        assert!(why.contains("no answer in time"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn only_what_was_not_imported_since_is_archived() {
        let at = |n, now| imported(&finding(n), now).unwrap();
        let (hub, asked) = hub(vec![
            (
                200,
                json!({ "Findings": [at(1, "2026-01-01T00:00:00.000Z")], "NextToken": "more" }),
            ),
            (
                200,
                json!({ "Findings": [
                    at(2, "2026-03-01T00:00:00Z"),
                    at(3, "2026-01-01T00:00:00.000Z"),
                    at(4, "2026-01-01T00:00:00.000Z"),
                    at(5, "2026-01-01T00:00:00.000Z"),
                ] }),
            ),
            (
                200,
                json!({ "SuccessCount": 1, "FailedCount": 0, "FailedFindings": [] }),
            ),
        ])
        .await;
        // 2026-02-01.
        let began = 1_769_904_000;
        let extent = Extent {
            request: &Request::default(),
            regions: &["us-east-1".to_owned()],
            began,
            // It may stand still.
            unjudged: &[finding(3).repository],
            // One is shown as it was before it was imported; one is not imported, because it is fixed.
            found: &[
                finding(4),
                AuditFinding {
                    status: Status::Fixed,
                    ..finding(5)
                },
            ],
        };
        hub.archive(&extent, began, in_time()).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked[1].1["NextToken"], "more");
        let away = list(&asked[2].1, "Findings");
        let ids: Vec<&Value> = away.iter().map(|finding| &finding["Id"]).collect();
        assert_eq!(ids, [&at(1, "x")["Id"], &at(5, "x")["Id"]]);
        assert_eq!(away[0]["RecordState"], "ARCHIVED");
    }
}
