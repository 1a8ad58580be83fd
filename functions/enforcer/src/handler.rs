//! Between Lambda and the pipeline: the environment, the event's envelope, the deadline.

use std::time::{Duration, SystemTime};

use ecr_warden_aws::{Pipeline, TryAgain, environment};
use ecr_warden_core::defer::Deferred;
use ecr_warden_core::metrics;
use ecr_warden_core::outcome::Outcome;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::text::one_line;
use ecr_warden_core::trigger::{Decoded, Invocation, decode, message};
use lambda_runtime::{Error, LambdaEvent};
use serde_json::Value;

/// The policy that this function is built with.
const BUNDLED_POLICY: &str = include_str!("../../../infra/policy.yaml");

/// As much of an event that can't be understood as the log shows, in characters.
const LONGEST_SHOWN: usize = 8000;

/// What is left of an invocation's time for saying that it ran out.
const RESERVE: Duration = Duration::from_millis(1500);

/// The function with everything that it sets up once.
pub(crate) struct Enforcer {
    pipeline: Pipeline,
    own_role: Option<String>,
    /// Without it, there are no metrics.
    metrics: Option<String>,
}

impl Enforcer {
    /// See [`Pipeline::from_lambda_environment`]; beside these, `METRICS_NAMESPACE`.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        Ok(Self {
            pipeline: Pipeline::from_lambda_environment(BUNDLED_POLICY)?,
            own_role: environment("OWN_ROLE_ARN"),
            metrics: environment("METRICS_NAMESPACE"),
        })
    }

    /// Handles one event, or one that was deferred and comes back from the queue. Fails the invocation only if a retry may help.
    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<Outcome, Error> {
        let (event, context) = event.into_parts();
        // A retry of an invocation has its request id, and so has a message its id each time it comes.
        let (event, request_id, deferred) = match message(&event, now() / 1000) {
            Some(message) => (message.body, message.id, message.deferred),
            None => (event, context.request_id.clone(), None),
        };
        let trigger = match decode(&event, self.own_role.as_deref()) {
            Decoded::Trigger(trigger) => trigger,
            Decoded::Ignored { repository, reason } => {
                tracing::info!(%reason, "ignored");
                let outcome = Outcome::ignored(repository.as_ref(), None, reason);
                self.measure(&outcome, "", deferred);
                return Ok(outcome);
            }
            Decoded::Unreadable(why) => {
                let shown = one_line(&event.to_string(), LONGEST_SHOWN);
                tracing::error!(
                    unreadable_event = true,
                    why,
                    event = shown,
                    "the event cannot be understood"
                );
                let reason = format!("the event cannot be understood: {why}");
                let reason = Reason::new(Code::UnreadableEvent, reason);
                return Ok(Outcome::ignored(None, None, reason));
            }
        };
        let invocation = Invocation {
            id: request_id,
            deadline: i64::try_from(context.deadline / 1000).unwrap_or(i64::MAX),
            event: Some(event),
            deferred,
            hold: None,
        };
        let left = context
            .deadline()
            .duration_since(SystemTime::now())
            .unwrap_or_default()
            .saturating_sub(RESERVE);
        let result = tokio::time::timeout(left, self.pipeline.run(&trigger, &invocation)).await;
        if let (Some(deferred), false) = (deferred, matches!(result, Ok(Ok(_)))) {
            let given_up = matches!(&result, Ok(Err(error)) if error.given_up);
            self.print(|namespace, now| {
                vec![metrics::of_failure(namespace, deferred, given_up, now)]
            });
        }
        let outcome = result
            .map_err(|_| format!("{}: out of time, and to be retried", trigger.repository))?
            .inspect_err(|error: &TryAgain| tracing::warn!(%error, "to be retried"))?;
        tracing::info!(outcome = %serde_json::to_string(&outcome).unwrap_or_default(), "done");
        self.measure(&outcome, &trigger.origin.occurred_at, deferred);
        Ok(outcome)
    }

    fn measure(&self, outcome: &Outcome, occurred_at: &str, deferred: Option<Deferred>) {
        self.print(|namespace, now| {
            metrics::of_event(namespace, outcome, occurred_at, deferred, now)
        });
    }

    /// CloudWatch reads metrics out of lines of the log that are just these. `lines` takes the namespace, and the time in
    /// milliseconds since the epoch.
    #[expect(clippy::print_stdout, reason = "the log's own form would hide them")]
    fn print(&self, lines: impl FnOnce(&str, i64) -> Vec<Value>) {
        let Some(namespace) = &self.metrics else {
            return;
        };
        for line in lines(namespace, now()) {
            println!("{line}");
        }
    }
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
