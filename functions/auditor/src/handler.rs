//! Between Lambda and the audit: the request, the deadline, and an answer of any size.

use std::time::{Duration, SystemTime};

use ecr_warden_aws::{
    AuditError, Entered, Extent, Home, Pipeline, Reports, SecurityHub, Sweep, Swept, environment,
};
use ecr_warden_core::audit::{Audit, Position, REQUEST, Request, RequestMode};
use ecr_warden_core::defer::{Deferred, MOST_PARTS, is_endless};
use ecr_warden_core::metrics;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::single_flight::Start;
use ecr_warden_core::trigger::message;
use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// The policy that this function is built with.
const BUNDLED_POLICY: &str = include_str!("../../../infra/policy.yaml");

/// The last third of an invocation's time is for acting, telling and keeping the report; half of that, for the latter two.
const ACT: u32 = 3;
const TELL: u32 = 6;
/// Of that, half is for Security Hub, and the rest for keeping the report.
const KEEP: u32 = 12;
/// Unevaluated repositories that are carried from one part of a sweep to the next, at most.
const MOST_UNJUDGED: usize = 500;
/// Lambda's limit is 6 MB; what is larger goes to the bucket.
const LARGEST_ANSWER: usize = 5_000_000;

/// The function with everything that it sets up once.
pub(crate) struct Auditor {
    pipeline: Pipeline,
    reports: Reports,
    /// Imports open findings, if that is enabled.
    security_hub: Option<SecurityHub>,
    home: Home,
    /// Without it, there are no metrics.
    metrics: Option<String>,
}

impl Auditor {
    /// See [`Pipeline::from_lambda_environment`]; beside these, `REPORT_BUCKET`, `METRICS_NAMESPACE`, and `SECURITY_HUB`, which may
    /// be `true`.
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
            metrics: environment("METRICS_NAMESPACE"),
            pipeline,
        })
    }

    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<Audit, Error> {
        let (event, context) = event.into_parts();
        // A part of an audit that goes on by itself comes from the queue.
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let (event, request_id, part) = match message(&event, now) {
            Some(message) => (message.body, message.id, message.deferred),
            None => (event, context.request_id.clone(), None),
        };
        if is_endless(part) {
            tracing::error!(given_up = true, "a sweep is given up");
            return Err(format!(
                "the sweep has not ended after {MOST_PARTS} parts; raise `ecr-calls-per-second`, or sweep fewer repositories at a time"
            )
            .into());
        }
        let request: Request = serde_json::from_value(event).map_err(|error| {
            format!("invalid audit request: {error}; expected {REQUEST}, all fields optional")
        })?;
        let left = context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        if let Some(why) = self
            .waits_for_another(&request, &request_id, part, left)
            .await?
        {
            tracing::info!(%why, "not swept");
            return Ok(Audit::ignored(why));
        }
        let began = OffsetDateTime::now_utc();
        let time = request.time(left)?;
        let mut audit = self.run(&request, time, &request_id).await?;
        audit.brakes = self.brakes(&request).await;
        if request.mode == Some(RequestMode::Enforce) {
            let completed = audit.next.is_none() && request.covers_all();
            self.measure(&audit, completed);
        }
        if request.repeat {
            self.pipeline
                .repeat(&audit, &self.home, &request_id)
                .await?;
        }
        if size(&audit) > LARGEST_ANSWER {
            let at = began.format(&Rfc3339).unwrap_or_default();
            let name = format!("{}/{request_id}", began.date());
            audit.report = Some(self.reports.keep(&name, &audit, &at).await?);
            audit.findings = None;
            audit.costs = None;
        }
        let ends = request.is_unattended() && audit.next.is_none();
        // Last: were it before something that fails, a retry would have the rest done twice.
        if let (true, Some(next)) = (request.r#continue, &audit.next) {
            let rest = Request {
                next: Some(next.clone()),
                ..request
            };
            let rest = serde_json::to_value(&rest)?;
            self.pipeline.put_off(&rest, part, 0).await?;
        }
        if ends {
            self.pipeline.leave_sweep(&self.home, &request_id).await;
        }
        let summary = serde_json::to_string(&audit.summary).unwrap_or_default();
        tracing::info!(summary, complete = audit.next.is_none(), "audited");
        Ok(audit)
    }

    /// Why a sweep that started by itself does not run now; `None`: it does.
    async fn waits_for_another(
        &self,
        request: &Request,
        request_id: &str,
        part: Option<Deferred>,
        left: Duration,
    ) -> Result<Option<Reason>, Error> {
        if !request.is_unattended() {
            return Ok(None);
        }
        let start = match (&request.next, part) {
            (Some(_), _) => Start::Continued,
            (None, Some(_)) => Start::Waited,
            (None, None) => Start::First,
        };
        let entered = self
            .pipeline
            .enter_sweep(&self.home, request_id, start, left);
        Ok(match entered.await {
            Entered::Runs => None,
            Entered::Waits(seconds) => {
                let request = serde_json::to_value(request)?;
                self.pipeline.put_off(&request, part, seconds).await?;
                let why =
                    format!("another sweep runs; this one waits for its end, {seconds} s at most");
                Some(Reason::new(Code::WaitsForAnotherSweep, why))
            }
            Entered::Superfluous => Some(Reason::new(
                Code::CoveredByAnotherSweep,
                "another sweep runs, and one waits for its end that evaluates all repositories",
            )),
        })
    }

    /// What stops all changes in the regions of an audit. The audit is worth more than that.
    async fn brakes(&self, request: &Request) -> Vec<String> {
        let home = std::slice::from_ref(&self.home.region);
        let regions = match request.regions.as_slice() {
            [] => home,
            regions => regions,
        };
        let mut lines = Vec::new();
        for region in regions {
            let registry = RepositoryId::of_registry(&self.home.account, region);
            match self.pipeline.brakes(&registry).await {
                Ok(found) => lines.extend(found),
                Err(why) => tracing::warn!(%why, "whether changes are stopped is unknown"),
            }
        }
        lines.dedup();
        lines
    }

    /// CloudWatch reads metrics out of lines of the log that are just these.
    #[expect(clippy::print_stdout, reason = "the log's own form would hide them")]
    fn measure(&self, audit: &Audit, completed: bool) {
        let Some(namespace) = &self.metrics else {
            return;
        };
        let now = OffsetDateTime::now_utc()
            .unix_timestamp()
            .saturating_mul(1000);
        for line in metrics::of_sweep(namespace, audit, completed, now) {
            println!("{line}");
        }
    }

    async fn run(
        &self,
        request: &Request,
        left: Duration,
        request_id: &str,
    ) -> Result<Audit, AuditError> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let invoked = Instant::now();
        let stop_looking = invoked + left.saturating_sub(left / ACT);
        match request.mode {
            Some(RequestMode::Enforce) => {
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                let sweep = Sweep {
                    request,
                    home: &self.home,
                    reports: &self.reports,
                    request_id,
                    stop_looking,
                    stop_acting: invoked + left.saturating_sub(left / TELL),
                    ends_at: now.saturating_add(seconds),
                };
                let mut audit = Audit::default();
                let mut unjudged = Vec::new();
                let mut each = |id: &RepositoryId, swept: Swept<'_>| match swept {
                    Swept::Judged(verdicts) => audit.add(id, verdicts),
                    Swept::Gone => {}
                    Swept::Unjudged(why) => {
                        unjudged.push(id.arn());
                        audit.add_unjudged(id, why);
                    }
                };
                let (stopped, ledger) = self.pipeline.sweep(&sweep, &mut each).await?;
                audit.ledger = ledger;
                let until = invoked + left.saturating_sub(left / KEEP);
                let stopped = self
                    .import(request, &audit, unjudged, stopped, now, until)
                    .await;
                audit.next = stopped.as_ref().map(Position::write);
                audit.sort();
                Ok(audit)
            }
            None | Some(RequestMode::Monitor) => {
                let home = &self.home;
                self.pipeline
                    .survey(request, home, Some(stop_looking))
                    .await
            }
        }
    }

    /// Imports open findings into Security Hub and, after the last part of a sweep, archives resolved ones. A failure never fails the sweep;
    /// after an incomplete import nothing is archived until a later sweep imports everything.
    async fn import(
        &self,
        request: &Request,
        audit: &Audit,
        mut unjudged: Vec<String>,
        stopped: Option<Position>,
        now: i64,
        until: Instant,
    ) -> Option<Position> {
        let Some(hub) = &self.security_hub else {
            return stopped;
        };
        let mut since = Some(now);
        if let Some(next) = &request.next {
            let before = Position::read(next).unwrap_or_default();
            since = before.imported_since;
            unjudged.extend(before.unjudged);
        }
        // Too many unevaluated repositories to carry over: archive nothing, or their findings would look resolved.
        if unjudged.len() > MOST_UNJUDGED {
            since = None;
        }
        let later = OffsetDateTime::now_utc().unix_timestamp();
        let found = audit.findings.as_deref().unwrap_or_default();
        let mut result = hub.import(found, later, until).await;
        if let (Ok(()), None, Some(began)) = (&result, &stopped, since) {
            let home = std::slice::from_ref(&self.home.region);
            let regions = if request.regions.is_empty() {
                home
            } else {
                &request.regions
            };
            let extent = Extent {
                request,
                regions,
                began,
                unjudged: &unjudged,
                found,
            };
            result = hub.archive(&extent, later, until).await;
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
            unjudged: if since.is_some() {
                unjudged
            } else {
                Vec::new()
            },
            ..position
        })
    }
}

/// Of the answer, in bytes, without writing it down.
fn size(audit: &Audit) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, audit).map_or(usize::MAX, |()| count.0)
}
