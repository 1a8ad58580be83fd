//! The policy in force, and the alert when its parameter becomes invalid or is valid again.

use std::sync::Arc;

use ecr_warden_core::alert::Alert;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::Origin;

use super::Pipeline;
use crate::connect::error::Failure;
use crate::policy_source::ParameterStatus;

impl Pipeline {
    /// `registry`: any repository of it, or the registry itself; `invocation`: its id.
    ///
    /// # Errors
    /// There is no policy, or the alert could not be published.
    pub(crate) async fn policy(
        &self,
        registry: &RepositoryId,
        invocation: &str,
        origin: &Origin,
    ) -> Result<Arc<Policy>, String> {
        let look = self.policy.look().await;
        if let Ok(policy) = &look.policy {
            self.clients.grant(policy.ecr_calls_per_second());
        }
        if let Some(found) = &look.read {
            self.report_policy(found, registry, invocation, origin)
                .await?;
        }
        look.policy
    }

    async fn report_policy(
        &self,
        found: &ParameterStatus,
        registry: &RepositoryId,
        invocation: &str,
        origin: &Origin,
    ) -> Result<(), String> {
        let reported = match self.state.reported_policy(&found.parameter).await {
            Ok(reported) => reported,
            Err(Failure::Unavailable(why)) => return Err(why),
            // The alert matters more than its record.
            Err(other) => {
                tracing::error!(why = %other, "cannot read whether the invalid policy was reported");
                None
            }
        };
        if let Some(wrong) = &found.wrong {
            tracing::error!(invalid_policy = true, wrong, "the policy is not valid");
        }
        if reported == found.wrong {
            return Ok(());
        }
        let RepositoryId {
            account, region, ..
        } = registry;
        let wrong = found.wrong.as_deref();
        let alert = Alert::of_policy(&found.parameter, account, region, invocation, origin, wrong);
        self.topic.publish(&alert).await?;
        if !self.topic.is_heard().await {
            return Ok(());
        }
        let written = self
            .state
            .record_policy_report(&found.parameter, wrong)
            .await;
        if let Err(why) = written {
            tracing::warn!(%why, "reported, but the report could not be recorded; it may be sent \
                                  again");
        }
        Ok(())
    }
}
