//! The state table: one DynamoDB table, keyed by repository ARN (`pk`) and kind (`sk`).
//!
//! Every item has its content as JSON in `body`; what conditions look at stands beside it.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use ecr_warden_core::alert::INVALID_POLICY;
use ecr_warden_core::recreate::Intent;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::single_flight::Flight;
use ecr_warden_core::state::{
    Claim, FINDING, FRESH, Known, Lease, Look, REMIND_AFTER, REPAIR, REPAIRS_KEPT, Repairs, Said,
};
use serde::Serialize;
use time::OffsetDateTime;

use crate::clients::Clients;
use crate::failure::{Failure, one_line};
use crate::spacing::Spacing;

const RECREATE: &str = "recreate";
const LOOK: &str = "look";
/// The sort key of the mark that ECR's replication fills a repository.
const REPLICA: &str = "replica";
/// Seconds since the epoch after which DynamoDB removes an item; that can take days (DynamoDB Developer Guide, time to live).
const EXPIRES_AT: &str = "expires_at";
/// The policy's own partition key, before its parameter's name.
const POLICY: &str = "policy#";
/// The key of the item that says when a sweep sent a message last.
const SIGN_OF_LIFE: &str = "sign-of-life";

/// The sort key of the record of which sweeps of a registry run and wait.
const SWEEP: &str = "sweep";
/// Seconds for which it is kept after the last sweep.
const KEPT_FLIGHT: i64 = 7 * 24 * 60 * 60;

/// The table.
#[derive(Debug)]
pub struct State {
    client: Client,
    table: String,
}

type Item = HashMap<String, AttributeValue>;

impl State {
    #[must_use]
    pub fn new(clients: &Clients, table: String) -> Self {
        Self {
            client: clients.dynamodb(),
            table,
        }
    }

    /// What spaces a repository's evaluations under a rate limit.
    pub(crate) fn spacing(&self) -> Spacing<'_> {
        Spacing {
            client: &self.client,
            table: &self.table,
        }
    }

    /// Everything about a repository.
    pub(crate) async fn load(&self, id: &RepositoryId) -> Result<Known, Failure> {
        let mut known = Known::default();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(partition(id)))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Failure::of("dynamodb:Query", &error))?;
            for item in page.items() {
                read_item(item, now, &mut known)?;
            }
            start = page.last_evaluated_key;
            if start.as_ref().is_none_or(HashMap::is_empty) {
                return Ok(known);
            }
        }
    }

    /// The repositories about which there is anything, by ARN, and whether they are being recreated.
    pub(crate) async fn on_record(&self) -> Result<BTreeMap<String, bool>, Failure> {
        let mut all = BTreeMap::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.table)
                .consistent_read(true)
                // Only the keys: the items of a large registry have no room in a function.
                .projection_expression("pk, sk")
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| Failure::of("dynamodb:Scan", &error))?;
            for item in page.items() {
                let of = |name| item.get(name).and_then(|key| key.as_s().ok());
                if let Some(arn) = of("pk").filter(|key| key.starts_with("arn:")) {
                    let recreated = of("sk").is_some_and(|kind| kind == RECREATE);
                    *all.entry(arn.clone()).or_default() |= recreated;
                }
            }
            start = page.last_evaluated_key;
            if start.as_ref().is_none_or(HashMap::is_empty) {
                return Ok(all);
            }
        }
    }

    /// Claims all or nothing. `false`: another invocation wrote first.
    pub(crate) async fn claim(
        &self,
        id: &RepositoryId,
        claims: &[Claim],
        now: i64,
    ) -> Result<bool, Failure> {
        let mut writes = Vec::new();
        for claim in claims {
            let before = claim.before.as_ref().map(|said| said.version);
            writes.push(self.put_said(id, &claim.rule, &claim.said, before, now)?);
            if let Some(record) = &claim.record {
                let subject = id.subject(claim.of_registry);
                writes.push(self.put_repairs(&subject, &claim.rule, record, now)?);
            }
        }
        self.transact(writes).await
    }

    /// Commits a report, and the result of its repair. An item that another invocation has claimed since is not changed.
    pub(crate) async fn settle(
        &self,
        id: &RepositoryId,
        claim: &Claim,
        said: Option<&Said>,
        record: Option<&Repairs>,
        now: i64,
    ) -> Result<(), Failure> {
        let version = claim.said.version;
        let mut writes = vec![match said {
            Some(said) => self.put_said(id, &claim.rule, said, Some(version), now)?,
            None => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(key(id, &format!("{FINDING}{}", claim.rule))))
                    .condition_expression("version = :version")
                    .expression_attribute_values(":version", number(version))
                    .build();
                built(delete.map(|delete| TransactWriteItem::builder().delete(delete).build()))?
            }
        }];
        if let Some(record) = record {
            let subject = id.subject(claim.of_registry);
            writes.push(self.put_repairs(&subject, &claim.rule, record, now)?);
        }
        self.transact(writes).await.map(|_| ())
    }

    /// Writes a record of repairs, if it is still the one that this one follows.
    pub(crate) async fn record(
        &self,
        id: &RepositoryId,
        rule: &str,
        record: &Repairs,
        now: i64,
    ) -> Result<bool, Failure> {
        let write = self.put_repairs(id, rule, record, now)?;
        self.transact(vec![write]).await
    }

    /// Writes down that it conforms.
    pub(crate) async fn conforms(&self, id: &RepositoryId, look: &Look) -> Result<(), Failure> {
        let kept_until = look.at.saturating_add(FRESH);
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(id, LOOK, 0, look, kept_until)?))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("dynamodb:PutItem", &error))
    }

    /// Writes down that ECR's replication fills it.
    pub(crate) async fn is_replica(&self, id: &RepositoryId, now: i64) -> Result<(), Failure> {
        let kept_until = now.saturating_add(REPAIRS_KEPT);
        let mark = serde_json::json!({ "at": now });
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(id, REPLICA, 0, &mark, kept_until)?))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("dynamodb:PutItem", &error))
    }

    /// The item of these keys. By a query, because the roles hold that permission already.
    async fn one(
        &self,
        partition: impl Into<String>,
        kind: impl Into<String>,
    ) -> Result<Option<Item>, Failure> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk = :sk")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":sk", text(kind))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:Query", &error))?;
        Ok(page.items.and_then(|items| items.into_iter().next()))
    }

    /// The mistake in the policy that was reported last; `None`: it is valid.
    pub(crate) async fn reported_policy(&self, parameter: &str) -> Result<Option<String>, Failure> {
        let kind = format!("{FINDING}{INVALID_POLICY}");
        let item = self.one(format!("{POLICY}{parameter}"), kind).await?;
        let body = item.as_ref().and_then(|item| item.get("body"));
        Ok(body.and_then(|body| body.as_s().ok()).cloned())
    }

    /// Records which mistake in the policy was reported. Concurrent invocations may both report it.
    pub(crate) async fn record_policy_report(
        &self,
        parameter: &str,
        wrong: Option<&str>,
    ) -> Result<(), Failure> {
        let mut item: Item = [
            ("pk".to_owned(), text(format!("{POLICY}{parameter}"))),
            ("sk".to_owned(), text(format!("{FINDING}{INVALID_POLICY}"))),
        ]
        .into();
        match wrong {
            Some(wrong) => {
                item.insert("body".to_owned(), text(wrong));
                self.client
                    .put_item()
                    .table_name(&self.table)
                    .set_item(Some(item))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|error| Failure::of("dynamodb:PutItem", &error))
            }
            None => self
                .client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(item))
                .send()
                .await
                .map(|_| ())
                .map_err(|error| Failure::of("dynamodb:DeleteItem", &error)),
        }
    }

    /// Which sweeps of a registry run and wait, and the version of that record.
    pub(crate) async fn flight(&self, registry: &RepositoryId) -> Result<(Flight, u64), Failure> {
        let Some(item) = self.one(partition(registry), SWEEP).await? else {
            return Ok((Flight::default(), 0));
        };
        let body = item.get("body").and_then(|body| body.as_s().ok());
        let version = item
            .get("version")
            .and_then(|it| it.as_n().ok()?.parse().ok());
        // What a newer version wrote says nothing about sweeps of this one.
        let flight = body.and_then(|body| serde_json::from_str(body).ok());
        Ok((flight.unwrap_or_default(), version.unwrap_or_default()))
    }

    /// Replaces that record. `false`: it is another one by now.
    pub(crate) async fn record_flight(
        &self,
        registry: &RepositoryId,
        flight: &Flight,
        version: u64,
        now: i64,
    ) -> Result<bool, Failure> {
        let kept_until = now.saturating_add(KEPT_FLIGHT);
        let item = item(
            registry,
            SWEEP,
            version.saturating_add(1),
            flight,
            kept_until,
        )?;
        let put = self.versioned_put(item, Some(version).filter(|version| *version > 0))?;
        self.transact(vec![put]).await
    }

    /// When a sweep sent a message last, in seconds since the epoch; `None`: it is not recorded.
    pub(crate) async fn last_sign_of_life(&self) -> Result<Option<i64>, Failure> {
        let item = self.one(SIGN_OF_LIFE, SIGN_OF_LIFE).await?;
        let at = item.as_ref().and_then(|item| item.get("at"));
        Ok(at.and_then(|at| at.as_n().ok()?.parse().ok()))
    }

    /// Records when a sweep sent a message.
    pub(crate) async fn record_sign_of_life(&self, at: i64) -> Result<(), Failure> {
        let item: Item = [
            ("pk".to_owned(), text(SIGN_OF_LIFE)),
            ("sk".to_owned(), text(SIGN_OF_LIFE)),
            ("at".to_owned(), number(at)),
        ]
        .into();
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("dynamodb:PutItem", &error))
    }

    /// `false`: a condition did not hold, and nothing was written.
    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<bool, Failure> {
        let result = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        match result {
            Ok(_) => Ok(true),
            Err(error) => match cancelled(&error) {
                Some(Cancelled::Lost) => Ok(false),
                Some(Cancelled::Busy(why)) => Err(Failure::Unavailable(why)),
                // The IAM actions of a transaction are those of its parts.
                None => Err(Failure::of("dynamodb:PutItem", &error)),
            },
        }
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

    /// Takes over an intent whose owner is done or dead. `false`: another delivery holds it.
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

    /// Gives a lease back, so that another attempt can go on at once.
    pub(crate) async fn release(&self, intent: &Intent, lease: &Lease) -> Result<(), Failure> {
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&intent.before.id, RECREATE)))
            .update_expression("SET #until = :now")
            .condition_expression("id = :id AND #owner = :me")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":id", text(&intent.id))
            .expression_attribute_values(":me", text(&lease.owner))
            .expression_attribute_values(":now", number(0))
            .send()
            .await
            .map_err(|error| Failure::of("dynamodb:UpdateItem", &error));
        won(result.map(|_| ())).map(|_| ())
    }

    /// Clears an intent and, in the same write, records what came of it. `false`: it is not ours any more.
    pub(crate) async fn finish(
        &self,
        intent: &Intent,
        lease: &Lease,
        record: Option<&Repairs>,
        said: Option<&Said>,
        now: i64,
    ) -> Result<bool, Failure> {
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
            vec![built(delete.map(|delete| {
                TransactWriteItem::builder().delete(delete).build()
            }))?];
        // Without conditions of their own: the holder of the intent is alone with the repository, and must be able to end it.
        let items = [
            record
                .map(|record| self.repairs_item(id, &intent.rule, record, now))
                .transpose()?,
            said.map(|said| self.said_item(id, &intent.rule, said, now))
                .transpose()?,
        ];
        for item in items.into_iter().flatten() {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            writes.push(built(
                put.build()
                    .map(|put| TransactWriteItem::builder().put(put).build()),
            )?);
        }
        self.transact(writes).await
    }

    fn put_said(
        &self,
        id: &RepositoryId,
        rule: &str,
        said: &Said,
        before: Option<u64>,
        now: i64,
    ) -> Result<TransactWriteItem, Failure> {
        self.versioned_put(self.said_item(id, rule, said, now)?, before)
    }

    fn put_repairs(
        &self,
        id: &RepositoryId,
        rule: &str,
        record: &Repairs,
        now: i64,
    ) -> Result<TransactWriteItem, Failure> {
        let before = record.version.checked_sub(1).filter(|before| *before > 0);
        self.versioned_put(self.repairs_item(id, rule, record, now)?, before)
    }

    /// Replaces the item of that version; `None`: there is none yet.
    fn versioned_put(&self, item: Item, before: Option<u64>) -> Result<TransactWriteItem, Failure> {
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression("version = :version")
                .expression_attribute_values(":version", number(version)),
        };
        built(
            put.build()
                .map(|put| TransactWriteItem::builder().put(put).build()),
        )
    }

    fn said_item(
        &self,
        id: &RepositoryId,
        rule: &str,
        said: &Said,
        now: i64,
    ) -> Result<Item, Failure> {
        let kept_until = now.saturating_add(REMIND_AFTER);
        item(
            id,
            &format!("{FINDING}{rule}"),
            said.version,
            said,
            kept_until,
        )
    }

    fn repairs_item(
        &self,
        id: &RepositoryId,
        rule: &str,
        record: &Repairs,
        now: i64,
    ) -> Result<Item, Failure> {
        let kept_until = now.saturating_add(REPAIRS_KEPT);
        let mut item = item(
            id,
            &format!("{REPAIR}{rule}"),
            record.version,
            record,
            kept_until,
        )?;
        // What a person has put back is not repaired again until a person says so, however long that takes.
        if record.held.as_ref().is_some_and(|held| held.by_person) {
            item.remove(EXPIRES_AT);
        }
        Ok(item)
    }
}

fn item(
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

/// An intent has no time to live: it is kept until it is carried out.
fn intent_item(intent: &Intent, lease: &Lease) -> Result<Item, Failure> {
    let mut item = key(&intent.before.id, RECREATE);
    item.insert("id".to_owned(), text(&intent.id));
    item.insert("owner".to_owned(), text(&lease.owner));
    item.insert("until".to_owned(), number(lease.until));
    item.insert("body".to_owned(), body(intent)?);
    Ok(item)
}

fn built<E: std::fmt::Display>(
    write: Result<TransactWriteItem, E>,
) -> Result<TransactWriteItem, Failure> {
    write.map_err(|error| unreadable(&error.to_string()))
}

/// Why DynamoDB made nothing of a transaction.
enum Cancelled {
    /// A condition did not hold: another invocation wrote first.
    Lost,
    /// No capacity, or another transaction at the same items: later it may work.
    Busy(String),
}

fn cancelled(error: &SdkError<TransactWriteItemsError, HttpResponse>) -> Option<Cancelled> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return None;
    };
    let codes = || {
        let reasons = cancelled.cancellation_reasons().iter();
        reasons.filter_map(|reason| reason.code())
    };
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return Some(Cancelled::Lost);
    }
    let busy = |code: &str| {
        matches!(
            code,
            "ThrottlingError" | "ProvisionedThroughputExceeded" | "TransactionConflict"
        )
    };
    let code = codes().find(|code| busy(code))?;
    Some(Cancelled::Busy(format!(
        "dynamodb: the transaction was cancelled: {code}"
    )))
}

fn won(result: Result<(), Failure>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(failure) if failure.is("ConditionalCheckFailedException") => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// A repository's records are under its ARN; a registry's are not, so that no scan takes it for a repository.
fn partition(id: &RepositoryId) -> String {
    if id.name.is_empty() {
        format!("registry#{}/{}", id.account, id.region)
    } else {
        id.arn()
    }
}

fn key(id: &RepositoryId, kind: &str) -> Item {
    [
        ("pk".to_owned(), text(partition(id))),
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
    Failure::own("UnreadableState", why.to_owned())
}

/// Kinds of item that this version does not know are another version's business.
fn read_item(item: &Item, now: i64, known: &mut Known) -> Result<(), Failure> {
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
fn forgotten(said: Said) -> Said {
    Said {
        about: String::new(),
        pending: None,
        ..said
    }
}

fn unreadable_item(known: &mut Known, kind: &str, error: &serde_json::Error) -> Option<()> {
    let why = format!("item `{kind}`: {}", one_line(&error.to_string()));
    known.unreadable.insert(kind.to_owned(), why);
    None
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

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

    /// A person's hold is kept until a person ends it.
    #[test]
    fn a_persons_hold_does_not_expire() {
        let state = State {
            client: Client::from_conf(
                aws_sdk_dynamodb::Config::builder()
                    .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
                    .build(),
            ),
            table: "state".to_owned(),
        };
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let repairs: Repairs = serde_json::from_str(FIX).unwrap();
        let item = state
            .repairs_item(&id, "mutable-tags", &repairs, 5)
            .unwrap();
        assert!(!item.contains_key(EXPIRES_AT));
        let resumed = repairs.resumed(6);
        let item = state
            .repairs_item(&id, "mutable-tags", &resumed, 6)
            .unwrap();
        assert!(item.contains_key(EXPIRES_AT));
    }

    /// Only a condition that did not hold proves that another invocation wrote first.
    #[test]
    fn a_transaction_that_had_no_room_is_tried_again() {
        let cancelled = |codes: &[&str]| {
            let reasons = codes
                .iter()
                .map(|code| CancellationReason::builder().code(*code).build());
            let exception = TransactionCanceledException::builder()
                .set_cancellation_reasons(Some(reasons.collect()))
                .build();
            let status = StatusCode::try_from(400).unwrap();
            cancelled(&SdkError::service_error(
                TransactWriteItemsError::TransactionCanceledException(exception),
                HttpResponse::new(status, SdkBody::empty()),
            ))
        };
        for lost in [
            &["ConditionalCheckFailed", "None"][..],
            &["ThrottlingError", "ConditionalCheckFailed"],
        ] {
            assert!(matches!(cancelled(lost), Some(Cancelled::Lost)), "{lost:?}");
        }
        for busy in [
            "ThrottlingError",
            "ProvisionedThroughputExceeded",
            "TransactionConflict",
        ] {
            let found = cancelled(&["None", busy]);
            assert!(matches!(found, Some(Cancelled::Busy(why)) if why.contains(busy)));
        }
        assert!(cancelled(&["ItemCollectionSizeLimitExceeded"]).is_none());
        assert!(cancelled(&[]).is_none());
    }
}
