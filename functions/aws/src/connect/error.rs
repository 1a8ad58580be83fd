//! SDK errors, sorted into what can be acted on.

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use ecr_warden_core::denial::Denial;
use ecr_warden_core::reason::Code;
use ecr_warden_core::repository::DENIED_BY_POLICY;
use ecr_warden_core::text;
use std::error::Error;
use std::fmt;

/// The longest message that is passed on; AWS's are shorter.
const LONGEST: usize = 600;

/// Why a call did not succeed, after the SDK's own retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A permission is missing, or a policy denies the call.
    Denied {
        permission: String,
        /// Where AWS says which kind of policy it is.
        by: Option<Denial>,
    },
    /// Throttled, out of order or out of reach: later it may work.
    Unavailable(String),
    /// AWS will not do it.
    Refused {
        code: String,
        message: String,
        /// KMS's own code, where ECR passes one on.
        kms: Option<String>,
    },
}

/// KMS's codes for what passes by itself. ECR wraps them in a `KmsException` with HTTP status 400, which the SDK does not try again.
const TEMPORARY_KMS_ERRORS: [&str; 5] = [
    "Throttling",
    "KMSInternal",
    "DependencyTimeout",
    "LimitExceeded",
    "KeyUnavailable",
];

/// KMS's codes for a key that can't be used until somebody changes something (KMS API reference, CreateGrant and GenerateDataKey).
const FINAL_KMS_ERRORS: [&str; 10] = [
    "AccessDenied",
    "Disabled",
    "IncorrectKey",
    "InvalidArn",
    "InvalidGrant",
    "InvalidKeyUsage",
    "KMSInvalidState",
    "NotFound",
    "UnsupportedOperation",
    "Validation",
];

/// The other codes with which ECR refuses a creation for good (ECR API reference, CreateRepository).
const FINAL_ERRORS: [&str; 4] = [
    "InvalidParameterException",
    "InvalidTagParameterException",
    "TooManyTagsException",
    "ValidationException",
];

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
                by: Denial::read(&message),
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
        let kms = kms_error(code, service.raw());
        let passes = kms
            .as_deref()
            .is_some_and(|code| begins(&TEMPORARY_KMS_ERRORS, code));
        if throttled || passes || status >= 500 || status == 429 {
            let code = kms.as_deref().unwrap_or(code);
            let said = [code, &message].into_iter().filter(|text| !text.is_empty());
            let said: Vec<&str> = said.collect();
            return Self::Unavailable(if said.is_empty() {
                format!("{permission}: AWS answered HTTP {status}")
            } else {
                format!("{permission}: {}", said.join(": "))
            });
        }
        Self::Refused {
            code: code.to_owned(),
            message,
            kms,
        }
    }

    /// A recreation cannot go on without an operator.
    pub(crate) fn stuck(why: String) -> Self {
        Self::own("recreation", why)
    }

    /// A fault of ours, or of what is on record, in the place of an answer.
    pub(crate) fn own(code: &str, message: String) -> Self {
        Self::Refused {
            code: code.to_owned(),
            message,
            kms: None,
        }
    }

    /// Whether a creation that was refused so will be refused again until somebody changes something.
    pub(crate) fn is_for_good(&self) -> bool {
        match self {
            Self::Denied { .. } => true,
            Self::Unavailable(_) => false,
            Self::Refused { kms: Some(kms), .. } => begins(&FINAL_KMS_ERRORS, kms),
            Self::Refused { code, .. } => FINAL_ERRORS.contains(&code.as_str()),
        }
    }

    /// The code of a repair that failed because of it.
    pub(crate) fn reason_code(&self) -> Code {
        match self {
            Self::Denied { by: Some(by), .. } if by.is_of_the_organization() => {
                Code::OrganizationPolicy
            }
            Self::Denied { .. } => Code::AccessDenied,
            failure if failure.is("BlockedByOrganizationPolicyException") => {
                Code::OrganizationPolicy
            }
            Self::Refused { .. } | Self::Unavailable(_) => Code::Refused,
        }
    }

    pub(crate) fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied {
                permission,
                by: Some(denial),
            } if denial.is_of_the_resource() && permission.starts_with("ecr:") => {
                write!(f, "{DENIED_BY_POLICY}{permission}")
            }
            Self::Denied {
                permission,
                by: Some(denial),
            } if !denial.is_missing_permission() => {
                write!(f, "{permission} is denied: {denial}")
            }
            Self::Denied { permission, .. } => {
                write!(f, "the permission {permission} is missing")
            }
            Self::Unavailable(why) => write!(f, "AWS did not answer: {why}"),
            Self::Refused { code, message, .. }
                if code == "BlockedByOrganizationPolicyException" =>
            {
                write!(
                    f,
                    "a policy of the organization (AWS Organizations) forbids it: {message}"
                )
            }
            Self::Refused {
                code,
                message,
                kms: Some(kms),
            } => write!(f, "{code}: {kms}: {message}"),
            Self::Refused { code, message, .. } if message.is_empty() => f.write_str(code),
            Self::Refused { code, message, .. } => write!(f, "{code}: {message}"),
        }
    }
}

/// KMS's own code inside ECR's `KmsException` (ECR API model, `kmsError`).
fn kms_error(code: &str, raw: &HttpResponse) -> Option<String> {
    if code != "KmsException" {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(raw.body().bytes()?).ok()?;
    body.get("kmsError")?.as_str().map(one_line)
}

fn begins(codes: &[&str], code: &str) -> bool {
    codes.iter().any(|known| code.starts_with(known))
}

pub(crate) fn one_line(text: &str) -> String {
    text::one_line(text, LONGEST)
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

/// The last reason of the chain.
#[cfg(feature = "profiles")]
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    one_line(&last.to_string())
}
