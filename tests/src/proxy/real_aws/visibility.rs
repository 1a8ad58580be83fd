//! ECR creates and deletes repositories asynchronously: for a moment a new repository is not found, neither by reads nor by writes, the
//! name of a deleted one is taken and reads show what was there, and a policy that a new repository gets is not there yet.
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
/// A repository is new for so long: its policies show late.
const NEW: Duration = Duration::from_secs(5);

/// What functions have created, deleted and written a moment ago.
#[derive(Debug)]
pub struct Visibility {
    /// How long a change takes to show. A test may set it.
    pub lag: Duration,
    /// How long the name of what was deleted is taken.
    pub name_lag: Duration,
    /// How many calls of each operation were answered as of before a change.
    pub answers: HashMap<String, usize>,
    created: HashMap<String, Instant>,
    deleted: HashMap<String, Instant>,
    /// By repository and the operation that reads it.
    written: HashMap<(String, &'static str), Instant>,
    /// The last answer to each read, by repository and operation.
    last: HashMap<(String, String), Reply>,
}

impl Default for Visibility {
    fn default() -> Self {
        Self {
            lag: LAG,
            name_lag: LAG,
            answers: HashMap::new(),
            created: HashMap::new(),
            deleted: HashMap::new(),
            written: HashMap::new(),
            last: HashMap::new(),
        }
    }
}

impl Visibility {
    /// The answer of before the last change, while that does not show.
    pub(super) fn not_shown_yet(&mut self, call: &Call) -> Option<Reply> {
        let reply = self.older(call);
        if reply.is_some() {
            let answers = self.answers.entry(call.operation.clone()).or_default();
            *answers = answers.saturating_add(1);
        }
        reply
    }

    /// As if the time had passed that changes take to show.
    pub fn let_all_show(&mut self) {
        self.created.clear();
        self.deleted.clear();
        self.written.clear();
    }

    fn older(&self, call: &Call) -> Option<Reply> {
        let name = repository(call)?;
        let operation = call.operation.as_str();
        let lately = |at: Option<&Instant>| at.is_some_and(|at| at.elapsed() < self.lag);
        let is_new = lately(self.created.get(&name));
        let is_deleted = lately(self.deleted.get(&name)) && !self.created.contains_key(&name);
        if operation == "CreateRepository" {
            let deleted = self.deleted.get(&name);
            let is_taken = deleted.is_some_and(|at| at.elapsed() < self.name_lag)
                && !self.created.contains_key(&name);
            let message = format!("The repository with name '{name}' already exists");
            return (is_new || is_taken)
                .then(|| Reply::error(400, "RepositoryAlreadyExistsException", &message));
        }
        if is_new {
            return Some(not_found("RepositoryNotFoundException", &name));
        }
        let last = || {
            self.last
                .get(&(name.clone(), operation.to_owned()))
                .cloned()
        };
        if is_deleted && is_read(operation) {
            return Some(last().unwrap_or_else(|| not_found("RepositoryNotFoundException", &name)));
        }
        let written = self.written.iter();
        let is_written = written
            .filter(|((of, _), _)| *of == name)
            .any(|(_, at)| lately(Some(at)));
        if !is_written || !is_read(operation) {
            return None;
        }
        // All reads are of the same time.
        last().or_else(|| match operation {
            "GetRepositoryPolicy" => Some(not_found("RepositoryPolicyNotFoundException", &name)),
            "GetLifecyclePolicy" => Some(not_found("LifecyclePolicyNotFoundException", &name)),
            _ => None,
        })
    }
}

fn not_found(code: &str, name: &str) -> Reply {
    let message = format!("nothing is found for the repository with name '{name}'");
    Reply::error(400, code, &message)
}

fn is_read(operation: &str) -> bool {
    ["Describe", "Get", "List"]
        .iter()
        .any(|read| operation.starts_with(read))
}

impl Behaviour for Visibility {
    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        let Some(name) = repository(call) else {
            return reply;
        };
        if is_read(&call.operation) {
            self.last
                .insert((name, call.operation.clone()), reply.clone());
            return reply;
        }
        if !reply.succeeded() {
            return reply;
        }
        let is_new = |at: &Instant| at.elapsed() < NEW;
        let read_by = match call.operation.as_str() {
            "CreateRepository" => {
                self.last.retain(|(of, _), _| *of != name);
                self.created.insert(name, Instant::now());
                return reply;
            }
            "DeleteRepository" => {
                self.created.remove(&name);
                self.deleted.insert(name, Instant::now());
                return reply;
            }
            "SetRepositoryPolicy" => "GetRepositoryPolicy",
            "PutLifecyclePolicy" => "GetLifecyclePolicy",
            _ => return reply,
        };
        if self.created.get(&name).is_some_and(is_new) {
            // The same again does not make it later.
            self.written
                .entry((name, read_by))
                .or_insert_with(Instant::now);
        } else {
            self.written.remove(&(name, read_by));
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
