//! The protocol that replaces an empty repository by one with other encryption, as a pure state machine: what was
//! intended and what is seen decide the next step, so that any attempt can take over where another one died.
//!
//! INVARIANT: the intent, with the whole snapshot, is on record before the first change and until everything is
//! back. INVARIANT: a repository is only ever deleted without force, so that one image is enough to save it.
//! INVARIANT: the intent is cleared on what was seen, never on what ECR answered: an answer can be an error although ECR acted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::scan;
use crate::document;
use crate::repository::{Encryption, MARKER_TAG, REHEARSAL_TAG, Read, Repository};
use crate::text::one_line;

/// The write-ahead record, kept in the state table from before the deletion until everything is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The marker tag's value on the repository that this recreation makes.
    pub id: String,
    /// The rule that asked for it.
    pub rule: String,
    /// Everything that must be there again.
    pub before: Repository,
    pub to: Encryption,
    /// Why `to` was refused for good: since then the original encryption is the aim, so that nothing is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// What ECR answered to the deletion, where that was an error. ECR deletes a repository and answers an error when it can't retire
    /// the KMS grants (ECR User Guide, encryption at rest, "Troubleshooting"), so only a later attempt, whose reads are newer than the
    /// deletion, may believe that the repository is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// When ECR created the one that we made, in milliseconds since the epoch: by that it is known without its marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<i64>,
    pub cause: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Seconds since the epoch.
    pub started_at: i64,
    /// What a newer version recorded and this one cannot restore: its value as JSON by its place, as `before.some-setting`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, String>,
}

/// Longer values of unknown settings are cut.
const UNKNOWN_VALUE: usize = 500;
/// What is beyond is in the state table alone.
const UNKNOWN_SETTINGS: usize = 20;

/// The name of one delivery of an event: what holds the lease of a recreation. The same event can be delivered twice at the same time
/// under one request id or message id (Lambda, "How Lambda handles errors and retries"; SQS standard queues), so that the id alone
/// would let both in. `nonce` is random.
#[must_use]
pub fn delivery(request_id: &str, nonce: u64) -> String {
    format!("{request_id}/{nonce:016x}")
}

impl Intent {
    /// Reads a record as it is in the state table. What a newer version added does not keep the repository from being restored: it is
    /// in [`Intent::unknown`].
    ///
    /// # Errors
    /// A setting that this version knows is missing, or has a value that it does not know.
    pub fn parse(record: &str) -> Result<Self, serde_json::Error> {
        let mut places = Vec::new();
        let mut reader = serde_json::Deserializer::from_str(record);
        let mut intent: Self =
            serde_ignored::deserialize(&mut reader, |place| places.push(place.to_string()))?;
        reader.end()?;
        if places.is_empty() {
            return Ok(intent);
        }
        let whole: Value = serde_json::from_str(record)?;
        for place in places.into_iter().take(UNKNOWN_SETTINGS) {
            let value = whole.pointer(&format!("/{}", place.replace('.', "/")));
            let value = value.map_or_else(String::new, Value::to_string);
            let place = one_line(&place, UNKNOWN_VALUE);
            intent
                .unknown
                .insert(place, one_line(&value, UNKNOWN_VALUE));
        }
        Ok(intent)
    }

    /// What the new repository is created with.
    #[must_use]
    pub fn encryption(&self) -> &Encryption {
        match self.fallback {
            Some(_) => &self.before.encryption,
            None => &self.to,
        }
    }

    /// The settings before, in one line; documents by their presence.
    #[must_use]
    pub fn outline(&self) -> String {
        let before = &self.before;
        let tags = before.tags.known().into_iter().flatten();
        let tags: Vec<String> = tags.map(|(key, value)| format!("{key}={value}")).collect();
        let has = |document: &Read<Option<String>>| match document.known() {
            Some(Some(_)) => "a",
            _ => "no",
        };
        format!(
            "{}, {}, {} repository policy, {} lifecycle policy, tags {}",
            before.mutability,
            scan(before.scan_on_push),
            has(&before.policy),
            has(&before.lifecycle),
            if tags.is_empty() {
                "none".to_owned()
            } else {
                tags.join(", ")
            },
        )
    }
}

/// What this attempt has done. It outweighs a read, because reads can be older than writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RecreationProgress {
    /// This attempt wrote the intent: nothing can have been deleted before it says so.
    pub first: bool,
    pub rehearsed: bool,
    pub deletion: Deletion,
    pub created: bool,
    /// ECR has taken the policies.
    pub restored: bool,
    pub unmarked: bool,
}

/// What came of this attempt's DeleteRepository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Deletion {
    #[default]
    NotSent,
    /// ECR answered that the repository is deleted, or that there is none.
    Done,
    /// ECR answered that it holds an image: nothing was deleted.
    HoldsImages,
    /// ECR answered another error, which is [`Intent::refused`]. The repository may be gone all the same.
    InDoubt,
}

impl Deletion {
    /// Whether the repository may be gone because of it.
    fn may_have_deleted(self) -> bool {
        matches!(self, Self::Done | Self::InDoubt)
    }
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecreationStep {
    /// Take the intent back: the original repository is there, untouched.
    Withdraw(Withdrawn),
    /// Ask for every write of the protocol in a form that changes nothing, so that a missing permission or an
    /// unacceptable policy shows while the repository is still there.
    Rehearse,
    /// DeleteRepository without force.
    Delete,
    /// CreateRepository with the snapshot's tags and settings, the marker, and this encryption.
    Create(Encryption),
    /// Put back what creation cannot carry.
    Restore {
        policy: Option<String>,
        lifecycle: Option<String>,
    },
    /// Everything is back: record what will be known by its marker no more.
    Remember {
        /// For [`Intent::made`].
        made: i64,
        /// It has the asked encryption although ECR answered that it refused it: [`Intent::fallback`] goes.
        accepted: bool,
    },
    /// UntagResource.
    RemoveMarker,
    /// Record the outcome and clear the intent.
    Finish(Finished),
    /// What is seen is older than what was done: look again.
    Wait,
}

/// Why an intent was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// An image was pushed in the meantime.
    HoldsImages,
    /// Another caller changed or deleted it in the meantime.
    Changed,
    /// AWS would not let it be put back: a missing permission, or a policy that it does not accept any more.
    Refused(String),
}

/// How a recreation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    Recreated,
    /// The asked encryption was refused for good, and the repository has its original one again.
    FellBack(String),
    /// Another caller created a repository of that name: it is not changed.
    Superseded,
}

/// Decides the next step from what was intended, what this attempt did, and what is there (`None`: ECR knows no
/// such repository).
///
/// # Errors
/// What must be known and could not be read, in one line: stop here and try again later.
pub fn next(
    intent: &Intent,
    progress: RecreationProgress,
    seen: Option<&Repository>,
) -> Result<RecreationStep, String> {
    if progress.unmarked {
        // It was complete. If it was deleted since, that was another caller's intention.
        return Ok(RecreationStep::Finish(done(intent)));
    }
    let Some(seen) = seen else {
        return Ok(if progress.created {
            RecreationStep::Wait
        } else if progress.first && !progress.deletion.may_have_deleted() {
            RecreationStep::Withdraw(Withdrawn::Changed)
        } else {
            RecreationStep::Create(intent.encryption().clone())
        });
    };
    seen.tags.required()?;
    if seen.marker() == Some(&intent.id) {
        return Ok(
            restore(intent, progress, seen)?.unwrap_or_else(|| match seen.created_at {
                Some(made) if intent.made != Some(made) => RecreationStep::Remember {
                    made,
                    accepted: intent.fallback.is_some()
                        && seen.encryption != intent.before.encryption,
                },
                _ => RecreationStep::RemoveMarker,
            }),
        );
    }
    // Encryption never changes: with other encryption it is another repository, however soon it was created. And a
    // key is only found to be refused for good when the original is gone.
    let before = &intent.before;
    if intent.fallback.is_none()
        && seen.created_at == before.created_at
        && seen.encryption == before.encryption
    {
        return delete_original(intent, progress, seen);
    }
    // What was deleted may have been somebody's who came between the look and the deletion: a look that still shows it
    // must not end the matter. A later attempt knows.
    if progress.deletion != Deletion::NotSent || progress.created {
        return Ok(RecreationStep::Wait);
    }
    // Not the original, and not marked: ours, or somebody else's. Of ours everything was back, whatever was changed since.
    if intent.made.is_some() && intent.made == seen.created_at {
        return Ok(RecreationStep::Finish(done(intent)));
    }
    // ECR may have created it with the asked encryption and answered that it refused.
    let encrypted_by_us = same_kind(seen, intent.encryption())
        || (intent.fallback.is_some() && same_kind(seen, &intent.to));
    let looks_like_ours = encrypted_by_us && own_tags(seen).eq(own_tags(&intent.before));
    if !looks_like_ours {
        return Ok(RecreationStep::Finish(Finished::Superseded));
    }
    // Another caller may have removed the marker before everything was restored.
    Ok(restore(intent, progress, seen)?.unwrap_or_else(|| RecreationStep::Finish(done(intent))))
}

fn same_kind(seen: &Repository, encryption: &Encryption) -> bool {
    seen.encryption.kind == encryption.kind
}

/// The tags that can be put back: not AWS's own, not the marker, and not what a rehearsal that was cut short left behind.
pub fn own_tags(repository: &Repository) -> impl Iterator<Item = (&String, &String)> {
    let tags = all_tags(repository);
    tags.filter(|(key, _)| !key.starts_with("aws:") && *key != MARKER_TAG)
}

fn all_tags(repository: &Repository) -> impl Iterator<Item = (&String, &String)> {
    let tags = repository.tags.known().into_iter().flatten();
    tags.filter(|(key, _)| *key != REHEARSAL_TAG)
}

/// What creation could not carry and is not there yet. What is there by now is newer than the snapshot and stays.
fn restore(
    intent: &Intent,
    progress: RecreationProgress,
    seen: &Repository,
) -> Result<Option<RecreationStep>, String> {
    let missing = |now: &Read<Option<String>>, before: &Read<Option<String>>| {
        Ok::<_, String>(match now.required()? {
            Some(_) => None,
            None => before.known().cloned().flatten(),
        })
    };
    let policy = missing(&seen.policy, &intent.before.policy)?;
    let lifecycle = missing(&seen.lifecycle, &intent.before.lifecycle)?;
    let is_missing = policy.is_some() || lifecycle.is_some();
    Ok(is_missing.then_some(if progress.restored {
        RecreationStep::Wait
    } else {
        RecreationStep::Restore { policy, lifecycle }
    }))
}

fn delete_original(
    intent: &Intent,
    progress: RecreationProgress,
    seen: &Repository,
) -> Result<RecreationStep, String> {
    match (progress.deletion, &intent.refused) {
        // This read may be older than the deletion.
        (Deletion::Done | Deletion::InDoubt, _) => return Ok(RecreationStep::Wait),
        (Deletion::HoldsImages, _) => return Ok(RecreationStep::Withdraw(Withdrawn::HoldsImages)),
        (Deletion::NotSent, _) if progress.created => return Ok(RecreationStep::Wait),
        (Deletion::NotSent, Some(why)) => {
            return Ok(RecreationStep::Withdraw(Withdrawn::Refused(why.clone())));
        }
        (Deletion::NotSent, None) => {}
    }
    if *seen.has_images.required()? {
        return Ok(RecreationStep::Withdraw(Withdrawn::HoldsImages));
    }
    let before = &intent.before;
    let same = |seen: &Read<Option<String>>, before: &Read<Option<String>>| {
        let seen = seen.required()?.as_deref();
        let before = before.known().map(Option::as_deref);
        Ok::<_, String>(before.is_some_and(|before| document::same(seen, before)))
    };
    let same_documents =
        same(&seen.policy, &before.policy)? && same(&seen.lifecycle, &before.lifecycle)?;
    let unchanged = same_documents
        && all_tags(seen).eq(all_tags(before))
        && seen.mutability == before.mutability
        && seen.scan_on_push == before.scan_on_push;
    Ok(if !unchanged {
        RecreationStep::Withdraw(Withdrawn::Changed)
    } else if progress.rehearsed {
        RecreationStep::Delete
    } else {
        RecreationStep::Rehearse
    })
}

fn done(intent: &Intent) -> Finished {
    match &intent.fallback {
        Some(why) => Finished::FellBack(why.clone()),
        None => Finished::Recreated,
    }
}

#[cfg(test)]
mod tests;
