//! Which repositories a sweep leaves as they are because they existed before.

use ecr_warden_core::policy::{ExistingBefore, Policy};

use crate::connect::error::Failure;
use crate::fleet::audit::{AuditError, Since};
use crate::pipeline::Pipeline;

impl Pipeline {
    /// The time before which a repository is an existing one, which is not changed; in doubt each is.
    pub(super) async fn existing_before(
        &self,
        policy: &Policy,
    ) -> Result<Option<Since>, AuditError> {
        match policy.existing_before() {
            None => Ok(None),
            Some(ExistingBefore::Time(time)) => Ok(Some(Ok(time))),
            Some(ExistingBefore::Deployment) => match self.state.deployed_at().await {
                Ok(time) => Ok(Some(Ok(time))),
                Err(Failure::Unavailable(why)) => Err(AuditError::Aws(why)),
                Err(other) => Ok(Some(Err(other.to_string()))),
            },
        }
    }
}
