//! A call that is made only where it is asked for, and what its answer means for the snapshot.

use ecr_warden_core::repository::Read;
use futures_util::future::BoxFuture;

use crate::connect::error::Failure;

/// Why there is no snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("ECR knows no such repository")]
    Gone,
    /// Later it may work.
    #[error("{0}")]
    Unavailable(String),
    /// It may not be read.
    #[error("{0}")]
    Unreadable(String),
}

pub(super) type Asked<T> = Result<T, Option<Failure>>;

/// Makes the call only where it is asked for; `Err(None)` where it is not. On the heap: a call of the SDK takes many
/// kilobytes, and ten of them side by side are more than some stacks have.
pub(super) fn asked<'c, T: 'c>(
    wanted: bool,
    call: impl Future<Output = Result<T, Failure>> + Send + 'c,
) -> BoxFuture<'c, Asked<T>> {
    if wanted {
        Box::pin(async move { call.await.map_err(Some) })
    } else {
        Box::pin(async { Err(None) })
    }
}

/// What may not be read is said so; what could not be read this time is read again as a whole, later.
pub(super) fn read<T>(result: Asked<T>) -> Result<Read<T>, LoadError> {
    match result {
        Ok(value) => Ok(Read::Known(value)),
        Err(None) => Ok(Read::NotAsked),
        Err(Some(failure)) if failure.is("RepositoryNotFoundException") => Err(LoadError::Gone),
        Err(Some(Failure::Unavailable(why))) => Err(LoadError::Unavailable(why)),
        Err(Some(other)) => Ok(Read::Unreadable(other.to_string())),
    }
}
