//! What there is to do about a repository, by what is on record.

use std::collections::BTreeMap;

use ecr_warden_core::claim::claims;
use ecr_warden_core::outcome::{self, Verdict};
use ecr_warden_core::plan;
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Origin};
use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;

use super::run::{READ_AT_ONCE, Registries, Sweep, Swept};
use crate::fleet::audit::Judged;
use crate::pipeline::Pipeline;

/// What a sweep does about a repository that it has looked at.
pub(super) enum ToDo {
    /// Nothing: it has these verdicts, of which everything was reported.
    Nothing(Vec<Verdict>),
    /// Report it, and change at most the registry.
    Report,
    /// Change the repository.
    Change,
}

impl Pipeline {
    /// Hands over the repositories about which there is nothing to do; returns the others, and whether each would be changed.
    pub(super) async fn compare_with_records(
        &self,
        sweep: &Sweep<'_>,
        registries: &Registries,
        looked_at: Vec<Judged>,
        each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
    ) -> Vec<(RepositoryId, bool)> {
        let mut others = Vec::new();
        let mut running = stream::iter(looked_at)
            .map(|judged| async move {
                // What can't be read now is read again on the way.
                let known = self.state.load(&judged.repository.id).await.ok();
                let to_do = known.map_or(ToDo::Report, |known| {
                    to_do(&judged, known, registries, sweep)
                });
                (judged.repository.id, to_do)
            })
            .buffer_unordered(READ_AT_ONCE);
        while let Some((id, to_do)) = running.next().await {
            match to_do {
                ToDo::Nothing(verdicts) => each(&id, Swept::Judged(&verdicts)),
                ToDo::Report => others.push((id, false)),
                ToDo::Change => others.push((id, true)),
            }
        }
        others
    }
}

pub(super) fn to_do(
    judged: &Judged,
    known: Known,
    registries: &Registries,
    sweep: &Sweep<'_>,
) -> ToDo {
    let Judged {
        repository,
        policy,
        findings,
    } = judged;
    let known = match registries.get(&repository.id.registry()) {
        Some(registry) if repository.id.is_registry() => registry.clone(),
        Some(registry) => known.with_registry(policy.registry_rules(), registry),
        None => known,
    };
    let known = &known;
    let me = Lease {
        owner: sweep.request_id.to_owned(),
        until: sweep.ends_at,
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let origin = Origin::of(Cause::Sweep);
    let context = Context {
        origin: &origin,
        me: &me,
        now,
        created_at: repository.created_at,
    };
    let plan = plan::plan(policy, repository, findings.clone(), Ok(known), &context);
    let to_say = claims(known, &plan, &context);
    let settled = plan.recreation().is_none() && !known.quarantined();
    if !settled || !to_say.is_empty() {
        let changes = plan.repairs().any(|(_, action)| !action.is_of_registry());
        return if changes { ToDo::Change } else { ToDo::Report };
    }
    let nothing = BTreeMap::new();
    ToDo::Nothing(outcome::verdicts(
        policy,
        &repository.id,
        &plan,
        known,
        &[],
        &nothing,
        now,
    ))
}
