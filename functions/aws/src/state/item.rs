//! Items as they are stored: their keys, their attributes, and how they are read.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use ecr_warden_core::record::{FINDING, Known, Lease, REPAIR, Repairs, Said};
use ecr_warden_core::recreate::Intent;
use ecr_warden_core::repository::RepositoryId;
use serde::Serialize;

use crate::connect::error::{Failure, one_line};

pub(super) const RECREATE: &str = "recreate";
pub(super) const LOOK: &str = "look";
/// The sort key of the mark that ECR's replication fills a repository.
pub(super) const REPLICA: &str = "replica";
/// Seconds since the epoch after which DynamoDB removes an item; that can take days (DynamoDB Developer Guide, time to live).
pub(super) const EXPIRES_AT: &str = "expires_at";
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn item(
    id: &RepositoryId,
    kind: &str,
    version: u64,
    content: &impl Serialize,
    kept_until: i64,
) -> Result<Item, Failure> {
    let mut item = key(id, kind);
    item.insert("version".to_owned(), number(version));
    item.insert("body".to_owned(), body(content)?);
    item.insert(EXPIRES_AT.to_owned(), number(kept_until));
    Ok(item)
}

pub(super) fn built<E: std::fmt::Display>(
    write: Result<TransactWriteItem, E>,
) -> Result<TransactWriteItem, Failure> {
    write.map_err(|error| unreadable(&error.to_string()))
}

pub(super) fn won(result: Result<(), Failure>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure.is("ConditionalCheckFailedException") => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// A repository's records are under its ARN; a registry's are not, so that no scan takes it for a repository.
pub(super) fn partition(id: &RepositoryId) -> String {
    if id.name.is_empty() {
        format!("registry#{}/{}", id.account, id.region)
    } else {
        id.arn()
    }
}

/// Whose partition it is; `None`: no repository's and no registry's.
pub(super) fn of_partition(key: &str) -> Option<RepositoryId> {
    let Some(registry) = key.strip_prefix("registry#") else {
        return RepositoryId::from_arn(key);
    };
    let (account, region) = registry.split_once('/')?;
    Some(RepositoryId::of_registry(account, region))
}

pub(super) fn key(id: &RepositoryId, kind: &str) -> Item {
    [
        ("pk".to_owned(), text(partition(id))),
        ("sk".to_owned(), text(kind)),
    ]
    .into()
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn body(value: &impl Serialize) -> Result<AttributeValue, Failure> {
    serde_json::to_string(value)
        .map(text)
        .map_err(|error| unreadable(&error.to_string()))
}

pub(super) fn unreadable(why: &str) -> Failure {
    Failure::own("UnreadableState", why.to_owned())
}

/// Kinds of item that this version does not know are another version's business.
pub(super) fn read_item(item: &Item, now: i64, known: &mut Known) -> Result<(), Failure> {
    let number_of = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_n().ok()?.parse().ok())
    };
    let has_expired = number_of(EXPIRES_AT).is_some_and(|at: i64| at <= now);
    let text_of = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let (Some(kind), Some(body)) = (text_of("sk"), text_of("body")) else {
        return Ok(());
    };
    let wrong = |error: serde_json::Error| unreadable(&format!("item `{kind}`: {error}"));
    if kind == RECREATE {
        let intent = Intent::parse(body).map_err(wrong)?;
        if !intent.unknown.is_empty() {
            tracing::error!(record = %body, "a newer version began this recreation: not all that it recorded can be restored");
        }
        let lease = Lease {
            owner: text_of("owner").cloned().unwrap_or_default(),
            until: number_of("until").unwrap_or_default(),
        };
        known.intent = Some((intent, lease));
    } else if let Some(rule) = kind.strip_prefix(FINDING) {
        match serde_json::from_str(body) {
            Ok(said) => {
                let said = if has_expired { forgotten(said) } else { said };
                known.said.insert(rule.to_owned(), said).map(drop)
            }
            Err(error) => unreadable_item(known, kind, &error),
        };
    } else if let Some(rule) = kind.strip_prefix(REPAIR) {
        match serde_json::from_str(body) {
            Ok(repairs) => {
                let repairs: Repairs = repairs;
                // An older version gave a person's hold a time to live, too.
                let is_held = repairs.held.as_ref().is_some_and(|held| held.by_person);
                let repairs = if has_expired && !is_held {
                    Repairs {
                        version: repairs.version,
                        newer: repairs.newer,
                        ..Repairs::default()
                    }
                } else {
                    repairs
                };
                known.repairs.insert(rule.to_owned(), repairs).map(drop)
            }
            Err(error) => unreadable_item(known, kind, &error),
        };
    } else if kind == LOOK && !has_expired {
        known.look = serde_json::from_str(body).ok();
    } else if kind == REPLICA && !has_expired {
        known.replica = true;
    }
    Ok(())
}

/// What was reported so long ago that it is reported again. Its version stays: DynamoDB has not removed the item yet.
pub(super) fn forgotten(said: Said) -> Said {
    Said {
        about: String::new(),
        pending: None,
        ..said
    }
}

pub(super) fn unreadable_item(
    known: &mut Known,
    kind: &str,
    error: &serde_json::Error,
) -> Option<()> {
    let why = format!("item `{kind}`: {}", one_line(&error.to_string()));
    known.unreadable.insert(kind.to_owned(), why);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_read_as_it_is_written() {
        let repository = RepositoryId::new("111111111111", "eu-west-1", "shop/api").unwrap();
        for id in [repository.registry(), repository] {
            assert_eq!(of_partition(&partition(&id)), Some(id));
        }
        for other in ["sign-of-life", "brakes", "quota#1/eu-west-1", "policy#/p"] {
            assert_eq!(of_partition(other), None, "{other}");
        }
    }

    fn stored(kind: &str, body: &str, expires_at: Option<i64>) -> Item {
        let mut item: Item = [("sk", kind), ("body", body)]
            .map(|(name, value)| (name.to_owned(), text(value)))
            .into();
        if let Some(at) = expires_at {
            item.insert(EXPIRES_AT.to_owned(), number(at));
        }
        item
    }

    const FIX: &str =
        r#"{"version":3,"history":[],"held":{"why":"w","at":1,"by_person":true},"forgiven":0}"#;
    const FOUND: &str = r#"{"status":"open","about":"a","since":1,"version":4}"#;
    /// Of an action that this version does not know.
    const NEWER: &str = r#"{"version":1,"history":[{"action":{"set-pull-time-update-exclusion":{"from":true,"to":false}},
                            "result":"done","at":1,"cause":"PutImage"}],"forgiven":0}"#;

    /// A newer version's item withholds its own rule and nothing else.
    #[test]
    fn an_item_of_a_newer_version_is_the_business_of_its_own_rule() {
        let mut known = Known::default();
        for (kind, body) in [
            ("fix#some-new-rule", NEWER),
            ("finding#another", r#"{"status":"pending-approval"}"#),
            ("fix#mutable-tags", FIX),
            ("finding#mutable-tags", FOUND),
            ("a-new-kind", "{}"),
        ] {
            read_item(&stored(kind, body, None), 5, &mut known).unwrap();
        }
        assert!(known.unreadable("some-new-rule").is_some());
        assert!(known.unreadable("another").is_some());
        assert_eq!(known.unreadable("mutable-tags"), None);
        assert!(known.repairs.contains_key("mutable-tags"));
        assert!(known.said.contains_key("mutable-tags"));
        assert_eq!(known.unreadable.len(), 2);
    }

    /// Whether there is a recreation to be finished must be known.
    #[test]
    fn an_unreadable_recreation_is_no_missing_one() {
        let item = stored(RECREATE, r#"{"id":"r"}"#, None);
        read_item(&item, 5, &mut Known::default()).unwrap_err();
    }

    /// DynamoDB removes an item days after its time.
    #[test]
    fn what_has_expired_is_forgotten_but_for_its_version() {
        let by_a_fight = FIX.replace("true", "false");
        for (expires_at, forgotten) in [(None, false), (Some(6), false), (Some(5), true)] {
            let mut known = Known::default();
            for (kind, body) in [
                ("fix#mutable-tags", by_a_fight.as_str()),
                ("fix#missing-tags", FIX),
                ("finding#mutable-tags", FOUND),
            ] {
                read_item(&stored(kind, body, expires_at), 5, &mut known).unwrap();
            }
            let repairs = &known.repairs["mutable-tags"];
            assert_eq!((repairs.version, repairs.held.is_none()), (3, forgotten));
            assert!(known.repairs["missing-tags"].held.is_some(), "by a person");
            let said = &known.said["mutable-tags"];
            assert_eq!((said.version, said.about.is_empty()), (4, forgotten));
        }
    }
}
