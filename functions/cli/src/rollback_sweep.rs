//! `ecr-warden rollback --sweep`: all changes of a sweep are rolled back.

use ecr_warden_aws::{NotRolledBack, SeenChange, changes_under, read_changes, roll_back};
use ecr_warden_core::ledger::{Change, Undo, undo};
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::text::one_line;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use crate::Compliance;
use crate::ask::agreed;
use crate::connected::{At, There, failure, now};
use crate::failure::CommandError;
use crate::output::say;

/// Records that are read side by side.
const AT_ONCE: usize = 8;

/// `as_json`: the results at the end are all that is printed.
pub(crate) async fn run(
    at: At,
    location: &str,
    yes: bool,
    as_json: bool,
) -> Result<Compliance, CommandError> {
    let print = |text: String| {
        if !as_json {
            say!("{text}");
        }
    };
    let mut results = Vec::new();
    let mut result = |change: &Change, result: &str, why: Option<&str>| {
        let Change {
            repository,
            rule,
            from,
            to,
            ..
        } = change;
        results.push(json!({ "repository": repository, "rule": rule, "from": to, "to": from, "result": result, "why": why }));
    };
    let there = at.connect().await?;
    let listed = read_changes(&there.clients, location)
        .await
        .map_err(CommandError::Aws)?;
    let planned = plan(&there, &listed).await?;
    let mut to_do = Vec::new();
    for (change, id, decision) in &planned {
        let what = format!(
            "{}, {}: {} → {}",
            id.name,
            shown(&change.rule),
            shown(&change.to),
            shown(&change.from)
        );
        match decision {
            Undo::RollBack => {
                print(format!("roll back  {what}"));
                to_do.push((*change, id));
            }
            Undo::Done => {
                print(format!("done       {what}: it was rolled back already"));
                result(change, "done-before", None);
            }
            Undo::Impossible(why) => {
                print(format!("leave      {what}: {why}"));
                result(change, "left", Some(why));
            }
        }
    }
    if to_do.is_empty() {
        print(format!(
            "None of the {} changes can be rolled back.",
            listed.len()
        ));
        if as_json {
            say!("{}", swept(&results));
        }
        return Ok(Compliance::Nothing);
    }
    let question = format!("Roll back {} of {} changes?", to_do.len(), listed.len());
    if !yes && !agreed(&question)? {
        return Err(CommandError::Usage("nothing was rolled back".to_owned()));
    }
    let mut failed = Vec::new();
    for (change, id) in &to_do {
        match one(&there, id, change).await {
            Ok(()) => result(change, "rolled-back", None),
            Err(why) => {
                print(format!(
                    "not rolled back  {}, {}: {why}",
                    id.name,
                    shown(&change.rule)
                ));
                result(change, "failed", Some(&why));
                failed.push(why);
            }
        }
    }
    let done = to_do.len().saturating_sub(failed.len());
    print(format!(
        "{done} of {} changes were rolled back. Their rules leave the repositories alone until `ecr-warden resume REPOSITORY RULE`.",
        listed.len()
    ));
    if as_json {
        say!("{}", swept(&results));
    }
    match failed.pop() {
        None => Ok(Compliance::Nothing),
        Some(last) => Err(CommandError::Aws(format!(
            "{} changes were not rolled back; run the same command again. The last: {last}",
            failed.len().saturating_add(1)
        ))),
    }
}

fn swept(results: &[Value]) -> Value {
    json!({ "schema": "ecr-warden.rollback-sweep/1", "changes": results })
}

/// What becomes of each change, by what is on record now.
async fn plan<'c>(
    there: &There,
    listed: &'c [Change],
) -> Result<Vec<(&'c Change, RepositoryId, Undo)>, CommandError> {
    stream::iter(listed)
        .map(|change| async move {
            let id = RepositoryId::from_arn(&change.repository).ok_or_else(|| {
                CommandError::Usage(format!("`{}` is no repository's ARN", change.repository))
            })?;
            let known = on_record(there, &id, change).await.map_err(failure)?;
            let decision = undo(change, &known);
            Ok((change, id, decision))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// A change of the registry is on record for the registry.
async fn on_record(
    there: &There,
    id: &RepositoryId,
    change: &Change,
) -> Result<Known, NotRolledBack> {
    changes_under(&there.state, id, change.of_registry().into_iter()).await
}

async fn one(there: &There, id: &RepositoryId, change: &Change) -> Result<(), String> {
    // Something may have changed while the question was open.
    let known = on_record(there, id, change)
        .await
        .map_err(|error| error.to_string())?;
    match undo(change, &known) {
        Undo::RollBack => {}
        Undo::Done => return Ok(()),
        Undo::Impossible(why) => return Err(why.to_owned()),
    }
    let newest = known.repairs.get(&change.rule);
    let newest = newest.and_then(|repairs| repairs.history.first());
    let newest = newest.ok_or("the change is not on record")?;
    let seen = SeenChange {
        rule: &change.rule,
        number: 0,
        action: &newest.action,
    };
    let regional = there
        .clients
        .of(&id.account, &id.region)
        .map_err(|error| error.to_string())?;
    let who = &there.caller.arn;
    roll_back(&regional, &there.state, id, seen, who, now())
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Each caller that may write to the bucket can have written it.
fn shown(text: &str) -> String {
    one_line(text, 200)
}
