//! The state table: one DynamoDB table, keyed by repository ARN (`pk`) and kind (`sk`).
//!
//! Every item has its content as JSON in `body`; what conditions look at stands beside it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use ecr_warden_core::recreate::Intent;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::state::{Claim, Known, Lease, REMIND_AFTER, REPAIRS_KEPT, Repair, Said};
use serde::Serialize;

use crate::failure::Failure;

const RECREATE: &str = "recreate";
const FINDING: &str = "finding#";
const REPAIR: &str = "fix#";

/// The table.
#[derive(Debug)]
pub(crate) struct State {
    client: Client,
    table: String,
}

type Item = HashMap<String, AttributeValue>;

impl State {
    pub(crate) fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Everything about a repository.
    pub(crate) async fn load(&self, id: &RepositoryId) -> Result<Known, Failure> {
        let mut known = Known::default();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(id.arn()))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Failure::of("dynamodb:Query", &error))?;
            for item in page.items() {
                read_item(item, &mut known)?;
            }
            start = page.last_evaluated_key;
            if start.as_ref().is_none_or(HashMap::is_empty) {
                return Ok(known);
            }
        }
    }

    /// Claims all or nothing. `false`: somebody else was at the same repository and wrote first.
    pub(crate) async fn claim(
        &self,
        id: &RepositoryId,
        claims: &[Claim],
        now: i64,
    ) -> Result<bool, Failure> {
        let mut writes = Vec::new();
        for claim in claims {
            let item = self.said_item(id, &claim.rule, &claim.said, now)?;
            writes.push(versioned_put(
                &self.table,
                item,
                claim.before.as_ref().map(|said| said.version),
            )?);
            if let Some(repair) = &claim.repair {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(self.repair_item(id, &claim.rule, repair)?))
                    .build();
                writes.push(transact(
                    put.map(|put| TransactWriteItem::builder().put(put).build()),
                )?);
            }
        }
        let result = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:PutItem", &error));
        match result {
            Ok(_) => Ok(true),
            Err(failure) if failure.is("TransactionCanceledException") => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Writes down what has been told; an item that somebody else has claimed since is left to them.
    pub(crate) async fn settle(
        &self,
        id: &RepositoryId,
        claim: &Claim,
        said: Option<&Said>,
        repair: Option<&Repair>,
        now: i64,
    ) -> Result<(), Failure> {
        let version = number(claim.said.version);
        let told = async {
            let result = match said {
                None => self
                    .client
                    .delete_item()
                    .table_name(&self.table)
                    .set_key(Some(key(id, &format!("{FINDING}{}", claim.rule))))
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", version)
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::of("dynamodb:DeleteItem", &error)),
                Some(said) => self
                    .client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(self.said_item(id, &claim.rule, said, now)?))
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", version)
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::of("dynamodb:PutItem", &error)),
            };
            unless_overtaken(result)
        };
        let repaired = async {
            let Some(repair) = repair else { return Ok(()) };
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(self.repair_item(id, &claim.rule, repair)?))
                .send()
                .await
                .map(|_| ())
                .map_err(|error| Failure::of("dynamodb:PutItem", &error))
        };
        let (told, repaired) = tokio::join!(told, repaired);
        told.and(repaired)
    }

    /// Puts an intent on record. `false`: there is one already.
    pub(crate) async fn begin(&self, intent: &Intent, lease: &Lease) -> Result<bool, Failure> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(intent_item(intent, lease)?))
            // The second half: the first try was written and its answer was lost.
            .condition_expression("attribute_not_exists(pk) OR id = :id")
            .expression_attribute_values(":id", text(&intent.id))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:PutItem", &error));
        won(result.map(|_| ()))
    }

    /// Takes over an intent whose owner is done or dead. `false`: somebody is at it.
    pub(crate) async fn take(
        &self,
        intent: &Intent,
        lease: &Lease,
        now: i64,
    ) -> Result<bool, Failure> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&intent.before.id, RECREATE)))
            .update_expression("SET #owner = :me, #until = :until")
            .condition_expression("id = :id AND (#owner = :me OR #until < :now)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":id", text(&intent.id))
            .expression_attribute_values(":me", text(&lease.owner))
            .expression_attribute_values(":until", number(lease.until))
            .expression_attribute_values(":now", number(now))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:UpdateItem", &error));
        won(result.map(|_| ()))
    }

    /// Writes an intent that has changed. `false`: it is not ours any more.
    pub(crate) async fn save(&self, intent: &Intent, lease: &Lease) -> Result<bool, Failure> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(intent_item(intent, lease)?))
            .condition_expression("id = :id AND #owner = :me")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":id", text(&intent.id))
            .expression_attribute_values(":me", text(&lease.owner))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:PutItem", &error));
        won(result.map(|_| ()))
    }

    /// Clears an intent and, in the same write, records what came of it.
    pub(crate) async fn finish(
        &self,
        intent: &Intent,
        lease: &Lease,
        repair: Option<&Repair>,
        said: Option<&Said>,
        now: i64,
    ) -> Result<(), Failure> {
        let id = &intent.before.id;
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(id, RECREATE)))
            .condition_expression("attribute_not_exists(pk) OR (id = :id AND #owner = :me)")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":id", text(&intent.id))
            .expression_attribute_values(":me", text(&lease.owner))
            .build();
        let mut writes =
            vec![transact(delete.map(|delete| {
                TransactWriteItem::builder().delete(delete).build()
            }))?];
        if let Some(repair) = repair {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(self.repair_item(id, &intent.rule, repair)?))
                .build();
            writes.push(transact(
                put.map(|put| TransactWriteItem::builder().put(put).build()),
            )?);
        }
        if let Some(said) = said {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(self.said_item(id, &intent.rule, said, now)?))
                .build();
            writes.push(transact(
                put.map(|put| TransactWriteItem::builder().put(put).build()),
            )?);
        }
        self.client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("dynamodb:DeleteItem", &error))
    }

    fn said_item(
        &self,
        id: &RepositoryId,
        rule: &str,
        said: &Said,
        now: i64,
    ) -> Result<Item, Failure> {
        let mut item = key(id, &format!("{FINDING}{rule}"));
        item.insert("version".to_owned(), number(said.version));
        item.insert("body".to_owned(), body(said)?);
        item.insert(
            "expires_at".to_owned(),
            number(now.saturating_add(REMIND_AFTER)),
        );
        Ok(item)
    }

    fn repair_item(&self, id: &RepositoryId, rule: &str, repair: &Repair) -> Result<Item, Failure> {
        let mut item = key(id, &format!("{REPAIR}{rule}"));
        item.insert("body".to_owned(), body(repair)?);
        item.insert(
            "expires_at".to_owned(),
            number(repair.at.saturating_add(REPAIRS_KEPT)),
        );
        Ok(item)
    }
}

/// An intent has no time to live: it is kept until it is carried out.
fn intent_item(intent: &Intent, lease: &Lease) -> Result<Item, Failure> {
    let mut item = key(&intent.before.id, RECREATE);
    item.insert("id".to_owned(), text(&intent.id));
    item.insert("owner".to_owned(), text(&lease.owner));
    item.insert("until".to_owned(), number(lease.until));
    item.insert("body".to_owned(), body(intent)?);
    Ok(item)
}

fn versioned_put(
    table: &str,
    item: Item,
    expected: Option<u64>,
) -> Result<TransactWriteItem, Failure> {
    let put = Put::builder().table_name(table).set_item(Some(item));
    let put = match expected {
        None => put.condition_expression("attribute_not_exists(pk)"),
        Some(version) => put
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version)),
    };
    transact(
        put.build()
            .map(|put| TransactWriteItem::builder().put(put).build()),
    )
}

fn transact<E: std::fmt::Display>(
    built: Result<TransactWriteItem, E>,
) -> Result<TransactWriteItem, Failure> {
    built.map_err(|error| unreadable(&error.to_string()))
}

fn won(result: Result<(), Failure>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure.is("ConditionalCheckFailedException") => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn unless_overtaken(result: Result<(), Failure>) -> Result<(), Failure> {
    won(result).map(|_| ())
}

fn key(id: &RepositoryId, kind: &str) -> Item {
    [
        ("pk".to_owned(), text(id.arn())),
        ("sk".to_owned(), text(kind)),
    ]
    .into()
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn body(value: &impl Serialize) -> Result<AttributeValue, Failure> {
    serde_json::to_string(value)
        .map(text)
        .map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(why: &str) -> Failure {
    Failure::Refused {
        code: "UnreadableState".to_owned(),
        message: why.to_owned(),
    }
}

/// Kinds of item that this version does not know are another version's business.
fn read_item(item: &Item, known: &mut Known) -> Result<(), Failure> {
    let text_of = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let (Some(kind), Some(body)) = (text_of("sk"), text_of("body")) else {
        return Ok(());
    };
    let wrong = |error: serde_json::Error| unreadable(&format!("item `{kind}`: {error}"));
    if kind == RECREATE {
        let intent: Intent = serde_json::from_str(body).map_err(wrong)?;
        let lease = Lease {
            owner: text_of("owner").cloned().unwrap_or_default(),
            until: item
                .get("until")
                .and_then(|value| value.as_n().ok()?.parse().ok())
                .unwrap_or_default(),
        };
        known.intent = Some((intent, lease));
    } else if let Some(rule) = kind.strip_prefix(FINDING) {
        let said: Said = serde_json::from_str(body).map_err(wrong)?;
        known.said.insert(rule.to_owned(), said);
    } else if let Some(rule) = kind.strip_prefix(REPAIR) {
        let repair: Repair = serde_json::from_str(body).map_err(wrong)?;
        known.repairs.insert(rule.to_owned(), repair);
    }
    Ok(())
}
