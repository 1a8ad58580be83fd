//! The last scene: an audit of everything there is by now, as a file to look at.

use std::path::PathBuf;

use ecr_warden_aws::{Clients, Home, survey};
use ecr_warden_core::audit::{Audit, Request};
use ecr_warden_core::policy::Policy;
use ecr_warden_core::report::html;
use ecr_warden_tests::Problem;
use ecr_warden_tests::clients::config;
use ecr_warden_tests::local_aws::{ACCOUNT, LocalAws, REGION, root};
use time::OffsetDateTime;

/// The audit, and where its report is.
pub(crate) async fn write(local: &LocalAws, policy: &str) -> Result<(Audit, PathBuf), Problem> {
    let policy = Policy::parse(policy)?;
    let clients = Clients::new(config(&local.proxy.endpoint()), Some(ACCOUNT.to_owned()));
    let home = Home {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
    };
    let now = OffsetDateTime::now_utc();
    let request = Request {
        cost: true,
        ..Request::default()
    };
    let found = survey(&clients, &policy, &request, &home, None, &mut |_| {}).await?;
    let file = root().join("target/demo-report.html");
    let at = format!("account {ACCOUNT}, {}", now.date());
    std::fs::write(&file, html(&found, &at)?)?;
    Ok((found, file))
}
