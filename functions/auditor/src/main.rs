//! The auditor function: a request in, many repositories looked at, and with `mode: enforce` repaired and told about.

mod handler;

use lambda_runtime::{Error, run, service_fn};

use handler::Auditor;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ecr_warden_aws::log::start();
    let auditor = Auditor::from_environment()?;
    run(service_fn(|event| auditor.handle(event))).await
}
