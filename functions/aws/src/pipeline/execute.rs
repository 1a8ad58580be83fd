//! Carries out a report: claims and repairs at the same time, then publishes and commits.

use std::collections::BTreeMap;
use std::time::Duration;

use ecr_warden_core::action::{Action, Part};
use ecr_warden_core::alert::Alert;
use ecr_warden_core::claim::{Claim, is_news};
use ecr_warden_core::outcome::{Outcome, Results, Verdict, verdicts};
use ecr_warden_core::owner::Addressees;
use ecr_warden_core::plan::Plan;
use ecr_warden_core::policy::Resolved;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::reconcile::Report;
use ecr_warden_core::record::{Context, Known, LastConforming};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::commit::News;
use super::reconcile::{Done, Driver};
use crate::connect::error::Failure;
use crate::ecr::apply::{NotApplied, apply, apply_despite};

/// How long a claim is tried beyond the SDK's own retries.
const CLAIM_FOR: Duration = Duration::from_secs(10);
const CLAIM_PAUSE: Duration = Duration::from_millis(200);

/// ECR shows what was changed within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

impl Driver<'_> {
    /// `None`: another invocation claimed some of it, so it is to be evaluated again.
    pub(super) async fn execute(&self, mut report: Report) -> Result<Option<Done>, String> {
        let claims = std::mem::take(&mut report.claims);
        let claimed = self.claim_and_repair(claims, report.recorded, report.now);
        let Some((claims, results, all_ours)) = claimed.await? else {
            return Ok(None);
        };
        let Report {
            policy,
            plan,
            record,
            now,
            ..
        } = &report;
        let id = self.id();
        let origin = &self.reconciler.trigger.origin;
        let mut verdicts = verdicts(policy, id, plan, record, &claims, &results, *now);
        let lease = self.reconciler.lease();
        let context = Context {
            origin,
            me: &lease,
            now: *now,
            created_at: report.created_at,
        };
        suppress_unchanged(&claims, &mut verdicts, &context);
        let outcome = Outcome::of(id, origin.cause, &verdicts);
        let news = News {
            id: id.clone(),
            verdicts: verdicts.clone(),
            claims,
            results,
            lease,
            now: *now,
            origin: origin.clone(),
            created_at: report.created_at,
            recorded: report.recorded,
            owner: policy.owner.clone(),
        };
        let done = all_ours.then_some((outcome, verdicts));
        if let Some(collected) = self.collected {
            collected.lock().await.push(news);
            return Ok(done);
        }
        self.publish(&news.verdicts, News::addressees([&news]))
            .await?;
        if news.claims.iter().any(|claim| !claim.only_counts()) {
            let heard = self.topic.is_heard().await;
            self.state.commit(&news, heard).await;
        }
        let Some((mut outcome, verdicts)) = done else {
            return Ok(None);
        };
        if let Some(look) = &report.conforms {
            self.remember_conforming(look).await;
        }
        if let (Some(seconds), Some((queue, event))) = (report.look_again_in, self.waits_in()) {
            let before = self.reconciler.invocation.deferred;
            let (_, deferred) = queue.defer(event, before, Some(seconds)).await?;
            outcome.deferred = Some(deferred);
        }
        Ok(Some((outcome, verdicts)))
    }

    /// The claims that are this invocation's, how their repairs went, and whether these are all. `None`: none is.
    async fn claim_and_repair(
        &self,
        claims: Vec<Claim>,
        recorded: bool,
        now: i64,
    ) -> Result<Option<(Vec<Claim>, Results, bool)>, String> {
        let claim = async {
            if recorded && !claims.is_empty() {
                self.claim(&claims, now).await
            } else {
                Ok(true)
            }
        };
        let of_registry = |claim: &Claim| claim.of_registry && claim.repair.is_some();
        let (claimed, results) = if claims.iter().any(of_registry) {
            // Other repositories may be about to make the same change of the registry: one of them makes it.
            match claim.await {
                Ok(true) => (Ok(true), self.repair(&claims).await),
                Ok(false) => return Ok(None),
                Err(why) => return Err(why.to_string()),
            }
        } else {
            tokio::join!(claim, self.repair(&claims))
        };
        let (ours, all_ours) = match claimed {
            Ok(true) => (claims, true),
            Ok(false) => (self.claim_each(claims, now).await, false),
            Err(why) => {
                // The alert matters more than its record: it may come twice, it is never lost.
                tracing::error!(repository = %self.id(), %why, "not recorded");
                (claims, true)
            }
        };
        if ours.is_empty() && !all_ours {
            return Ok(None);
        }
        // A repair that a retry may make is not reported as failed: the claim waits for the retry, which makes it and reports.
        Ok(Some((ours, results?, all_ours)))
    }

    /// A push to a repository that conforms: the next ones need not read it.
    async fn remember_conforming(&self, look: &LastConforming) {
        if let Err(why) = self.state.conforms(self.id(), look).await {
            tracing::warn!(repository = %self.id(), %why, "that it conforms is not recorded");
        }
    }

    /// Reports it at once, also in a sweep, and records nothing: it happens once, and no later evaluation finds it.
    pub(super) async fn announce(&self, plan: Plan, now: i64) -> Result<(), String> {
        let record = Ok(Known::default());
        let report = self
            .reconciler
            .report(Resolved::nothing(), plan, record, None, now);
        let none = Results::new();
        let verdicts = verdicts(
            &report.policy,
            self.id(),
            &report.plan,
            &report.record,
            &report.claims,
            &none,
            now,
        );
        let addressees = Addressees::of([(self.id(), None)]);
        self.publish(&verdicts, addressees).await
    }

    async fn publish(&self, verdicts: &[Verdict], addressees: Addressees) -> Result<(), String> {
        let origin = &self.reconciler.trigger.origin;
        match Alert::of(self.id(), &self.reconciler.invocation.id, origin, verdicts) {
            Some(alert) => {
                let alert = alert.with_addressees(addressees);
                self.topic.publish(&alert).await
            }
            None => Ok(()),
        }
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
            match self.state.claim(self.id(), all, now).await {
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
                let why = "not made, because another change of the same setting failed before it";
                let why = Reason::new(Code::EarlierStepFailed, why);
                results.insert(rule.to_owned(), Err(why));
                continue;
            }
            let result = match self.apply(action).await {
                Ok(()) => Ok(()),
                Err(NotApplied::Later(why)) => return Err(why),
                Err(NotApplied::Failed(why) | NotApplied::Marked { why, .. }) => {
                    tracing::error!(repository = %self.id(), rule, repair_failed = true, %why, "repair failed");
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
                    let known = self.state.load(self.id()).await?;
                    if known.intent.is_some() {
                        return Err(NotApplied::Later(why.text));
                    }
                }
                tracing::warn!(repository = %self.id(), marker, "a marker without a recreation on record is ignored");
                apply_despite(&self.aws, self.id(), action, Some(&marker)).await
            }
            other => other,
        }
    }
}

/// Marks what was already reported, such as a repair that fails again for the same reason.
fn suppress_unchanged(claims: &[Claim], verdicts: &mut [Verdict], context: &Context<'_>) {
    for verdict in verdicts {
        if let Some(claim) = claims.iter().find(|claim| claim.rule == verdict.rule) {
            verdict.news = is_news(claim, verdict.status, &verdict.to_do, context);
        }
    }
}
