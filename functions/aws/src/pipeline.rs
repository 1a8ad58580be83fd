//! trigger ─▶ load ─▶ evaluate ─▶ plan ─▶ apply ─▶ verify ─▶ alert, for one repository.
//!
//! The critical path is three round trips: read, all at once; claim and fix, all at once; publish. What is written
//! down after the alert is out does not delay it. A recreation takes more, because it must not lose anything.

use ecr_warden_core::action::Action;
use ecr_warden_core::alert::{Alert, Occasion};
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::{Finding, Fix, Severity, Violation};
use ecr_warden_core::outcome::{Outcome, Results, Verdict, verdicts};
use ecr_warden_core::plan::{Decision, Plan, Step, plan};
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::recreate::{Finished, Intent, Withdrawn};
use ecr_warden_core::repository::{Push, Reads, Repository, RepositoryId};
use ecr_warden_core::state::{
    Claim, Context, Known, Lease, Repair, Result as RepairResult, claims, is_news, settled,
};
use futures_util::future::join_all;
use time::OffsetDateTime;

use crate::apply::{NotApplied, apply};
use crate::clients::{Clients, Regional};
use crate::failure::Failure;
use crate::load::{LoadError, load};
use crate::publish::publish;
use crate::recreate::{Attempt, End, Interruption};
use crate::state::State;

/// A repository can be at odds with us a few times; then another event or the sweep goes on.
const ROUNDS: usize = 4;
/// A lease outlives its invocation by this many seconds, for calls that are still on their way.
const LEASE_GRACE: i64 = 30;

/// The engine with its surroundings: what a function or a command sets up once.
#[derive(Debug)]
pub struct Pipeline {
    clients: Clients,
    state: State,
    sns: aws_sdk_sns::Client,
    topic_arn: String,
    policy: Policy,
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
    /// It was created a moment ago: ECR may not show it yet.
    pub young: bool,
    /// The invocation's request id; a retry has the same.
    pub request_id: String,
    /// Seconds since the epoch at which the invocation is ended.
    pub deadline: i64,
}

/// The event was not dealt with, and a retry may succeed. Nothing that was begun is forgotten.
#[derive(Debug, thiserror::Error)]
#[error("{repository}: {why}")]
pub struct TryAgain {
    repository: String,
    why: String,
}

/// What one round came to.
enum Round {
    Done(Outcome),
    Again,
}

/// One repository's way through the pipeline.
struct Work<'p> {
    pipeline: &'p Pipeline,
    occurrence: &'p Occurrence,
    aws: Regional,
    me: Lease,
    /// Why the recreation is not tried again in this invocation, once it was.
    gave_up: Option<String>,
}

impl Pipeline {
    #[must_use]
    pub fn new(clients: Clients, state_table: String, topic_arn: String, policy: Policy) -> Self {
        Self {
            state: State::new(clients.dynamodb(), state_table),
            sns: clients.sns(),
            clients,
            topic_arn,
            policy,
        }
    }

    /// Looks at a repository, repairs what the policy lets it, and tells people.
    ///
    /// # Errors
    /// What a retry can mend.
    pub async fn run(&self, occurrence: &Occurrence) -> Result<Outcome, TryAgain> {
        let id = &occurrence.repository;
        let aws = match self.clients.of(&id.account, &id.region) {
            Ok(aws) => aws,
            Err(why) => {
                return Ok(Outcome::ignored(
                    Some(id),
                    Some(&occurrence.cause),
                    why.to_string(),
                ));
            }
        };
        let mut work = Work {
            pipeline: self,
            occurrence,
            aws,
            me: Lease {
                owner: occurrence.request_id.clone(),
                until: occurrence.deadline.saturating_add(LEASE_GRACE),
            },
            gave_up: None,
        };
        for _ in 0..ROUNDS {
            match work.round().await {
                Ok(Round::Done(outcome)) => return Ok(outcome),
                Ok(Round::Again) => {}
                Err(why) => {
                    return Err(TryAgain {
                        repository: id.arn(),
                        why,
                    });
                }
            }
        }
        Err(TryAgain {
            repository: id.arn(),
            why: "others keep changing it at the same time".to_owned(),
        })
    }
}

impl Work<'_> {
    fn id(&self) -> &RepositoryId {
        &self.occurrence.repository
    }

    fn ignored(&self, reason: impl Into<String>) -> Round {
        Round::Done(Outcome::ignored(
            Some(self.id()),
            Some(&self.occurrence.cause),
            reason,
        ))
    }

    async fn round(&mut self) -> Result<Round, String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let resolved = self.pipeline.policy.for_repository(self.id());
        let reads = resolved
            .as_ref()
            .map_or_else(|_| Reads::default(), Resolved::reads);
        let (loaded, known) = tokio::join!(
            load(&self.aws, self.id(), &reads, self.occurrence.young),
            self.pipeline.state.load(self.id())
        );
        let known = match known {
            Ok(known) => Ok(known),
            Err(Failure::Unavailable(why)) => return Err(why),
            Err(other) => Err(other.to_string()),
        };
        if let Some((intent, lease)) = known.as_ref().ok().and_then(|known| known.intent.clone()) {
            if lease.held_against(&self.me, now) {
                return Ok(self.ignored(
                    "it is being recreated by another invocation, which looks at it afterwards",
                ));
            }
            if !self.take(&intent, now).await? {
                return Ok(Round::Again);
            }
            return self.recreate(intent, known.as_ref().ok(), false, now).await;
        }
        let empty = Resolved { rules: Vec::new() };
        let repository = match loaded {
            Ok(repository) => Repository {
                pushed: self.occurrence.pushed.clone(),
                ..repository
            },
            Err(LoadError::Gone) => {
                // Ours may be to bring it back: that must not be taken for nothing to do.
                return match known {
                    Ok(_) => Ok(self.ignored("the repository is gone")),
                    Err(why) => Err(format!(
                        "the repository is gone, and whether it is being recreated can't be told: {why}"
                    )),
                };
            }
            Err(LoadError::Unavailable(why)) => return Err(why),
            Err(LoadError::Unreadable(why)) => {
                let plan = for_people(
                    "unreadable-repository",
                    "the repository can't be read, so it is not judged",
                    why,
                );
                return self.tell(&empty, plan, known.as_ref(), None, now).await;
            }
        };
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(why) => {
                let plan = for_people(
                    "invalid-policy",
                    "the policy contradicts itself for this repository, so it is not judged",
                    why,
                );
                return self
                    .tell(&empty, plan, known.as_ref(), repository.created_at, now)
                    .await;
            }
        };
        let findings = evaluate(&resolved, &repository);
        let mut plan = plan(
            &resolved,
            findings,
            known.as_ref().map_err(String::as_str),
            now,
        );
        if let Some(step) = plan.recreation() {
            let rule = step.finding.rule;
            if let Some(why) = &self.gave_up {
                let why = why.clone();
                plan.give_up(rule, &why);
            } else if let (Decision::Repair(Action::Recreate { to, .. }), Ok(known)) =
                (&step.decision, &known)
            {
                let intent = self.intent(rule, &repository, to, now);
                let begun = self.pipeline.state.begin(&intent, &self.me).await;
                return match begun {
                    Ok(true) => self.recreate(intent, Some(known), true, now).await,
                    Ok(false) => Ok(Round::Again),
                    Err(Failure::Unavailable(why)) => Err(why),
                    Err(other) => {
                        self.gave_up =
                            Some(format!("not recreated: it can't be recorded: {other}"));
                        Ok(Round::Again)
                    }
                };
            }
        }
        self.tell(&resolved, plan, known.as_ref(), repository.created_at, now)
            .await
    }

    fn intent(
        &self,
        rule: &str,
        repository: &Repository,
        to: &ecr_warden_core::repository::Encryption,
        now: i64,
    ) -> Intent {
        Intent {
            // A retry of this invocation goes on with the intent that is there, so this one is new.
            id: format!("{}-{now}", self.occurrence.request_id),
            rule: rule.to_owned(),
            before: repository.clone(),
            to: to.clone(),
            fallback: None,
            cause: self.occurrence.cause.clone(),
            actor: self.occurrence.actor.clone(),
            started_at: now,
        }
    }

    async fn take(&self, intent: &Intent, now: i64) -> Result<bool, String> {
        self.pipeline
            .state
            .take(intent, &self.me, now)
            .await
            .map_err(|failure| failure.to_string())
    }

    async fn recreate(
        &mut self,
        intent: Intent,
        known: Option<&Known>,
        first: bool,
        now: i64,
    ) -> Result<Round, String> {
        let rule = intent.rule.clone();
        let attempt = Attempt {
            aws: &self.aws,
            state: &self.pipeline.state,
            lease: &self.me,
            said_version: known
                .and_then(|known| known.said.get(&rule))
                .map_or(0, |said| said.version),
            now,
            intent,
        };
        match attempt.run(first).await {
            End::Finished(Finished::Recreated) => {}
            End::Finished(Finished::FellBack(why)) => {
                tracing::error!(repository = %self.id(), rule, repair_failed = true, why, "recreated with the old encryption");
            }
            End::Finished(Finished::Superseded) => {
                tracing::warn!(repository = %self.id(), "somebody else created it again; it is left as it is");
            }
            End::Withdrawn(why) => {
                self.gave_up = Some(match why {
                    Withdrawn::HoldsImages => {
                        "an image was pushed just before its deletion, so it was not recreated and nothing is lost: \
                         create a repository with the right encryption and copy the images there"
                            .to_owned()
                    }
                    Withdrawn::Changed => {
                        "somebody changed it at the same time, so it was not recreated: the next event tries again"
                            .to_owned()
                    }
                    Withdrawn::Refused(why) => {
                        format!("not recreated, because it could not have been put back: {why}")
                    }
                });
            }
            End::Interrupted(Interruption::Transient(why)) => return Err(why),
            End::Interrupted(Interruption::Stuck(why)) => {
                tracing::error!(repository = %self.id(), rule, repair_failed = true, why, "recreation is stuck");
                let mut plan = for_people(
                    "interrupted-recreation",
                    "a recreation can't be finished",
                    why.clone(),
                );
                for step in &mut plan.steps {
                    step.finding.severity = Severity::Critical;
                }
                let empty = Resolved { rules: Vec::new() };
                let known = known.ok_or_else(|| why.clone());
                self.tell(&empty, plan, known.as_ref().map(|known| *known), None, now)
                    .await?;
                return Err(why);
            }
        }
        Ok(Round::Again)
    }

    /// Claims what there is to say, makes the repairs at the same time, publishes, and writes down what was told.
    async fn tell(
        &self,
        resolved: &Resolved,
        plan: Plan,
        known: Result<&Known, &String>,
        created_at: Option<i64>,
        now: i64,
    ) -> Result<Round, String> {
        let context = Context {
            me: &self.me,
            now,
            cause: &self.occurrence.cause,
            actor: self.occurrence.actor.as_deref(),
            created_at,
        };
        let nothing = Known::default();
        let all = claims(known.unwrap_or(&nothing), &plan, &context);
        let recorded = known.is_ok();
        let (claimed, results) = tokio::join!(
            async {
                if recorded && !all.is_empty() {
                    self.pipeline.state.claim(self.id(), &all, now).await
                } else {
                    Ok(true)
                }
            },
            self.repair(&all)
        );
        match claimed {
            Ok(true) => {}
            Ok(false) => return Ok(Round::Again),
            // The alert matters more than its record: it may come twice, it is never lost.
            Err(why) => tracing::error!(repository = %self.id(), %why, "not recorded"),
        }
        // What a retry may mend is not told as a failure: the claim waits for the retry, which makes the repair and tells.
        let results = results?;
        let mut verdicts = verdicts(resolved, self.id(), &plan, &all, &results);
        self.drop_old_news(&all, &mut verdicts, &context);
        let occasion = Occasion {
            id: &self.occurrence.request_id,
            cause: &self.occurrence.cause,
            actor: self.occurrence.actor.as_deref(),
            occurred_at: &self.occurrence.occurred_at,
        };
        if let Some(alert) = Alert::of(self.id(), &occasion, &verdicts) {
            publish(
                &self.pipeline.sns,
                &self.pipeline.topic_arn,
                &alert.message(),
            )
            .await
            .map_err(|failure| format!("the alert could not be published: {failure}"))?;
        }
        if recorded {
            self.settle(&all, &verdicts, &results, &context).await;
        }
        Ok(Round::Done(Outcome::of(
            self.id(),
            &self.occurrence.cause,
            &verdicts,
        )))
    }

    /// Makes all repairs, whatever becomes of the others.
    async fn repair(&self, all: &[Claim]) -> Result<Results, String> {
        let repairs = all.iter().filter_map(|claim| {
            let repair = claim.repair.as_ref()?;
            Some(async move {
                let result = match apply(&self.aws, self.id(), &repair.action).await {
                    Ok(()) => Ok(()),
                    Err(NotApplied::Later(why)) => return Err(why),
                    Err(NotApplied::Failed(why)) => {
                        tracing::error!(
                            repository = %self.id(), rule = claim.rule, repair_failed = true, why, "repair failed"
                        );
                        Err(why)
                    }
                };
                Ok((claim.rule.clone(), result))
            })
        });
        join_all(repairs).await.into_iter().collect()
    }

    /// A repair that fails as it failed before was told before.
    fn drop_old_news(&self, all: &[Claim], verdicts: &mut [Verdict], context: &Context<'_>) {
        for verdict in verdicts {
            if let Some(claim) = all.iter().find(|claim| claim.rule == verdict.rule) {
                verdict.news = is_news(claim, verdict.status, &verdict.to_do, context);
            }
        }
    }

    /// What can't be written down here is told again some day, which is no loss.
    async fn settle(
        &self,
        all: &[Claim],
        verdicts: &[Verdict],
        results: &Results,
        context: &Context<'_>,
    ) {
        let writes = all.iter().filter_map(|claim| {
            let verdict = verdicts.iter().find(|verdict| verdict.rule == claim.rule)?;
            let said = settled(claim, verdict.status, &verdict.to_do, context);
            let repair = claim.repair.clone().map(|repair| Repair {
                result: match results.get(&claim.rule) {
                    Some(Ok(())) => RepairResult::Done,
                    Some(Err(why)) => RepairResult::Failed(why.clone()),
                    None => RepairResult::Begun,
                },
                ..repair
            });
            Some(async move {
                let written = self
                    .pipeline
                    .state
                    .settle(self.id(), claim, said.as_ref(), repair.as_ref(), context.now)
                    .await;
                if let Err(why) = written {
                    tracing::warn!(repository = %self.id(), rule = claim.rule, %why, "told, but not written down");
                }
            })
        });
        join_all(writes).await;
    }
}

/// A plan of one finding that no rule made and only people can mend.
fn for_people(rule: &'static str, detail: &str, what: String) -> Plan {
    Plan {
        steps: vec![Step {
            finding: Finding {
                rule,
                severity: Severity::High,
                violation: Violation {
                    detail: detail.to_owned(),
                    fix: Fix::Manual(what.clone()),
                },
                left: None,
            },
            decision: Decision::People(what),
        }],
        complete: false,
    }
}
