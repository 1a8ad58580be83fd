//! The index of tags is late, and has only resources with tags or with tags that were removed. The local AWS answers with what is there
//! at the moment.
//!
//! Source: Resource Groups Tagging API reference, GetResources ("returns all the tagged or previously tagged resources"), and "Things to
//! know" of the Tagging user guide: changes are shown after some time.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Behaviour, Reply};
use crate::proxy::Call;

/// What the index has not heard of yet.
#[derive(Debug, Default)]
pub struct TagIndex {
    /// By ARN: the tags that the index has, where these are not the repository's; none at all, and it does not list the repository.
    pub late: HashMap<String, Vec<(&'static str, &'static str)>>,
}

impl TagIndex {
    fn shown(&self, resource: &Value) -> Option<Value> {
        let arn = resource.get("ResourceARN")?.as_str()?;
        let Some(late) = self.late.get(arn) else {
            let tags = resource.get("Tags")?.as_array()?;
            return (!tags.is_empty()).then(|| resource.clone());
        };
        let tags = late.iter();
        let tags: Vec<Value> = tags
            .map(|(key, value)| json!({ "Key": key, "Value": value }))
            .collect();
        (!tags.is_empty()).then(|| json!({ "ResourceARN": arn, "Tags": tags }))
    }
}

impl Behaviour for TagIndex {
    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        if call.operation != "GetResources" || !reply.succeeded() {
            return reply;
        }
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let listed = answer.get("ResourceTagMappingList");
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let shown: Vec<Value> = listed.filter_map(|resource| self.shown(resource)).collect();
        Reply::json(&json!({ "PaginationToken": "", "ResourceTagMappingList": shown }))
    }
}
