//! The account settings and the signing configuration of a registry, which the local AWS lacks.
//!
//! Sources: ECR API reference, GetAccountSetting, PutAccountSetting, GetSigningConfiguration, PutSigningConfiguration,
//! DeleteSigningConfiguration; ECR User Guide, "Private registry permissions": `V2` is the default scope of a registry policy.

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
        &[
            "GetAccountSetting",
            "PutAccountSetting",
            "GetSigningConfiguration",
            "PutSigningConfiguration",
            "DeleteSigningConfiguration",
        ]
    }

    fn supplied(&mut self, call: &Call) -> Reply {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        if call.operation.ends_with("AccountSetting") {
            return self.account_setting(&body);
        }
        let before = self.signing.clone();
        match call.operation.as_str() {
            "PutSigningConfiguration" => self.signing = body.get("signingConfiguration").cloned(),
            "DeleteSigningConfiguration" => self.signing = None,
            _ => {}
        }
        match self.signing.clone().or(before) {
            Some(signing) => {
                Reply::json(&json!({ "registryId": ACCOUNT, "signingConfiguration": signing }))
            }
            None => Reply::error(
                400,
                "SigningConfigurationNotFoundException",
                "the registry has no signing configuration",
            ),
        }
    }
}

impl RegistrySettings {
    /// With a value it is put.
    fn account_setting(&mut self, body: &Value) -> Reply {
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let setting = text("name").and_then(|name| self.account.get_mut(name));
        let Some(setting) = setting else {
            return Reply::error(400, "InvalidParameterException", "no such account setting");
        };
        if let Some(value) = text("value") {
            value.clone_into(setting);
        }
        Reply::json(&json!({ "name": text("name"), "value": setting }))
    }
}
