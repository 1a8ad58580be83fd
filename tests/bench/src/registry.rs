//! Plays the part of AWS that audits ask: a registry of any size, an answer after a given time, and every call counted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::repositories::{Repositories, Repository};
use crate::{ACCOUNT, Problem, REGION};

/// ECR's page where none is asked for.
const PAGE: usize = 100;
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Clones are the same registry.
#[derive(Clone)]
pub(crate) struct Registry {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
}

#[derive(Default)]
struct Shared {
    repositories: Repositories,
    latency: Duration,
    seen: Seen,
    waiting: usize,
}

/// What was asked.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// By operation.
    pub(crate) calls: BTreeMap<String, usize>,
    /// The most calls that waited for an answer at one time.
    pub(crate) side_by_side: usize,
    /// When the last alert was taken.
    pub(crate) told_at: Option<Instant>,
}

impl Seen {
    pub(crate) fn total(&self) -> usize {
        self.calls.values().sum()
    }
}

impl Registry {
    /// Listens on a free port of this machine, until the process ends.
    pub(crate) async fn start() -> Result<Self, Problem> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let registry = Self {
            shared: Arc::default(),
            address: listener.local_addr()?,
        };
        tokio::spawn(serve(listener, registry.clone()));
        Ok(registry)
    }

    /// Becomes another registry, of which nothing was asked yet.
    pub(crate) fn become_one_of(&self, repositories: Repositories, latency: Duration) {
        *self.lock() = Shared {
            repositories,
            latency,
            ..Shared::default()
        };
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Seen {
        self.lock().seen.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Problem> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = head.headers.get("x-amz-target");
        let call = match target.and_then(|target| target.to_str().ok()) {
            Some(target) => Call::Json(target, serde_json::from_slice(&body)?),
            None => match std::str::from_utf8(&body).ok().and_then(action) {
                Some(action) => Call::Query(action),
                None => Call::Other(head.uri.path()),
            },
        };
        Ok(self.answer(call).await)
    }

    /// What AWS answers, when it would.
    pub(crate) async fn answer(&self, call: Call<'_>) -> Response<Full<Bytes>> {
        let is_alert = call.operation() == "Publish";
        let (repositories, latency) = {
            let mut shared = self.lock();
            let count = shared.seen.calls.entry(call.operation().to_owned());
            let count = count.or_default();
            *count = count.saturating_add(1);
            shared.waiting = shared.waiting.saturating_add(1);
            shared.seen.side_by_side = shared.seen.side_by_side.max(shared.waiting);
            (shared.repositories, shared.latency)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let response = match call {
            Call::Json(target, body) => response(json_answer(target, &body, repositories)),
            Call::Query(action) => response(query_answer(action)),
            Call::Other(_) => response(Err("UnknownOperationException")),
        };
        let mut shared = self.lock();
        shared.waiting = shared.waiting.saturating_sub(1);
        if is_alert {
            shared.seen.told_at = Some(Instant::now());
        }
        response
    }
}

/// A call, by the protocols that AWS's services speak.
pub(crate) enum Call<'c> {
    /// The header `x-amz-target` and the body.
    Json(&'c str, Value),
    /// The field `Action` of the body.
    Query(&'c str),
    /// A path.
    Other(&'c str),
}

impl Call<'_> {
    fn operation(&self) -> &str {
        match self {
            Self::Json(target, _) => target.rsplit('.').next().unwrap_or(target),
            Self::Query(name) | Self::Other(name) => name,
        }
    }
}

async fn serve(listener: TcpListener, registry: Registry) {
    while let Ok((stream, _)) = listener.accept().await {
        let registry = registry.clone();
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| registry.handle(request));
            // Whoever asks may hang up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn action(body: &str) -> Option<&str> {
    body.split('&')
        .find_map(|field| field.strip_prefix("Action="))
}

fn response(answer: Result<String, &'static str>) -> Response<Full<Bytes>> {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(code) => (
            StatusCode::BAD_REQUEST,
            json!({ "__type": code, "message": "no such thing" }).to_string(),
        ),
    };
    let content = if body.starts_with('<') {
        "text/xml"
    } else {
        "application/x-amz-json-1.1"
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

fn json_answer(
    target: &str,
    body: &Value,
    repositories: Repositories,
) -> Result<String, &'static str> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    let one = |name: &str| {
        let named = repositories.named(name);
        named.ok_or("RepositoryNotFoundException")
    };
    let registry = json!({ "registryId": ACCOUNT });
    let with = |more: Value| {
        let mut answer = registry.clone();
        if let (Value::Object(answer), Value::Object(more)) = (&mut answer, more) {
            answer.extend(more);
        }
        Ok(answer.to_string())
    };
    let operation = target.rsplit('.').next().unwrap_or_default();
    match operation {
        "DescribeRepositories" => describe(body, repositories),
        "ListTagsForResource" => {
            let arn = text("resourceArn");
            let (_, name) = arn.split_once(":repository/").unwrap_or_default();
            let tag = one(name)?.tag();
            let tags: Vec<_> = tag
                .iter()
                .map(|team| json!({ "Key": "team", "Value": team }))
                .collect();
            Ok(json!({ "tags": tags }).to_string())
        }
        "GetResources" => Ok(indexed(body, repositories)),
        "GetRepositoryPolicy" => {
            let name = text("repositoryName");
            let policy = one(name)?.policy();
            let policy = policy.ok_or("RepositoryPolicyNotFoundException")?;
            with(json!({ "repositoryName": name, "policyText": policy }))
        }
        "GetLifecyclePolicy" => {
            let name = text("repositoryName");
            let policy = one(name)?.lifecycle_policy();
            let policy = policy.ok_or("LifecyclePolicyNotFoundException")?;
            with(json!({ "repositoryName": name, "lifecyclePolicyText": policy }))
        }
        "DescribeImages" => Ok(images(one(text("repositoryName"))?)),
        "ListImages" => {
            let images = one(text("repositoryName"))?.images();
            let ids: Vec<_> = images
                .map(|(_, digest, tag)| json!({ "imageDigest": digest, "imageTag": tag }))
                .collect();
            Ok(json!({ "imageIds": ids }).to_string())
        }
        "DescribeImageScanFindings" => with(json!({
            "repositoryName": text("repositoryName"), "imageId": body.get("imageId"),
            "imageScanStatus": { "status": "COMPLETE" },
            "imageScanFindings": { "findings": [], "findingSeverityCounts": {} },
        })),
        "BatchGetImage" => {
            let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [] });
            Ok(json!({ "images": [{
                "registryId": ACCOUNT, "repositoryName": text("repositoryName"),
                "imageId": body.pointer("/imageIds/0"), "imageManifest": manifest.to_string(),
                "imageManifestMediaType": MANIFEST,
            }], "failures": [] })
            .to_string())
        }
        "GetRegistryScanningConfiguration" => {
            with(json!({ "scanningConfiguration": { "scanType": "BASIC", "rules": [] } }))
        }
        "BatchGetRepositoryScanningConfiguration" => Ok(scanning(body, repositories)),
        "DescribePullThroughCacheRules" => Ok(json!({ "pullThroughCacheRules": [] }).to_string()),
        "DescribeRepositoryCreationTemplates" => {
            Ok(json!({ "repositoryCreationTemplates": [] }).to_string())
        }
        "GetAccountSetting" => Ok(json!({ "name": text("name"), "value": "V2" }).to_string()),
        "GetSigningConfiguration" => Err("SigningConfigurationNotFoundException"),
        "GetRegistryPolicy" => Err("RegistryPolicyNotFoundException"),
        "DescribeRegistry" => with(json!({ "replicationConfiguration": { "rules": [] } })),
        "PutImageTagMutability" => with(json!({
            "repositoryName": text("repositoryName"), "imageTagMutability": text("imageTagMutability"),
            "imageTagMutabilityExclusionFilters": body.get("imageTagMutabilityExclusionFilters"),
        })),
        "DescribeKey" => Ok(json!({ "KeyMetadata": {
            "KeyId": text("KeyId"), "Arn": text("KeyId"), "KeyState": "Enabled", "Enabled": true,
            "KeyManager": "CUSTOMER", "KeyUsage": "ENCRYPT_DECRYPT",
        } })
        .to_string()),
        // It is older than every repository.
        "DescribeTable" => {
            Ok(json!({ "Table": { "TableName": "state", "CreationDateTime": 1.0 } }).to_string())
        }
        // An empty table that takes everything.
        _ if target.starts_with("DynamoDB_") => {
            Ok(json!({ "Items": [], "Count": 0, "ScannedCount": 0 }).to_string())
        }
        _ => Err("UnknownOperationException"),
    }
}

/// By name, or in pages whose token is the number of the next repository.
fn describe(body: &Value, all: Repositories) -> Result<String, &'static str> {
    let mut out = String::from(r#"{"repositories":["#);
    let mut add = |repository: Repository| {
        if !out.ends_with('[') {
            out.push(',');
        }
        repository.describe(&mut out);
    };
    if let Some(names) = body.get("repositoryNames").and_then(Value::as_array) {
        for name in names {
            let repository = all.named(name.as_str().unwrap_or_default());
            add(repository.ok_or("RepositoryNotFoundException")?);
        }
        out.push_str("]}");
        return Ok(out);
    }
    let token = body.get("nextToken").and_then(Value::as_str);
    let first = token.and_then(|token| token.parse().ok()).unwrap_or(0);
    let size = body.get("maxResults").and_then(Value::as_u64);
    let size = size.map_or(PAGE, |size| usize::try_from(size).unwrap_or(PAGE));
    all.from(first).take(size).for_each(add);
    let next = first.saturating_add(size);
    // INVARIANT: writing to a string does not fail.
    let _ = if next < all.count {
        write!(out, r#"],"nextToken":"{next}"}}"#)
    } else {
        write!(out, "]}}")
    };
    Ok(out)
}

fn images(repository: Repository) -> String {
    let name = repository.name();
    let images: Vec<_> = repository
        .images()
        .map(|(pushed, digest, tag)| {
            json!({
                "registryId": ACCOUNT, "repositoryName": name, "imageDigest": digest, "imageTags": [tag],
                "imageSizeInBytes": 50_000_000, "imagePushedAt": pushed,
                "imageManifestMediaType": MANIFEST,
                "artifactMediaType": "application/vnd.docker.container.image.v1+json",
            })
        })
        .collect();
    json!({ "imageDetails": images }).to_string()
}

/// The index of tags has the repositories with tags.
fn indexed(body: &Value, all: Repositories) -> String {
    let arns = body.get("ResourceARNList").and_then(Value::as_array);
    let tagged: Vec<_> = arns
        .into_iter()
        .flatten()
        .filter_map(|arn| {
            let (_, name) = arn.as_str()?.split_once(":repository/")?;
            let team = all.named(name)?.tag()?;
            Some(json!({ "ResourceARN": arn, "Tags": [{ "Key": "team", "Value": team }] }))
        })
        .collect();
    json!({ "PaginationToken": "", "ResourceTagMappingList": tagged }).to_string()
}

fn scanning(body: &Value, all: Repositories) -> String {
    let names = body.get("repositoryNames").and_then(Value::as_array);
    let configurations: Vec<_> = names
        .into_iter()
        .flatten()
        .filter_map(|name| all.named(name.as_str()?))
        .map(|repository| {
            let scanned = !repository.has(crate::repositories::Fault::NotScanned);
            json!({
                "repositoryName": repository.name(), "scanOnPush": scanned,
                "scanFrequency": if scanned { "SCAN_ON_PUSH" } else { "MANUAL" },
            })
        })
        .collect();
    json!({ "scanningConfigurations": configurations, "failures": [] }).to_string()
}

fn query_answer(action: &str) -> Result<String, &'static str> {
    let result = match action {
        "GetCallerIdentity" => format!(
            "<Arn>arn:aws:iam::{ACCOUNT}:user/auditor</Arn><UserId>AIDACKCEVSQ6C2EXAMPLE</UserId><Account>{ACCOUNT}</Account>"
        ),
        "ListAccountAliases" => "<AccountAliases/><IsTruncated>false</IsTruncated>".to_owned(),
        "Publish" => "<MessageId>00000000-0000-4000-8000-000000000000</MessageId>".to_owned(),
        "DescribeRegions" => {
            return Ok(format!(
                "<DescribeRegionsResponse><requestId>1</requestId><regionInfo><item><regionName>{REGION}</regionName><regionEndpoint>ec2.{REGION}.amazonaws.com</regionEndpoint><optInStatus>opt-in-not-required</optInStatus></item></regionInfo></DescribeRegionsResponse>"
            ));
        }
        _ => return Err("UnknownOperationException"),
    };
    Ok(format!(
        "<{action}Response><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    ))
}
