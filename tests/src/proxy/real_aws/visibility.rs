//! ECR creates and deletes repositories asynchronously: for a moment a new repository is not found, neither by reads nor by writes,
//! and the name of a deleted one is taken and described.
//!
//! Sources: AWS in hashicorp/terraform-provider-aws#3849 (not found after its creation), hashicorp/terraform#8597 (still there after its
//! deletion), hashicorp/terraform-provider-aws#26622 (policies).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Behaviour, Reply};
use crate::proxy::Call;

/// For how long ECR shows what was there before.
const LAG: Duration = Duration::from_millis(400);

/// What functions have created and deleted a moment ago, by name.
#[derive(Debug)]
pub struct Visibility {
    /// How long a change takes to show. A test may set it.
    pub lag: Duration,
    created: HashMap<String, Instant>,
    deleted: HashMap<String, (Instant, Value)>,
    /// The last description of each repository that ECR gave.
    described: HashMap<String, Value>,
}

impl Default for Visibility {
    fn default() -> Self {
        Self {
            lag: LAG,
            created: HashMap::new(),
            deleted: HashMap::new(),
            described: HashMap::new(),
        }
    }
}

impl Behaviour for Visibility {
    fn instead(&mut self, call: &Call) -> Option<Reply> {
        let lag = self.lag;
        self.created.retain(|_, at| at.elapsed() < lag);
        self.deleted.retain(|_, (at, _)| at.elapsed() < lag);
        let name = repository(call)?;
        if call.operation == "CreateRepository" {
            let taken = self.created.contains_key(&name) || self.deleted.contains_key(&name);
            return taken.then(|| {
                let message = format!("The repository with name '{name}' already exists");
                Reply::error(400, "RepositoryAlreadyExistsException", &message)
            });
        }
        if self.created.contains_key(&name) {
            let message = format!("The repository with name '{name}' does not exist");
            return Some(Reply::error(400, "RepositoryNotFoundException", &message));
        }
        let (_, description) = self.deleted.get(&name)?;
        (call.operation == "DescribeRepositories")
            .then(|| Reply::json(&serde_json::json!({ "repositories": [description] })))
    }

    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        let (Some(name), true) = (repository(call), reply.succeeded()) else {
            return reply;
        };
        match call.operation.as_str() {
            "CreateRepository" => {
                self.created.insert(name, Instant::now());
            }
            "DeleteRepository" => {
                if let Some(description) = self.described.remove(&name) {
                    self.deleted.insert(name, (Instant::now(), description));
                }
            }
            "DescribeRepositories" => {
                let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                if let Some(description) = answer.pointer("/repositories/0") {
                    self.described.insert(name, description.clone());
                }
            }
            _ => {}
        }
        reply
    }
}

/// The one repository that a call is about; `None`: it is about several, or not ECR's.
fn repository(call: &Call) -> Option<String> {
    let body: Value = serde_json::from_str(&call.body).ok()?;
    let by_arn = || {
        let arn = body.get("resourceArn")?.as_str()?;
        arn.split_once(":repository/").map(|(_, name)| name)
    };
    let one_of_a_list = || match body.get("repositoryNames")?.as_array()?.as_slice() {
        [one] => one.as_str(),
        _ => None,
    };
    let by_name = body.get("repositoryName").and_then(Value::as_str);
    let name = by_name.or_else(one_of_a_list).or_else(by_arn)?;
    Some(name.to_owned())
}
