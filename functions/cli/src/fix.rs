//! `ecr-warden audit --fix`: the repairs are shown, agreed to, and made one by one. It speaks on standard error: standard
//! output has the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use ecr_warden_aws::{Caller, Clients, Judged, State, changes_under, repair, stopped};
use ecr_warden_core::action::Action;
use ecr_warden_core::finding::Fix;
use ecr_warden_core::plan::{Decision, plan};
use ecr_warden_core::record::{Context, Lease};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Cause, Origin};
use time::OffsetDateTime;

use crate::ask::{agreed, these_changes};
use crate::connected::failure;
use crate::failure::CommandError;
use crate::output::{Stream, count, lines, remark, table};
use crate::signals::stopped_by_signal;

/// One repair that is to be made.
struct PlannedRepair {
    id: RepositoryId,
    rule: &'static str,
    action: Action,
    /// The rule objects to nothing more when it is made.
    settles: bool,
}

#[derive(Default)]
struct PlannedRepairs {
    steps: Vec<PlannedRepair>,
    /// Repositories that are to be recreated, which is not done here.
    recreations: usize,
    /// Findings that could be repaired and are not, because the policy only monitors.
    monitored: usize,
    /// Findings that could be repaired and are not, by what stops all changes of their repositories.
    held: BTreeMap<String, usize>,
}

/// What became of it.
pub(crate) enum Fixed {
    Declined,
    /// What is not found any more: the ARN of the repository, and the rule.
    Made(BTreeSet<(String, &'static str)>),
}

/// Makes what the policy would have the enforcer make, but for recreations, which need its write-ahead record.
pub(crate) async fn fix(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    judged: Vec<Judged>,
    yes: bool,
) -> Result<Fixed, CommandError> {
    let to_do = steps(state, judged).await?;
    for line in beside(&to_do) {
        remark!("{line}");
    }
    let steps = to_do.steps;
    if steps.is_empty() {
        return Ok(Fixed::Made(BTreeSet::new()));
    }
    remark!("{}", shown(&steps));
    if !yes && !agreed(&question(&caller.account, &steps))? {
        remark!("nothing was changed");
        return Ok(Fixed::Declined);
    }
    make(clients, caller, state, &steps).await?;
    let settled = steps.into_iter().filter(|step| step.settles);
    Ok(Fixed::Made(
        settled.map(|step| (step.id.arn(), step.rule)).collect(),
    ))
}

/// What there is to say of that which is not repaired here.
fn beside(to_do: &PlannedRepairs) -> Vec<String> {
    let mut said = Vec::new();
    match to_do.recreations {
        0 => {}
        1 => said.push(
            "1 empty repository is to be recreated: the enforcer or the next sweep does that"
                .to_owned(),
        ),
        n => said.push(format!(
            "{n} empty repositories are to be recreated: the enforcer or the next sweep does that"
        )),
    }
    if to_do.monitored > 0 {
        said.push(format!(
            "{} left alone: the policy only monitors there; `mode: enforce` has it repaired",
            count(to_do.monitored, "finding is", "findings are")
        ));
    }
    for (why, findings) in &to_do.held {
        said.push(format!(
            "{} left alone: {why}",
            count(*findings, "finding is", "findings are")
        ));
    }
    if to_do.steps.is_empty() && said.is_empty() {
        said.push("no finding can be repaired here".to_owned());
    }
    said
}

fn regions(steps: &[PlannedRepair]) -> Vec<&str> {
    let regions: BTreeSet<&str> = steps.iter().map(|step| step.id.region.as_str()).collect();
    regions.into_iter().collect()
}

fn shown(steps: &[PlannedRepair]) -> String {
    let several = regions(steps).len() > 1;
    let header = ["region", "repository", "rule", "from", "to"];
    let from_column = if several { 0 } else { 1 };
    let mut shown = table(&header[from_column..], Stream::Error);
    for step in steps {
        let (from, to) = (step.action.from(), step.action.to());
        let row = [&step.id.region, &step.id.name, step.rule, &from, &to];
        shown.add_row(&row[from_column..]);
    }
    lines(&shown)
}

fn question(account: &str, steps: &[PlannedRepair]) -> String {
    let what = these_changes(steps.len());
    format!(
        "Make {what} in account {account}, {}?",
        regions(steps).join(", ")
    )
}

async fn steps(state: &State, judged: Vec<Judged>) -> Result<PlannedRepairs, CommandError> {
    let me = Lease {
        owner: String::new(),
        until: 0,
    };
    let origin = Origin::of(Cause::AuditFix);
    let stopped = stopped(state).await.map_err(failure)?;
    let mut to_do = PlannedRepairs::default();
    for Judged {
        repository,
        policy,
        findings,
    } in judged
    {
        let policy = policy.for_operator().held(stopped.clone());
        let known = changes_under(state, &repository.id, policy.registry_rules())
            .await
            .map_err(failure)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let context = Context {
            origin: &origin,
            me: &me,
            now,
            created_at: repository.created_at,
        };
        let monitored = findings.iter().filter(|finding| {
            let only = policy
                .rule(finding.rule)
                .is_some_and(|active| !active.enforce);
            let exempt = policy.exemption(finding.rule, &repository.tags, now);
            only && !matches!(finding.violation.fix, Fix::Manual(_)) && matches!(exempt, Ok(None))
        });
        to_do.monitored = to_do.monitored.saturating_add(monitored.count());
        let unsettled: BTreeSet<&str> = findings
            .iter()
            .filter(|finding| finding.left.is_some())
            .map(|finding| finding.rule)
            .collect();
        let plan = plan(&policy, &repository, findings, Ok(&known), &context);
        let held = plan.steps.iter().filter_map(|step| match &step.decision {
            Decision::Withhold(why) => policy.holds.iter().find(|hold| hold.code == why.code),
            _ => None,
        });
        for hold in held {
            let count = to_do.held.entry(hold.text.clone()).or_default();
            *count = count.saturating_add(1);
        }
        if plan.recreation().is_some() {
            to_do.recreations = to_do.recreations.saturating_add(1);
            continue;
        }
        to_do
            .steps
            .extend(plan.repairs().map(|(rule, action)| PlannedRepair {
                id: repository.id.clone(),
                rule,
                action: action.clone(),
                settles: !unsettled.contains(rule),
            }));
    }
    // Not in the order in which they happened to be read.
    to_do
        .steps
        .sort_by(|a, b| (&a.id, a.rule).cmp(&(&b.id, b.rule)));
    Ok(to_do)
}

/// Ctrl-C ends it between two changes: none is left half made.
async fn make(
    clients: &Clients,
    caller: &Caller,
    state: &State,
    steps: &[PlannedRepair],
) -> Result<(), CommandError> {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    tokio::spawn(async {
        stopped_by_signal().await;
        STOPPED.store(true, Ordering::SeqCst);
        remark!("stopping after this change");
    });
    let mut failed: usize = 0;
    for (n, step) in steps.iter().enumerate() {
        if STOPPED.load(Ordering::SeqCst) {
            let rest = steps.len().saturating_sub(n);
            return Err(CommandError::Stopped(format!(
                "stopped: {} not made",
                count(rest, "change was", "changes were")
            )));
        }
        let regional = clients
            .of(&step.id.account, &step.id.region)
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let change = (step.rule, &step.action);
        let name = &step.id.name;
        match repair(&regional, state, &step.id, change, &caller.arn, now).await {
            Ok(()) => remark!("{name}: {} → {}", step.action.from(), step.action.to()),
            Err(error) => {
                failed = failed.saturating_add(1);
                remark!("{name}: {}: not changed: {error}", step.rule);
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(CommandError::Aws(format!(
            "{} not be made",
            count(failed, "change could", "changes could")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use ecr_warden_core::repository::TagMutability;

    use super::*;

    fn step(region: &str) -> PlannedRepair {
        PlannedRepair {
            id: RepositoryId {
                account: "123456789012".to_owned(),
                region: region.to_owned(),
                name: "shop/api".to_owned(),
            },
            rule: "mutable-tags",
            action: Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            },
            settles: true,
        }
    }

    #[test]
    fn the_question_names_account_and_regions() {
        let two = [step("us-east-1"), step("us-east-1")];
        assert_eq!(
            question("123456789012", &two),
            "Make these 2 changes in account 123456789012, us-east-1?"
        );
        assert_eq!(
            question("123456789012", &two[..1]),
            "Make this change in account 123456789012, us-east-1?"
        );
        let far = [step("us-east-1"), step("eu-west-1")];
        assert_eq!(
            question("123456789012", &far),
            "Make these 2 changes in account 123456789012, eu-west-1, us-east-1?"
        );
    }
}
