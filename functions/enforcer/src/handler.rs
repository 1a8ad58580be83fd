//! Between Lambda and the pipeline: the environment, the event's envelope, the deadline.

use std::time::Duration;

use ecr_warden_aws::{Clients, Occurrence, Pipeline, TryAgain};
use ecr_warden_core::outcome::Outcome;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::trigger::{Cause, Decoded, decode};
use lambda_runtime::{Error, LambdaEvent, tracing};
use serde_json::Value;

/// The policy that this function is built with.
const BUNDLED_POLICY: &str = include_str!("../../../infra/policy.yaml");

/// What is left of an invocation's time for saying that it ran out.
const RESERVE: Duration = Duration::from_millis(1500);

/// The function with everything that it sets up once.
pub(crate) struct Enforcer {
    pipeline: Pipeline,
    own_role: Option<String>,
}

impl Enforcer {
    /// Reads the environment: `STATE_TABLE`, `ALERT_TOPIC_ARN`, `OWN_ROLE_ARN`, and `POLICY`, a policy's text in
    /// place of the bundled one.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let required = |name: &str| {
            std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))
        };
        let own_role = std::env::var("OWN_ROLE_ARN").ok();
        let text = std::env::var("POLICY").ok();
        // Without a policy nothing is judged: the function refuses to start, which fails every event loudly.
        let policy = Policy::parse(text.as_deref().unwrap_or(BUNDLED_POLICY))
            .map_err(|problems| format!("the policy is not valid: {problems}"))?;
        let own_account = own_role
            .as_deref()
            .and_then(|arn| arn.split(':').nth(4))
            .map(str::to_owned);
        let clients = Clients::from_lambda_environment(own_account)?;
        let pipeline = Pipeline::new(
            clients,
            required("STATE_TABLE")?,
            required("ALERT_TOPIC_ARN")?,
            policy,
        );
        Ok(Self { pipeline, own_role })
    }

    /// One event. What a retry cannot mend succeeds; what it can fails the invocation.
    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<Outcome, Error> {
        let (event, context) = event.into_parts();
        let trigger = match decode(&event, self.own_role.as_deref()) {
            Decoded::Trigger(trigger) => trigger,
            Decoded::Ignored { repository, reason } => {
                tracing::info!(reason, "ignored");
                return Ok(Outcome::ignored(repository.as_ref(), None, reason));
            }
            Decoded::Unreadable(why) => {
                tracing::error!(
                    unreadable_event = true,
                    why,
                    "the event can't be understood"
                );
                let reason = format!("the event can't be understood: {why}");
                return Ok(Outcome::ignored(None, None, reason));
            }
        };
        let occurrence = Occurrence {
            cause: trigger.cause.name().to_owned(),
            young: trigger.cause == Cause::CreateRepository,
            repository: trigger.repository,
            actor: trigger.actor,
            pushed: trigger.pushed,
            occurred_at: trigger.occurred_at,
            request_id: context.request_id.clone(),
            deadline: i64::try_from(context.deadline / 1000).unwrap_or(i64::MAX),
        };
        let left = context
            .deadline()
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default()
            .saturating_sub(RESERVE);
        let outcome = tokio::time::timeout(left, self.pipeline.run(&occurrence))
            .await
            .map_err(|_| format!("{}: out of time, and to be retried", occurrence.repository))?
            .inspect_err(|error: &TryAgain| tracing::warn!(%error, "to be retried"))?;
        tracing::info!(outcome = %serde_json::to_string(&outcome).unwrap_or_default(), "done");
        Ok(outcome)
    }
}
