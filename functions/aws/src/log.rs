//! The log of a function: lines on standard output, which Lambda sends to CloudWatch Logs.

use std::env;

use tracing_subscriber::filter::LevelFilter;

/// Writes what is logged from now on, in the format and from the level that the function's logging configuration asks for
/// (Lambda Developer Guide, "Configuring advanced logging controls": `AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`). The subscriber
/// that comes with `lambda_runtime` does the same by an engine for regular expressions, which is a tenth of a function's zip.
pub fn start() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok();
    let level = level.and_then(|level| level.parse().ok());
    let lines = tracing_subscriber::fmt()
        .with_target(false)
        .without_time()
        .with_max_level(level.unwrap_or(LevelFilter::INFO));
    let format = env::var("AWS_LAMBDA_LOG_FORMAT").unwrap_or_default();
    if format.eq_ignore_ascii_case("json") {
        lines.json().init();
    } else {
        lines.init();
    }
}
