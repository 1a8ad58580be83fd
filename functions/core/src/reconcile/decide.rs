//! The decisions on one repository, in their order.

use std::ops::ControlFlow;

use super::{Deferral, Earlier, Next, Observation, Reconciler, Report, Requeue, Seen, Wanted};
use crate::defer::Turn;
use crate::evaluate::evaluate;
use crate::finding::Finding;
use crate::plan::{self, Plan, STALE_QUARANTINE};
use crate::policy::{ExistingBefore, Resolved};
use crate::reason::{Code, Reason};
use crate::record::{Context, Known, Lease};
use crate::repository::{DENIED_BY_POLICY, Read, Repository, RepositoryId};

/// ECR shows what was changed within this number of seconds.
const SHOWN_WITHIN: u64 = 2;

/// How often to wait for another invocation's change of the registry. That invocation may be dead: then the change is made.
const REGISTRY_WAITS: u32 = 2;

pub(super) const UNDECIDED: &str =
    "cannot determine what the policy requires of the repository, so it was not evaluated";

/// Goes on with a value, or ends with what happens next.
pub(super) type Decided<T> = ControlFlow<Next, T>;

/// The record of the repository, or why it cannot be read.
pub(super) type Record<'o> = Result<&'o Known, &'o str>;

impl Reconciler<'_> {
    /// Decides. `now`: when the attempt began, in seconds since the epoch.
    #[must_use]
    pub fn next(&self, seen: &Observation, earlier: &Earlier, now: i64) -> Next {
        match self.decide(seen, earlier, now) {
            ControlFlow::Break(next) => next,
            ControlFlow::Continue(report) => Next::Report(Box::new(report)),
        }
    }

    fn decide(&self, seen: &Observation, earlier: &Earlier, now: i64) -> Decided<Report> {
        self.wait_for_turn(seen)?;
        let record = self.record(seen)?;
        self.recreation_on_record(record, now)?;
        if let Seen::Registry(registry) = &seen.repository {
            return self.registry(registry, record, now);
        }
        let repository = self.repository(seen, record, now)?;
        let policy = self.policy.for_repository(self.id(), &repository.tags);
        self.read_all(seen, record, &repository, policy.as_ref().ok())?;
        if repository.marker().is_some() && !seen.record_reread {
            // A recreation may have begun since the record was read.
            return ControlFlow::Break(Next::Observe(Wanted::Record));
        }
        let settles = self.settles(&repository, record, now);
        let policy = match (policy, settles) {
            (Ok(policy), None) => policy,
            (Ok(policy), Some(_)) => policy.urgent(),
            (Err(why), _) => {
                let plan = Plan::for_people("undecided-policy", UNDECIDED, why);
                let next = self.unevaluated(plan, record, repository.created_at, now);
                return ControlFlow::Break(next);
            }
        };
        let findings = evaluate(&policy, &repository);
        self.read_owner(seen, record, &repository, &findings)?;
        let policy = match record {
            Ok(_) => self.held(seen, policy, &findings, &repository, now)?,
            // Nothing is changed anyway, for that reason.
            Err(_) => policy,
        };
        let record = self.with_registry(seen, record, &policy, &findings)?;
        let known = record.as_ref().map_err(String::as_str);
        let lease = self.lease();
        let context = self.context(&lease, repository.created_at, now);
        let mut plan = plan::plan(&policy, &repository, findings, known, &context);
        if let Some(seconds) = settles {
            self.only_urgent(&mut plan, seconds)?;
        }
        start_over(&plan, known, earlier, now)?;
        self.recreate(seen, earlier, &policy, &repository, &mut plan, now)?;
        let mut report = self.report(policy, plan, record, repository.created_at, now);
        report.look_again_in = [report.look_again_in, settles].into_iter().flatten().min();
        report.conforms = self.conforms(&report);
        self.cleared(seen, &report)?;
        ControlFlow::Continue(report)
    }

    pub(super) fn id(&self) -> &RepositoryId {
        &self.trigger.repository
    }

    pub(super) fn context<'c>(
        &'c self,
        me: &'c Lease,
        created_at: Option<i64>,
        now: i64,
    ) -> Context<'c> {
        Context {
            origin: &self.trigger.origin,
            me,
            now,
            created_at,
        }
    }

    /// Under a rate limit, a repository's events wait for each other: one repository's flood must not take the others' share. A push
    /// does not wait, because each has something of its own to evaluate.
    fn wait_for_turn(&self, seen: &Observation) -> Decided<()> {
        let waits = self.policy.ecr_calls_per_second().is_some()
            && self.requeue == Requeue::Event
            && self.trigger.pushed.is_none();
        ControlFlow::Break(match seen.turn {
            None if waits => Next::Observe(Wanted::Turn),
            Some(Turn::Covered { seconds }) => Next::Ignore(Reason::new(
                Code::CoveredByEarlierEvent,
                format!(
                    "an earlier event of the repository was deferred for {seconds} s and covers this one"
                ),
            )),
            Some(Turn::In { seconds }) => Next::Defer(Deferral::EvaluatedLately { seconds }),
            None | Some(Turn::Evaluate) if !seen.rate_limited => return ControlFlow::Continue(()),
            None | Some(Turn::Evaluate) => match self.requeue {
                Requeue::Event => Next::Defer(Deferral::RateLimited),
                Requeue::NoEvent | Requeue::NoQueue => {
                    fail("the rate limit `ecr-calls-per-second` is used up")
                }
            },
        })
    }

    /// The record is read together with the repository, in one round trip. A push reads it first: it may say that the repository
    /// conformed a moment ago, and then ECR need not be asked. Of a repository whose creation leaves nothing to ask, only the description is
    /// read.
    fn record<'o>(&self, seen: &'o Observation) -> Decided<Record<'o>> {
        match &seen.record {
            Read::NotAsked => ControlFlow::Break(Next::Observe(match self.trigger.pushed {
                Some(_) => Wanted::Record,
                None if self.id().is_registry() => {
                    Wanted::RecordAndSettings(self.policy.registry_reads(self.id()))
                }
                None if self.created_conforming() => Wanted::RecordAndDescription,
                None => Wanted::RecordAndRepository(self.policy.reads(self.id())),
            })),
            Read::Known(known) if self.trigger.replicated && !known.replica => {
                ControlFlow::Break(Next::MarkReplica)
            }
            Read::Known(known) => ControlFlow::Continue(Ok(known)),
            Read::Unreadable(why) => ControlFlow::Continue(Err(why)),
        }
    }

    /// The event comes back after this number of seconds. A sweep has none: the repository's own event, or the next sweep, evaluates
    /// it.
    pub(super) fn wait(&self, seconds: i64, reason: Reason) -> Next {
        match self.requeue {
            Requeue::Event => Next::Defer(Deferral::For { seconds, reason }),
            Requeue::NoEvent => Next::Ignore(reason),
            Requeue::NoQueue => fail(&reason.text),
        }
    }

    fn repository(&self, seen: &Observation, record: Record<'_>, now: i64) -> Decided<Repository> {
        let next = match &seen.repository {
            Seen::Read(repository) => {
                return ControlFlow::Continue(Repository {
                    pushed: self.trigger.pushed.clone(),
                    replicated: self.trigger.replicated || record.is_ok_and(|it| it.replica),
                    creator: self.trigger.creator().map(str::to_owned),
                    ..*repository.clone()
                });
            }
            Seen::NotRead => match self.push_alone(record, now) {
                Some(report) => Next::Report(Box::new(report)),
                None => Next::Observe(Wanted::Description),
            },
            Seen::Described(described) => {
                Next::Observe(Wanted::Rest(self.policy.reads_after(described)))
            }
            // It was decided before.
            Seen::Registry(_) => fail("the registry is no repository"),
            Seen::Gone => match record {
                Ok(_) => Next::Ignore(Reason::new(
                    Code::RepositoryGone,
                    "the repository does not exist",
                )),
                // A recreation may have deleted it: that must not be taken for nothing to do.
                Err(why) => gone_and_unreadable(why),
            },
            // Only now: a recreation on record needs none of the reads that failed.
            Seen::Unavailable(why) => fail(why),
            Seen::Unreadable(why) if why.starts_with(DENIED_BY_POLICY) => {
                self.unevaluated(plan::blinded_entirely(why), record, None, now)
            }
            Seen::Unreadable(why) => {
                let detail = "the repository cannot be read, so it was not evaluated";
                let plan = Plan::for_people("unreadable-repository", detail, why.clone());
                self.unevaluated(plan, record, None, now)
            }
        };
        ControlFlow::Break(next)
    }

    /// Judges the push and not the repository, where that was found conforming a moment ago. `None`: it must be read.
    fn push_alone(&self, record: Record<'_>, now: i64) -> Option<Report> {
        let pushed = self.trigger.pushed.as_ref()?;
        let known = record.ok()?;
        let look = known.vouches(self.policy.fingerprint(), now)?;
        // Whether a refused push may be repeated is up to the repository's filters.
        if pushed.refused {
            return None;
        }
        let repository = Repository::unread(self.id(), look.created_at, Some(pushed.clone()));
        // Where tags decide what is required, they must be read.
        let policy = self.policy.for_repository(self.id(), &repository.tags);
        let policy = policy.ok()?.of_pushes();
        let findings = evaluate(&policy, &repository);
        let lease = self.lease();
        let context = self.context(&lease, repository.created_at, now);
        let mut plan = plan::plan(&policy, &repository, findings, record, &context);
        if self.policy.names_owners() && !plan.steps.is_empty() {
            return None;
        }
        // The other rules were not evaluated.
        plan.complete = false;
        Some(self.report(policy, plan, Ok(known.clone()), repository.created_at, now))
    }

    /// For how many seconds its creator may still go on, where the policy grants that and the event can come back.
    fn settles(&self, repository: &Repository, record: Record<'_>, now: i64) -> Option<i64> {
        if self.requeue == Requeue::NoQueue {
            return None;
        }
        let settle = self.policy.settle()?.seconds();
        let created = repository.created_at?.saturating_div(1000);
        // ecr-warden created it: there is no creator to wait for, and a recreation to report.
        if record.is_ok_and(|known| known.recreated_around(created)) {
            return None;
        }
        let age = now.saturating_sub(created);
        // A clock that is behind ours must not make it wait for longer than that.
        Some(settle.saturating_sub(age.max(0))).filter(|left| *left > 0)
    }

    /// The policy as it is where something stops changes.
    fn held(
        &self,
        seen: &Observation,
        policy: Resolved,
        findings: &[Finding],
        repository: &Repository,
        now: i64,
    ) -> Decided<Resolved> {
        let policy = policy.held(seen.refusal());
        let policy = policy.held(self.policy.hold(self.id(), now));
        let policy = self.since(seen, policy, findings, repository)?;
        ControlFlow::Continue(policy.held(self.invocation.hold.clone()))
    }

    /// The policy as it is for a repository of that age. The time of the deployment is asked for only where it decides something. In doubt the
    /// repository is an existing one.
    fn since(
        &self,
        seen: &Observation,
        policy: Resolved,
        findings: &[Finding],
        repository: &Repository,
    ) -> Decided<Resolved> {
        let since = match (self.policy.existing_before(), &seen.deployed_at) {
            (None, _) => return ControlFlow::Continue(policy),
            (Some(_), _) if !policy.holds.is_empty() => return ControlFlow::Continue(policy),
            (Some(ExistingBefore::Time(time)), _) => Ok(time),
            (Some(ExistingBefore::Deployment), _) if findings.is_empty() => {
                return ControlFlow::Continue(policy);
            }
            (Some(ExistingBefore::Deployment), Read::NotAsked) => {
                return ControlFlow::Break(Next::Observe(Wanted::Deployment));
            }
            (Some(ExistingBefore::Deployment), Read::Known(time)) => Ok(*time),
            (Some(ExistingBefore::Deployment), Read::Unreadable(why)) => Err(why.as_str()),
        };
        ControlFlow::Continue(policy.since(since, repository.created_at))
    }

    /// Where the creator may still go on, only the urgent rules were evaluated.
    fn only_urgent(&self, plan: &mut Plan, seconds: i64) -> Decided<()> {
        plan.complete = false;
        plan.steps
            .retain(|step| step.finding.rule != STALE_QUARANTINE);
        if !plan.steps.is_empty() {
            return ControlFlow::Continue(());
        }
        let why =
            format!("the repository is younger than `settle`; it is evaluated in {seconds} s");
        ControlFlow::Break(self.wait(seconds, Reason::new(Code::Settling, why)))
    }

    /// The record with the registry's, where a rule that repairs the registry has found something or had.
    fn with_registry(
        &self,
        seen: &Observation,
        record: Record<'_>,
        policy: &Resolved,
        findings: &[Finding],
    ) -> Decided<Result<Known, String>> {
        let known = match record {
            Ok(known) => known.clone(),
            Err(why) => return ControlFlow::Continue(Err(why.to_owned())),
        };
        let concerned = |rule: &&'static str| {
            known.said.contains_key(*rule) || findings.iter().any(|finding| finding.rule == *rule)
        };
        let rules: Vec<&'static str> = policy.registry_rules().filter(concerned).collect();
        match &seen.registry {
            _ if rules.is_empty() => ControlFlow::Continue(Ok(known)),
            Read::NotAsked => ControlFlow::Break(Next::Observe(Wanted::Registry)),
            Read::Known(registry) => {
                ControlFlow::Continue(Ok(known.with_registry(rules.into_iter(), registry)))
            }
            Read::Unreadable(why) => ControlFlow::Continue(Err(why.clone())),
        }
    }
}

fn fail(why: &str) -> Next {
    Next::Fail {
        why: why.to_owned(),
        alarm: None,
    }
}

fn gone_and_unreadable(why: &str) -> Next {
    let detail = "the repository does not exist, and its record, which may hold all its settings, cannot be read";
    let what = format!(
        "fix the error below; the next event or sweep then finishes a recreation that may have been cut short: {why}"
    );
    Next::Fail {
        why: format!("the repository does not exist, and its record cannot be read: {why}"),
        alarm: Some(Box::new(Plan::critical("unreadable-record", detail, what))),
    }
}

/// Another attempt, where what was read may be older than what others have just done.
fn start_over(plan: &Plan, record: Record<'_>, earlier: &Earlier, now: i64) -> Decided<()> {
    let Ok(known) = record else {
        return ControlFlow::Continue(());
    };
    let some = |happened: fn(&Known, &str, i64) -> bool| {
        let steps = &mut plan.steps.iter();
        steps.any(|step| happened(known, step.finding.rule, now))
    };
    let mut earlier = earlier.clone();
    // Another invocation may be changing the registry at this moment: that is waited for, and not made twice.
    if earlier.registry_waits < REGISTRY_WAITS && some(Known::may_change_registry) {
        earlier.registry_waits = earlier.registry_waits.saturating_add(1);
        return ControlFlow::Break(Next::StartOver {
            earlier,
            seconds: SHOWN_WITHIN,
        });
    }
    // The snapshot may be older than a repair of another invocation, or ECR may not show that yet: it then looks like a revert.
    if !earlier.reread && some(Known::just_repaired) {
        earlier.reread = true;
        return ControlFlow::Break(Next::StartOver {
            earlier,
            seconds: SHOWN_WITHIN,
        });
    }
    ControlFlow::Continue(())
}
