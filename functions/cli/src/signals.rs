//! What stops a command from outside.

use tokio::signal::unix::{SignalKind, signal};

/// Until the operator, the terminal's end or a job's time limit stops the command.
pub(crate) async fn stopped_by_signal() {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let waits = kinds.map(|kind| {
        Box::pin(async move {
            match signal(kind) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        })
    });
    futures_util::future::select_all(waits).await;
}
