//! SDK errors, sorted into what can be acted on.

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::fmt;

/// The longest message that is passed on; AWS's are shorter.
const LONGEST: usize = 600;

/// Why a call did not succeed, after the SDK's own retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A permission is missing.
    Denied { permission: String },
    /// Throttled, out of order or out of reach: later it may work.
    Unavailable(String),
    /// AWS will not do it.
    Refused { code: String, message: String },
}

impl Failure {
    /// Sorts an error. `permission` is what the call takes, for where AWS does not say.
    pub(crate) fn of<E>(permission: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            return Self::Unavailable(match error {
                SdkError::TimeoutError(_) => format!("{permission}: no answer in time"),
                _ => format!("{permission}: {}", chain(error)),
            });
        };
        let code = service.err().code().unwrap_or_default();
        let message = one_line(service.err().message().unwrap_or_default());
        let status = service.raw().status().as_u16();
        let denied = matches!(
            code,
            "AccessDeniedException"
                | "AccessDenied"
                | "AuthorizationError"
                | "UnauthorizedOperation"
        );
        // Credentials that ran out are refused with the same status, and are no missing permission.
        let credentials =
            code.contains("Token") || code.contains("Signature") || code.contains("Client");
        if denied || (status == 403 && !credentials) {
            // "User: … is not authorized to perform: ecr:TagResource on resource: …"
            let named = message
                .split_once("to perform: ")
                .and_then(|(_, rest)| rest.split([' ', ',']).next())
                .filter(|named| named.contains(':'));
            return Self::Denied {
                permission: named.unwrap_or(permission).to_owned(),
            };
        }
        let throttled = matches!(
            code,
            "ThrottlingException"
                | "Throttling"
                | "TooManyRequestsException"
                | "RequestLimitExceeded"
                | "ProvisionedThroughputExceededException"
                | "RequestThrottledException"
                | "KMSInternalException"
                | "TransactionInProgressException"
                | "TransactionConflictException"
        );
        if throttled || status >= 500 || status == 429 {
            return Self::Unavailable(format!("{permission}: {code}: {message}"));
        }
        Self::Refused {
            code: code.to_owned(),
            message,
        }
    }

    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { permission } => {
                write!(f, "the permission {permission} is missing")
            }
            Self::Unavailable(why) => write!(f, "AWS did not answer: {why}"),
            Self::Refused { code, message } if code == "BlockedByOrganizationPolicyException" => {
                write!(
                    f,
                    "a policy of the organization (AWS Organizations) forbids it: {message}"
                )
            }
            Self::Refused { code, message } if message.is_empty() => f.write_str(code),
            Self::Refused { code, message } => write!(f, "{code}: {message}"),
        }
    }
}

pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect()
}

/// The innermost reason is the one that tells something.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        parts.push(inner.to_string());
        source = inner.source();
    }
    one_line(&parts.join(": "))
}
