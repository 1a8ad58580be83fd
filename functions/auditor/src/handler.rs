//! Between Lambda and the audit: the request, the deadline, and an answer of any size.

use std::time::{Duration, SystemTime};

use ecr_warden_aws::{AuditError, Home, Pipeline, Reports, SecurityHub, Sweep, environment};
use ecr_warden_core::audit::{Audit, Position, Request};
use ecr_warden_core::policy::Mode;
use ecr_warden_core::trigger::message;
use lambda_runtime::{Error, LambdaEvent, tracing};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// The policy that this function is built with.
const BUNDLED_POLICY: &str = include_str!("../../../infra/policy.yaml");

/// A part of an invocation's time is for acting, telling and keeping the report: a third of it.
const ACT: u32 = 3;
/// Lambda's limit is 6 MB; what is larger goes to the bucket.
const LARGEST_ANSWER: usize = 5_000_000;

/// The function with everything that it sets up once.
pub(crate) struct Auditor {
    pipeline: Pipeline,
    reports: Reports,
    /// Where it is to be told of what stands.
    security_hub: Option<SecurityHub>,
    home: Home,
}

impl Auditor {
    /// See [`Pipeline::from_lambda_environment`]; beside these, `REPORT_BUCKET`, and `SECURITY_HUB`, which may be `true`.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let required = |name: &str| {
            environment(name).ok_or_else(|| format!("the environment variable {name} is not set"))
        };
        let pipeline = Pipeline::from_lambda_environment(BUNDLED_POLICY)?;
        let role = required("OWN_ROLE_ARN")?;
        let home = Home {
            account: role.split(':').nth(4).unwrap_or_default().to_owned(),
            region: required("AWS_REGION")?,
        };
        let security_hub = match environment("SECURITY_HUB").as_deref() {
            Some("true") => Some(pipeline.security_hub(&home.account)?),
            _ => None,
        };
        Ok(Self {
            reports: pipeline.reports(required("REPORT_BUCKET")?),
            security_hub,
            home,
            pipeline,
        })
    }

    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<Audit, Error> {
        let (event, context) = event.into_parts();
        // A part of an audit that goes on by itself comes from the queue.
        let (event, request_id) = match message(&event) {
            Some((request, message_id)) => (request, message_id),
            None => (event, context.request_id.clone()),
        };
        let request: Request = serde_json::from_value(event).map_err(|error| {
            format!(
                "the request is not one of the auditor's: {error}. It is \
                 {{\"repositories\": [glob], \"accounts\": [], \"regions\": [], \"cost\": false, \"mode\": \"monitor\" | \"enforce\"}}, all optional"
            )
        })?;
        let left = context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        let began = OffsetDateTime::now_utc();
        let mut audit = self.run(&request, left, &request_id).await?;
        if let (true, Some(next)) = (request.r#continue, &audit.next) {
            let rest = Request {
                next: Some(next.clone()),
                ..request
            };
            self.pipeline.put_off(&serde_json::to_value(&rest)?).await?;
        }
        let size = serde_json::to_string(&audit).map_or(usize::MAX, |json| json.len());
        if size > LARGEST_ANSWER {
            let at = began.format(&Rfc3339).unwrap_or_default();
            let name = format!("{}/{request_id}", began.date());
            audit.report = Some(self.reports.keep(&name, &audit, &at).await?);
            audit.findings = None;
            audit.costs = None;
        }
        let summary = serde_json::to_string(&audit.summary).unwrap_or_default();
        tracing::info!(summary, complete = audit.next.is_none(), "audited");
        Ok(audit)
    }

    async fn run(
        &self,
        request: &Request,
        left: Duration,
        request_id: &str,
    ) -> Result<Audit, AuditError> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let stop_looking = Instant::now() + left.saturating_sub(left / ACT);
        match request.mode {
            Some(Mode::Enforce) => {
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                let sweep = Sweep {
                    request,
                    home: &self.home,
                    request_id,
                    stop_looking,
                    ends_at: now.saturating_add(seconds),
                };
                let mut audit = Audit::default();
                let mut each = |id: &_, verdicts: &[_]| audit.add(id, verdicts);
                let stopped = self.pipeline.sweep(&sweep, &mut each).await?;
                let stopped = self.import(request, &audit, stopped, now).await;
                audit.next = stopped.as_ref().map(Position::write);
                audit.sort();
                Ok(audit)
            }
            None | Some(Mode::Monitor) => {
                let home = &self.home;
                self.pipeline
                    .survey(request, home, Some(stop_looking))
                    .await
            }
        }
    }

    /// Has Security Hub know what stands, and at the end of a sweep what does not any more. It is told, and never in the way:
    /// where it does not take everything, nothing is archived until a sweep of which it took everything.
    async fn import(
        &self,
        request: &Request,
        audit: &Audit,
        stopped: Option<Position>,
        now: i64,
    ) -> Option<Position> {
        let Some(hub) = &self.security_hub else {
            return stopped;
        };
        let since = match &request.next {
            None => Some(now),
            Some(next) => Position::read(next).ok().and_then(|p| p.imported_since),
        };
        let later = OffsetDateTime::now_utc().unix_timestamp();
        let mut result = hub
            .import(audit.findings.as_deref().unwrap_or_default(), later)
            .await;
        if let (Ok(()), None, Some(since)) = (&result, &stopped, since) {
            let home = std::slice::from_ref(&self.home.region);
            let regions = if request.regions.is_empty() {
                home
            } else {
                &request.regions
            };
            result = hub.archive(request, regions, since, later).await;
        }
        if let Err(why) = &result {
            tracing::error!(
                security_hub_failed = true,
                why,
                "Security Hub does not know everything"
            );
        }
        stopped.map(|position| Position {
            imported_since: since.filter(|_| result.is_ok()),
            ..position
        })
    }
}
