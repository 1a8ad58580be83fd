//! A real local AWS for the end-to-end tests and the demo: ministack with the real template, a proxy between the functions and AWS that watches and fails calls, and a relay that carries
//! CloudTrail's records to EventBridge's rules as AWS does.

pub mod caller;
pub mod clients;
mod deployment;
pub mod inbox;
pub mod local_aws;
pub mod moto;
pub mod oci;
mod processes;
pub mod proxy;
pub mod relay;
pub mod samples;
mod server;
pub mod webhook;

/// What goes wrong around a test: one line.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Asks again until there is an answer.
///
/// # Errors
/// None came within the time.
pub async fn eventually<T, F>(
    what: &str,
    within: std::time::Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Problem>
where
    F: Future<Output = Result<Option<T>, Problem>>,
{
    let give_up = tokio::time::Instant::now() + within;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if tokio::time::Instant::now() > give_up {
            return Err(format!("waited {within:?} in vain for {what}").into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
