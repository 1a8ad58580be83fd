//! Deploys the template with the zips through a bucket, as `make deploy` does, but without the AWS CLI: its starts would take more time
//! than all else that the tests do.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_cloudformation::types::Parameter;
use aws_sdk_s3::primitives::ByteStream;

use crate::clients::config;
use crate::local_aws::root;
use crate::{Problem, eventually};

const BUCKET: &str = "artifacts";
/// As the template names them.
const FUNCTIONS: [&str; 3] = ["enforcer", "auditor", "slack-notifier"];
const LONGEST: Duration = Duration::from_secs(60);

/// Creates a stack. `parameters`: as `make deploy` takes them, `Key=value` each. Answers the outputs.
pub(crate) async fn create(
    endpoint: &str,
    stack: &str,
    parameters: &str,
) -> Result<BTreeMap<String, String>, Problem> {
    check_zips()?;
    let config = config(endpoint);
    let url = upload(&config, endpoint).await?;
    let cloudformation = aws_sdk_cloudformation::Client::new(&config);
    let architecture = format!("Architecture={}", architecture());
    let words = words(parameters).into_iter().chain([architecture]);
    let all = words.filter_map(|word| {
        let (key, value) = word.split_once('=')?;
        let parameter = Parameter::builder().parameter_key(key);
        Some(parameter.parameter_value(value).build())
    });
    cloudformation
        .create_stack()
        .stack_name(stack)
        .template_url(url)
        .set_parameters(Some(all.collect()))
        .capabilities("CAPABILITY_IAM".into())
        .send()
        .await?;
    eventually("the stack", LONGEST, async || {
        let answer = cloudformation
            .describe_stacks()
            .stack_name(stack)
            .send()
            .await?;
        let stack = answer.stacks().first().ok_or("there is no stack")?;
        let status = stack.stack_status().map_or("", |status| status.as_str());
        if status == "CREATE_IN_PROGRESS" {
            return Ok(None);
        }
        if status != "CREATE_COMPLETE" {
            let reason = stack.stack_status_reason().unwrap_or_default();
            return Err(format!("the stack is {status}: {reason}").into());
        }
        let outputs = stack.outputs().iter().filter_map(|output| {
            let value = output.output_value()?.to_owned();
            Some((output.output_key()?.to_owned(), value))
        });
        Ok(Some(outputs.collect()))
    })
    .await
}

/// Puts zips and template into a bucket. Answers the template's address.
async fn upload(config: &aws_types::SdkConfig, endpoint: &str) -> Result<String, Problem> {
    let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(s3.build());
    s3.create_bucket().bucket(BUCKET).send().await?;
    let mut template = std::fs::read_to_string(root().join("infra/template.yaml"))?;
    for function in FUNCTIONS {
        let zip = format!("target/lambda/{function}/bootstrap.zip");
        let body = ByteStream::from(std::fs::read(root().join(&zip))?);
        let put = s3.put_object().bucket(BUCKET).key(function).body(body);
        put.send().await?;
        let code = format!("{{ S3Bucket: {BUCKET}, S3Key: {function} }}");
        template = template.replace(&format!("../{zip}"), &code);
    }
    let body = ByteStream::from(template.into_bytes());
    let put = s3.put_object().bucket(BUCKET).key("template").body(body);
    put.send().await?;
    Ok(format!("{endpoint}/{BUCKET}/template"))
}

/// The zips are tested, not their sources: they have to be of these sources.
fn check_zips() -> Result<(), Problem> {
    static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
    let checked = CHECKED.get_or_init(|| {
        let make = Command::new("make")
            .current_dir(root())
            .args(["--question", "package"])
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL")
            .status();
        match make {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(
                "the zips are not of these sources: run `make package`, with the same PROFILE"
                    .to_owned(),
            ),
            Err(error) => Err(format!("make: {error}")),
        }
    });
    checked.clone().map_err(Problem::from)
}

/// As a shell splits them: what is in quotes is of one word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words
}

/// Of this machine, as Lambda names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}
