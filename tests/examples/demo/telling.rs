//! What the alerts say, for people.

use std::time::Duration;

use ecr_warden_tests::Problem;
use serde_json::Value;

use crate::screen::Screen;

/// One alert's answers.
pub(crate) fn tell(screen: &Screen, alert: &Value) -> Result<(), Problem> {
    let text = |path: &str| text_of(alert, path);
    let lines = [
        ("Subject", text("/_envelope/Subject")?),
        ("What", text("/findings/0/detail")?),
        ("Who", text("/actor")?),
        ("When", text("/occurred_at")?),
        (
            "Changed",
            &format!("{} -> {}", text("/actions/0/from")?, text("/actions/0/to")?),
        ),
        ("Prevent", text("/findings/0/advice")?),
        ("Terraform", text("/findings/0/iac/terraform")?),
        ("CloudFormation", text("/findings/0/iac/cloudformation")?),
    ];
    for (label, value) in lines {
        screen.field(label, value);
    }
    screen.gap();
    Ok(())
}

/// What it says there.
pub(crate) fn text_of<'v>(alert: &'v Value, path: &str) -> Result<&'v str, Problem> {
    let text = alert.pointer(path).and_then(Value::as_str);
    text.ok_or_else(|| Problem::from(format!("the alert has no {path}: {alert}")))
}

/// One line of the table; an error where the alert does not tell of this rule as repaired.
pub(crate) fn row(
    name: &str,
    alert: &Value,
    rule: &str,
    took: &str,
) -> Result<[String; 5], Problem> {
    let finding = alert.pointer("/findings/0").unwrap_or(&Value::Null);
    let action = alert.pointer("/actions/0").unwrap_or(&Value::Null);
    if finding.get("rule").and_then(Value::as_str) != Some(rule)
        || finding.get("status").and_then(Value::as_str) != Some("fixed")
    {
        return Err(
            format!("the alert about {name} does not tell of {rule} as fixed: {alert}").into(),
        );
    }
    let text = |key: &str| {
        action
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok([
        name.to_owned(),
        rule.to_owned(),
        text("from"),
        text("to"),
        took.to_owned(),
    ])
}

/// One line of the table of findings.
pub(crate) fn found_row(name: &str, finding: &Value) -> Result<[String; 3], Problem> {
    let text = |key: &str| {
        let value = finding.get(key).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .ok_or_else(|| Problem::from(format!("the finding has no {key}: {finding}")))
    };
    Ok([
        format!("{}\n{name}", text("rule")?),
        format!("{}\n{}", text("status")?, text("severity")?),
        text("detail")?,
    ])
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f32())
}
