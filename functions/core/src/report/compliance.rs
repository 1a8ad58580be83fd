//! An audit by the requirements that AWS relates to the rules' Security Hub controls.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::Audit;
use crate::finding::Status;
use crate::rules::RULES;

/// A requirement, and what an audit says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// As AWS writes it: `NIST.800-53.r5 CM-2`.
    pub id: &'static str,
    pub rules: Vec<&'static str>,
    /// Repositories with a finding of one of the rules that stands; `None`: not all of the rules are on.
    pub failing: Option<usize>,
}

/// Each requirement once, by its id. `is_on`: whether the policy uses a rule.
#[must_use]
pub fn requirements(audit: &Audit, is_on: impl Fn(&str) -> bool) -> Vec<Requirement> {
    let mut rules: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
    for entry in RULES {
        for id in entry.requirements() {
            rules.entry(id).or_default().push(entry.meta.id);
        }
    }
    let failing = |rules: &[&str]| {
        let stands = |status| matches!(status, Status::Open | Status::Withheld | Status::Failed);
        let findings = audit.findings.iter().flatten();
        let repositories: BTreeSet<&str> = findings
            .filter(|finding| stands(finding.status) && rules.contains(&finding.rule.as_str()))
            .map(|finding| finding.repository.as_str())
            .collect();
        repositories.len()
    };
    rules
        .into_iter()
        .map(|(id, rules)| Requirement {
            id,
            failing: rules
                .iter()
                .all(|rule| is_on(rule))
                .then(|| failing(&rules)),
            rules,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::audit;

    #[test]
    fn each_requirement_counts_the_repositories_that_fail_it() {
        let audit = audit();
        let all = requirements(&audit, |_| true);
        let of = |id: &str| all.iter().find(|one| one.id == id).unwrap();
        let standing = |rules: &[&str]| {
            let of_rules = audit.findings.iter().flatten().filter(|finding| {
                rules.contains(&finding.rule.as_str())
                    && !matches!(
                        finding.status,
                        Status::Fixed | Status::Exempt | Status::Resolved
                    )
            });
            let names: BTreeSet<&String> = of_rules.map(|finding| &finding.repository).collect();
            names.len()
        };
        let both = of("NIST.800-53.r5 CM-2");
        assert_eq!(both.rules, ["mutable-tags", "no-lifecycle-policy"]);
        assert_eq!(both.failing, Some(standing(&both.rules)));
        assert!(
            all.iter()
                .any(|one| one.failing.is_some_and(|count| count > 0))
        );
        let some = requirements(&audit, |rule| rule != "no-lifecycle-policy");
        let of = |id: &str| some.iter().find(|one| one.id == id).unwrap().failing;
        assert_eq!(of("NIST.800-53.r5 CM-2"), None);
        assert!(of("NIST.800-53.r5 CM-8(1)").is_some());
    }
}
