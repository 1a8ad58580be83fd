//! The filters of the tags that an immutable repository lets move, which the local AWS does not keep (ECR API reference,
//! PutImageTagMutability, CreateRepository and Repository).

use std::collections::HashMap;

use serde_json::Value;

use super::{Behaviour, Reply};
use crate::proxy::Call;

const KEY: &str = "imageTagMutabilityExclusionFilters";
const MOST: usize = 5;

/// The filters that functions have set.
#[derive(Debug, Default)]
pub struct ExclusionFilters {
    /// By repository.
    of: HashMap<String, Value>,
}

impl Behaviour for ExclusionFilters {
    fn instead(&mut self, call: &Call) -> Option<Reply> {
        let body: Value = serde_json::from_str(&call.body).ok()?;
        let mutability = body.get("imageTagMutability")?.as_str()?;
        let filters = body.get(KEY).and_then(Value::as_array).map_or(0, Vec::len);
        let fits = if mutability.ends_with("_WITH_EXCLUSION") {
            (1..=MOST).contains(&filters)
        } else {
            filters == 0
        };
        (!fits).then(|| {
            let message = format!("{filters} exclusion filters do not go with {mutability}");
            Reply::error(400, "InvalidParameterException", &message)
        })
    }

    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        if !reply.succeeded() {
            return reply;
        }
        match call.operation.as_str() {
            "CreateRepository" | "PutImageTagMutability" => {
                let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
                if let Some(name) = body.get("repositoryName").and_then(Value::as_str) {
                    let filters = body.get(KEY).cloned().unwrap_or_default();
                    self.of.insert(name.to_owned(), filters);
                }
            }
            "DescribeRepositories" => {}
            _ => return reply,
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(&reply.body) else {
            return reply;
        };
        for pointer in ["/repositories", "/repository", ""] {
            match answer.pointer_mut(pointer) {
                Some(Value::Array(all)) => all.iter_mut().for_each(|one| self.show(one)),
                Some(one) => self.show(one),
                None => {}
            }
        }
        Reply {
            body: answer.to_string().into(),
            ..reply
        }
    }
}

impl ExclusionFilters {
    /// Shows the filters of a repository that has some.
    fn show(&self, repository: &mut Value) {
        let name = repository.get("repositoryName").and_then(Value::as_str);
        let filters = name.and_then(|name| self.of.get(name)).cloned();
        let mutability = repository.get("imageTagMutability").and_then(Value::as_str);
        let has_filters = mutability.is_some_and(|value| value.ends_with("_WITH_EXCLUSION"));
        if let (Some(filters), true, Some(fields)) =
            (filters, has_filters, repository.as_object_mut())
        {
            fields.entry(KEY).or_insert(filters);
        }
    }
}
