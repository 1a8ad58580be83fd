//! Reads that the repository policy denies ecr-warden.

use super::decision::Plan;
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::repository::{DENIED_BY_POLICY, Repository};

/// The finding that the repository policy keeps ecr-warden from reading the repository.
pub const BLINDED: &str = "blinded";

/// Reads of the repository that AWS refused because of a statement in the repository policy.
pub(super) fn blinded(repository: &Repository) -> Option<Finding> {
    let Repository {
        tags,
        policy,
        lifecycle,
        has_images,
        recent_tags,
        images,
        ..
    } = repository;
    let refused: std::collections::BTreeSet<&str> = [
        tags.unreadable(),
        policy.unreadable(),
        lifecycle.unreadable(),
        has_images.unreadable(),
        recent_tags.unreadable(),
        images.unreadable(),
    ]
    .into_iter()
    .flatten()
    .filter_map(|why| why.strip_prefix(DENIED_BY_POLICY))
    .collect();
    if refused.is_empty() {
        return None;
    }
    let refused: Vec<&str> = refused.into_iter().collect();
    Some(Finding {
        rule: BLINDED,
        severity: Severity::Critical,
        violation: blinded_by(&refused.join(", ")),
        left: None,
        advice: None,
    })
}

/// The plan where the description of a repository is refused in this way, so that nothing of it can be evaluated.
#[must_use]
pub fn blinded_entirely(why: &str) -> Plan {
    let violation = blinded_by(why.strip_prefix(DENIED_BY_POLICY).unwrap_or(why));
    let what = violation.for_people().to_owned();
    Plan::critical(BLINDED, &violation.detail, what)
}

/// The violation for these denied reads.
fn blinded_by(reads: &str) -> Violation {
    Violation {
        detail: format!("ecr-warden is denied {reads}, probably by a Deny statement in the repository policy"),
        fix: Fix::Manual(
            "show the repository policy with `aws ecr get-repository-policy --repository-name \"$REPOSITORY\"`, remove the \
             statement that denies ecr-warden's roles, and find who wrote it: CloudTrail, SetRepositoryPolicy"
                .to_owned(),
        ),
    }
}
