//! The policy's parameter as an operator reads and writes it.

use crate::connect::clients::Clients;
use crate::connect::error::Failure;
use aws_sdk_ssm::types::ParameterTier;

/// A version of the parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    pub text: String,
    /// SSM counts them from 1.
    pub version: i64,
}

/// Reads the parameter.
///
/// # Errors
/// One line.
pub async fn read_policy(clients: &Clients, name: &str) -> Result<StoredPolicy, String> {
    let answer = clients.ssm().get_parameter().name(name).send().await;
    let answer = answer.map_err(|error| Failure::of("ssm:GetParameter", &error).to_string())?;
    let parameter = answer
        .parameter
        .ok_or("SSM answered without the parameter")?;
    Ok(StoredPolicy {
        version: parameter.version,
        text: parameter.value.unwrap_or_default(),
    })
}

/// Writes a new version of the parameter, and answers its number. SSM has no condition on the version that is replaced.
///
/// # Errors
/// One line.
pub async fn put_policy(clients: &Clients, name: &str, text: &str) -> Result<i64, String> {
    let answer = clients
        .ssm()
        .put_parameter()
        .name(name)
        .value(text)
        .overwrite(true)
        // More than 4 KB need the advanced tier, which a parameter keeps (SSM API reference, PutParameter).
        .tier(ParameterTier::IntelligentTiering)
        .send()
        .await
        .map_err(|error| Failure::of("ssm:PutParameter", &error).to_string())?;
    Ok(answer.version)
}
