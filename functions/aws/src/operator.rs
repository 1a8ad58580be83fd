//! What a person has changed or put back: on record like a repair by an event, so that nothing works against it.

use ecr_warden_core::action::Action;
use ecr_warden_core::ledger::ROLLBACK;
use ecr_warden_core::record::{Held, Known, Newer, Repair, Repairs, Result as RepairResult};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::rules::{RULES, entry};
use ecr_warden_core::trigger::Cause;

use crate::connect::clients::Regional;
use crate::ecr::apply::{NotApplied, apply};
use crate::ecr::load::load_once;
use crate::state::State;
use crate::state::scan::{OnRecord, RuleRepairs};

/// Why nothing was put back. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum NotRolledBack {
    /// There is nothing to put back, or it must not be.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Aws(String),
}

pub(crate) fn aws(why: impl ToString) -> NotRolledBack {
    NotRolledBack::Aws(why.to_string())
}

/// The record of all changes of a repository and of the registry that it is in, by rule.
///
/// # Errors
/// The state table can't be read.
pub async fn changes(state: &State, id: &RepositoryId) -> Result<Known, NotRolledBack> {
    let known = state.load(id).await.map_err(aws)?;
    let registry = state.load(&id.registry()).await.map_err(aws)?;
    // A change of the repository by the same rule hides the registry's: another repository's name lists that.
    let own = |rule: &str| {
        let record = known.repairs.get(rule);
        record.is_some_and(|it| it.history.iter().any(|it| !it.action.is_of_registry()))
    };
    let changed: Vec<&'static str> = RULES
        .iter()
        .map(|entry| entry.meta.id)
        .filter(|rule| registry.repairs.contains_key(*rule) && !own(rule))
        .collect();
    Ok(known.with_registry(changed.into_iter(), &registry))
}

/// The same for a policy: the record of these rules is the registry's, because their repairs change it.
///
/// # Errors
/// The state table can't be read.
pub async fn changes_under(
    state: &State,
    id: &RepositoryId,
    of_registry: impl Iterator<Item = &'static str>,
) -> Result<Known, NotRolledBack> {
    let known = state.load(id).await.map_err(aws)?;
    let mut of_registry = of_registry.peekable();
    if of_registry.peek().is_none() {
        return Ok(known);
    }
    let registry = state.load(&id.registry()).await.map_err(aws)?;
    Ok(known.with_registry(of_registry, &registry))
}

/// The rule, where its change is the registry's and on record there.
pub(crate) fn registry_rule(rule: &str, action: &Action) -> Option<&'static str> {
    let of_registry = entry(rule).filter(|_| action.is_of_registry());
    of_registry.map(|entry| entry.meta.id)
}

/// Why a rule may not change a repository until an operator says so; `None`: it may.
pub(crate) fn suspended(record: &Repairs, id: &RepositoryId, rule: &str) -> Option<String> {
    let held = record.held.as_ref()?;
    Some(format!(
        "{}: `ecr-warden resume {} {rule}`",
        held.why, id.name
    ))
}

/// A change that an operator has seen, and has put back.
#[derive(Clone, Copy, Debug)]
pub struct SeenChange<'c> {
    pub rule: &'c str,
    /// Its number among the rule's, the newest first, from 0.
    pub number: usize,
    pub action: &'c Action,
}

/// The repairs that the state table remembers of all repositories and registries.
///
/// # Errors
/// The state table can't be read.
pub async fn all_repairs(state: &State) -> Result<OnRecord<RuleRepairs>, NotRolledBack> {
    state.all_repairs().await.map_err(aws)
}

/// Puts a change back, if nobody has changed the setting since. The rule does not repair it again until [`resume`]. `who` asked for it.
///
/// # Errors
/// Why it is not put back. Then all is as it was.
pub async fn roll_back(
    regional: &Regional,
    state: &State,
    id: &RepositoryId,
    SeenChange {
        rule,
        number,
        action,
    }: SeenChange<'_>,
    who: &str,
    now: i64,
) -> Result<Repair, NotRolledBack> {
    let refused = |why: String| NotRolledBack::Refused(why);
    let known = changes_under(state, id, registry_rule(rule, action).into_iter()).await?;
    let record = known.repairs.get(rule).cloned().unwrap_or_default();
    let change = record.history.get(number);
    if change.is_none_or(|change| change.action != *action) {
        return Err(refused(format!(
            "`{rule}` has changed {} again in the meantime: list the changes again",
            id.name
        )));
    }
    let reverse = action.reverse().ok_or_else(|| {
        refused(
            "a recreation cannot be rolled back, because ECR cannot change encryption; to return \
             to the old encryption, delete the repository and create it again"
                .to_owned(),
        )
    })?;
    if known.intent.is_some() {
        return Err(refused(
            "it is being recreated at the moment: try again when that is done".to_owned(),
        ));
    }
    let seen = load_once(regional, id, &reverse.reads())
        .await
        .map_err(aws)?;
    if !reverse.stands_on(&seen).map_err(aws)? {
        return Err(refused(format!(
            "it was changed since and is not {} any more, so nothing was rolled back",
            reverse.from()
        )));
    }
    // First: what is put back would be repaired at once.
    let subject = id.subject(known.of_registry.contains(rule));
    let held = record.with_held(Some(Held {
        why: format!("rolled back by {who}; repairs are suspended until `ecr-warden resume`"),
        at: now,
        by_person: true,
    }));
    write(state, &subject, rule, &held, now).await?;
    match apply(regional, id, &reverse).await {
        Ok(()) => {
            let repair = Repair {
                action: reverse,
                result: RepairResult::Done,
                at: now,
                cause: ROLLBACK.to_owned(),
                actor: Some(who.to_owned()),
                approved_by: None,
                newer: Newer::default(),
            };
            write(state, &subject, rule, &held.with(repair.clone()), now).await?;
            Ok(repair)
        }
        Err(NotApplied::Later(why)) => {
            // It may have been made all the same: the hold stays, which is the safe side.
            Err(aws(format!(
                "{why}; it is not known whether the rollback took effect, and repairs are \
                 suspended until `ecr-warden resume`"
            )))
        }
        Err(NotApplied::Failed(why) | NotApplied::Marked { why, .. }) => {
            write(
                state,
                &subject,
                rule,
                &held.with_held(record.held.clone()),
                now,
            )
            .await?;
            Err(aws(why))
        }
    }
}

/// Makes a repair that a person has agreed to. It is on record before it is made.
///
/// # Errors
/// Why it is not made.
pub async fn repair(
    regional: &Regional,
    state: &State,
    id: &RepositoryId,
    (rule, action): (&str, &Action),
    who: &str,
    now: i64,
) -> Result<(), NotRolledBack> {
    let refused = |why: String| Err(NotRolledBack::Refused(why));
    let subject = id.subject(action.is_of_registry());
    let mut known = state.load(&subject).await.map_err(aws)?;
    let record = known.repairs.remove(rule).unwrap_or_default();
    // Much may have happened since it was planned: an operator has read the plan and agreed to it.
    if let Some(why) = suspended(&record, id, rule) {
        return refused(why);
    }
    if known.intent.is_some() {
        return refused("it is being recreated: try again when that is done".to_owned());
    }
    let seen = load_once(regional, id, &action.reads())
        .await
        .map_err(aws)?;
    // Several repositories can ask for the same change of the registry.
    if action.is_done(&seen).map_err(aws)? {
        return Ok(());
    }
    if !action.stands_on(&seen).map_err(aws)? {
        return refused(format!("it is not {} any more", action.from()));
    }
    let begun = record.with(Repair {
        action: action.clone(),
        result: RepairResult::Begun,
        at: now,
        cause: Cause::AuditFix.name().to_owned(),
        actor: Some(who.to_owned()),
        approved_by: None,
        newer: Newer::default(),
    });
    write(state, &subject, rule, &begun, now).await?;
    let result = apply(regional, id, action).await;
    let (settled, answer) = match result {
        Ok(()) => (RepairResult::Done, Ok(())),
        // It may have been made all the same.
        Err(NotApplied::Later(why)) => return Err(aws(why)),
        Err(NotApplied::Failed(why) | NotApplied::Marked { why, .. }) => {
            (RepairResult::Failed(why.text.clone()), Err(aws(why)))
        }
    };
    write(state, &subject, rule, &begun.with_result(settled), now).await?;
    answer
}

/// Lets a rule repair again what was rolled back or fought over. `who` asked for it.
///
/// # Errors
/// Nothing is held back, or the state table can't be written.
pub async fn resume(
    state: &State,
    id: &RepositoryId,
    rule: &str,
    who: &str,
    now: i64,
) -> Result<(), NotRolledBack> {
    let known = changes(state, id).await?;
    match known.repairs.get(rule) {
        Some(record) if record.held.is_some() => {
            let subject = id.subject(known.of_registry.contains(rule));
            write(state, &subject, rule, &record.resumed(who, now), now).await
        }
        _ => Err(NotRolledBack::Refused(format!(
            "repairs by `{rule}` are not suspended for {}",
            id.name
        ))),
    }
}

pub(crate) async fn write(
    state: &State,
    id: &RepositoryId,
    rule: &str,
    record: &Repairs,
    now: i64,
) -> Result<(), NotRolledBack> {
    match state.record(id, rule, record, now).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NotRolledBack::Refused(
            "ecr-warden is at work on it at the same time: try again".to_owned(),
        )),
        Err(failure) => Err(aws(failure)),
    }
}
