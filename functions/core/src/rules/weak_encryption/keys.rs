//! The keys that the policy names, as KMS describes them.

use super::settings::Rung;
use crate::action::Action;
use crate::repository::{Encryption, Key, Read, Repository};

/// `None`: there is no such key.
///
/// # Errors
/// It could not be read: one line.
pub(super) fn described<'r>(
    repository: &'r Repository,
    key: &str,
) -> Result<Option<&'r Key>, String> {
    repository
        .keys
        .get(key)
        .unwrap_or(&Read::NotAsked)
        .required()
        .map(Option::as_ref)
}

/// The encryption that a creation template must say instead, in which a key is named by its ARN.
///
/// # Errors
/// It cannot be said: what the operator does, in one line.
pub(super) fn at_creation(
    new: &Repository,
    required: Rung,
    key: Option<&str>,
) -> Result<Action, String> {
    let to = |to| Action::Recreate {
        from: new.encryption.clone(),
        to,
    };
    let Some(name) = key else {
        return if required <= Rung::Kms {
            Ok(to(Encryption::kms(None)))
        } else {
            Err("name the key in the template's encryption configuration by its ARN".to_owned())
        };
    };
    let nowhere = || format!("it does not exist in {}", new.id.region);
    match described(new, name).and_then(|key| key.ok_or_else(nowhere)) {
        Ok(key) => Ok(to(Encryption::kms(Some(&key.arn)))),
        Err(why) => Err(format!(
            "encrypt with the key `{name}`, by its ARN, which could not be read: {why}"
        )),
    }
}
