//! A statement of a repository policy, read.

use serde_json::{Map, Value};

use super::actions::Actions;
use super::trust::{Named, Trust, account_of};
use super::value::strings;
use crate::repository::is_account;
use crate::text::one_line;

/// The longest name of a statement that is shown.
const LONGEST_NAME: usize = 128;

/// A statement that allows or denies something.
#[derive(Clone, Debug)]
pub(super) struct Statement<'t> {
    /// As the document has it.
    pub(super) raw: &'t str,
    pub(super) value: Value,
    /// Its `Sid` in backticks, or its number from 1.
    pub(super) label: String,
    pub(super) allows: bool,
    pub(super) principals: Principals,
    pub(super) actions: Actions,
    pub(super) conditions: Map<String, Value>,
}

/// The principals that a statement names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals {
    /// Everyone, by `*` or by `NotPrincipal`.
    pub(super) everyone: bool,
    /// Those that `NotPrincipal` leaves out.
    pub(super) but: Option<Vec<Named>>,
    pub(super) named: Vec<Named>,
    /// AWS services, such as `lambda.amazonaws.com`.
    pub(super) services: Vec<String>,
}

impl<'t> Statement<'t> {
    /// # Errors
    /// One line: it is no statement that ECR would take.
    pub(super) fn read(raw: &'t str, number: usize, trust: &Trust) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(raw).map_err(|error| crate::repository_policy::wrong(&error))?;
        let sid = value.get("Sid").and_then(Value::as_str);
        let allows = match value.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err("a statement's `Effect` is neither `Allow` nor `Deny`".to_owned()),
        };
        let conditions = match value.get("Condition") {
            None => Map::new(),
            Some(Value::Object(conditions)) => conditions
                .iter()
                .map(|(operator, keys)| (operator.clone(), quoted(keys)))
                .collect(),
            Some(_) => return Err("a statement's `Condition` is not an object".to_owned()),
        };
        Ok(Self {
            raw,
            label: sid.map_or_else(
                || format!("number {number}"),
                |sid| format!("`{}`", one_line(sid, LONGEST_NAME)),
            ),
            allows,
            principals: Principals::of(&value, trust)?,
            actions: Actions::of(&value, allows)?,
            conditions,
            value,
        })
    }

    /// Whether it may be about some resources only. `all`: the ARN that names all of them; repository policies name none.
    pub(super) fn names_resources(&self, all: Option<&str>) -> bool {
        let named = match (self.value.get("Resource"), self.value.get("NotResource")) {
            (None, None) => return false,
            (Some(named), None) => strings(named).unwrap_or_default(),
            (_, Some(_)) => return true,
        };
        let names_all = |resource: &&str| *resource == "*" || Some(*resource) == all;
        all.is_none() || !named.iter().any(names_all)
    }
}

impl Principals {
    fn of(statement: &Value, trust: &Trust) -> Result<Self, String> {
        match (statement.get("Principal"), statement.get("NotPrincipal")) {
            (Some(written), None) => Self::read(written, trust),
            (None, Some(written)) => {
                let but = Self::read(written, trust)?;
                // All but everyone are none.
                if but.everyone {
                    return Ok(Self::default());
                }
                let services = but.services.iter().map(|service| Named::service(service));
                Ok(Self {
                    everyone: true,
                    but: Some(but.named.into_iter().chain(services).collect()),
                    ..Self::default()
                })
            }
            _ => Err("a statement needs exactly one of `Principal` and `NotPrincipal`".to_owned()),
        }
    }

    fn read(written: &Value, trust: &Trust) -> Result<Self, String> {
        let mut read = Self::default();
        let kinds = match written {
            Value::String(all) if all == "*" => {
                read.everyone = true;
                return Ok(read);
            }
            Value::Object(kinds) => kinds,
            _ => {
                return Err(
                    "a statement's `Principal` is neither `*` nor a list by kind".to_owned(),
                );
            }
        };
        for (kind, named) in kinds {
            for principal in strings(named)? {
                let shown = one_line(principal, LONGEST_NAME);
                match kind.as_str() {
                    "AWS" if principal == "*" => read.everyone = true,
                    "Service" if is_service(principal) => read.services.push(shown),
                    "AWS" if is_account(principal) => read.named.push(trust.account(principal)),
                    // The id of a deleted principal lets no caller in.
                    "AWS" if principal.starts_with("AIDA") || principal.starts_with("AROA") => {}
                    "AWS" | "Federated" => read.named.push(match account_of(principal) {
                        Some(account) => trust.arn(account, &shown),
                        None => Named::other(&shown),
                    }),
                    // It may be the own account's.
                    _ => read.named.push(Named {
                        some_trusted: kind == "CanonicalUser",
                        ..Named::other(&shown)
                    }),
                }
            }
        }
        Ok(read)
    }
}

/// Numbers as text, which mean the same (IAM User Guide, grammar).
fn quoted(keys: &Value) -> Value {
    match keys {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Array(many) => many.iter().map(quoted).collect(),
        Value::Object(keys) => keys
            .iter()
            .map(|(key, value)| (key.clone(), quoted(value)))
            .collect(),
        other => other.clone(),
    }
}

fn is_service(principal: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"]
        .iter()
        .any(|domain| principal.ends_with(domain))
}
