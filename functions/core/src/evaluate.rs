//! Policy × snapshot → findings. Knows nothing of modes, exemptions or what was alerted before.

use crate::finding::{Finding, Fix, Violation};
use crate::policy::Resolved;
use crate::registry::Registry;
use crate::repository::Repository;
use crate::rule::Rule;

/// Asks every active rule, in the registry's order.
#[must_use]
pub fn evaluate(policy: &Resolved, repository: &Repository) -> Vec<Finding> {
    policy
        .rules
        .iter()
        .filter_map(|active| {
            active.rule.check(repository).map(|violation| Finding {
                rule: active.entry.meta.id,
                severity: active
                    .rule
                    .severity(repository)
                    .unwrap_or(active.entry.meta.severity),
                left: left(active.rule.as_ref(), repository, &violation),
                violation,
            })
        })
        .collect()
}

/// Asks every active rule about the registry. Nothing of a registry is repaired by these findings.
#[must_use]
pub fn evaluate_registry(policy: &Resolved, registry: &Registry) -> Vec<Finding> {
    let violations = policy.rules.iter().filter_map(|active| {
        let violation = active.rule.check_registry(registry)?;
        Some(Finding {
            rule: active.entry.meta.id,
            severity: active.entry.meta.severity,
            violation,
            left: None,
        })
    });
    violations.collect()
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
    use crate::policy::Policy;
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
