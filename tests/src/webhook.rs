//! An HTTP server in Slack's place: it answers as it is told, and remembers what it was sent.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::Problem;

/// One answer.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Ok,
    /// 429 with `Retry-After: 1`.
    TooMany,
    /// This status.
    Status(u16),
    /// None, for as long as the caller waits.
    Hang,
}

#[derive(Debug, Default)]
struct Shared {
    answers: VecDeque<Answer>,
    taken: Vec<Value>,
    calls: usize,
}

/// The server; it ends with the process.
#[derive(Clone, Debug)]
pub struct Webhook {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
}

impl Webhook {
    /// Listens on a free port.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn start() -> Result<Self, Problem> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let serving = Arc::clone(&shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || runtime.block_on(serve(listener, serving)))?;
        Ok(Self { shared, address })
    }

    /// With a path that no log may show.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/services/T000/B000/{SECRET}", self.address)
    }

    /// What to answer to the next calls; then 200.
    pub fn answer(&self, answers: &[Answer]) {
        self.lock().answers.extend(answers);
    }

    /// The messages that were answered with 200.
    #[must_use]
    pub fn taken(&self) -> Vec<Value> {
        self.lock().taken.clone()
    }

    #[must_use]
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret part of the URL.
pub const SECRET: &str = "XXXXsecretXXXX";

async fn serve(listener: std::net::TcpListener, shared: Arc<Mutex<Shared>>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| handle(request, &shared));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn handle(
    request: Request<Incoming>,
    shared: &Mutex<Shared>,
) -> Result<Response<Full<Bytes>>, Problem> {
    let body = request.into_body().collect().await?.to_bytes();
    let answer = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.calls = shared.calls.saturating_add(1);
        let answer = shared.answers.pop_front().unwrap_or(Answer::Ok);
        if matches!(answer, Answer::Ok) {
            shared.taken.push(serde_json::from_slice(&body)?);
        }
        answer
    };
    let (status, word) = match answer {
        Answer::Ok => (200, "ok"),
        Answer::TooMany => (429, "rate_limited"),
        Answer::Status(status) => (status, "channel_not_found"),
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            (500, "")
        }
    };
    let mut response = Response::builder().status(status);
    if matches!(answer, Answer::TooMany) {
        response = response.header("retry-after", "1");
    }
    Ok(response.body(Full::new(Bytes::from_static(word.as_bytes())))?)
}
