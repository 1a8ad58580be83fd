//! `ecr-warden doctor --canary`: creates an empty repository, follows it through event, repair and alert, and removes what it created.
//!
//! A run creates things by names that no other run has, and removes by these names: also what it created by a call whose answer never came.

mod queue;
mod repository;

use std::time::{Duration, Instant};

use ecr_warden_core::doctor::{
    AlertHop, CanaryAlert, CanaryFinding, CanaryNames, CanaryRun, NoAnswer,
};
use ecr_warden_core::repository::RepositoryId;
use serde_json::json;

use crate::connect::clients::Clients;
use crate::connect::profiles::Caller;
use crate::deployed::DeployedAuditor;
use crate::doctor::settings::subscriptions;
use crate::doctor::stack::{needs_stack, resources, summary};
use crate::pipeline::nonce;
use queue::TemporaryQueue;
use repository::CanaryRepository;

/// Between two looks at the repository.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes a run. `wait`: the longest time for repair and alert. `stop`: ends the waiting early; what was created is removed in any case.
pub async fn canary(
    clients: &Clients,
    caller: &Caller,
    stack: &str,
    wait: Duration,
    say: impl Fn(&str),
    stop: impl Future<Output = ()>,
) -> CanaryRun {
    let (of_stack, topic) = tokio::join!(
        summary(clients.config(), stack),
        audible_topic(clients, stack)
    );
    let prefix = of_stack.as_ref().map(|it| it.repository_prefix.as_str());
    let names = CanaryNames::new(prefix.unwrap_or_default(), nonce());
    let hop = match &topic {
        Ok(_) => AlertHop::Awaited,
        Err(why) => AlertHop::NotFollowed(why.clone()),
    };
    let mut run = CanaryRun::new(names, hop);
    let repository = match of_stack {
        Ok(_) => CanaryRepository::new(clients, caller, &run.names),
        Err(why) => Err(needs_stack(&why)),
    };
    let repository = match repository {
        Ok(repository) => repository,
        Err(why) => {
            run.created = Err(why);
            return run;
        }
    };
    let queue = topic
        .ok()
        .map(|topic| TemporaryQueue::new(clients.config(), topic, &run.names.queue));

    say("creating the repository");
    if let Some(queue) = &queue
        && let Err(why) = queue.open().await
    {
        run.alert = AlertHop::NotFollowed(why);
    }
    run.created = repository.create().await;
    if run.created.is_ok() {
        let follow = follow(&mut run, &repository, queue.as_ref(), wait, &say);
        let stopped = tokio::select! {
            () = follow => false,
            () = stop => true,
        };
        run.stopped = stopped;
        if !stopped {
            if run.reported().is_none() {
                say("asking the auditor what it finds");
                run.audited = Some(audit(clients, stack, &repository.id).await);
            }
            say("looking at how this AWS behaves");
            run.observations = repository.observe().await;
        }
    }
    say("removing what was created");
    if let Some(queue) = &queue {
        run.leftovers = queue.remove().await;
    }
    run.leftovers.extend(repository.remove(&run.created).await);
    run
}

/// The alert topic, if it has a confirmed subscription: while the run's queue is subscribed, the functions take each alert as delivered.
async fn audible_topic(clients: &Clients, stack: &str) -> Result<String, NoAnswer> {
    let all = resources(clients.config(), stack).await;
    let all = all.map_err(|why| needs_stack(&why))?;
    let topic = all.physical("AlertTopic");
    if subscriptions(clients.config(), topic).await?.confirmed == 0 {
        return Err(NoAnswer::NotAsked(
            "the alert topic has no confirmed subscription. The functions would take the canary's queue for a subscriber, and other alerts as delivered".to_owned(),
        ));
    }
    Ok(topic.unwrap_or_default().to_owned())
}

/// Until nothing more is to be expected, or for as long as the operator wants.
async fn follow(
    run: &mut CanaryRun,
    repository: &CanaryRepository,
    queue: Option<&TemporaryQueue>,
    wait: Duration,
    say: &impl Fn(&str),
) {
    let begin = Instant::now();
    let arn = repository.id.arn();
    loop {
        run.waited = begin.elapsed();
        if run.is_complete() || run.waited >= wait {
            return;
        }
        let repair = match run.immutable_after {
            Some(_) => "repaired; waiting for the alert",
            None => "waiting for repair and alert",
        };
        say(&format!("{repair} ({} s)", run.waited.as_secs()));
        if run.immutable_after.is_none() && repository.is_immutable().await {
            run.immutable_after = Some(begin.elapsed());
        }
        let followed = !matches!(run.alert, AlertHop::NotFollowed(_));
        match queue {
            Some(queue) if followed && run.reported().is_none() => {
                let messages = queue.receive().await;
                let mut messages = messages.iter();
                let alert = messages.find_map(|it| CanaryAlert::read(it, &arn, begin.elapsed()));
                if let Some(alert) = alert {
                    run.alert = AlertHop::Received(alert);
                }
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// What the deployed auditor finds in the repository, by the policy in force.
async fn audit(
    clients: &Clients,
    stack: &str,
    id: &RepositoryId,
) -> Result<Vec<CanaryFinding>, NoAnswer> {
    let other = |why: crate::deployed::NotAnswered| NoAnswer::Other(why.to_string());
    let auditor = DeployedAuditor::of_stack(clients, stack)
        .await
        .map_err(other)?;
    let request = json!({ "repositories": [id.name] });
    let audit = auditor.ask(&request).await.map_err(other)?;
    let findings = audit.findings.unwrap_or_default();
    let of_it = findings
        .into_iter()
        .filter(|finding| finding.repository == id.arn());
    Ok(of_it
        .map(|finding| CanaryFinding {
            rule: finding.rule,
            status: finding.status,
            reason: finding.reason,
            detail: finding.detail,
            advice: finding.to_do,
        })
        .collect())
}
