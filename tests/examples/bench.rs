//! `make bench`: what the function costs to start, compared with an empty one in the same run.
//!
//! Both are the release builds. A small server plays Lambda's runtime API and, for the calls of the first event, AWS:
//! it answers at once, so that what is measured is the function.

#![allow(clippy::print_stdout, reason = "a benchmark is what it prints")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use ecr_warden_tests::Problem;
use ecr_warden_tests::local_aws::{ACCOUNT, REGION, root};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const RUNS: usize = 40;

/// One start of one function.
#[derive(Clone, Copy)]
struct Start {
    to_next: Duration,
    to_answer: Duration,
    resident_kib: u64,
}

/// What the server saw of the function that runs.
#[derive(Default)]
struct Seen {
    next: Option<Instant>,
    answer: Option<Instant>,
}

#[derive(Default)]
struct Server {
    seen: Mutex<Seen>,
    answered: Notify,
}

#[tokio::main]
async fn main() -> Result<(), Problem> {
    let zip = root().join("target/lambda/enforcer/bootstrap.zip");
    let enforcer = unpacked(&zip)?;
    let empty = root().join("target/release/empty");
    let server = Arc::new(Server::default());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(serve(listener, Arc::clone(&server)));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turn, so that both see the same machine; the first of each warms the disk's cache.
    for run in 0..=RUNS {
        let of_ours = start(&enforcer, &address, &server).await?;
        let of_empty = start(&empty, &address, &server).await?;
        if run > 0 {
            ours.push(of_ours);
            theirs.push(of_empty);
        }
    }

    let milliseconds = |starts: &[Start], of: fn(&Start) -> Duration| {
        median(
            starts
                .iter()
                .map(|start| of(start).as_secs_f64() * 1000.0)
                .collect(),
        )
    };
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_header(["", "enforcer", "empty function", "ratio"]);
    let mut row = |what: &str, unit: &str, a: f64, b: f64| {
        table.add_row([
            what.to_owned(),
            format!("{a:.1} {unit}"),
            format!("{b:.1} {unit}"),
            format!("{:.2}", a / b),
        ]);
    };
    let (a, b) = (
        milliseconds(&ours, |s| s.to_next),
        milliseconds(&theirs, |s| s.to_next),
    );
    row("start to first /next", "ms", a, b);
    let (a, b) = (
        milliseconds(&ours, |s| s.to_answer),
        milliseconds(&theirs, |s| s.to_answer),
    );
    row("start to first answer", "ms", a, b);
    let memory = |starts: &[Start]| {
        median(
            starts
                .iter()
                .map(|s| f64::from(u32::try_from(s.resident_kib).unwrap_or(u32::MAX)) / 1024.0)
                .collect(),
        )
    };
    row("resident after it", "MiB", memory(&ours), memory(&theirs));
    println!("{table}");
    println!(
        "Medians of {RUNS} starts each, in turn. First event: a repository that complies, four calls to AWS at once;"
    );
    println!("the empty function makes one HTTP call.");
    let size = std::fs::metadata(&zip)?.len();
    #[expect(clippy::cast_precision_loss, reason = "a size in megabytes")]
    let size = size as f64 / 1e6;
    println!("The enforcer's zip: {size:.2} MB.");
    Ok(())
}

/// The binary that is deployed.
fn unpacked(zip: &Path) -> Result<PathBuf, Problem> {
    let folder = root().join("target/bench");
    let status = Command::new(root().join(".venv/bin/python"))
        .args(["-m", "zipfile", "-e"])
        .args([zip, &folder])
        .status()?;
    let binary = folder.join("bootstrap");
    if !status.success()
        || !Command::new("chmod")
            .arg("+x")
            .arg(&binary)
            .status()?
            .success()
    {
        return Err(format!("{} can't be unpacked", zip.display()).into());
    }
    Ok(binary)
}

async fn start(program: &Path, address: &str, server: &Server) -> Result<Start, Problem> {
    *server.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
    let began = Instant::now();
    let mut child = spawn(program, address)?;
    let answered = tokio::time::timeout(Duration::from_secs(20), server.answered.notified()).await;
    let resident_kib = resident(&child);
    child.kill()?;
    child.wait()?;
    answered.map_err(|_| format!("{} does not answer", program.display()))?;
    let seen = server.seen.lock().unwrap_or_else(PoisonError::into_inner);
    match (seen.next, seen.answer) {
        (Some(next), Some(answer)) => Ok(Start {
            to_next: next.duration_since(began),
            to_answer: answer.duration_since(began),
            resident_kib,
        }),
        _ => Err("the function answered what it was not asked".into()),
    }
}

fn spawn(program: &Path, address: &str) -> Result<Child, Problem> {
    let child = Command::new(program)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("STATE_TABLE", "bench"),
            (
                "ALERT_TOPIC_ARN",
                "arn:aws:sns:us-east-1:000000000000:bench",
            ),
        ])
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

fn resident(child: &Child) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default()
}

async fn serve(listener: TcpListener, server: Arc<Server>) {
    while let Ok((stream, _)) = listener.accept().await {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &server));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    server: &Server,
) -> Result<Response<Full<Bytes>>, Problem> {
    let path = request.uri().path().to_owned();
    let target = request
        .headers()
        .get("x-amz-target")
        .and_then(|t| t.to_str().ok())
        .map(str::to_owned);
    request.into_body().collect().await?;
    let body = if path.ends_with("/invocation/next") {
        let first = {
            let mut seen = server.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let first = seen.next.is_none();
            seen.next.get_or_insert_with(Instant::now);
            first
        };
        if !first {
            std::future::pending::<()>().await;
        }
        event()
    } else if path.ends_with("/response") {
        server
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer
            .get_or_insert_with(Instant::now);
        server.answered.notify_one();
        String::new()
    } else {
        aws(target.as_deref().unwrap_or_default())
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let deadline = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?
        + Duration::from_secs(60);
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

fn event() -> String {
    json!({
        "source": "aws.ecr", "detail-type": "ECR Image Action", "account": ACCOUNT, "region": REGION,
        "detail": { "action-type": "PUSH", "result": "SUCCESS", "repository-name": "shop/api", "image-tag": "v1" },
    })
    .to_string()
}

fn aws(target: &str) -> String {
    match target.rsplit('.').next() {
        Some("DescribeRepositories") => json!({ "repositories": [{
            "repositoryName": "shop/api", "createdAt": 1_700_000_000, "imageTagMutability": "IMMUTABLE",
        }] }),
        _ => json!({ "Items": [], "Count": 0, "ScannedCount": 0 }),
    }
    .to_string()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
