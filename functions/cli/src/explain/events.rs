//! The events of a file: as EventBridge delivers them, or CloudTrail's records as its console and its files show them.

use serde_json::{Value, json};

/// Each event, in an envelope of EventBridge's.
///
/// # Errors
/// A record does not say what its envelope would: one line, with what to add.
pub(super) fn events(file: Value) -> Result<Vec<Value>, String> {
    let records = match file.get("Records").and_then(Value::as_array) {
        Some(records) => records.clone(),
        None if file.get("eventSource").is_some() => vec![file],
        None => return Ok(vec![file]),
    };
    if records.is_empty() {
        return Err("`Records` is empty; it needs one event".to_owned());
    }
    records.into_iter().map(enveloped).collect()
}

fn enveloped(record: Value) -> Result<Value, String> {
    let text = |pointer: &str| {
        let value = record.pointer(pointer).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    let account = text("/recipientAccountId").or_else(|| text("/requestParameters/registryId"));
    let missing = |key: &str, example: &str| {
        format!(
            "the CloudTrail record has no `{key}`: add `\"{key}\": \"{example}\"` to it, or give the event as EventBridge delivers it, \
             with the record as its `detail`"
        )
    };
    let account = account.ok_or_else(|| missing("recipientAccountId", "111122223333"))?;
    let region = text("/awsRegion").ok_or_else(|| missing("awsRegion", "eu-central-1"))?;
    Ok(json!({
        "version": "0",
        "id": text("/eventID").unwrap_or_else(|| "1".to_owned()),
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.ecr",
        "account": account,
        "region": region,
        "time": text("/eventTime"),
        "resources": [],
        "detail": record,
    }))
}
