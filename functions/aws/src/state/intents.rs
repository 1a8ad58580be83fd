//! The write-ahead records of recreations.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use ecr_warden_core::record::{Lease, Repairs, Said};
use ecr_warden_core::recreate::Intent;

use super::State;
use super::item::{Item, RECREATE, body, built, key, number, text, won};
use crate::connect::error::Failure;

impl State {
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
