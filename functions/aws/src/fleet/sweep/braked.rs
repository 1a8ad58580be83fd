//! What stops all changes when a sweep begins: it then counts nothing that it would change, and says so.

use std::collections::BTreeMap;

use ecr_warden_core::reason::Reason;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::Origin;
use time::OffsetDateTime;

use super::run::{Registries, Sweep};
use super::unread;
use crate::fleet::audit::AuditError;
use crate::pipeline::Pipeline;
use crate::pipeline::brakes::BrakeAlarm;

/// Why nothing is changed, by registry.
pub(super) type BrakedRegistries = BTreeMap<RepositoryId, Reason>;

impl Pipeline {
    pub(super) async fn braked(
        &self,
        sweep: &Sweep<'_>,
        registries: &Registries,
        origin: &Origin,
    ) -> Result<BrakedRegistries, AuditError> {
        let record = self.state.brakes().await.map_err(|why| unread(&why))?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let alarm = BrakeAlarm {
            state: &self.state,
            topic: &self.topic,
            invocation: sweep.request_id,
            origin,
        };
        let mut all = BrakedRegistries::new();
        for registry in registries.keys() {
            if let Some(braked) = record.braked(registry, now) {
                let sent = alarm.send_once(registry, &braked, now).await;
                sent.map_err(AuditError::Aws)?;
                all.insert(registry.clone(), braked.reason());
            }
        }
        Ok(all)
    }
}
