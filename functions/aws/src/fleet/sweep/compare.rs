//! What there is to do about a repository, by what is on record.

use std::collections::BTreeMap;

use ecr_warden_core::claim::claims;
use ecr_warden_core::outcome::{self, Verdict};
use ecr_warden_core::plan;
use ecr_warden_core::reason::Reason;
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Origin};
use futures_util::stream::{self, StreamExt};
use time::OffsetDateTime;

use super::run::{READ_AT_ONCE, Registries, Sweep};
use crate::fleet::audit::Judged;
use crate::pipeline::Pipeline;

/// What a sweep sees of a repository, by what is on record.
pub(super) struct Looked {
    /// The policy would change the repository, and not only the registry.
    pub(super) would_change: bool,
    /// Its verdicts, where there is nothing to do: of each, everything was reported.
    pub(super) settled: Option<Vec<Verdict>>,
}

impl Pipeline {
    /// Looks at those about which something is on record. `hold`: why the sweep changes nothing, if it does not.
    pub(super) async fn compare_with_records(
        &self,
        sweep: &Sweep<'_>,
        registries: &Registries,
        judged: Vec<Judged>,
        hold: Option<&Reason>,
    ) -> Vec<(RepositoryId, Looked)> {
        let looked = stream::iter(judged).map(|judged| async move {
            let looked = match self.state.load(&judged.repository.id).await {
                Ok(known) => look(&judged, known, registries, sweep, hold),
                // What can't be read now is read again on the way.
                Err(_) => Looked {
                    would_change: false,
                    settled: None,
                },
            };
            (judged.repository.id, looked)
        });
        looked.buffer_unordered(READ_AT_ONCE).collect().await
    }
}

pub(super) fn look(
    judged: &Judged,
    known: Known,
    registries: &Registries,
    sweep: &Sweep<'_>,
    hold: Option<&Reason>,
) -> Looked {
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
    let planned = |policy| plan::plan(policy, repository, findings.clone(), Ok(known), &context);
    let mut plan = planned(policy);
    let mut repairs = plan.repairs();
    let would_change = repairs.any(|(_, action)| !action.is_of_registry());
    drop(repairs);
    let held;
    let policy = match hold {
        Some(hold) => {
            held = policy.clone().held(Some(hold.clone()));
            plan = planned(&held);
            &held
        }
        None => policy,
    };
    let settled = plan.recreation().is_none()
        && !known.quarantined()
        && claims(known, &plan, &context).is_empty();
    let nothing = BTreeMap::new();
    Looked {
        would_change,
        settled: settled.then(|| {
            let id = &repository.id;
            outcome::verdicts(policy, id, &plan, known, &[], &nothing, now)
        }),
    }
}
