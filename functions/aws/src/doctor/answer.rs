//! Errors of the SDK as the core's checks distinguish them.

use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use ecr_warden_core::doctor::NoAnswer;
use std::error::Error;

use crate::connect::error::Failure;

/// The services' codes for what does not exist.
const GONE: [&str; 9] = [
    "AWS.SimpleQueueService.NonExistentQueue",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
    // SQS by its JSON protocol.
    "QueueDoesNotExist",
    "RepositoryNotFoundException",
    "ResourceNotFoundException",
    "TrailNotFoundException",
];

/// Sorts an error. `permission`: what the call requires, for where AWS does not say.
pub(crate) fn no_answer<E>(permission: &str, error: &SdkError<E, HttpResponse>) -> NoAnswer
where
    E: ProvideErrorMetadata + Error + 'static,
{
    of_failure(Failure::of(permission, error))
}

/// The same of an error that is sorted already.
pub(crate) fn of_failure(failure: Failure) -> NoAnswer {
    let why = failure.to_string();
    match failure {
        Failure::Denied { permission, .. } => NoAnswer::Denied { permission, why },
        Failure::Refused { code, .. } if GONE.contains(&code.as_str()) => NoAnswer::Gone,
        // CloudFormation has no code of its own for it.
        Failure::Refused { code, message, .. }
            if code == "ValidationError" && message.contains("does not exist") =>
        {
            NoAnswer::Gone
        }
        _ => NoAnswer::Other(why),
    }
}
