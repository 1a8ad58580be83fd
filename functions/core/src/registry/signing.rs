//! What a registry signs when it is pushed (ECR User Guide, "Managed signing").

use wildmatch::WildMatch;

/// A signing profile, and the repositories whose pushed images ECR signs with it (API reference, SigningRule).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRule {
    /// The ARN of AWS Signer's profile.
    pub profile: String,
    /// None: every repository.
    pub filters: Vec<SigningFilter>,
}

/// Names of repositories (API reference, SigningRepositoryFilter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningFilter {
    /// `WILDCARD_MATCH`; ECR has no other kind yet.
    pub kind: String,
    pub pattern: String,
}

impl SigningFilter {
    /// The kind in which `*` stands for any characters.
    pub const WILDCARD: &str = "WILDCARD_MATCH";
}

impl SigningRule {
    /// Whether it signs what is pushed to each repository that `pattern` matches. In doubt it does not.
    #[must_use]
    pub fn covers(&self, pattern: &str) -> bool {
        // No name has a `*`, so one in `pattern` is matched by a `*` of the filter alone.
        let covers = |filter: &SigningFilter| {
            filter.kind == SigningFilter::WILDCARD
                && WildMatch::new(&filter.pattern).matches(pattern)
        };
        self.filters.is_empty() || self.filters.iter().any(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_whole() {
        let cases = [
            ("*", "*", true),
            ("prod/*", "*", false),
            ("*", "prod/*", true),
            ("prod/*", "prod/*", true),
            ("prod*", "prod/*", true),
            ("prod/*", "prod*", false),
            ("prod/api", "prod/*", false),
            ("*/api", "prod/api", true),
            ("*prod*", "prod/*", true),
        ];
        for (filter, pattern, expected) in cases {
            let rule = |kind: &str| SigningRule {
                profile: String::new(),
                filters: vec![SigningFilter {
                    kind: kind.to_owned(),
                    pattern: filter.to_owned(),
                }],
            };
            let covers = rule(SigningFilter::WILDCARD).covers(pattern);
            assert_eq!(covers, expected, "{filter} for {pattern}");
            assert!(!rule("PREFIX_MATCH").covers(pattern), "an unknown kind");
        }
    }

    #[test]
    fn a_rule_without_filters_covers_all() {
        let rule = SigningRule {
            profile: String::new(),
            filters: Vec::new(),
        };
        assert!(rule.covers("*"));
    }
}
