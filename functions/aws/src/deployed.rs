//! What is deployed, asked from outside: which function the auditor is, its answers, the reports that are too large for an answer, and the
//! state table.

use std::time::Duration;

use aws_sdk_lambda::config::StalledStreamProtectionConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use ecr_warden_core::audit::{Audit, Locations};
use ecr_warden_core::text::one_line;
use serde_json::Value;

use crate::connect::clients::Clients;
use crate::connect::error::Failure;
use crate::deliver::reports::read_text;

/// The stack's outputs with the function's name, and with the state table's.
const AUDITOR: &str = "AuditorFunctionName";
const STATE_TABLE: &str = "StateTableName";
/// A function runs for at most 900 s (Lambda quotas), and its answer takes some time, too.
const LONGEST_ANSWER: Duration = Duration::from_secs(960);
const CONNECT: Duration = Duration::from_secs(10);
/// Of a function's error message.
const LONGEST_MESSAGE: usize = 1000;

/// Why the deployed auditor did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered {
    /// There is no such stack, or it has no auditor.
    #[error("{0}")]
    NoAuditor(String),
    #[error("{0}")]
    Aws(String),
}

/// The auditor of a stack.
#[derive(Debug)]
pub struct DeployedAuditor {
    lambda: aws_sdk_lambda::Client,
    function: String,
}

impl DeployedAuditor {
    /// Finds the auditor of a stack in the clients' own region.
    ///
    /// # Errors
    /// There is no such stack, it has no auditor, or CloudFormation cannot be asked.
    pub async fn of_stack(clients: &Clients, stack: &str) -> Result<Self, NotAnswered> {
        Ok(Self {
            function: output(clients, stack, AUDITOR).await?,
            lambda: aws_sdk_lambda::Client::from_conf(patient(clients)),
        })
    }

    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Invokes the function once, and waits for its answer. A failed invocation is not repeated: it may have begun.
    ///
    /// # Errors
    /// Lambda cannot be asked, the function fails, or its answer is not an audit.
    pub async fn ask(&self, request: &Value) -> Result<Audit, NotAnswered> {
        let answer = self
            .lambda
            .invoke()
            .function_name(&self.function)
            .payload(Blob::new(request.to_string()))
            .send()
            .await
            .map_err(|error| {
                let failure = Failure::of("lambda:InvokeFunction", &error);
                NotAnswered::Aws(format!("{}: {failure}", self.function))
            })?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        let text = String::from_utf8_lossy(&payload);
        if answer.function_error.is_some() {
            return Err(NotAnswered::Aws(format!(
                "{} failed: {}",
                self.function,
                error_message(&text)
            )));
        }
        Audit::read(&text).map_err(|why| {
            NotAnswered::Aws(format!(
                "{} answers with what this version does not understand: {why}",
                self.function
            ))
        })
    }
}

/// The state table of a stack in the clients' own region.
///
/// # Errors
/// There is no such stack, it has no state table, or CloudFormation cannot be asked.
pub async fn state_table(clients: &Clients, stack: &str) -> Result<String, NotAnswered> {
    output(clients, stack, STATE_TABLE).await
}

async fn output(clients: &Clients, stack: &str, name: &str) -> Result<String, NotAnswered> {
    let answer = aws_sdk_cloudformation::Client::new(clients.config())
        .describe_stacks()
        .stack_name(stack)
        .send()
        .await
        .map_err(|error| Failure::of("cloudformation:DescribeStacks", &error));
    let stacks = match answer {
        Ok(answer) => answer.stacks.unwrap_or_default(),
        // CloudFormation's answer where there is no such stack, and where the name cannot be one.
        Err(failure) if failure.is("ValidationError") => {
            return Err(NotAnswered::NoAuditor("there is no such stack".to_owned()));
        }
        Err(failure) => return Err(NotAnswered::Aws(failure.to_string())),
    };
    stacks
        .iter()
        .flat_map(|stack| stack.outputs())
        .find(|output| output.output_key() == Some(name))
        .and_then(|output| output.output_value.clone())
        .ok_or_else(|| {
            NotAnswered::NoAuditor(format!(
                "the stack has no output {name}: it is not ecr-warden's, or its deployment has not ended"
            ))
        })
}

/// Reads a report that was too large for an answer.
///
/// # Errors
/// One line: S3 does not give it out, or it is no audit.
pub async fn read_report(clients: &Clients, report: &Locations) -> Result<Audit, String> {
    let text = read_text(clients, &report.json)
        .await
        .map_err(|why| format!("the report in {} can't be read: {why}", report.json))?;
    Audit::read(&text).map_err(|why| format!("{}: {why}", report.json))
}

/// No second invocation of what takes minutes, and no silence taken for a stalled connection.
fn patient(clients: &Clients) -> aws_sdk_lambda::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(LONGEST_ANSWER)
        .build();
    aws_sdk_lambda::config::Builder::from(clients.config())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// What a function failed with (AWS Lambda Developer Guide, "Handling errors": `errorMessage`), in one line.
fn error_message(payload: &str) -> String {
    let parsed: Value = serde_json::from_str(payload).unwrap_or_default();
    let message = parsed.get("errorMessage").and_then(Value::as_str);
    one_line(message.unwrap_or(payload), LONGEST_MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::error_message;

    #[test]
    fn a_failed_function_is_quoted_in_one_line() {
        let failed = r#"{"errorType":"E","errorMessage":"invalid audit request:\nx"}"#;
        assert_eq!(error_message(failed), "invalid audit request: x");
        assert_eq!(error_message("no JSON"), "no JSON");
    }
}
