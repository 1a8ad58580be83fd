//! The account settings and the signing configuration of a registry, which the local AWS lacks.
//!
//! Sources: ECR API reference, GetAccountSetting, GetSigningConfiguration; ECR User Guide, "Private registry permissions": `V2` is the
//! default scope of a registry policy.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Behaviour, Reply};
use crate::local_aws::ACCOUNT;
use crate::proxy::Call;

/// What is set for the registry.
#[derive(Debug)]
pub struct RegistrySettings {
    /// Each account setting by its name.
    pub account: BTreeMap<String, String>,
    /// As ECR answers it: `rules` with `signingProfileArn` and `repositoryFilters`.
    pub signing: Option<Value>,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        let settings = [
            ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE"),
            ("BLOB_MOUNTING", "DISABLED"),
            ("REGISTRY_POLICY_SCOPE", "V2"),
        ];
        Self {
            account: settings
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            signing: None,
        }
    }
}

impl Behaviour for RegistrySettings {
    fn supplies(&self) -> &'static [&'static str] {
        &["GetAccountSetting", "GetSigningConfiguration"]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        if call.operation == "GetSigningConfiguration" {
            return match &self.signing {
                Some(signing) => {
                    Reply::json(&json!({ "registryId": ACCOUNT, "signingConfiguration": signing }))
                }
                None => Reply::error(
                    400,
                    "SigningConfigurationNotFoundException",
                    "the registry has no signing configuration",
                ),
            };
        }
        let asked: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let name = asked.get("name").and_then(Value::as_str);
        match name.and_then(|name| self.account.get_key_value(name)) {
            Some((name, value)) => Reply::json(&json!({ "name": name, "value": value })),
            None => Reply::error(400, "InvalidParameterException", "no such account setting"),
        }
    }
}
