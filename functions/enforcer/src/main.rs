//! The enforcer function: one EventBridge event in, one repository looked at, repaired and told about.

mod handler;

use lambda_runtime::{Error, run, service_fn};

use handler::Enforcer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ecr_warden_aws::log::start();
    let enforcer = Enforcer::from_environment()?;
    run(service_fn(|event| enforcer.handle(event))).await
}
