//! `ecr-warden rollback --sweep`: all changes of a sweep are rolled back.

use ecr_warden_aws::{NotRolledBack, SeenChange, changes_under, read_changes, roll_back};
use ecr_warden_core::ledger::{Change, Undo, undo};
use ecr_warden_core::record::Known;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::text::one_line;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::Compliance;
use crate::connected::{At, There, agreed, failure, now};
use crate::failure::CommandError;
use crate::output::say;

/// Records that are read side by side.
const AT_ONCE: usize = 8;

pub(crate) async fn run(at: At, location: &str, yes: bool) -> Result<Compliance, CommandError> {
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
                say!("roll back  {what}");
                to_do.push((*change, id));
            }
            Undo::Done => say!("done       {what}: it was rolled back already"),
            Undo::Impossible(why) => say!("leave      {what}: {why}"),
        }
    }
    if to_do.is_empty() {
        say!("None of the {} changes can be rolled back.", listed.len());
        return Ok(Compliance::Nothing);
    }
    let question = format!("Roll back {} of {} changes?", to_do.len(), listed.len());
    if !yes && !agreed(&question)? {
        return Err(CommandError::Usage("nothing was rolled back".to_owned()));
    }
    let mut failed = Vec::new();
    for (change, id) in &to_do {
        if let Err(why) = one(&there, id, change).await {
            say!(
                "not rolled back  {}, {}: {why}",
                id.name,
                shown(&change.rule)
            );
            failed.push(why);
        }
    }
    let done = to_do.len().saturating_sub(failed.len());
    say!(
        "{done} of {} changes were rolled back. Their rules leave the repositories alone until `ecr-warden resume REPOSITORY RULE`.",
        listed.len()
    );
    match failed.pop() {
        None => Ok(Compliance::Nothing),
        Some(last) => Err(CommandError::Aws(format!(
            "{} changes were not rolled back; run the same command again. The last: {last}",
            failed.len().saturating_add(1)
        ))),
    }
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
