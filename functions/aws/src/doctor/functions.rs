//! The functions' reserved concurrency and recursion settings.

use aws_sdk_lambda::Client;
use aws_types::SdkConfig;
use ecr_warden_core::doctor::{FunctionSettings, NoAnswer, RECURSIVE};
use futures_util::future::{OptionFuture, join_all};

use crate::doctor::answer::no_answer;
use crate::doctor::stack::{Resources, StackResource};

pub(crate) async fn functions(config: &SdkConfig, resources: &Resources) -> Vec<FunctionSettings> {
    let lambda = Client::new(config);
    let functions = resources.of_kind("AWS::Lambda::Function");
    join_all(functions.map(|function| read(&lambda, function))).await
}

async fn read(lambda: &Client, function: &StackResource) -> FunctionSettings {
    let name = &function.physical;
    let asked = RECURSIVE.contains(&function.logical.as_str());
    let recursion = OptionFuture::from(asked.then(|| recursion(lambda, name)));
    let (recursion, reserved) = tokio::join!(recursion, reserved(lambda, name));
    FunctionSettings {
        logical: function.logical.clone(),
        physical: name.clone(),
        recursion,
        reserved,
    }
}

async fn recursion(lambda: &Client, name: &str) -> Result<String, NoAnswer> {
    let asked = lambda.get_function_recursion_config().function_name(name);
    let answer = asked.send().await;
    let answer = answer.map_err(|error| no_answer("lambda:GetFunctionRecursionConfig", &error))?;
    let setting = answer.recursive_loop();
    // Terminate is Lambda's default.
    Ok(setting.map_or_else(|| "Terminate".to_owned(), ToString::to_string))
}

async fn reserved(lambda: &Client, name: &str) -> Result<Option<u32>, NoAnswer> {
    let asked = lambda.get_function_concurrency().function_name(name);
    let answer = asked.send().await;
    let answer = answer.map_err(|error| no_answer("lambda:GetFunctionConcurrency", &error))?;
    let reserved = answer.reserved_concurrent_executions;
    Ok(reserved.and_then(|reserved| reserved.try_into().ok()))
}
