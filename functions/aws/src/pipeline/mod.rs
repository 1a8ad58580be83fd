//! trigger ─▶ observe ─▶ evaluate ─▶ plan ─▶ claim ‖ apply ─▶ report ─▶ commit: the way of a single repository.
//!
//! The critical path is four round trips: read, all at once; ask the brakes; claim and repair, all at once; publish. Where nothing is changed,
//! the brakes are not asked. What is recorded after the alert does not delay it. A recreation takes more, because it must not lose anything.

pub(crate) mod brakes;
pub(crate) mod commit;
mod defer;
pub(crate) mod delay_queue;
mod execute;
mod observe;
mod policy_alert;
pub(crate) mod reconcile;
mod recreation;

use ecr_warden_core::outcome::Outcome;
use ecr_warden_core::policy::Policy;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::reconcile::{Reconciler, Requeue};
use ecr_warden_core::recreate::delivery;
use ecr_warden_core::trigger::{Invocation, Trigger};
use tokio::sync::Mutex;

use self::commit::News;
use self::reconcile::{Done, Driver};
use crate::connect::clients::{Clients, ConfigError, environment};
use crate::deliver::alerts::AlertTopic;
use crate::deliver::dead_letters::DeadLetters;
use crate::pipeline::delay_queue::Revisits;
use crate::policy_source::PolicySource;
use crate::state::State;

/// The engine with its surroundings: what a function or a command sets up once.
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) clients: Clients,
    pub(crate) state: State,
    pub(crate) topic: AlertTopic,
    /// What was given up lies there.
    pub(crate) dead_letters: Option<DeadLetters>,
    pub(crate) policy: PolicySource,
    /// Where events wait; without it, none waits.
    pub(crate) revisits: Option<Revisits>,
}

/// The event was not dealt with, and a retry may succeed. Nothing that was begun is forgotten.
#[derive(Debug, thiserror::Error)]
#[error("{repository}: {why}")]
pub struct TryAgain {
    repository: String,
    why: String,
    /// It was deferred for as long as that is allowed.
    pub given_up: bool,
}

impl Pipeline {
    /// From the environment that Lambda and the template set: `STATE_TABLE`, `ALERT_TOPIC_ARN`, `OWN_ROLE_ARN`,
    /// `REVISIT_QUEUE_URL`, `DEAD_LETTER_QUEUE_URL`, and in place of the bundled policy `POLICY_PARAMETER`, the name of an SSM parameter, or
    /// `POLICY`, a policy's text.
    ///
    /// # Errors
    /// What is missing or not valid: without a policy nothing is judged, so a function must not start, which fails every
    /// event loudly.
    pub fn from_lambda_environment(bundled_policy: &str) -> Result<Self, ConfigError> {
        let own_account =
            environment("OWN_ROLE_ARN").and_then(|arn| arn.split(':').nth(4).map(str::to_owned));
        let clients = Clients::from_lambda_environment(own_account)?;
        let required = |name| environment(name).ok_or(ConfigError::NotSet(name));
        let policy = match environment("POLICY_PARAMETER") {
            Some(name) => PolicySource::parameter(&clients, name),
            None => {
                let text = environment("POLICY");
                Policy::parse(text.as_deref().unwrap_or(bundled_policy))
                    .map(PolicySource::fixed)
                    .map_err(|problems| ConfigError::Policy(problems.to_string()))?
            }
        };
        let table = required("STATE_TABLE")?;
        clients.share_turns(table.clone());
        Ok(Self {
            state: State::new(&clients, table),
            topic: AlertTopic::new(&clients, required("ALERT_TOPIC_ARN")?),
            dead_letters: environment("DEAD_LETTER_QUEUE_URL")
                .map(|url| DeadLetters::new(&clients, url)),
            policy,
            revisits: environment("REVISIT_QUEUE_URL").map(|url| Revisits::new(&clients, url)),
            clients,
        })
    }

    /// Evaluates a repository, makes the repairs that the policy allows, and reports.
    ///
    /// # Errors
    /// What a retry may solve.
    pub async fn run(
        &self,
        trigger: &Trigger,
        invocation: &Invocation,
    ) -> Result<Outcome, TryAgain> {
        self.clients.quota.take_refused();
        let gave_up = || self.revisits.as_ref().is_some_and(Revisits::take_gave_up);
        gave_up();
        let error = match self.reconcile(trigger, invocation, None).await {
            Ok((outcome, _)) => return Ok(outcome),
            Err(error) => error,
        };
        let given_up = gave_up();
        // Refused by the rate limit, it would fail again and again while others use up the share, and end in the dead-letter queue.
        let refused = self.clients.quota.take_refused() && !given_up;
        let Some(queue) = self
            .revisits
            .as_ref()
            .filter(|_| refused && invocation.event.is_some())
        else {
            return Err(TryAgain { given_up, ..error });
        };
        tracing::warn!(why = %error, "deferred");
        defer::until_permitted(&self.state, queue, trigger, invocation)
            .await
            .map_err(|why| TryAgain {
                why,
                given_up: gave_up(),
                ..error
            })
    }

    /// The same as part of a message about many repositories, which says what is new.
    pub(crate) async fn run_quietly(
        &self,
        trigger: &Trigger,
        invocation: &Invocation,
        news: &Mutex<Vec<News>>,
    ) -> Result<Done, TryAgain> {
        self.reconcile(trigger, invocation, Some(news)).await
    }

    async fn reconcile(
        &self,
        trigger: &Trigger,
        invocation: &Invocation,
        collected: Option<&Mutex<Vec<News>>>,
    ) -> Result<Done, TryAgain> {
        let id = &trigger.repository;
        let aws = match self.clients.of(&id.account, &id.region) {
            Ok(aws) => aws,
            Err(why) => {
                let reason = Reason::new(Code::ForeignAccount, why.to_string());
                let outcome = Outcome::ignored(Some(id), Some(trigger.origin.cause), reason);
                return Ok((outcome, Vec::new()));
            }
        };
        let try_again = |why| TryAgain {
            repository: id.arn(),
            why,
            given_up: false,
        };
        // A round trip of its own, once a minute and only where the policy is a parameter: it says what is to be read.
        let policy = self.policy(id, &invocation.id, &trigger.origin).await;
        let policy = policy.map_err(try_again)?;
        let delivery = delivery(&invocation.id, nonce());
        let driver = Driver {
            reconciler: Reconciler {
                policy: &policy,
                trigger,
                invocation,
                delivery: &delivery,
                requeue: match (&self.revisits, &invocation.event) {
                    (None, _) => Requeue::NoQueue,
                    (Some(_), None) => Requeue::NoEvent,
                    (Some(_), Some(_)) => Requeue::Event,
                },
            },
            aws,
            state: &self.state,
            topic: &self.topic,
            queue: self.revisits.as_ref(),
            collected,
        };
        driver.run().await.map_err(try_again)
    }
}

/// Random, so that two deliveries of one event differ: the standard library seeds each hasher from the system.
pub(crate) fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod concurrent_claims;

#[cfg(test)]
impl Pipeline {
    pub(crate) fn in_test(clients: Clients, policy: Policy) -> Self {
        let topic = "arn:aws:sns:eu-central-1:123456789012:alerts".to_owned();
        Self {
            state: State::new(&clients, "state".to_owned()),
            topic: AlertTopic::new(&clients, topic),
            dead_letters: None,
            policy: PolicySource::fixed(policy),
            revisits: None,
            clients,
        }
    }
}
