//! A real HTTP hop between the functions and AWS. It passes calls on, remembers them, and, for calls that are about a
//! given repository, fails them as AWS and networks do, or kills the function that made them.

mod real_aws;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use real_aws::Page;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::Problem;
use crate::caller::{Answer, Ask, Caller};
use crate::processes::kill_owner_of;
pub use real_aws::{
    CloudFormation, CreationTemplates, ExclusionFilters, MessageAttributes, Pages,
    PullThroughCaches, RealAws, Recursion, RegistryPolicy, RegistryScanning, RegistrySettings,
    Reply, Subscriptions, TagIndex, Visibility, new_template,
};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// HTTP 400, `ThrottlingException`, as ECR throttles. AWS does not see the call.
    Throttle,
    /// HTTP 500. AWS does not see the call.
    ServerError,
    /// AWS acts, and the connection closes without an answer.
    DropAnswer,
    /// The connection closes at once. AWS does not see the call.
    Cut,
    /// It takes so much longer.
    Delay(Duration),
    /// AWS acts at once, and the answer comes when nobody waits for it any more: the SDK gives up an attempt after six seconds.
    Late,
    /// The call waits, and the plan is asked again in a moment: something else is to happen first.
    Hold,
    /// AWS acts, and the function is killed before it hears of it.
    Kill,
    /// AWS does not act, and says why.
    Refuse(Refusal),
    /// AWS acts, and answers an error all the same, as ECR does when it can't retire a deleted repository's KMS grants (ECR User
    /// Guide, encryption at rest, "Troubleshooting").
    DoneBut(Refusal),
}

/// An error of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    pub code: &'static str,
    pub message: &'static str,
    /// KMS's own code, which ECR passes on inside its `KmsException` (ECR API model).
    pub kms_error: Option<&'static str>,
}

impl Refusal {
    /// ECR's error where KMS refused, with KMS's own code.
    #[must_use]
    pub const fn kms(kms_error: &'static str) -> Self {
        Self {
            status: 400,
            code: "KmsException",
            message: "KMS refused",
            kms_error: Some(kms_error),
        }
    }

    /// A denial whose message ends as AWS's do (IAM User Guide, "Troubleshoot access denied error messages").
    #[must_use]
    pub const fn denied(message: &'static str) -> Self {
        Self {
            status: 400,
            code: "AccessDeniedException",
            message,
            kms_error: None,
        }
    }

    /// A server's fault.
    #[must_use]
    pub const fn fault() -> Self {
        Self {
            status: 500,
            code: "ServerException",
            message: "by the proxy",
            kms_error: None,
        }
    }

    fn reply(self) -> Response<Full<Bytes>> {
        let mut body = serde_json::json!({ "__type": self.code, "message": self.message });
        if let (Some(kms_error), Some(fields)) = (self.kms_error, body.as_object_mut()) {
            fields.insert("kmsError".to_owned(), Value::from(kms_error));
        }
        respond(&Reply {
            status: self.status,
            body: Bytes::from(body.to_string()),
        })
    }
}

/// A call that a function made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `PutImageTagMutability`, `Publish`…
    pub operation: String,
    pub body: String,
    /// Which invocation made it: X-Ray's trace. Empty where the function is not traced.
    pub invocation: String,
}

/// Longer than an attempt of the SDK.
const LATE: Duration = Duration::from_millis(6500);
/// How soon a call that waits is asked about again.
const HELD: Duration = Duration::from_millis(5);
/// What IAM is asked about a call.
#[derive(Clone, Debug)]
pub struct Needed {
    pub role_arn: String,
    pub permission: String,
    pub resource: String,
}

type Planned = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

#[derive(Default)]
struct Shared {
    upstream: u16,
    /// The process whose children are the functions.
    parent: u32,
    calls: Vec<Call>,
    /// What AWS may not have acted on yet, by number.
    under_way: HashMap<u64, Call>,
    /// How many there were.
    numbered: u64,
    /// By a text that the bodies of the calls in question contain.
    plans: HashMap<String, Planned>,
    /// By operation: a port to send it to instead.
    routes: HashMap<String, u16>,
    /// By operation: what a call of it takes, where the local AWS does not know the service.
    needed: HashMap<String, Needed>,
    /// By operation: how long a call of it takes more.
    delays: HashMap<String, Duration>,
    /// When functions called ECR.
    ecr_calls: Vec<Instant>,
    /// What ECR takes of the account's calls.
    ecr_limit: Option<Limit>,
    real_aws: RealAws,
}

/// So many calls a second, and as many at once, as ECR throttles an account's.
struct Limit {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Limit {
    fn lets_through(&mut self) -> bool {
        let now = Instant::now();
        let grown = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + grown).min(self.per_second);
        self.at = now;
        let lets = self.left >= 1.0;
        if lets {
            self.left -= 1.0;
        }
        lets
    }
}

/// The proxy; it ends with the process.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free port and passes on to another.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn start(upstream: u16) -> Result<Self, Problem> {
        let shared = Arc::new(Mutex::new(Shared {
            upstream,
            ..Shared::default()
        }));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let serving = Arc::clone(&shared);
        // A thread of its own: tests come and go with their runtimes.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || runtime.block_on(serve(listener, serving)))?;
        Ok(Self { shared, address })
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn watch_children_of(&self, parent: u32) {
        self.lock().parent = parent;
    }

    /// Decides on every call whose body contains the text, until [`Proxy::calm`].
    pub fn plan(&self, about: &str, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.lock().plans.insert(about.to_owned(), Box::new(plan));
    }

    pub fn calm(&self, about: &str) {
        self.lock().plans.remove(about);
    }

    /// Sends an operation that this local AWS lacks to another one, which knows nothing of permissions: whether the caller may
    /// is asked here first, where the operation is one of ECR's.
    pub fn route(&self, operation: &str, port: u16) {
        self.lock().routes.insert(operation.to_owned(), port);
    }

    /// Has calls of an operation refused while the role lacks the permission, for operations that only [`Proxy::route`] answers.
    pub fn need(&self, operation: &str, needed: Needed) {
        self.lock().needed.insert(operation.to_owned(), needed);
    }

    /// Makes every call of an operation take longer.
    pub fn delay(&self, operation: &str, by: Duration) {
        self.lock().delays.insert(operation.to_owned(), by);
    }

    /// Throttles functions' calls of ECR beyond so many a second.
    pub fn limit_ecr(&self, per_second: u32) {
        self.lock().ecr_limit = Some(Limit {
            per_second: f64::from(per_second),
            left: f64::from(per_second),
            at: Instant::now(),
        });
    }

    /// When functions called ECR so far, in order.
    #[must_use]
    pub fn ecr_calls(&self) -> Vec<Instant> {
        self.lock().ecr_calls.clone()
    }

    /// What DescribePullThroughCacheRules answers from now on.
    pub fn set_pull_through_caches(&self, prefixes: &[&str]) {
        let prefixes = prefixes.iter().map(|p| (*p).to_owned()).collect();
        self.real_aws(|aws| aws.pull_through_caches.prefixes = prefixes);
    }

    /// The filters of the registry's scanning configuration.
    #[must_use]
    pub fn registry_filters(&self) -> Vec<String> {
        self.lock().real_aws.registry_scanning.filters()
    }

    /// Basic scanning without a filter, as every registry begins.
    pub fn reset_registry_scanning(&self) {
        self.real_aws(|aws| aws.registry_scanning = RegistryScanning::default());
    }

    /// Sets what the imitated AWS does.
    pub fn real_aws(&self, set: impl FnOnce(&mut RealAws)) {
        set(&mut self.lock().real_aws);
    }

    /// The calls so far whose bodies contain the text, in order.
    #[must_use]
    pub fn calls(&self, about: &str) -> Vec<Call> {
        let shared = self.lock();
        let about_it = |call: &&Call| call.body.contains(about);
        shared.calls.iter().filter(about_it).cloned().collect()
    }

    /// Whether AWS has acted on all calls so far whose bodies contain the text.
    #[must_use]
    pub fn is_at_rest(&self, about: &str) -> bool {
        let shared = self.lock();
        let mut under_way = shared.under_way.values();
        !under_way.any(|call| call.body.contains(about))
    }

    /// Forgets the calls whose bodies contain the text: a long run has many.
    pub fn forget(&self, about: &str) {
        self.lock().calls.retain(|call| !call.body.contains(about));
    }

    /// All calls so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().calls.len()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Mutex<Shared>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let own = listener.local_addr().map_or(0, |address| address.port());
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(64)
        .build_http();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let (shared, client) = (Arc::clone(&shared), client.clone());
        tokio::spawn(async move {
            let service =
                service_fn(|request| handle(request, (peer.port(), own), &shared, &client));
            // A closed connection is one of the things that happen here.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn handle(
    request: Request<Incoming>,
    (from, to): (u16, u16),
    shared: &Arc<Mutex<Shared>>,
    client: &Client<HttpConnector, Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call = call(&head, &body);
    let not_shown_yet = {
        let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        locked.real_aws.not_shown_yet(&call)
    };
    if let Some(reply) = not_shown_yet {
        return Ok(respond(&reply));
    }
    let mut fault = decide(shared, &call);
    while fault == Some(Fault::Hold) {
        tokio::time::sleep(HELD).await;
        fault = decide(shared, &call);
    }
    let (here, elsewhere, needed, parent, delay, acted) = {
        // In the order in which they go on.
        let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        locked.calls.push(call.clone());
        let elsewhere = locked.routes.get(&call.operation).copied();
        let delay = locked.delays.get(&call.operation).copied();
        if is_ecr(&head) {
            locked.ecr_calls.push(Instant::now());
            let limit = locked.ecr_limit.as_mut();
            if limit.is_some_and(|limit| !limit.lets_through()) {
                fault = fault.or(Some(Fault::Throttle));
            }
        }
        (
            locked.upstream,
            elsewhere,
            locked.needed.get(&call.operation).cloned(),
            locked.parent,
            delay,
            UnderWay::begin(&mut locked, shared, &call),
        )
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }
    match fault {
        Some(Fault::Throttle) => {
            return Ok(error(StatusCode::BAD_REQUEST, "ThrottlingException"));
        }
        Some(Fault::ServerError) => {
            return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, "ServerException"));
        }
        Some(Fault::Cut) => return Err("cut".into()),
        Some(Fault::Refuse(refusal)) => return Ok(refusal.reply()),
        Some(Fault::Delay(by)) => tokio::time::sleep(by).await,
        Some(Fault::DropAnswer | Fault::Kill | Fault::Late | Fault::Hold | Fault::DoneBut(_))
        | None => {}
    }
    let (instead, lacked, body) = {
        let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let instead = locked.real_aws.instead(&call);
        let lacked = locked.real_aws.supplies(&call) && elsewhere.is_none();
        (instead, lacked, locked.real_aws.request(&call, body))
    };
    // A behaviour may have changed the body: the client counts it again.
    head.headers.remove("content-length");
    let hop = Hop { from, to, parent };
    if let Some(reply) = instead {
        return hop.answer(fault, respond(&reply)).await;
    }
    if let Some(needed) = needed
        && let Some(refusal) = refusal(here, &needed).await?
    {
        return Ok(refusal);
    }
    let upstream = elsewhere.unwrap_or(here);
    let path = head
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .to_owned();
    // Whom the local AWS refuses is refused, although another one would answer. What it lacks it says after that.
    if lacked || (elsewhere.is_some() && head.headers.contains_key("x-amz-target")) {
        head.uri = format!("http://127.0.0.1:{here}{path}").parse()?;
        let asked = Request::from_parts(head.clone(), Full::new(body.clone()));
        let (refused, text) = client.request(asked).await?.into_parts();
        let text = text.collect().await?.to_bytes();
        let answer = Answer {
            status: refused.status.as_u16(),
            body: String::from_utf8_lossy(&text).into_owned(),
        };
        if answer.is_denied() {
            return Ok(Response::from_parts(refused, Full::new(text)));
        }
    }
    if lacked {
        let mut repositories = None;
        if RegistryScanning::needs_repositories(&call) {
            let all = client.request(everything(here)?).await?;
            repositories = Some(all.into_body().collect().await?.to_bytes());
        }
        let reply = {
            let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(repositories) = repositories {
                locked.real_aws.registry_scanning.know(&repositories);
            }
            locked.real_aws.supplied(&call)
        };
        if let Some(reply) = reply {
            return hop.answer(fault, respond(&reply)).await;
        }
    }
    head.uri = format!("http://127.0.0.1:{upstream}{path}").parse()?;
    // A task of its own: what has reached AWS is acted on, though its caller dies meanwhile.
    let sent = client.request(Request::from_parts(head, Full::new(body)));
    let answer = tokio::spawn(async move {
        let answer = sent.await;
        drop(acted);
        answer
    });
    let answer = answer.await??;
    let (mut head, body) = answer.into_parts();
    let mut body = body.collect().await?.to_bytes();
    // The caller's own request says whether it may; ministack answers it with less than there is.
    if let (Some(page), true) = (Page::asked_for(&call), head.status.is_success()) {
        let all = client.request(everything(upstream)?).await?;
        body = page.of(&all.into_body().collect().await?.to_bytes())?;
        head.headers.remove("content-length");
    }
    if let (Some(topic), true) = (topic_asked_for(&call), head.status.is_success()) {
        let asked = client.request(subscriptions(upstream, topic)?).await?;
        let listed = asked.into_body().collect().await?.to_bytes();
        let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let subscriptions = &mut locked.real_aws.subscriptions;
        subscriptions.list(&String::from_utf8_lossy(&listed));
    }
    let reply = Reply {
        status: head.status.as_u16(),
        body,
    };
    let given = {
        let mut locked = shared.lock().unwrap_or_else(PoisonError::into_inner);
        locked.real_aws.reply(&call, reply.clone())
    };
    if given != reply {
        head.status = StatusCode::from_u16(given.status)?;
        head.headers.remove("content-length");
    }
    let body = given.body;
    hop.answer(fault, Response::from_parts(head, Full::new(body)))
        .await
}

/// A connection from a function.
struct Hop {
    from: u16,
    to: u16,
    /// The process whose children are the functions.
    parent: u32,
}

impl Hop {
    /// Brings AWS's answer to the function, or what happens instead.
    async fn answer(
        &self,
        fault: Option<Fault>,
        answer: Response<Full<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, Problem> {
        match fault {
            Some(Fault::DoneBut(refusal)) => Ok(refusal.reply()),
            Some(Fault::Kill) => {
                kill_owner_of(self.from, self.to, self.parent);
                Err("killed".into())
            }
            Some(Fault::DropAnswer) => Err("dropped".into()),
            Some(Fault::Late) => {
                tokio::time::sleep(LATE).await;
                Err("late".into())
            }
            _ => Ok(answer),
        }
    }
}

/// A call that AWS may not have acted on; it has, or never will, when this is dropped.
struct UnderWay {
    shared: Arc<Mutex<Shared>>,
    number: u64,
}

impl UnderWay {
    fn begin(locked: &mut Shared, shared: &Arc<Mutex<Shared>>, call: &Call) -> Self {
        locked.numbered = locked.numbered.wrapping_add(1);
        let number = locked.numbered;
        locked.under_way.insert(number, call.clone());
        Self {
            shared: Arc::clone(shared),
            number,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.under_way.remove(&self.number);
    }
}

/// What is planned for a call.
fn decide(shared: &Mutex<Shared>, call: &Call) -> Option<Fault> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let plans = shared.plans.iter_mut();
    plans
        .filter(|(about, _)| call.body.contains(about.as_str()))
        .find_map(|(_, plan)| plan(call))
}

/// The topic whose attributes a call asks for.
fn topic_asked_for(call: &Call) -> Option<&str> {
    if call.operation != "GetTopicAttributes" {
        return None;
    }
    let mut pairs = call.body.split('&');
    pairs.find_map(|pair| pair.strip_prefix("TopicArn="))
}

/// A topic's subscriptions, as the account's root may ask.
fn subscriptions(upstream: u16, topic: &str) -> Result<Request<Full<Bytes>>, Problem> {
    let parameters = [("TopicArn", topic)];
    let ask = Ask::Query("ListSubscriptionsByTopic", "2010-03-31", &parameters);
    Caller::root().signed(&format!("http://127.0.0.1:{upstream}"), "sns", &ask)
}

/// All repositories, as the account's root may ask.
fn everything(upstream: u16) -> Result<Request<Full<Bytes>>, Problem> {
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories";
    let body = serde_json::json!({ "maxResults": 1_000_000 });
    Caller::root().signed(
        &format!("http://127.0.0.1:{upstream}"),
        "ecr",
        &Ask::Json(target, &body),
    )
}

/// What AWS answers who may not, by what IAM says of the role; `None`: it may.
async fn refusal(upstream: u16, needed: &Needed) -> Result<Option<Response<Full<Bytes>>>, Problem> {
    let parameters = [
        ("PolicySourceArn", needed.role_arn.as_str()),
        ("ActionNames.member.1", &needed.permission),
        ("ResourceArns.member.1", &needed.resource),
    ];
    let ask = Ask::Query("SimulatePrincipalPolicy", "2010-05-08", &parameters);
    let endpoint = format!("http://127.0.0.1:{upstream}");
    let answer = Caller::root().ask(&endpoint, "iam", &ask).await?;
    if answer.element("EvalDecision") == Some("allowed") {
        return Ok(None);
    }
    let (permission, resource) = (&needed.permission, &needed.resource);
    let body = serde_json::json!({
        "Message": format!("User is not authorized to perform: {permission} on resource: {resource}"),
    });
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::FORBIDDEN;
    let kind = hyper::header::HeaderValue::from_static("AccessDeniedException");
    response.headers_mut().insert("x-amzn-errortype", kind);
    Ok(Some(response))
}

fn is_ecr(head: &hyper::http::request::Parts) -> bool {
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    target.is_some_and(|target| target.starts_with("AmazonEC2ContainerRegistry"))
}

fn call(head: &hyper::http::request::Parts, body: &Bytes) -> Call {
    let text = String::from_utf8_lossy(body);
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let operation = match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        // SNS speaks the query protocol.
        None => text
            .split('&')
            .find_map(|pair| pair.strip_prefix("Action="))
            .unwrap_or(head.uri.path())
            .to_owned(),
    };
    let trace = head.headers.get("x-amzn-trace-id");
    let trace = trace.and_then(|trace| trace.to_str().ok());
    Call {
        operation,
        invocation: trace.unwrap_or_default().to_owned(),
        body: text.replace("%2F", "/").replace("%3A", ":"),
    }
}

fn error(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    respond(&Reply::error(status.as_u16(), code, "by the proxy"))
}

fn respond(reply: &Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body.clone()));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
