//! DescribeRepositories in pages, which the local AWS answers with less than there is. A page ends by name, so that what is created or
//! deleted meanwhile shifts nothing. AWS documents no lifetime of its tokens: a test may have them expire.
//!
//! Source: ECR API reference, DescribeRepositories (`nextToken`, `maxResults`, InvalidParameterException).

use std::collections::BTreeSet;

use hyper::body::Bytes;
use serde_json::Value;

use super::{Behaviour, Reply};
use crate::Problem;
use crate::proxy::Call;

/// The tokens that were given out.
#[derive(Debug, Default)]
pub struct Pages {
    /// How many tokens were refused.
    pub refused: usize,
    given: BTreeSet<String>,
    expired: BTreeSet<String>,
}

impl Pages {
    /// From now on AWS refuses all tokens that it has given out so far.
    pub fn expire(&mut self) {
        self.expired.append(&mut self.given);
    }
}

impl Behaviour for Pages {
    fn instead(&mut self, call: &Call) -> Option<Reply> {
        let token = Page::asked_for(call)?.after;
        if !self.expired.contains(&token) {
            return None;
        }
        self.refused = self.refused.saturating_add(1);
        let message = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'invalid pagination token'";
        Some(Reply::error(400, "InvalidParameterException", message))
    }

    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        if Page::asked_for(call).is_some() {
            let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            if let Some(token) = answer.get("nextToken").and_then(Value::as_str) {
                self.expired.remove(token);
                self.given.insert(token.to_owned());
            }
        }
        reply
    }
}

/// A page of DescribeRepositories that is asked for.
pub(in crate::proxy) struct Page {
    after: String,
    size: usize,
}

impl Page {
    pub(in crate::proxy) fn asked_for(call: &Call) -> Option<Self> {
        let body: Value = serde_json::from_str(&call.body).ok()?;
        let one_by_name = body.get("repositoryNames").is_some();
        if call.operation != "DescribeRepositories" || one_by_name {
            return None;
        }
        let after = body.get("nextToken").and_then(Value::as_str);
        let size = body.get("maxResults").and_then(Value::as_u64);
        Some(Self {
            after: after.unwrap_or_default().to_owned(),
            size: usize::try_from(size.unwrap_or(100)).ok()?,
        })
    }

    /// This page of all repositories.
    pub(in crate::proxy) fn of(&self, all: &[u8]) -> Result<Bytes, Problem> {
        let mut answer: Value = serde_json::from_slice(all)?;
        let name = |repository: &Value| -> String {
            let name = repository.get("repositoryName").and_then(Value::as_str);
            name.unwrap_or_default().to_owned()
        };
        let mut repositories: Vec<Value> = answer
            .get("repositories")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .filter(|repository| name(repository) > self.after)
            .collect();
        repositories.sort_by_key(|repository| name(repository));
        let more = repositories.len() > self.size;
        repositories.truncate(self.size);
        if let Some(fields) = answer.as_object_mut() {
            if let (true, Some(last)) = (more, repositories.last()) {
                fields.insert("nextToken".to_owned(), Value::String(name(last)));
            }
            fields.insert("repositories".to_owned(), Value::Array(repositories));
        }
        Ok(Bytes::from(answer.to_string()))
    }
}
