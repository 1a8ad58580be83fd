//! The operator's hand on the brakes: the switch that stops all changes, and the brake of `changes-per-hour`.

use ecr_warden_core::brakes::{Braked, Switched};
use ecr_warden_core::reason::Reason;
use ecr_warden_core::repository::RepositoryId;

use crate::connect::error::Failure;
use crate::operator::NotRolledBack;
use crate::state::State;

fn aws(failure: Failure) -> NotRolledBack {
    NotRolledBack::Aws(failure.to_string())
}

/// Stops all changes by all functions that share the state table. `who` asked for it, and why.
///
/// # Errors
/// The state table can't be written.
pub async fn stop(state: &State, who: &str, reason: &str, now: i64) -> Result<(), NotRolledBack> {
    let switched = Switched::new(who, now, reason);
    state.stop(&switched).await.map_err(aws)
}

/// Allows changes again.
///
/// # Errors
/// They are not stopped, or the state table can't be written.
pub async fn start(state: &State, who: &str, now: i64) -> Result<(), NotRolledBack> {
    match state.start(&Switched::new(who, now, "")).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotRolledBack::Refused("changes are not stopped".to_owned())),
        Err(failure) => Err(aws(failure)),
    }
}

/// Closes the brake of `changes-per-hour` in a registry, before its time.
///
/// # Errors
/// It is not open, or the state table can't be written.
pub async fn close_brake(
    state: &State,
    registry: &RepositoryId,
    who: &str,
    now: i64,
) -> Result<(), NotRolledBack> {
    let closed = Switched::new(who, now, "");
    match state.close_brake(registry, &closed).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotRolledBack::Refused(format!(
            "the brake of `changes-per-hour` is not open in account {}, {}",
            registry.account, registry.region
        ))),
        Err(failure) => Err(aws(failure)),
    }
}

/// Why an operator has stopped all changes; `None`: they are allowed.
///
/// # Errors
/// The state table can't be read.
pub async fn stopped(state: &State) -> Result<Option<Reason>, NotRolledBack> {
    let record = state.brakes().await.map_err(aws)?;
    Ok(record.stopped().map(|it| Braked::Stopped(it).reason()))
}
