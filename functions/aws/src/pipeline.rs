//! trigger ─▶ load ─▶ evaluate ─▶ plan ─▶ apply ─▶ verify ─▶ alert, for one repository.
//!
//! The critical path is three round trips: read, all at once; claim and fix, all at once; publish. What is written
//! down after the alert is out does not delay it. A recreation takes more, because it must not lose anything.

use std::sync::{Arc, OnceLock};

use ecr_warden_core::alert::{Alert, Occasion};
use ecr_warden_core::defer::Deferred;
use ecr_warden_core::outcome::{Outcome, Results, Verdict};
use ecr_warden_core::policy::Policy;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::repository::{Push, RepositoryId};
use ecr_warden_core::state::{Claim, Context, Lease, Result as RepairResult, settled, unreported};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::audience::Audience;
use crate::clients::{Clients, ConfigError, environment};
use crate::dead_letters::DeadLetters;
use crate::failure::Failure;
use crate::policy::{Found, PolicySource};
use crate::publish::publish;
use crate::revisit::Revisits;
use crate::spacing;
use crate::state::State;
use crate::work::{Round, Work};

/// A repository can be at odds with us a few times; then another event or the sweep goes on.
const ROUNDS: usize = 4;

/// The engine with its surroundings: what a function or a command sets up once.
#[derive(Debug)]
pub struct Pipeline {
    pub(crate) clients: Clients,
    pub(crate) state: State,
    /// Created for the first alert.
    sns: OnceLock<aws_sdk_sns::Client>,
    topic_arn: String,
    audience: Audience,
    /// What was given up lies there.
    pub(crate) dead_letters: Option<DeadLetters>,
    pub(crate) policy: PolicySource,
    /// Where events wait whose repository is to settle first; without it, none waits.
    pub(crate) revisits: Option<Revisits>,
}

/// Why a repository is looked at, and by whom.
#[derive(Clone, Debug)]
pub struct Occurrence {
    pub repository: RepositoryId,
    pub cause: String,
    pub actor: Option<String>,
    /// RFC 3339.
    pub occurred_at: String,
    pub pushed: Option<Push>,
    /// ECR's replication did it.
    pub replicated: bool,
    /// It was created a moment ago: ECR may not show it yet.
    pub young: bool,
    /// The invocation's request id; a retry has the same.
    pub request_id: String,
    /// Seconds since the epoch at which the invocation is ended.
    pub deadline: i64,
    /// The event as it came, for a deferral.
    pub event: Value,
    /// Since when and how often it was.
    pub deferred: Option<Deferred>,
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

/// The verdicts on a repository for a message about many, and what to commit after it.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) id: RepositoryId,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) results: Results,
    pub(crate) lease: Lease,
    pub(crate) now: i64,
    pub(crate) cause: String,
    pub(crate) created_at: Option<i64>,
    pub(crate) recorded: bool,
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
            sns: OnceLock::new(),
            topic_arn: required("ALERT_TOPIC_ARN")?,
            audience: Audience::default(),
            dead_letters: environment("DEAD_LETTER_QUEUE_URL")
                .map(|url| DeadLetters::new(&clients, url)),
            policy,
            revisits: environment("REVISIT_QUEUE_URL").map(|url| Revisits::new(&clients, url)),
            clients,
        })
    }

    /// Publishes an alert.
    pub(crate) async fn publish(&self, alert: &Alert) -> Result<(), String> {
        let sns = self.sns.get_or_init(|| self.clients.sns());
        publish(sns, &self.topic_arn, &alert.message())
            .await
            .map_err(|failure| format!("the alert could not be published: {failure}"))
    }

    /// Whether what was published just now counts as delivered. It is asked after the publish, at most once a minute.
    pub(crate) async fn is_heard(&self) -> bool {
        let sns = self.sns.get_or_init(|| self.clients.sns());
        self.audience.listens(sns, &self.topic_arn).await
    }

    /// The same for a sweep, which always asks: it logs a topic without subscribers even if it had nothing to report.
    pub(crate) async fn is_heard_now(&self) -> bool {
        let sns = self.sns.get_or_init(|| self.clients.sns());
        self.audience.ask(sns, &self.topic_arn).await
    }

    /// Evaluates a repository, makes the repairs that the policy allows, and reports.
    ///
    /// # Errors
    /// What a retry may solve.
    pub async fn run(&self, occurrence: &Occurrence) -> Result<Outcome, TryAgain> {
        self.clients.quota.take_refused();
        let gave_up = || self.revisits.as_ref().is_some_and(Revisits::take_gave_up);
        gave_up();
        let result = match self.look_at(occurrence, None).await {
            Ok((outcome, _)) => return Ok(outcome),
            // It would fail again and again while others use up the share, and end in the dead-letter queue.
            Err(error)
                if !error.given_up
                    && self.clients.quota.take_refused()
                    && self.queue_for(occurrence).is_some() =>
            {
                tracing::warn!(why = %error, "deferred");
                self.put_off_for_turns(occurrence)
                    .await
                    .map_err(|why| TryAgain { why, ..error })
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| TryAgain {
            given_up: gave_up(),
            ..error
        })
    }

    /// Where the event can wait. A sweep has no event, and a command has no queue.
    pub(crate) fn queue_for(&self, occurrence: &Occurrence) -> Option<&Revisits> {
        let is_event = !occurrence.event.is_null();
        self.revisits.as_ref().filter(|_| is_event)
    }

    /// Defers an event until the rate limit may have room for it, and records when it comes back: until then further events of
    /// the repository need not come, except pushes.
    pub(crate) async fn put_off_for_turns(
        &self,
        occurrence: &Occurrence,
    ) -> Result<Outcome, String> {
        let Some(revisits) = self.queue_for(occurrence) else {
            return Err("the rate limit `ecr-calls-per-second` is used up".to_owned());
        };
        let at = spacing::now();
        let (seconds, deferred) = revisits
            .defer(&occurrence.event, occurrence.deferred, None)
            .await?;
        if occurrence.pushed.is_none() {
            let spacing = self.state.spacing();
            let id = &occurrence.repository;
            if let Err(why) = spacing.wait(id, at, seconds, false).await {
                tracing::warn!(repository = %id, %why, "deferred, but not recorded");
            }
        }
        let reason =
            format!("the rate limit `ecr-calls-per-second` is used up; retrying in {seconds} s");
        let reason = Reason::new(Code::RateLimited, reason);
        let cause = Some(occurrence.cause.as_str());
        let outcome = Outcome::ignored(Some(&occurrence.repository), cause, reason);
        Ok(outcome.deferred(Some(deferred)))
    }

    /// The same as part of a message about many, which says what is new.
    pub(crate) async fn run_quietly(
        &self,
        occurrence: &Occurrence,
        news: &Mutex<Vec<News>>,
    ) -> Result<(Outcome, Vec<Verdict>), TryAgain> {
        self.look_at(occurrence, Some(news)).await
    }

    async fn look_at(
        &self,
        occurrence: &Occurrence,
        quietly: Option<&Mutex<Vec<News>>>,
    ) -> Result<(Outcome, Vec<Verdict>), TryAgain> {
        let id = &occurrence.repository;
        let aws = match self.clients.of(&id.account, &id.region) {
            Ok(aws) => aws,
            Err(why) => {
                let cause = Some(occurrence.cause.as_str());
                return Ok((
                    Outcome::ignored(
                        Some(id),
                        cause,
                        Reason::new(Code::ForeignAccount, why.to_string()),
                    ),
                    Vec::new(),
                ));
            }
        };
        let try_again = |why| TryAgain {
            repository: id.arn(),
            why,
            given_up: false,
        };
        // A round trip of its own, once a minute and only where the policy is a parameter: it says what is to be read.
        let policy = self.policy(occurrence).await.map_err(try_again)?;
        let mut work = Work::new(self, &policy, occurrence, aws, quietly);
        for _ in 0..ROUNDS {
            match work.round().await {
                Ok(Round::Done(outcome, verdicts)) => return Ok((outcome, verdicts)),
                Ok(Round::Again) => {}
                Err(why) => return Err(try_again(why)),
            }
        }
        Err(try_again(
            "others keep changing it at the same time".to_owned(),
        ))
    }

    /// The policy in force. An alert is sent when its parameter becomes invalid, and when it is valid again.
    pub(crate) async fn policy(&self, occurrence: &Occurrence) -> Result<Arc<Policy>, String> {
        let look = self.policy.look().await;
        if let Ok(policy) = &look.policy {
            self.clients.grant(policy.ecr_calls_per_second());
        }
        if let Some(found) = &look.read {
            self.report_policy(found, occurrence).await?;
        }
        look.policy
    }

    async fn report_policy(&self, found: &Found, occurrence: &Occurrence) -> Result<(), String> {
        let reported = match self.state.reported_policy(&found.parameter).await {
            Ok(reported) => reported,
            Err(Failure::Unavailable(why)) => return Err(why),
            // The alert matters more than its record.
            Err(other) => {
                tracing::error!(why = %other, "cannot read whether the invalid policy was reported");
                None
            }
        };
        if let Some(wrong) = &found.wrong {
            tracing::error!(invalid_policy = true, wrong, "the policy is not valid");
        }
        if reported == found.wrong {
            return Ok(());
        }
        let occasion = Occasion {
            id: &occurrence.request_id,
            cause: &occurrence.cause,
            actor: None,
            occurred_at: &occurrence.occurred_at,
        };
        let RepositoryId {
            account, region, ..
        } = &occurrence.repository;
        let alert = Alert::of_policy(
            &found.parameter,
            account,
            region,
            &occasion,
            found.wrong.as_deref(),
        );
        self.publish(&alert).await?;
        if !self.is_heard().await {
            return Ok(());
        }
        let written = self
            .state
            .record_policy_report(&found.parameter, found.wrong.as_deref())
            .await;
        if let Err(why) = written {
            tracing::warn!(%why, "reported, but the report could not be recorded; it may be sent \
                                  again");
        }
        Ok(())
    }

    /// Commits what was reported if the topic has a subscriber (`heard`), and records how repairs went in any case. What can't be
    /// committed here is reported again some day, which is no loss.
    pub(crate) async fn settle_news(&self, news: &News, heard: bool) {
        if !news.recorded {
            return;
        }
        let context = Context {
            me: &news.lease,
            now: news.now,
            cause: &news.cause,
            actor: None,
            created_at: news.created_at,
        };
        let to_commit = news.claims.iter().filter(|claim| !claim.only_counts());
        let writes = to_commit.filter_map(|claim| {
            let verdict = news
                .verdicts
                .iter()
                .find(|verdict| verdict.rule == claim.rule)?;
            let said = if heard {
                settled(claim, verdict.status, &verdict.to_do, &context)
            } else {
                Some(unreported(claim, verdict.status))
            };
            let result = match news.results.get(&claim.rule) {
                Some(Ok(())) => Some(RepairResult::Done),
                Some(Err(why)) => Some(RepairResult::Failed(why.clone())),
                None => None,
            };
            let record = claim
                .record
                .as_ref()
                .zip(result)
                .map(|(record, result)| record.with_result(result));
            Some(async move {
                let written = self
                    .state
                    .settle(&news.id, claim, said.as_ref(), record.as_ref(), news.now)
                    .await;
                if let Err(why) = written {
                    tracing::warn!(repository = %news.id, rule = claim.rule, %why, "reported, but \
                        the report could not be recorded; it may be sent again");
                }
            })
        });
        join_all(writes).await;
    }
}

#[cfg(test)]
impl Pipeline {
    pub(crate) fn in_test(clients: Clients, policy: Policy) -> Self {
        Self {
            state: State::new(&clients, "state".to_owned()),
            sns: OnceLock::new(),
            topic_arn: "arn:aws:sns:eu-central-1:123456789012:alerts".to_owned(),
            audience: Audience::default(),
            dead_letters: None,
            policy: PolicySource::fixed(policy),
            revisits: None,
            clients,
        }
    }
}
