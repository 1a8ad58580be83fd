//! The Slack notifier: alerts in, one message to an incoming webhook out.

mod delivery;
mod handler;

use lambda_runtime::{Error, run, service_fn, tracing};

use handler::Notifier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let notifier = Notifier::from_environment()?;
    run(service_fn(|event| notifier.handle(event))).await
}
