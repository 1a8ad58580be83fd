//! `ecr-warden audit --fix`: the repairs are shown, agreed to, and made one by one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use ecr_warden_aws::{Caller, Clients, Judged, State, changes, repair};
use ecr_warden_core::action::Action;
use ecr_warden_core::plan::plan;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::state::{Context, Lease};
use time::OffsetDateTime;

use crate::failure::Failure;
use crate::rollback::{agreed, failure};
use crate::rules::table;

/// One repair that is to be made.
struct Step {
    id: RepositoryId,
    rule: &'static str,
    action: Action,
}

/// Makes what the policy would have the enforcer make, but for recreations, which need its write-ahead record.
///
/// Answers what was repaired. What people are shown on the way goes to standard error: the report is on standard output.
pub(crate) async fn fix(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    judged: Vec<Judged>,
    yes: bool,
) -> Result<BTreeSet<(String, &'static str)>, Failure> {
    let monitored = judged.iter().all(|one| !one.policy.enforce);
    let (steps, left) = steps(state, judged).await?;
    if left > 0 {
        eprintln!(
            "{left} empty repositories are to be recreated: the enforcer or the next sweep does that."
        );
    }
    if steps.is_empty() {
        if monitored {
            eprintln!("nothing is repaired: the policy says `mode: monitor`");
        } else if left == 0 {
            eprintln!("there is nothing that could be repaired here");
        }
        return Ok(BTreeSet::new());
    }
    let regions: BTreeSet<&str> = steps.iter().map(|step| step.id.region.as_str()).collect();
    let regions = regions.into_iter().collect::<Vec<_>>().join(", ");
    let mut shown = table(&["repository", "region", "rule", "from", "to"]);
    for step in &steps {
        let (from, to) = (step.action.from(), step.action.to());
        let RepositoryId { name, region, .. } = &step.id;
        shown.add_row([name.as_str(), region, step.rule, &from, &to]);
    }
    eprintln!("{shown}");
    let question = format!(
        "Make these changes ({}) in account {}, {regions}?",
        steps.len(),
        caller.account
    );
    if !yes && !agreed(&question)? {
        eprintln!("nothing was changed");
        return Ok(BTreeSet::new());
    }
    make(clients, caller, state, &steps).await
}

/// The repairs, and how many recreations there are beside them.
async fn steps(state: &State, judged: Vec<Judged>) -> Result<(Vec<Step>, usize), Failure> {
    let me = Lease {
        owner: String::new(),
        until: 0,
    };
    let mut steps = Vec::new();
    let mut left: usize = 0;
    for Judged {
        repository,
        policy,
        findings,
    } in judged
    {
        let known = changes(state, &repository.id).await.map_err(failure)?;
        let context = Context {
            me: &me,
            now: OffsetDateTime::now_utc().unix_timestamp(),
            cause: "audit --fix",
            actor: None,
            created_at: repository.created_at,
        };
        let plan = plan(&policy, &repository, findings, Ok(&known), &context);
        if plan.recreation().is_some() {
            left = left.saturating_add(1);
            continue;
        }
        steps.extend(plan.repairs().map(|(rule, action)| Step {
            id: repository.id.clone(),
            rule,
            action: action.clone(),
        }));
    }
    Ok((steps, left))
}

/// Ctrl-C ends it between two changes: none is left half made.
async fn make(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    steps: &[Step],
) -> Result<BTreeSet<(String, &'static str)>, Failure> {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            STOPPED.store(true, Ordering::SeqCst);
            eprintln!("stopping after this change");
        }
    });
    let mut made = BTreeSet::new();
    let mut failed: usize = 0;
    for (n, step) in steps.iter().enumerate() {
        if STOPPED.load(Ordering::SeqCst) {
            let rest = steps.len().saturating_sub(n);
            return Err(Failure::Usage(format!(
                "stopped: {rest} changes were not made"
            )));
        }
        let regional = clients
            .of(&step.id.account, &step.id.region)
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let change = (step.rule, &step.action);
        match repair(&regional, state, &step.id, change, &caller.arn, now).await {
            Ok(()) => {
                made.insert((step.id.arn(), step.rule));
                eprintln!(
                    "{}: {} → {}",
                    step.id.name,
                    step.action.from(),
                    step.action.to()
                );
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                eprintln!("{}: {}: not changed: {error}", step.id.name, step.rule);
            }
        }
    }
    match failed {
        0 => Ok(made),
        failed => Err(Failure::Aws(format!("{failed} changes could not be made"))),
    }
}
