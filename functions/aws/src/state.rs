//! The state table: one DynamoDB table, keyed by repository ARN (`pk`) and kind (`sk`).
//!
//! Every item has its content as JSON in `body`; what conditions look at stands beside it.

mod brakes;
mod intents;
mod item;
mod notes;
pub(crate) mod scan;
pub(crate) mod spacing;

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use ecr_warden_core::claim::Claim;
use ecr_warden_core::record::{
    FINDING, FRESH, Known, LastConforming, REPAIR, REPAIRS_KEPT, Repairs, Said,
};
use ecr_warden_core::reminder::REMIND_AFTER;
use ecr_warden_core::repository::RepositoryId;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use self::item::{
    EXPIRES_AT, Item, LOOK, RECREATE, REPLICA, built, item, key, number, partition, read_item, text,
};
use crate::connect::clients::Clients;
use crate::connect::error::Failure;
use crate::state::spacing::Spacing;

/// The table.
#[derive(Debug)]
pub struct State {
    client: Client,
    table: String,
    deployed_at: OnceCell<i64>,
}

impl State {
    #[must_use]
    pub fn new(clients: &Clients, table: String) -> Self {
        Self {
            client: clients.dynamodb(),
            table,
            deployed_at: OnceCell::new(),
        }
    }

    /// When ecr-warden was deployed first, in seconds since the epoch: the table was created then, and no later deployment replaces it.
    pub(crate) async fn deployed_at(&self) -> Result<i64, Failure> {
        let describe = async || {
            let answer = self.client.describe_table().table_name(&self.table).send();
            let answer = answer
                .await
                .map_err(|error| Failure::of("dynamodb:DescribeTable", &error))?;
            let created = answer.table.and_then(|table| table.creation_date_time);
            created.map(|at| at.secs()).ok_or_else(|| {
                Failure::own(
                    "NoCreationTime",
                    "DynamoDB does not say when the table was created".to_owned(),
                )
            })
        };
        self.deployed_at.get_or_try_init(describe).await.copied()
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
        let mut items = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(id)))
            .into_paginator()
            .items()
            .send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Failure::of("dynamodb:Query", &error))?;
            read_item(&item, now, &mut known)?;
        }
        Ok(known)
    }

    /// The repositories about which there is anything, by ARN, and whether they are being recreated.
    pub(crate) async fn on_record(&self) -> Result<BTreeMap<String, bool>, Failure> {
        let mut all = BTreeMap::new();
        let mut items = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            // Only the keys: the items of a large registry have no room in a function.
            .projection_expression("pk, sk")
            .into_paginator()
            .items()
            .send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Failure::of("dynamodb:Scan", &error))?;
            let of = |name| item.get(name).and_then(|key| key.as_s().ok());
            if let Some(arn) = of("pk").filter(|key| key.starts_with("arn:")) {
                let recreated = of("sk").is_some_and(|kind| kind == RECREATE);
                *all.entry(arn.clone()).or_default() |= recreated;
            }
        }
        Ok(all)
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
    pub(crate) async fn conforms(
        &self,
        id: &RepositoryId,
        look: &LastConforming,
    ) -> Result<(), Failure> {
        let kept_until = look.at.saturating_add(FRESH);
        self.put(item(id, LOOK, 0, look, kept_until)?).await
    }

    /// Writes down that ECR's replication fills it.
    pub(crate) async fn is_replica(&self, id: &RepositoryId, now: i64) -> Result<(), Failure> {
        let kept_until = now.saturating_add(REPAIRS_KEPT);
        let mark = serde_json::json!({ "at": now });
        self.put(item(id, REPLICA, 0, &mark, kept_until)?).await
    }

    /// Writes an item, also over another one.
    async fn put(&self, item: Item) -> Result<(), Failure> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
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
        // What a person has put back is not repaired again until a person says so, and a quarantine stands until it is lifted, however
        // long that takes.
        let by_person = record.held.as_ref().is_some_and(|held| held.by_person);
        if by_person || record.quarantines() {
            item.remove(EXPIRES_AT);
        }
        Ok(item)
    }
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

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    const FIX: &str =
        r#"{"version":3,"history":[],"held":{"why":"w","at":1,"by_person":true},"forgiven":0}"#;

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
            deployed_at: OnceCell::new(),
        };
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let repairs: Repairs = serde_json::from_str(FIX).unwrap();
        let item = state
            .repairs_item(&id, "mutable-tags", &repairs, 5)
            .unwrap();
        assert!(!item.contains_key(EXPIRES_AT));
        let resumed = repairs.resumed("me", 6);
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
