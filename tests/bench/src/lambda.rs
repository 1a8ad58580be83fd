//! Plays Lambda's runtime API: starts a function, hands it an event, once or more, and takes the time until its answer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::process::{folder, peak, with_aws_at};
use crate::{Problem, root};

/// One start of one function.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) to_next: Duration,
    pub(crate) to_answer: Duration,
    pub(crate) began_at: Instant,
    /// When it was given the event that it answered last.
    pub(crate) given_at: Instant,
    pub(crate) peak_kib: usize,
}

/// What was seen of the function that runs.
#[derive(Default)]
struct Seen {
    next: Option<Instant>,
    /// The last.
    given: Option<Instant>,
    answer: Option<Instant>,
    answers: usize,
}

struct Shared {
    event: String,
    /// How often it is given.
    times: usize,
    seen: Mutex<Seen>,
    answered: Notify,
}

pub(crate) struct Lambda {
    shared: Arc<Shared>,
    address: String,
}

impl Lambda {
    /// Every function that it starts gets this event, and nothing after it.
    pub(crate) async fn with_event(event: String) -> Result<Self, Problem> {
        Self::with_events(event, 1).await
    }

    /// The same so often, one after the other.
    pub(crate) async fn with_events(event: String, times: usize) -> Result<Self, Problem> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            event,
            times,
            seen: Mutex::default(),
            answered: Notify::new(),
        });
        tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { shared, address })
    }

    pub(crate) async fn start(&self, program: &Path, endpoint: &str) -> Result<Start, Problem> {
        let mut command = self.function(with_aws_at(endpoint, program)?);
        let began = Instant::now();
        let mut child = command.spawn()?;
        let answered = self.answered().await;
        let peak_kib = child.id().map_or(0, peak);
        child.kill().await?;
        if !answered {
            return Err(format!("{} does not answer", program.display()).into());
        }
        let seen = self.shared.seen.lock();
        let seen = seen.unwrap_or_else(PoisonError::into_inner);
        match (seen.next, seen.given, seen.answer) {
            (Some(next), Some(given_at), Some(answer)) => Ok(Start {
                began_at: began,
                given_at,
                to_next: next.duration_since(began),
                to_answer: answer.duration_since(began),
                peak_kib,
            }),
            _ => Err("the function answered what it was not asked".into()),
        }
    }

    /// The same under another program, which is asked to end when the function has answered, and has then written something down.
    pub(crate) async fn start_under(&self, command: Command) -> Result<(), Problem> {
        let mut child = self.function(command).spawn()?;
        let answered = self.answered().await;
        let pid = child.id().unwrap_or_default().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        child.wait().await?;
        if answered {
            Ok(())
        } else {
            Err("the function does not answer".into())
        }
    }

    async fn answered(&self) -> bool {
        let within = Duration::from_secs(60);
        tokio::time::timeout(within, self.shared.answered.notified())
            .await
            .is_ok()
    }

    /// A function with the environment that Lambda gives it, of which nothing was seen yet.
    fn function(&self, mut command: Command) -> Command {
        *self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Seen::default();
        command
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", self.address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
                ("STATE_TABLE", "bench"),
                (
                    "ALERT_TOPIC_ARN",
                    "arn:aws:sns:us-east-1:000000000000:bench",
                ),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// The enforcer's zip, and the binary in it: what is deployed.
pub(crate) async fn enforcer() -> Result<(PathBuf, PathBuf), Problem> {
    let zip = root().join("target/lambda/enforcer/bootstrap.zip");
    let folder = folder()?;
    let status = Command::new(root().join(".venv/bin/python"))
        .args(["-m", "zipfile", "-e"])
        .args([&zip, &folder])
        .status()
        .await?;
    let binary = folder.join("bootstrap");
    let executable = Command::new("chmod").arg("+x").arg(&binary).status();
    if !status.success() || !executable.await?.success() {
        return Err(format!("{} can't be unpacked", zip.display()).into());
    }
    Ok((zip, binary))
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &shared));
            // The function is killed when it has answered.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Problem> {
    let path = request.uri().path().to_owned();
    request.into_body().collect().await?;
    let mut body = String::new();
    if path.ends_with("/invocation/next") {
        let more = {
            let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            seen.next.get_or_insert(now);
            let more = seen.answers < shared.times;
            if more {
                seen.given = Some(now);
            }
            more
        };
        if !more {
            std::future::pending::<()>().await;
        }
        body.clone_from(&shared.event);
    } else if path.ends_with("/response") {
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.answers = seen.answers.saturating_add(1);
        if seen.answers == shared.times {
            seen.answer = Some(Instant::now());
            shared.answered.notify_one();
        }
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(60);
    for (name, value) in [
        ("lambda-runtime-aws-request-id", "bench".to_owned()),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned(),
        ),
    ] {
        response.headers_mut().insert(name, value.parse()?);
    }
    Ok(response)
}
