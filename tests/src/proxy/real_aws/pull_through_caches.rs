//! DescribePullThroughCacheRules, which the local AWS lacks (ECR API reference).

use super::{Behaviour, Reply};
use crate::proxy::Call;

/// The registry's pull-through cache rules.
#[derive(Debug, Default)]
pub struct PullThroughCaches {
    /// The prefix of each rule.
    pub prefixes: Vec<String>,
}

impl Behaviour for PullThroughCaches {
    fn supplies(&self) -> &'static [&'static str] {
        &["DescribePullThroughCacheRules"]
    }

    fn supplied(&mut self, _call: &Call) -> Reply {
        let rule = |prefix: &String| serde_json::json!({ "ecrRepositoryPrefix": prefix });
        let rules: Vec<_> = self.prefixes.iter().map(rule).collect();
        Reply::json(&serde_json::json!({ "pullThroughCacheRules": rules }))
    }
}
