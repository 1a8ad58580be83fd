//! Policy × snapshot → findings. Knows nothing of modes, exemptions or what was alerted before.

use crate::finding::{Finding, Fix, Violation};
use crate::policy::{ActiveRule, Policy, Resolved};
use crate::registry::Registry;
use crate::repository::Repository;
use crate::rule::{NewRepository, RegistryViolation, Rule};

/// Asks every active rule, in the registry's order.
#[must_use]
pub fn evaluate(policy: &Resolved, repository: &Repository) -> Vec<Finding> {
    let rules = policy.rules.iter();
    // What someone approves is made by a sweep, which does not know who created the repository.
    let of_a_sweep = rules.clone().any(|active| active.asks).then(|| Repository {
        creator: None,
        ..repository.clone()
    });
    let seen_by = |active: &ActiveRule| of_a_sweep.as_ref().filter(|_| active.asks);
    rules
        .filter_map(|active| ask(active, seen_by(active).unwrap_or(repository)))
        .collect()
}

fn ask(active: &ActiveRule, repository: &Repository) -> Option<Finding> {
    let rule = active.rule.as_ref();
    let violation = rule.check(repository)?;
    Some(Finding {
        rule: active.entry.meta.id,
        severity: rule
            .severity(repository)
            .unwrap_or(active.entry.meta.severity),
        left: left(rule, repository, &violation),
        violation,
        advice: None,
    })
}

/// Asks every active rule about the registry. Nothing of a registry is repaired by these findings. `policy` says what is asked of the
/// repositories that ECR creates in it, and `now` (seconds since the epoch) which exemptions hold.
#[must_use]
pub fn evaluate_registry(
    policy: &Policy,
    resolved: &Resolved,
    registry: &Registry,
    now: i64,
) -> Vec<Finding> {
    let new = |repository: &Repository| new_repository(policy, repository, now);
    let found = resolved.rules.iter().filter_map(|active| {
        let RegistryViolation {
            violation,
            severity,
            advice,
        } = active.rule.check_registry(registry, &new)?;
        Some(Finding {
            rule: active.entry.meta.id,
            severity: severity.unwrap_or(active.entry.meta.severity),
            violation,
            left: None,
            advice,
        })
    });
    found.collect()
}

/// Asks the rules about a repository that ECR would create, as far as its settings at creation say what they judge.
fn new_repository(
    policy: &Policy,
    repository: &Repository,
    now: i64,
) -> Result<NewRepository, String> {
    let resolved = policy.for_repository(&repository.id, &repository.tags)?;
    let mut new = NewRepository {
        findings: Vec::new(),
        conforming: repository.clone(),
        to_do: Vec::new(),
    };
    for active in &resolved.rules {
        let id = active.entry.meta.id;
        let exempt = matches!(resolved.exemption(id, &repository.tags, now), Ok(Some(_)));
        if exempt || !active.entry.known_at_creation {
            continue;
        }
        let Some(finding) = ask(active, repository) else {
            continue;
        };
        new.findings.push(finding);
        // An earlier rule may have changed the same setting.
        if let Some(violation) = active.rule.check(&new.conforming) {
            match active.rule.at_creation(&new.conforming, &violation) {
                Ok(action) => {
                    action.apply_to(&mut new.conforming);
                    if let Some(Fix::Manual(what)) =
                        active.rule.check(&new.conforming).map(|left| left.fix)
                    {
                        new.to_do.push(format!("{id}: {what}"));
                    }
                }
                Err(what) => new.to_do.push(format!("{id}: {what}")),
            }
        }
    }
    Ok(new)
}

fn left(rule: &dyn Rule, repository: &Repository, violation: &Violation) -> Option<Violation> {
    let (Fix::Safe(action) | Fix::Disruptive(action)) = &violation.fix else {
        return None;
    };
    let mut repaired = repository.clone();
    action.apply_to(&mut repaired);
    rule.check(&repaired)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::repository::{Encryption, Read, RegistryScanning, RepositoryId, TagMutability};

    /// A repository that no rule of any test objects to, fully read; tests break one thing.
    pub(crate) fn repository() -> Repository {
        Repository {
            id: RepositoryId::new("123456789012", "eu-central-1", "payments/api").unwrap(),
            created_at: Some(1_700_000_000_000),
            mutability: TagMutability::Immutable,
            encryption: Encryption::kms(None),
            scan_on_push: true,
            tags: Read::Known([("team".to_owned(), "payments".to_owned())].into()),
            policy: Read::Known(None),
            lifecycle: Read::Known(None),
            has_images: Read::Known(false),
            recent_tags: Read::Known([].into()),
            scanning: Read::Known(RegistryScanning::default()),
            scan_frequency: Read::NotAsked,
            pull_through: Read::Known(false),
            root_cache: false,
            creator: None,
            images: Read::Known([].into()),
            replicated: false,
            pushed: None,
            keys: [].into(),
        }
    }

    pub(crate) fn shipped() -> Policy {
        Policy::parse(include_str!("../../../infra/policy.yaml")).unwrap()
    }

    #[test]
    fn the_example_complies_with_the_shipped_policy() {
        let repository = repository();
        let policy = shipped()
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        assert_eq!(evaluate(&policy, &repository), []);
    }

    #[test]
    fn each_fault_is_found_under_its_rules_name() {
        let mut repository = repository();
        repository.mutability = TagMutability::Mutable;
        repository.encryption = Encryption::aes256();
        let policy = shipped()
            .for_repository(&repository.id, &repository.tags)
            .unwrap();
        let rules: Vec<_> = evaluate(&policy, &repository)
            .iter()
            .map(|finding| finding.rule)
            .collect();
        assert_eq!(rules, ["mutable-tags", "weak-encryption"]);
    }
}
