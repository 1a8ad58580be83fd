//! Values as policies write them: one text, or a list.

use serde_json::Value;

/// One string or a list of them.
///
/// # Errors
/// One line: it is something else.
pub(super) fn strings(value: &Value) -> Result<Vec<&str>, String> {
    match value {
        Value::String(one) => Ok(vec![one]),
        // Written without quotes, `true` and numbers mean the same.
        Value::Bool(true) => Ok(vec!["true"]),
        Value::Bool(false) => Ok(vec!["false"]),
        Value::Array(many) => many
            .iter()
            .map(|one| match one {
                Value::String(one) => Ok(one.as_str()),
                Value::Bool(true) => Ok("true"),
                Value::Bool(false) => Ok("false"),
                _ => Err("something other than text is listed".to_owned()),
            })
            .collect(),
        _ => Err("something is neither text nor a list".to_owned()),
    }
}
