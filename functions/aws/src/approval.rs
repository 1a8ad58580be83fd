//! Someone approves a change that waits for that. It is on record then, and a function makes it.

use ecr_warden_core::approval::{Approval, Offer};
use ecr_warden_core::rules::entry;

use crate::connect::clients::Regional;
use crate::ecr::load::load_once;
use crate::operator::{NotRolledBack, aws, changes_under, write};
use crate::state::State;
use crate::state::scan::OnRecord;

/// The changes of all repositories that wait for approval.
///
/// # Errors
/// The state table can't be read.
pub async fn offers(state: &State) -> Result<OnRecord<Offer>, NotRolledBack> {
    state.offers().await.map_err(aws)
}

/// Approves a change that an operator has seen, if it still waits and no one has changed the setting since. `who` approves it.
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
    let refused = |why: String| Err(NotRolledBack::Refused(why));
    let of_registry = entry(rule).filter(|_| action.is_of_registry());
    let of_registry = of_registry.map(|entry| entry.meta.id);
    let known = changes_under(state, id, of_registry.into_iter()).await?;
    if !known.offers(id).contains(offer) {
        return refused("it does not wait for approval any more: list what waits again".to_owned());
    }
    let record = known.repairs.get(rule).cloned().unwrap_or_default();
    if let Some(held) = &record.held {
        return refused(format!(
            "{}: `ecr-warden resume {} {rule}`",
            held.why, id.name
        ));
    }
    let seen = load_once(regional, id, &action.reads())
        .await
        .map_err(aws)?;
    let is_other = !known
        .said
        .get(rule)
        .is_some_and(|said| said.is_of(seen.created_at));
    if is_other || !action.stands_on(&seen).map_err(aws)? {
        let what = if is_other {
            "the repository was deleted and created again since".to_owned()
        } else {
            format!("it was changed since and is not {} any more", action.from())
        };
        return refused(format!(
            "{what}; the next event or sweep says what is to be changed now"
        ));
    }
    let approval = Approval::new(action.clone(), who, now, seen.created_at);
    let subject = id.subject(known.of_registry.contains(rule.as_str()));
    write(state, &subject, rule, &record.with_approval(approval), now).await
}
