//! An audit that changes nothing, and what it answers.

use std::collections::BTreeMap;

use ecr_warden_core::audit::{Audit, Position, Request};
use ecr_warden_core::outcome::{self, Verdict};
use ecr_warden_core::plan::{self, Plan};
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::record::{Context, Known, Lease};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::storage::cost;
use ecr_warden_core::trigger::{Cause, Origin};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::connect::clients::Clients;
use crate::fleet::audit::{AuditError, Bounds, Home, Judged, Scanned, audit};

/// The number of repositories of a region of which an audit reads what only explains its findings, such as which tags move.
const EXPLAINED: usize = 300;

/// Evaluates every repository that the request asks for, and changes nothing. `each` sees each one as it comes. Past the `deadline`
/// it stops, and the answer says where to continue.
///
/// # Errors
/// The request is not valid, or the repositories cannot be listed.
pub async fn survey(
    clients: &Clients,
    policy: &Policy,
    request: &Request,
    home: &Home,
    deadline: Option<Instant>,
    each: &mut (dyn FnMut(&Scanned) + Send),
) -> Result<Audit, AuditError> {
    let mut answer =
        survey_without_deduction(clients, policy, request, home, deadline, each).await?;
    deduct_free(&mut answer, policy, request, home);
    Ok(answer)
}

/// What is free is free once: other repositories than these may use it up.
pub(crate) fn deduct_free(answer: &mut Audit, policy: &Policy, request: &Request, home: &Home) {
    if request.next.is_none() && request.repositories.is_empty() {
        answer.deduct(
            policy
                .costs()
                .map_or(0.0, |costs| costs.free_usd(&home.region)),
        );
    }
}

/// The same with what is free in the costs.
pub(crate) async fn survey_without_deduction(
    clients: &Clients,
    policy: &Policy,
    request: &Request,
    home: &Home,
    deadline: Option<Instant>,
    each: &mut (dyn FnMut(&Scanned) + Send),
) -> Result<Audit, AuditError> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let mut answer = Audit::default();
    let stopped = audit(
        clients,
        policy,
        request,
        home,
        &Bounds {
            deadline,
            enough: &|| false,
            explained: Some(EXPLAINED),
        },
        &mut |seen| {
            each(&seen);
            if let (true, Scanned::Judged(judged)) = (request.cost, &seen)
                && let Some(cost) = cost(&judged.repository, &judged.policy, now)
            {
                answer.add_cost(cost);
            }
            let (id, verdicts) = report(seen, now);
            answer.add(&id, &verdicts);
        },
    )
    .await?;
    answer.next = stopped.as_ref().map(Position::write);
    answer.sort();
    Ok(answer)
}

fn report(seen: Scanned, now: i64) -> (RepositoryId, Vec<Verdict>) {
    let nothing = BTreeMap::new();
    let known = Known::default();
    match seen {
        Scanned::Unjudged { id, why } => {
            let plan = Plan::for_people("unreadable-repository", "it cannot be evaluated", why);
            let policy = Resolved::nothing();
            let verdicts = outcome::verdicts(&policy, &id, &plan, &known, &[], &nothing, now);
            (id, verdicts)
        }
        Scanned::Judged(judged) => {
            let Judged {
                repository,
                policy,
                findings,
            } = *judged;
            let policy = policy.monitored();
            let me = Lease {
                owner: String::new(),
                until: now,
            };
            let origin = Origin::of(Cause::Audit);
            let context = Context {
                origin: &origin,
                me: &me,
                now,
                created_at: repository.created_at,
            };
            let plan = plan::plan(&policy, &repository, findings, Ok(&known), &context);
            let verdicts =
                outcome::verdicts(&policy, &repository.id, &plan, &known, &[], &nothing, now);
            (repository.id, verdicts)
        }
    }
}
