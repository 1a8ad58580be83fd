//! Why the caller is not known, in one line and with what to do.

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_types::error::ErrorMetadata;

use crate::connect::error::{Failure, innermost, one_line};
use crate::connect::profiles::network::NoWay;
use crate::connect::profiles::provenance::{Provenance, Source};

/// Explains an error of `sts:GetCallerIdentity`, the first call of each command.
pub(super) fn why<E>(
    error: &SdkError<E, HttpResponse>,
    provenance: &Provenance,
    region: &str,
) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let of = provenance.named();
    if let Some(credentials) = find::<CredentialsError>(error) {
        return without_credentials(credentials, provenance, region);
    }
    if let Some(no_way) = find::<NoWay>(error) {
        return unreachable(no_way, region);
    }
    match error {
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => format!(
            "AWS can't be reached in {region}: is there such a region (`aws account list-regions` lists them), and a network? ({})",
            innermost(error)
        ),
        _ => {
            let failure = Failure::of("sts:GetCallerIdentity", error);
            // STS's answer to keys that it does not know, and in a region that the account has not enabled.
            let hint = if failure.is("InvalidClientTokenId") {
                format!("; check the keys{of}, and whether {region} is enabled for the account")
            } else if failure.is("ExpiredToken") {
                format!("; {}", provenance.advice())
            } else {
                String::new()
            };
            format!("cannot determine the caller identity: {failure}{hint}")
        }
    }
}

fn without_credentials(error: &CredentialsError, provenance: &Provenance, region: &str) -> String {
    let (of, advice) = (provenance.named(), provenance.advice());
    if let Some(no_way) = find::<NoWay>(error) {
        return unreachable(no_way, region);
    }
    if let Some(role) = find::<AssumeRoleError>(error) {
        return format!(
            "no usable credentials{of}: a role can't be assumed: {}; correct `role_arn`, or the trust policy of that role",
            reason(role)
        );
    }
    match (error, &provenance.source) {
        (CredentialsError::CredentialsNotLoaded(_), Source::Nothing | Source::Machine) => {
            format!("no credentials{of}: {advice}")
        }
        _ => format!("no usable credentials{of}: {}; {advice}", reason(error)),
    }
}

fn unreachable(no_way: &NoWay, region: &str) -> String {
    format!("AWS can't be reached in {region}: {no_way}")
}

/// AWS's code and message, or the last reason of the chain. An error of the system is named with the file.
fn reason(error: &(dyn Error + 'static)) -> String {
    if let Some(answer) = find::<ErrorMetadata>(error) {
        let parts = [answer.code(), answer.message()];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        return one_line(&parts.join(": "));
    }
    let mut last = error;
    while let Some(source) = last.source() {
        if source.is::<io::Error>() {
            return one_line(&format!("{last}: {source}"));
        }
        last = source;
    }
    one_line(last.to_string().trim())
}

fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
