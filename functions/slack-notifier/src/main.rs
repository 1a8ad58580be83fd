//! The Slack notifier: alerts in, one message to an incoming webhook out.

mod delivery;
mod handler;

use lambda_runtime::{Error, run, service_fn};

use handler::Notifier;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ecr_warden_aws::log::start();
    let notifier = Notifier::from_environment()?;
    run(service_fn(|event| notifier.handle(event))).await
}
