//! One repository of an audit, once it is listed.

use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::plan;
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::repository::Repository;
use time::OffsetDateTime;

use super::{Judged, Scanned, Waiting};
use crate::connect::clients::Regional;
use crate::ecr::load::{LoadError, calls, calls_of_details, details, load_once, tags_now};

/// Reads what the rules still need of a repository, and asks them.
pub(super) async fn judge(
    aws: &Regional,
    policy: &Policy,
    one: &Waiting,
) -> Result<Scanned, LoadError> {
    let Waiting {
        described,
        reads,
        around,
        ..
    } = one;
    let id = described.id.clone();
    let is_indexed = described.tags.known().is_some();
    let mut unread = reads.clone();
    unread.tags &= !is_indexed;
    let _ = aws.turns.take(calls_of_details(&unread), None).await;
    let mut repository = details(aws, &id, &unread)
        .await
        .snapshot(aws, described.clone(), around, true)
        .await?;
    let mut resolved = policy.for_repository(&id, &repository.tags);
    if is_indexed && rests_on_tags(policy, &resolved, &repository) {
        let _ = aws.turns.take(1, None).await;
        repository.tags = tags_now(aws, &id).await?;
        resolved = policy.for_repository(&id, &repository.tags);
    }
    if let Ok(known) = &resolved {
        // Settings that depend on its tags ask for more, and so does a default lifecycle policy: rarely.
        let mut needed = known.reads_to_judge(&repository);
        needed.add(plan::reads(known, &repository));
        if !reads.cover(&needed) {
            needed.add(reads.clone());
            let _ = aws.turns.take(calls(&needed), None).await;
            repository = load_once(aws, &id, &needed).await?;
            resolved = policy.for_repository(&id, &repository.tags);
        }
    }
    Ok(match resolved {
        Err(why) => Scanned::Unjudged { id, why },
        Ok(resolved) => Scanned::Judged(Box::new(Judged {
            findings: evaluate(&resolved, &repository),
            policy: resolved.held(policy.hold(&id, OffsetDateTime::now_utc().unix_timestamp())),
            repository,
        })),
    })
}

/// Whether what was found comes from tags, which the index may have as they were some time ago.
fn rests_on_tags(
    policy: &Policy,
    resolved: &Result<Resolved, String>,
    repository: &Repository,
) -> bool {
    let Ok(resolved) = resolved else {
        return true;
    };
    let findings = evaluate(resolved, repository);
    resolved.finds_fault_with_tags(&findings)
        || (!findings.is_empty() && policy.depends_on_tags(&repository.id))
}
