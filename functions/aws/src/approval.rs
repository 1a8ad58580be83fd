//! Someone approves a change that waits for that. It is on record then, and a function makes it.

use ecr_warden_core::approval::{Approval, Offer};
use ecr_warden_core::record::Known;

use crate::connect::clients::Regional;
use crate::ecr::load::{LoadError, load_once};
use crate::operator::{NotRolledBack, aws, changes_under, registry_rule, suspended, write};
use crate::state::State;
use crate::state::scan::OnRecord;

/// The changes of all repositories that wait for approval, by the state table.
///
/// # Errors
/// The state table can't be read.
pub async fn offers(state: &State) -> Result<OnRecord<Offer>, NotRolledBack> {
    state.offers().await.map_err(aws)
}

/// Whether a change can be approved.
#[derive(Debug)]
pub enum Approvable {
    /// When the repository was created, in milliseconds since the epoch, and what is on record of it.
    Yes(Option<i64>, Box<Known>),
    /// The repository was deleted.
    Gone,
    /// Why not, in one line.
    No(String),
}

/// Asks the state table and ECR whether a change still waits and fits.
///
/// # Errors
/// One of them can't be read.
pub async fn approvable(
    regional: &Regional,
    state: &State,
    offer: &Offer,
) -> Result<Approvable, NotRolledBack> {
    let Offer {
        id, rule, action, ..
    } = offer;
    let no = |why: String| Ok(Approvable::No(why));
    let known = changes_under(state, id, registry_rule(rule, action).into_iter()).await?;
    if let Some(why) = known.unreadable(rule) {
        return no(format!(
            "its record cannot be read, so update ecr-warden: {why}"
        ));
    }
    if !known.offers(id).contains(offer) {
        return no("it does not wait for approval any more: list what waits again".to_owned());
    }
    let record = known.repairs.get(rule);
    if let Some(why) = record.and_then(|record| suspended(record, id, rule)) {
        return no(why);
    }
    let seen = match load_once(regional, id, &action.reads()).await {
        Ok(seen) => seen,
        Err(LoadError::Gone) => return Ok(Approvable::Gone),
        Err(error) => return Err(aws(error)),
    };
    let said = known.said.get(rule);
    let what = if !said.is_some_and(|said| said.is_of(seen.created_at)) {
        "the repository was deleted and created again since".to_owned()
    } else if !action.stands_on(&seen).map_err(aws)? {
        format!("it was changed since and is not {} any more", action.from())
    } else {
        return Ok(Approvable::Yes(seen.created_at, Box::new(known)));
    };
    no(format!(
        "{what}; the next event or sweep says what is to be changed now"
    ))
}

/// Approves a change that an operator has seen, if it still waits and fits. `who` approves it.
///
/// # Errors
/// Why it is not approved. Then all is as it was.
pub async fn approve(
    regional: &Regional,
    state: &State,
    offer: &Offer,
    who: &str,
    now: i64,
) -> Result<(), NotRolledBack> {
    let Offer {
        id, rule, action, ..
    } = offer;
    let (created_at, known) = match approvable(regional, state, offer).await? {
        Approvable::Yes(created_at, known) => (created_at, known),
        Approvable::Gone => {
            let why = "the repository does not exist any more".to_owned();
            return Err(NotRolledBack::Refused(why));
        }
        Approvable::No(why) => return Err(NotRolledBack::Refused(why)),
    };
    let created_at = created_at.filter(|_| !action.is_of_registry());
    let record = known.repairs.get(rule).cloned().unwrap_or_default();
    let approval = Approval::new(action.clone(), who, now, created_at);
    let subject = id.subject(known.of_registry.contains(rule.as_str()));
    write(state, &subject, rule, &record.with_approval(approval), now).await
}

/// Whether a change has been made that was approved a moment ago: its approval is used up.
///
/// # Errors
/// The state table can't be read.
pub async fn is_made(state: &State, offer: &Offer, now: i64) -> Result<bool, NotRolledBack> {
    let subject = offer.id.subject(offer.action.is_of_registry());
    let known = state.load(&subject).await.map_err(aws)?;
    Ok(known
        .repairs
        .get(&offer.rule)
        .is_some_and(|record| record.was_made_lately(&offer.action, now)))
}
