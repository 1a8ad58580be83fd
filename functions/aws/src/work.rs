//! One repository through the pipeline: read, evaluate, plan, claim and repair, report, commit.

use std::collections::BTreeMap;
use std::time::Duration;

use ecr_warden_core::action::{Action, Part};
use ecr_warden_core::alert::{Alert, Occasion};
use ecr_warden_core::defer::{Deferred, Turn};
use ecr_warden_core::evaluate::evaluate;
use ecr_warden_core::finding::Finding;
use ecr_warden_core::outcome::{Outcome, Results, Verdict, verdicts};
use ecr_warden_core::plan::{self, Decision, Plan, Step};
use ecr_warden_core::policy::{Policy, Resolved};
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::recreate::{Finished, Intent, Withdrawn, delivery};
use ecr_warden_core::repository::{DENIED_BY_POLICY, Repository, RepositoryId};
use ecr_warden_core::rules::{Subject, entry};
use ecr_warden_core::state::{Claim, Context, Known, Lease, Look, claims, held_by_others, is_news};
use futures_util::future::join_all;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::apply::{NotApplied, apply, apply_despite};
use crate::clients::Regional;
use crate::failure::{Failure, one_line};
use crate::load::{LoadError, calls, calls_of_rest, described, load, rest};
use crate::pipeline::{News, Occurrence, Pipeline};
use crate::recreate::{Attempt, End, Interruption};
use crate::spacing::now;
use crate::stacks;

/// A lease outlives its invocation by this many seconds, for calls that are still on their way.
const LEASE_GRACE: i64 = 30;

/// Seconds that one attempt at a recreation takes at most. Its lease outlives that by the grace; no other delivery may go on
/// with the recreation meanwhile.
const RECREATION: i64 = 60;

/// Seconds after which an unfinished recreation is reported, though a later attempt may finish it.
const RECREATION_IS_LATE: i64 = 5 * 60;

/// How long a claim is tried beyond the SDK's own retries.
const CLAIM_FOR: Duration = Duration::from_secs(10);
const CLAIM_PAUSE: Duration = Duration::from_millis(200);

/// How long an event waits for its turn with ECR. Less than a call that is made on the way: what was begun goes first.
const TURN: Duration = Duration::from_secs(3);

/// ECR shows what was changed within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// How often to wait for another invocation's change of the registry. That invocation may be dead: then the change is made.
const WAITS: u32 = 2;

/// What one round came to.
pub(crate) enum Round {
    Done(Outcome, Vec<Verdict>),
    Again,
}
/// One repository's way through the pipeline.
pub(crate) struct Work<'p> {
    pipeline: &'p Pipeline,
    policy: &'p Policy,
    occurrence: &'p Occurrence,
    aws: Regional,
    me: Lease,
    /// This delivery of the event alone, see [`delivery`].
    delivery: String,
    /// Why the recreation is not tried again in this invocation, once it was.
    gave_up: Option<Reason>,
    /// It looked again, because what it saw may have been older than the records.
    looked_again: bool,
    /// How often it waited for a change of the registry that another one has begun.
    waited_for_registry: u32,
    /// It has its turn among the repository's events.
    entered: bool,
    /// Collects the verdicts of a sweep, which publishes them together.
    quietly: Option<&'p Mutex<Vec<News>>>,
}
impl<'p> Work<'p> {
    pub(crate) fn new(
        pipeline: &'p Pipeline,
        policy: &'p Policy,
        occurrence: &'p Occurrence,
        aws: Regional,
        quietly: Option<&'p Mutex<Vec<News>>>,
    ) -> Self {
        Self {
            pipeline,
            policy,
            occurrence,
            aws,
            me: Lease {
                owner: occurrence.request_id.clone(),
                until: occurrence.deadline.saturating_add(LEASE_GRACE),
            },
            delivery: delivery(&occurrence.request_id, nonce()),
            gave_up: None,
            looked_again: false,
            waited_for_registry: 0,
            entered: false,
            quietly,
        }
    }

    fn id(&self) -> &RepositoryId {
        &self.occurrence.repository
    }

    fn ignored(&self, code: Code, why: impl Into<String>) -> Round {
        let reason = Reason::new(code, why);
        let outcome = Outcome::ignored(Some(self.id()), Some(&self.occurrence.cause), reason);
        Round::Done(outcome, Vec::new())
    }

    /// Writes down that replication fills the repository, for pushes and sweeps to come.
    async fn mark_replica(&self, known: Option<&Known>, now: i64) -> Result<(), String> {
        if !self.occurrence.replicated || known.is_none_or(|known| known.replica) {
            return Ok(());
        }
        let written = self.pipeline.state.is_replica(self.id(), now).await;
        written.map_err(|why| format!("that replication fills it cannot be recorded: {why}"))
    }

    pub(crate) async fn round(&mut self) -> Result<Round, String> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut reads = self.policy.reads(self.id());
        let objects = |described: &Repository| self.policy.reads_after(described).recent_tags;
        let (mut loaded, known) = if self.occurrence.pushed.is_some() {
            // Keep pushes cheap: no call of ECR if the repository was found conforming a moment ago, one if its description
            // says that it conforms. Each is a round trip of its own.
            let known = self.known().await?;
            self.mark_replica(known.as_ref().ok(), now).await?;
            if let Some(round) = self.of_push_alone(known.as_ref().ok(), now).await? {
                return Ok(round);
            }
            if !self.has_turns(1).await {
                return self.put_off_for_turns().await;
            }
            let loaded = match described(&self.aws, self.id()).await {
                Ok(bare) => {
                    reads = self.policy.reads_after(&bare);
                    if !self.has_turns(calls_of_rest(&reads)).await {
                        return self.put_off_for_turns().await;
                    }
                    rest(&self.aws, bare, &reads, &objects).await
                }
                Err(error) => Err(error),
            };
            (loaded, known)
        } else {
            if let Some(round) = self.waits_for_others().await? {
                return Ok(round);
            }
            if !self.has_turns(calls(&reads)).await {
                return self.put_off_for_turns().await;
            }
            let young = self.occurrence.young;
            let load = load(&self.aws, self.id(), &reads, young, &objects);
            let (loaded, known) = tokio::join!(load, self.known());
            let known = known?;
            self.mark_replica(known.as_ref().ok(), now).await?;
            (loaded, known)
        };
        if let Some((intent, lease)) = known.as_ref().ok().and_then(|known| known.intent.clone()) {
            let mine = self.recreation_lease(now);
            if lease.held_against(&mine, now) {
                return self.wait_for_recreation(&lease, now).await;
            }
            if !self.take(&intent, &mine, now).await? {
                return Ok(Round::Again);
            }
            return self
                .recreate(intent, mine, known.as_ref().ok(), false, now)
                .await;
        }
        let mut resolved = None;
        let mut settles = None;
        if let Ok(repository) = &loaded {
            settles = self.settles(repository, known.as_ref().ok(), now);
            // What the tags or the records ask for beyond what the name does: a round trip more, and rarely.
            let policy = self.policy.for_repository(self.id(), &repository.tags);
            let mut needed = policy
                .as_ref()
                .map_or_else(|_| reads.clone(), |policy| policy.reads_after(repository));
            if let Ok(policy) = &policy {
                needed.add(plan::reads(policy, repository));
            }
            needed.policy |= known.as_ref().is_ok_and(Known::quarantined);
            if reads.cover(&needed) && (!needed.recent_tags || objects(repository)) {
                resolved = Some(policy);
            } else {
                reads.add(needed);
                if !self.has_turns(calls(&reads)).await {
                    return self.put_off_for_turns().await;
                }
                loaded = load(&self.aws, self.id(), &reads, false, &|_| true).await;
            }
        }
        let empty = Resolved::nothing();
        let repository = match loaded {
            Ok(repository) => Repository {
                pushed: self.occurrence.pushed.clone(),
                replicated: self.occurrence.replicated
                    || known.as_ref().is_ok_and(|known| known.replica),
                ..repository
            },
            Err(LoadError::Gone) => {
                // Ours may be to bring it back: that must not be taken for nothing to do.
                return match known {
                    Ok(_) => {
                        Ok(self.ignored(Code::RepositoryGone, "the repository does not exist"))
                    }
                    Err(why) => {
                        let what = format!(
                            "fix the error below; the next event or sweep then finishes a recreation that may have been cut short: {why}"
                        );
                        let detail = "the repository does not exist, and its record, which may \
                                      hold all its settings, cannot be read";
                        self.announce(&Plan::critical("unreadable-record", detail, what), now)
                            .await?;
                        Err(format!(
                            "the repository does not exist, and its record cannot be read: {why}"
                        ))
                    }
                };
            }
            Err(LoadError::Unavailable(why)) => return Err(why),
            Err(LoadError::Unreadable(why)) if why.starts_with(DENIED_BY_POLICY) => {
                let plan = plan::blinded_entirely(&why);
                return self.report(&empty, plan, known.as_ref(), None, now).await;
            }
            Err(LoadError::Unreadable(why)) => {
                let plan = Plan::for_people(
                    "unreadable-repository",
                    "the repository cannot be read, so it was not evaluated",
                    why,
                );
                return self.report(&empty, plan, known.as_ref(), None, now).await;
            }
        };
        // A recreation that has begun since the records were read.
        if repository.marker().is_some()
            && matches!(self.known().await?, Ok(now) if now.intent.is_some())
        {
            return Ok(Round::Again);
        }
        // Read again, its tags may be others.
        let resolved =
            resolved.unwrap_or_else(|| self.policy.for_repository(self.id(), &repository.tags));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(why) => {
                let plan = Plan::for_people(
                    "undecided-policy",
                    "cannot determine what the policy requires of the repository, so it was not \
                     evaluated",
                    why,
                );
                return self
                    .report(&empty, plan, known.as_ref(), repository.created_at, now)
                    .await;
            }
        };
        let resolved = match settles {
            Some(_) => resolved.urgent(),
            None => resolved,
        };
        let findings = evaluate(&resolved, &repository);
        let known = match known {
            Ok(known) => self.with_registry(known, &resolved, &findings).await?,
            Err(why) => Err(why),
        };
        let context = self.context(repository.created_at, now);
        let mut plan = plan::plan(
            &resolved,
            &repository,
            findings,
            known.as_ref().map_err(String::as_str),
            &context,
        );
        if let Some(seconds) = settles {
            // The other rules were not evaluated, so nothing is known of what they ask for.
            plan.complete = false;
            plan.steps
                .retain(|step| step.finding.rule != plan::STALE_QUARANTINE);
            if plan.steps.is_empty() {
                let why = format!(
                    "the repository is younger than `settle`; it is evaluated in {seconds} s"
                );
                return self
                    .deferred(seconds, Reason::new(Code::Settling, why))
                    .await;
            }
        }
        // The snapshot may be older than a repair of another invocation, which then looks like a revert.
        let just_repaired = |step: &Step| {
            known
                .as_ref()
                .is_ok_and(|known| known.just_repaired(step.finding.rule, now))
        };
        // Another one may be changing the registry at this moment: that is waited for, and not made twice.
        let under_way = |step: &Step| {
            known
                .as_ref()
                .is_ok_and(|known| known.may_change_registry(step.finding.rule, now))
        };
        if self.waited_for_registry < WAITS && plan.steps.iter().any(under_way) {
            self.waited_for_registry = self.waited_for_registry.saturating_add(1);
            tokio::time::sleep(SHOWN_WITHIN).await;
            return Ok(Round::Again);
        }
        if !self.looked_again && plan.steps.iter().any(just_repaired) {
            self.looked_again = true;
            return Ok(Round::Again);
        }
        if let Some(step) = plan.recreation() {
            let rule = step.finding.rule;
            if let Some(why) = &self.gave_up {
                let why = why.clone();
                plan.give_up(rule, &why);
            } else if let (Decision::Repair(Action::Recreate { to, .. }), Ok(known)) =
                (&step.decision, &known)
            {
                if let Some(why) = self.owned_by_stack(&resolved, rule).await? {
                    self.gave_up = Some(Reason::new(Code::OwnedByStack, why));
                    return Ok(Round::Again);
                }
                let intent = self.intent(rule, &repository, to, now);
                let mine = self.recreation_lease(now);
                let begun = self.pipeline.state.begin(&intent, &mine).await;
                return match begun {
                    Ok(true) => self.recreate(intent, mine, Some(known), true, now).await,
                    Ok(false) => Ok(Round::Again),
                    Err(Failure::Unavailable(why)) => Err(why),
                    Err(other) => {
                        let why = format!("not recreated, because it cannot be recorded: {other}");
                        self.gave_up = Some(Reason::new(Code::NotRecorded, why));
                        Ok(Round::Again)
                    }
                };
            }
        }
        let is_of_push = |step: &Step| {
            entry(step.finding.rule).is_some_and(|entry| entry.meta.subject == Subject::Push)
        };
        let conforms = plan.complete && plan.steps.iter().all(is_of_push);
        let round = self
            .report(&resolved, plan, known.as_ref(), repository.created_at, now)
            .await?;
        if let (true, true, Round::Done(..), Ok(_)) =
            (conforms, self.occurrence.pushed.is_some(), &round, &known)
        {
            self.vouch(repository.created_at, now).await;
        }
        if let (Some(seconds), Round::Done(..)) = (settles, &round) {
            self.defer_by(seconds).await?;
        }
        Ok(round)
    }

    /// Takes permits for this number of calls to ECR; `false`: not now. It is a round trip of its own, and only with a rate limit. An event
    /// comes back through the queue; a sweep has no event, and waits.
    async fn has_turns(&self, calls: u32) -> bool {
        let patience = Some(TURN).filter(|_| !self.occurrence.event.is_null());
        self.aws.turns.take(calls, patience).await.is_ok()
    }

    async fn put_off_for_turns(&self) -> Result<Round, String> {
        let outcome = self.pipeline.put_off_for_turns(self.occurrence).await?;
        Ok(Round::Done(outcome, Vec::new()))
    }

    /// Reads the repository's record. The inner error: it cannot be read, and why.
    async fn known(&self) -> Result<Result<Known, String>, String> {
        self.on_record(self.id()).await
    }

    /// The same of another subject.
    async fn on_record(&self, id: &RepositoryId) -> Result<Result<Known, String>, String> {
        match self.pipeline.state.load(id).await {
            Ok(known) => Ok(Ok(known)),
            Err(Failure::Unavailable(why)) => Err(why),
            Err(other) => Ok(Err(other.to_string())),
        }
    }

    /// With the record of the registry, where a rule that repairs the registry has found something or had.
    async fn with_registry(
        &self,
        known: Known,
        resolved: &Resolved,
        findings: &[Finding],
    ) -> Result<Result<Known, String>, String> {
        let concerned = |rule: &&'static str| {
            known.said.contains_key(*rule) || findings.iter().any(|finding| finding.rule == *rule)
        };
        let rules: Vec<&'static str> = resolved.registry_rules().filter(concerned).collect();
        if rules.is_empty() {
            return Ok(Ok(known));
        }
        let registry = self.on_record(&self.id().registry()).await?;
        Ok(registry.map(|registry| known.with_registry(rules.into_iter(), &registry)))
    }

    /// Judges the push and not the repository, where that was just found conforming. `None`: it must be looked at.
    async fn of_push_alone(
        &self,
        known: Option<&Known>,
        now: i64,
    ) -> Result<Option<Round>, String> {
        let Some((known, look)) =
            known.and_then(|known| Some((known, known.vouches(self.policy.fingerprint(), now)?)))
        else {
            return Ok(None);
        };
        let pushed = self.occurrence.pushed.clone();
        // Whether a refused push may be repeated is up to the repository's filters.
        if pushed.as_ref().is_some_and(|push| push.refused) {
            return Ok(None);
        }
        let repository = Repository::unread(self.id(), look.created_at, pushed);
        // Where tags decide what is asked, they must be read.
        let Ok(policy) = self.policy.for_repository(self.id(), &repository.tags) else {
            return Ok(None);
        };
        let policy = policy.of_pushes();
        let findings = evaluate(&policy, &repository);
        let context = self.context(repository.created_at, now);
        let mut plan = plan::plan(&policy, &repository, findings, Ok(known), &context);
        // Of the others nothing was asked.
        plan.complete = false;
        self.report(&policy, plan, Ok(known), repository.created_at, now)
            .await
            .map(Some)
    }

    /// A push to a repository that conforms: the next ones need not be looked at.
    async fn vouch(&self, created_at: Option<i64>, now: i64) {
        let look = Look {
            at: now,
            policy: self.policy.fingerprint(),
            created_at,
        };
        if let Err(why) = self.pipeline.state.conforms(self.id(), &look).await {
            tracing::warn!(repository = %self.id(), %why, "that it conforms is not written down");
        }
    }

    fn context(&self, created_at: Option<i64>, now: i64) -> Context<'_> {
        Context {
            me: &self.me,
            now,
            cause: &self.occurrence.cause,
            actor: self.occurrence.actor.as_deref(),
            created_at,
        }
    }

    /// For how many seconds its creator may still go on, where the policy grants that.
    fn settles(&self, repository: &Repository, known: Option<&Known>, now: i64) -> Option<i64> {
        self.pipeline.revisits.as_ref()?;
        let settle = self.policy.settle()?.seconds();
        let created = repository.created_at?.saturating_div(1000);
        // ecr-warden created it: there is no creator to wait for, and a recreation to report.
        if known.is_some_and(|known| known.recreated_around(created)) {
            return None;
        }
        let age = now.saturating_sub(created);
        // A clock that is behind ours must not make it wait for longer than that.
        Some(settle.saturating_sub(age.max(0))).filter(|left| *left > 0)
    }

    /// Defers the event by this number of seconds. A sweep has no event: the repository's own event, or the next sweep, evaluates
    /// the repository.
    async fn defer_by(&self, seconds: i64) -> Result<Option<Deferred>, String> {
        let Some(queue) = self.pipeline.queue_for(self.occurrence) else {
            return Ok(None);
        };
        let Occurrence {
            event, deferred, ..
        } = self.occurrence;
        let (_, deferred) = queue.defer(event, *deferred, Some(seconds)).await?;
        Ok(Some(deferred))
    }

    /// Ends this invocation and defers the event by this number of seconds.
    async fn deferred(&self, seconds: i64, why: Reason) -> Result<Round, String> {
        let deferred = self.defer_by(seconds).await?;
        Ok(self.comes_back(deferred, why))
    }

    fn comes_back(&self, deferred: Option<Deferred>, why: Reason) -> Round {
        let outcome = Outcome::ignored(Some(self.id()), Some(&self.occurrence.cause), why);
        Round::Done(outcome.deferred(deferred), Vec::new())
    }

    /// Under a rate limit, a repository's events wait for each other: one repository's flood must not take the others' share. `None`:
    /// this one goes on. It is a round trip of its own, and only where the policy has a rate limit.
    async fn waits_for_others(&mut self) -> Result<Option<Round>, String> {
        let limited = self.policy.ecr_calls_per_second().is_some();
        let Some(queue) = self.pipeline.queue_for(self.occurrence) else {
            return Ok(None);
        };
        if !limited || std::mem::replace(&mut self.entered, true) {
            return Ok(None);
        }
        let spacing = self.pipeline.state.spacing();
        let (id, at) = (self.id(), now());
        match spacing.enter(id, &self.me.owner).await {
            Ok(Turn::Evaluate) => Ok(None),
            Ok(Turn::Covered { seconds }) => {
                let why = format!(
                    "an earlier event of the repository was deferred for {seconds} s and covers this one"
                );
                Ok(Some(self.ignored(Code::CoveredByEarlierEvent, why)))
            }
            Ok(Turn::In { seconds }) => {
                // The last evaluation is younger than this event's first deferral, so it waits from now on.
                let (event, before) = (&self.occurrence.event, None);
                let (seconds, deferred) = queue.defer(event, before, Some(seconds)).await?;
                if let Err(why) = spacing.wait(id, at, seconds, true).await {
                    tracing::warn!(repository = %id, %why, "deferred, but not recorded");
                }
                let why = format!(
                    "the repository was evaluated a moment ago; the event was deferred for \
                     {seconds} s"
                );
                let why = Reason::new(Code::RateLimited, why);
                Ok(Some(self.comes_back(Some(deferred), why)))
            }
            // Fairness is not worth a lost event.
            Err(why) => {
                tracing::warn!(repository = %id, %why, "evaluated without waiting for its other events");
                Ok(None)
            }
        }
    }

    /// Why the repository is not recreated where a CloudFormation stack owns it, or may own it.
    async fn owned_by_stack(
        &self,
        policy: &Resolved,
        rule: &str,
    ) -> Result<Option<String>, String> {
        if !policy
            .rule(rule)
            .is_some_and(|active| active.rule.spares_stacks())
        {
            return Ok(None);
        }
        match stacks::owner(&self.aws, self.id()).await {
            Ok(None) => Ok(None),
            Ok(Some(stack)) => Ok(Some(format!(
                "not recreated: the CloudFormation stack `{}` owns the repository; change the encryption in its template, which \
                 replaces the repository",
                one_line(&stack)
            ))),
            Err(Failure::Unavailable(why)) => Err(why),
            Err(other) => Ok(Some(format!(
                "not recreated: cannot determine whether a CloudFormation stack owns the repository: {other}"
            ))),
        }
    }

    fn intent(
        &self,
        rule: &str,
        repository: &Repository,
        to: &ecr_warden_core::repository::Encryption,
        now: i64,
    ) -> Intent {
        Intent {
            id: format!("{}-{now}", self.delivery),
            rule: rule.to_owned(),
            before: repository.clone(),
            to: to.clone(),
            fallback: None,
            refused: None,
            made: None,
            cause: self.occurrence.cause.clone(),
            actor: self.occurrence.actor.clone(),
            started_at: now,
            unknown: [].into(),
        }
    }

    /// Of the recreation that this delivery works at.
    fn recreation_lease(&self, now: i64) -> Lease {
        let left = self.occurrence.deadline.saturating_sub(now);
        let seconds = left.clamp(0, RECREATION).saturating_add(LEASE_GRACE);
        Lease {
            owner: self.delivery.clone(),
            until: now.saturating_add(seconds),
        }
    }

    /// Another delivery recreates the repository, or died at it: the event comes back when the lease has ended. A lease that is held is
    /// no success: its holder may be dead.
    async fn wait_for_recreation(&self, lease: &Lease, now: i64) -> Result<Round, String> {
        let why = "another invocation is recreating the repository";
        let has_event = !self.occurrence.event.is_null();
        if has_event && self.pipeline.queue_for(self.occurrence).is_none() {
            return Err(why.to_owned());
        }
        let seconds = lease.until.saturating_sub(now).saturating_add(1);
        self.deferred(seconds, Reason::new(Code::LeasedElsewhere, why))
            .await
    }

    async fn take(&self, intent: &Intent, mine: &Lease, now: i64) -> Result<bool, String> {
        self.pipeline
            .state
            .take(intent, mine, now)
            .await
            .map_err(|failure| failure.to_string())
    }

    async fn recreate(
        &mut self,
        intent: Intent,
        mine: Lease,
        known: Option<&Known>,
        first: bool,
        now: i64,
    ) -> Result<Round, String> {
        let rule = intent.rule.clone();
        let begun = intent.clone();
        if !begun.unknown.is_empty() {
            // First: the record goes with the end of the recreation.
            let detail = "a newer version of ecr-warden began its recreation and recorded settings that this version does not know";
            let settings: Vec<String> = begun
                .unknown
                .iter()
                .map(|(place, value)| format!("`{place}`: {value}"))
                .collect();
            let what = format!(
                "it is restored without {}; set them again, and deploy the newer version",
                settings.join(", ")
            );
            self.announce(&Plan::critical("unknown-settings", detail, what), now)
                .await?;
        }
        let attempt = Attempt {
            aws: &self.aws,
            state: &self.pipeline.state,
            lease: &mine,
            claimant: &self.me,
            said_version: known
                .and_then(|known| known.said.get(&rule))
                .map_or(0, |said| said.version),
            repairs: known
                .and_then(|known| known.repairs.get(&rule).cloned())
                .unwrap_or_default(),
            now,
            intent,
        };
        let seconds = mine.until.saturating_sub(now).saturating_sub(LEASE_GRACE);
        let time = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let is_late = now.saturating_sub(begun.started_at) >= RECREATION_IS_LATE;
        match attempt.run(first, time).await {
            End::Finished(Finished::Recreated) => {}
            End::Finished(Finished::FellBack(why)) => {
                tracing::error!(repository = %self.id(), rule, repair_failed = true, why, "recreated with the old encryption");
            }
            End::Finished(Finished::Superseded) => {
                let before = serde_json::to_string(&begun.before).unwrap_or_default();
                tracing::error!(repository = %self.id(), rule, before, "another caller created it \
                    again; the new repository was left unchanged");
                let what = format!(
                    "the new repository was left unchanged. The old one had {}; the log has all of \
                     it: restore what you need",
                    begun.outline()
                );
                let detail = "another caller created it while ecr-warden was recreating it";
                self.announce(&Plan::critical("superseded-recreation", detail, what), now)
                    .await?;
                // Last: with it goes the record of what was there.
                let forgotten = self.pipeline.state.finish(&begun, &mine, None, None, now);
                forgotten.await.map_err(|failure| failure.to_string())?;
            }
            End::Withdrawn(why) => {
                self.gave_up = Some(match why {
                    Withdrawn::HoldsImages => Reason::new(
                        Code::HoldsImages,
                        "an image was pushed just before the deletion, so the repository was not \
                         recreated and nothing is lost; create a repository with the required \
                         encryption and copy the images to it",
                    ),
                    Withdrawn::Changed => Reason::new(
                        Code::ChangedMeanwhile,
                        "it was changed at the same time, so it was not recreated; the next event \
                         tries again",
                    ),
                    Withdrawn::Refused(why) => Reason::new(
                        Code::RehearsalRefused,
                        format!(
                            "not recreated, because its settings could not have been restored: {why}"
                        ),
                    ),
                });
            }
            End::Interrupted(Interruption::Transient(why)) if !is_late => return Err(why),
            End::Interrupted(Interruption::Transient(why) | Interruption::Stuck(why)) => {
                tracing::error!(repository = %self.id(), rule, repair_failed = true, why, "recreation is stuck");
                let detail = "a recreation can't be finished";
                let plan = Plan::critical("interrupted-recreation", detail, why.clone());
                let known = known.ok_or(&why);
                self.report(&Resolved::nothing(), plan, known, None, now)
                    .await?;
                return Err(why);
            }
        }
        Ok(Round::Again)
    }

    /// Reports it at once, also in a sweep, and records nothing: it happens once, and no later evaluation finds it.
    async fn announce(&self, plan: &Plan, now: i64) -> Result<(), String> {
        let (policy, nothing) = (Resolved::nothing(), Known::default());
        let all = claims(&nothing, plan, &self.context(None, now));
        let results = Results::new();
        let verdicts = verdicts(&policy, self.id(), plan, &nothing, &all, &results, now);
        self.publish(&verdicts).await
    }

    async fn publish(&self, verdicts: &[Verdict]) -> Result<(), String> {
        let occasion = Occasion {
            id: &self.occurrence.request_id,
            cause: &self.occurrence.cause,
            actor: self.occurrence.actor.as_deref(),
            occurred_at: &self.occurrence.occurred_at,
        };
        match Alert::of(self.id(), &occasion, verdicts) {
            Some(alert) => self.pipeline.publish(&alert).await,
            None => Ok(()),
        }
    }

    /// Claims what is to be reported, makes the repairs at the same time, publishes, and commits.
    async fn report(
        &self,
        resolved: &Resolved,
        plan: Plan,
        known: Result<&Known, &String>,
        created_at: Option<i64>,
        now: i64,
    ) -> Result<Round, String> {
        let context = self.context(created_at, now);
        let nothing = Known::default();
        let recorded = known.is_ok();
        let known = known.unwrap_or(&nothing);
        let mut all = claims(known, &plan, &context);
        let held_by_others = held_by_others(known, &plan, &all);
        let claim = async {
            if recorded && !all.is_empty() {
                self.claim(&all, now).await
            } else {
                Ok(true)
            }
        };
        let of_registry = |claim: &Claim| claim.of_registry && claim.repair.is_some();
        let (claimed, results) = if all.iter().any(of_registry) {
            // Other repositories may be about to make the same change of the registry: one of them makes it.
            match claim.await {
                Ok(true) => (Ok(true), self.repair(&all).await),
                Ok(false) => return Ok(Round::Again),
                Err(why) => return Err(why.to_string()),
            }
        } else {
            tokio::join!(claim, self.repair(&all))
        };
        let mut others = false;
        match claimed {
            Ok(true) => {}
            Ok(false) => {
                all = self.claim_each(all, now).await;
                if all.is_empty() {
                    return Ok(Round::Again);
                }
                others = true;
            }
            // The alert matters more than its record: it may come twice, it is never lost.
            Err(why) => tracing::error!(repository = %self.id(), %why, "not recorded"),
        }
        // A repair that a retry may make is not reported as failed: the claim waits for the retry, which makes it and reports.
        let results = results?;
        let mut verdicts = verdicts(resolved, self.id(), &plan, known, &all, &results, now);
        self.drop_old_news(&all, &mut verdicts, &context);
        let outcome = Outcome::of(self.id(), &self.occurrence.cause, &verdicts);
        let news = News {
            id: self.id().clone(),
            verdicts: verdicts.clone(),
            claims: all,
            results,
            lease: self.me.clone(),
            now,
            cause: self.occurrence.cause.clone(),
            created_at,
            recorded,
        };
        let mut round = if others {
            Round::Again
        } else {
            Round::Done(outcome, verdicts.clone())
        };
        if let Some(quietly) = self.quietly {
            quietly.lock().await.push(news);
            return Ok(round);
        }
        self.publish(&verdicts).await?;
        if news.claims.iter().any(|claim| !claim.only_counts()) {
            let heard = self.pipeline.is_heard().await;
            self.pipeline.settle_news(&news, heard).await;
        }
        if let Some(until) = held_by_others {
            let deferred = self.defer_by(until.saturating_sub(now)).await?;
            if let Round::Done(outcome, _) = &mut round {
                outcome.deferred = deferred;
            }
        }
        Ok(round)
    }

    /// Another invocation claimed some findings and may not have seen the rest. Claims each one separately, and returns those that this
    /// invocation is to report.
    async fn claim_each(&self, all: Vec<Claim>, now: i64) -> Vec<Claim> {
        if all.len() == 1 {
            return Vec::new();
        }
        let claimed = all
            .iter()
            .map(|one| self.claim(std::slice::from_ref(one), now));
        let claimed = join_all(claimed).await;
        let ours = all
            .into_iter()
            .zip(claimed)
            .filter_map(|(one, claimed)| match claimed {
                Ok(ours) => ours.then_some(one),
                // As above.
                Err(why) => {
                    tracing::error!(repository = %self.id(), %why, "not recorded");
                    Some(one)
                }
            });
        ours.collect()
    }

    /// Without a claim a retry would not know what to report, so a claim is tried for some seconds; the alert cannot wait for longer.
    async fn claim(&self, all: &[Claim], now: i64) -> Result<bool, Failure> {
        let began = Instant::now();
        loop {
            match self.pipeline.state.claim(self.id(), all, now).await {
                Err(Failure::Unavailable(_)) if began.elapsed() < CLAIM_FOR => {
                    tokio::time::sleep(CLAIM_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    /// Makes all repairs, though some fail; those of the same part one after the other, in the plan's order.
    async fn repair(&self, all: &[Claim]) -> Result<Results, String> {
        let mut by_part: BTreeMap<Part, Vec<(&str, &Action)>> = BTreeMap::new();
        for claim in all {
            if let Some(repair) = &claim.repair {
                let action = &repair.action;
                let part = by_part.entry(action.part()).or_default();
                part.push((&claim.rule, action));
            }
        }
        let repairs = by_part
            .into_values()
            .map(|actions| self.repair_part(actions));
        let mut results = Results::new();
        for part in join_all(repairs).await {
            results.extend(part?);
        }
        Ok(results)
    }

    async fn repair_part(&self, actions: Vec<(&str, &Action)>) -> Result<Results, String> {
        let mut results = Results::new();
        for (rule, action) in actions {
            // Each begins where the one before it ends.
            if results.values().any(Result::is_err) {
                let why = "not made, because another change of the same part failed before it";
                results.insert(rule.to_owned(), Err(why.to_owned()));
                continue;
            }
            let result = match self.apply(action).await {
                Ok(()) => Ok(()),
                Err(NotApplied::Later(why)) => return Err(why),
                Err(NotApplied::Failed(why) | NotApplied::Marked { why, .. }) => {
                    tracing::error!(repository = %self.id(), rule, repair_failed = true, why, "repair failed");
                    Err(why)
                }
            };
            results.insert(rule.to_owned(), result);
        }
        Ok(results)
    }

    /// Any caller of ecr:TagResource can set a marker, and a recreation is on record until its own is gone. So a marker without a
    /// record, then and after a moment, does not keep the repair from being made.
    async fn apply(&self, action: &Action) -> Result<(), NotApplied> {
        match apply(&self.aws, self.id(), action).await {
            Err(NotApplied::Marked { marker, why }) => {
                for pause in [Duration::ZERO, SHOWN_WITHIN] {
                    tokio::time::sleep(pause).await;
                    let known = self.pipeline.state.load(self.id()).await?;
                    if known.intent.is_some() {
                        return Err(NotApplied::Later(why));
                    }
                }
                tracing::warn!(repository = %self.id(), marker, "a marker without a recreation on record is ignored");
                apply_despite(&self.aws, self.id(), action, Some(&marker)).await
            }
            other => other,
        }
    }

    /// Marks what was already reported, such as a repair that fails again for the same reason.
    fn drop_old_news(&self, all: &[Claim], verdicts: &mut [Verdict], context: &Context<'_>) {
        for verdict in verdicts {
            if let Some(claim) = all.iter().find(|claim| claim.rule == verdict.rule) {
                verdict.news = is_news(claim, verdict.status, &verdict.to_do, context);
            }
        }
    }
}

/// Random, so that two deliveries of one event differ: the standard library seeds each hasher from the system.
fn nonce() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
