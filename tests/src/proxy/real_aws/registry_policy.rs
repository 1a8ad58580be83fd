//! The registry policy, which the local AWS lacks, and the replication, of which it answers that there is none.
//!
//! Sources: ECR API reference, GetRegistryPolicy, PutRegistryPolicy, DeleteRegistryPolicy, DescribeRegistry,
//! PutReplicationConfiguration.

use serde_json::{Value, json};

use super::{Behaviour, Reply};
use crate::local_aws::ACCOUNT;
use crate::proxy::Call;

const DESCRIBE: &str = "DescribeRegistry";

/// What is set for the registry.
#[derive(Debug, Default)]
pub struct RegistryPolicy {
    /// `None`: there is none.
    pub text: Option<String>,
    /// As ECR answers it: `rules` with `destinations`.
    pub replication: Option<Value>,
}

impl Behaviour for RegistryPolicy {
    fn supplies(&self) -> &'static [&'static str] {
        &[
            "GetRegistryPolicy",
            "PutRegistryPolicy",
            "DeleteRegistryPolicy",
            "PutReplicationConfiguration",
        ]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        if call.operation == "PutReplicationConfiguration" {
            self.replication = body.get("replicationConfiguration").cloned();
            return Reply::json(&json!({ "replicationConfiguration": self.replication }));
        }
        let asked = self.text.clone();
        match call.operation.as_str() {
            "PutRegistryPolicy" => {
                let text = body.get("policyText").and_then(Value::as_str);
                self.text = text.map(str::to_owned);
            }
            "DeleteRegistryPolicy" => self.text = None,
            _ => {}
        }
        match self.text.clone().or(asked) {
            Some(text) => Reply::json(&json!({ "registryId": ACCOUNT, "policyText": text })),
            None => Reply::error(
                400,
                "RegistryPolicyNotFoundException",
                &format!("Registry policy does not exist in the registry with id '{ACCOUNT}'"),
            ),
        }
    }

    fn reply(&mut self, call: &Call, reply: Reply) -> Reply {
        match &self.replication {
            Some(replication) if call.operation == DESCRIBE && reply.succeeded() => Reply::json(
                &json!({ "registryId": ACCOUNT, "replicationConfiguration": replication }),
            ),
            _ => reply,
        }
    }
}
