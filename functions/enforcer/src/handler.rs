//! Between Lambda and the pipeline: the environment, the event's envelope, the deadline.

use std::time::Duration;

use ecr_warden_aws::{Clients, Occurrence, Pipeline, PolicySource, Revisits, State, TryAgain};
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
    /// Reads the environment: `STATE_TABLE`, `ALERT_TOPIC_ARN`, `OWN_ROLE_ARN`, `REVISIT_QUEUE_URL`, and in place of the
    /// bundled policy `POLICY_PARAMETER`, the name of an SSM parameter, or `POLICY`, a policy's text.
    pub(crate) fn from_environment() -> Result<Self, Error> {
        let optional = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let required = |name: &str| {
            optional(name).ok_or_else(|| format!("the environment variable {name} is not set"))
        };
        let own_role = optional("OWN_ROLE_ARN");
        let own_account = own_role
            .as_deref()
            .and_then(|arn| arn.split(':').nth(4))
            .map(str::to_owned);
        let clients = Clients::from_lambda_environment(own_account)?;
        let policy = match optional("POLICY_PARAMETER") {
            Some(name) => PolicySource::parameter(&clients, name),
            // Without a policy nothing is judged: the function refuses to start, which fails every event loudly.
            None => PolicySource::fixed(
                Policy::parse(optional("POLICY").as_deref().unwrap_or(BUNDLED_POLICY))
                    .map_err(|problems| format!("the policy is not valid: {problems}"))?,
            ),
        };
        let state = State::new(&clients, required("STATE_TABLE")?);
        let revisits = optional("REVISIT_QUEUE_URL").map(|url| Revisits::new(&clients, url));
        let topic_arn = required("ALERT_TOPIC_ARN")?;
        Ok(Self {
            pipeline: Pipeline::new(clients, state, topic_arn, policy, revisits),
            own_role,
        })
    }

    /// One event, or one that was put off and comes back from the queue. What a retry cannot mend succeeds; what it can
    /// fails the invocation.
    pub(crate) async fn handle(&self, event: LambdaEvent<Value>) -> Result<Outcome, Error> {
        let (event, context) = event.into_parts();
        // A retry of an invocation has its request id, and so has a message its id each time it comes.
        let (event, request_id) = match put_off(&event) {
            Some((event, message_id)) => (event, message_id),
            None => (event, context.request_id.clone()),
        };
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
            request_id,
            deadline: i64::try_from(context.deadline / 1000).unwrap_or(i64::MAX),
            event,
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

/// The event that SQS brings back, and its message's id: the event source mapping hands over one message at a time.
fn put_off(event: &Value) -> Option<(Value, String)> {
    let [message] = event.get("Records")?.as_array()?.as_slice() else {
        return None;
    };
    if message.get("eventSource")?.as_str()? != "aws:sqs" {
        return None;
    }
    let body = serde_json::from_str(message.get("body")?.as_str()?).ok()?;
    Some((body, message.get("messageId")?.as_str()?.to_owned()))
}
