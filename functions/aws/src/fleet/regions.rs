//! Audits of several regions, each for itself: a region that cannot be read does not end the others.

use std::sync::{Mutex, PoisonError};

use aws_sdk_account::types::RegionOptStatus;
use ecr_warden_core::audit::{Audit, Request};
use ecr_warden_core::policy::Policy;
use futures_util::stream::{self, StreamExt};

use crate::connect::clients::Clients;
use crate::connect::error::Failure;
use crate::fleet::audit::{AuditError, Home, Scanned};
use crate::fleet::survey::{deduct_free, survey_without_deduction};

/// Regions that are audited at the same time: most of a small region's time is the way to it.
const AT_ONCE: usize = 4;

/// What happens in an audit of several regions.
#[derive(Debug)]
pub enum RegionStep<'a> {
    Begins(&'a str),
    Scanned(&'a Scanned),
    Ends(&'a str),
}

/// A region that could not be audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadRegion {
    pub region: String,
    /// One line.
    pub why: String,
}

/// Lists the regions that are enabled for the account, by name.
///
/// # Errors
/// One line: the account service cannot be asked.
pub async fn enabled_regions(clients: &Clients) -> Result<Vec<String>, String> {
    let enabled = [RegionOptStatus::Enabled, RegionOptStatus::EnabledByDefault];
    let pages: Result<Vec<_>, _> = aws_sdk_account::Client::new(clients.config())
        .list_regions()
        .set_region_opt_status_contains(Some(enabled.to_vec()))
        .into_paginator()
        .items()
        .send()
        .collect()
        .await;
    let listed = pages.map_err(|error| Failure::of("account:ListRegions", &error).to_string())?;
    let mut regions: Vec<String> = listed
        .into_iter()
        .filter_map(|region| region.region_name)
        .collect();
    regions.sort();
    Ok(regions)
}

/// Evaluates every repository that the request asks for in these regions, and changes nothing.
///
/// # Errors
/// The request is not valid. A region that cannot be read is no error: it is in the answer, with the reason.
pub async fn survey_regions(
    clients: &Clients,
    policy: &Policy,
    request: &Request,
    home: &Home,
    regions: &[String],
    on: &mut (dyn FnMut(RegionStep<'_>) + Send),
) -> Result<(Audit, Vec<UnreadRegion>), AuditError> {
    let on = Mutex::new(on);
    let happens = |step: RegionStep<'_>| (on.lock().unwrap_or_else(PoisonError::into_inner))(step);
    let happens = &happens;
    let answers: Vec<(&String, Result<Audit, AuditError>)> = stream::iter(regions)
        .map(|region| async move {
            happens(RegionStep::Begins(region));
            let request = Request {
                regions: vec![region.clone()],
                ..request.clone()
            };
            let mut each = |seen: &Scanned| happens(RegionStep::Scanned(seen));
            let answer =
                survey_without_deduction(clients, policy, &request, home, None, &mut each).await;
            happens(RegionStep::Ends(region));
            (region, answer)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut all = Audit::default();
    let mut unread = Vec::new();
    for (region, answer) in answers {
        match answer {
            Ok(part) => all.add_part(part),
            Err(AuditError::Aws(why)) => unread.push(UnreadRegion {
                region: region.clone(),
                why,
            }),
            Err(error @ AuditError::Request(_)) => return Err(error),
        }
    }
    deduct_free(&mut all, policy, request, home);
    all.sort();
    Ok((all, unread))
}
