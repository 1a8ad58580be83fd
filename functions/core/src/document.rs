//! Repository and lifecycle policies as ECR gives them out: the same one may be written differently at each reading.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::repository::is_account;

/// Whether two policies mean the same. Their lists are sets, whose order ECR does not keep; a list of one is written without
/// brackets, too; an account in a `Principal` is written by its number or as its root user, and everyone with `AWS` or without.
#[must_use]
pub(crate) fn same(one: Option<&str>, other: Option<&str>) -> bool {
    let parsed = |text: &str| {
        let value = serde_json::from_str(text).ok()?;
        Some(canonical(value, false))
    };
    match (one, other) {
        (Some(one), Some(other)) => {
            one == other || parsed(one).is_some_and(|one| parsed(other) == Some(one))
        }
        (one, other) => one == other,
    }
}

/// Whether two statements of repository policies say the same. Beside what [`same`] overlooks, their names make no difference, nor does
/// the case of actions and condition keys, nor whether a condition's value is written as text (IAM User Guide, "IAM JSON policy elements:
/// Action", "Condition").
#[must_use]
pub(crate) fn same_statement(one: &Value, other: &Value) -> bool {
    meaning(one) == meaning(other)
}

fn meaning(statement: &Value) -> Value {
    let Value::Object(fields) = statement else {
        return statement.clone();
    };
    let fields = fields.iter().filter(|(name, _)| *name != "Sid");
    let fields = fields.map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("Action" | "NotAction", value) => each_text(value, &|action| {
                // All actions of a repository policy are ECR's.
                let all = action == "*";
                if all {
                    "ecr:*".to_owned()
                } else {
                    action.to_lowercase()
                }
            }),
            ("Condition", Value::Object(operators)) => {
                let compared = operators.iter();
                let compared = compared.map(|(operator, keys)| (operator.clone(), folded(keys)));
                Value::Object(compared.collect())
            }
            (_, value) => value.clone(),
        };
        (name.clone(), value)
    });
    canonical(Value::Object(fields.collect()), false)
}

/// The keys of a condition in lower case, unless two differ by that alone.
fn folded(keys: &Value) -> Value {
    let Value::Object(written) = keys else {
        return keys.clone();
    };
    let lower = written.iter().map(|(key, value)| {
        let value = each_text(value, &str::to_owned);
        (key.to_lowercase(), value)
    });
    let lower: serde_json::Map<String, Value> = lower.collect();
    if lower.len() == written.len() {
        Value::Object(lower)
    } else {
        keys.clone()
    }
}

/// A text, or each of a list, changed; numbers and truth values become texts.
fn each_text(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| each_text(item, change)).collect(),
        Value::String(text) => Value::String(change(text)),
        Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
        Value::Null | Value::Object(_) => value.clone(),
    }
}

/// `of_principal`: the value says who, and not what or when.
fn canonical(value: Value, of_principal: bool) -> Value {
    match value {
        Value::Array(items) => {
            let items = items.into_iter().map(|item| canonical(item, of_principal));
            let mut items: Vec<Value> = items.collect();
            items.sort_by_cached_key(ToString::to_string);
            items.dedup();
            match items.len() {
                1 => items.remove(0),
                _ => Value::Array(items),
            }
        }
        Value::Object(fields) => {
            // In one order, whatever serde_json's own is.
            let mut sorted: BTreeMap<String, Value> = fields
                .into_iter()
                .map(|(key, value)| {
                    let names = matches!(key.as_str(), "Principal" | "NotPrincipal");
                    let value = canonical(value, of_principal || names);
                    (key, value)
                })
                .collect();
            let everyone = |value: &Value| value == "*";
            if of_principal && sorted.len() == 1 && sorted.get("AWS").is_some_and(everyone) {
                return sorted.remove("AWS").unwrap_or_default();
            }
            Value::Object(sorted.into_iter().collect())
        }
        Value::String(text) if of_principal => {
            Value::String(root_account(&text).map_or(text.clone(), str::to_owned))
        }
        other => other,
    }
}

/// The account whose root user an ARN names.
fn root_account(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?;
    let account = rest.strip_suffix(":root")?;
    (partition.starts_with("aws") && is_account(account)).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(principals: &str, actions: &str, more: &str) -> String {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":{principals}}},"Action":{actions}}}{more}]}}"#
        )
    }

    #[test]
    fn the_order_of_lists_and_the_form_of_an_account_say_nothing() {
        let one = policy(
            r#"["arn:aws:iam::111111111111:root","arn:aws:iam::222222222222:role/a"]"#,
            r#"["ecr:GetDownloadUrlForLayer","ecr:BatchGetImage"]"#,
            r#",{"Sid":"x","Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}"#,
        );
        let other = r#"{"Statement":[{"Effect":"Deny","Sid":"x","Principal":"*","Action":["ecr:PutImage"]},
            {"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Effect":"Allow",
             "Principal":{"AWS":["arn:aws:iam::222222222222:role/a","111111111111"]}}],"Version":"2012-10-17"}"#;
        assert!(same(Some(&one), Some(other)));
        assert!(same(None, None) && !same(Some(&one), None));
    }

    #[test]
    fn statements_are_sorted_by_what_they_say_and_not_by_how_it_is_written() {
        let one = r#"{"Statement":[{"Sid":"a","Action":"x"},{"Action":"y","Sid":"b"}]}"#;
        let other = r#"{"Statement":[{"Sid":"b","Action":"y"},{"Action":"x","Sid":"a"}]}"#;
        assert!(same(Some(one), Some(other)));
    }

    #[test]
    fn what_means_something_else_is_not_the_same() {
        let one = policy(r#""111111111111""#, r#""ecr:BatchGetImage""#, "");
        for other in [
            policy(r#""222222222222""#, r#""ecr:BatchGetImage""#, ""),
            policy(
                r#""arn:aws:iam::111111111111:role/root""#,
                r#""ecr:BatchGetImage""#,
                "",
            ),
            policy(r#"["111111111111","*"]"#, r#""ecr:BatchGetImage""#, ""),
            policy(r#""111111111111""#, r#""ecr:*""#, ""),
            policy(r#""111111111111""#, r#""ecr:BatchGetImage""#, ",{}"),
            policy(r#"{"x":"y"}"#, r#""ecr:BatchGetImage""#, ""),
            "nonsense".to_owned(),
        ] {
            assert!(!same(Some(&one), Some(&other)), "{other}");
        }
        let on_condition = |account: &str| {
            format!(r#"{{"Condition":{{"StringLike":{{"aws:PrincipalArn":"{account}"}}}}}}"#)
        };
        let (number, root) = (
            on_condition("111111111111"),
            on_condition("arn:aws:iam::111111111111:root"),
        );
        assert!(!same(Some(&number), Some(&root)));
        assert!(same(Some("nonsense"), Some("nonsense")));
        assert!(!same(Some("nonsense"), Some("other nonsense")));
    }
}
