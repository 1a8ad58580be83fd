//! Clients, credentials, errors and the rate limit: what every call has in common.

pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod http;
#[cfg(feature = "profiles")]
pub(crate) mod profiles;
pub(crate) mod rate_limit;
pub(crate) mod signature;
