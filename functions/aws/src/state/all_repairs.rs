//! The repairs of all repositories that the state table remembers.

use ecr_warden_core::record::{Known, REPAIR, Repairs};
use ecr_warden_core::repository::RepositoryId;
use time::OffsetDateTime;

use super::State;
use super::item::{of_partition, read_item, text};
use crate::connect::error::Failure;

/// What `State::all_repairs` has read.
#[derive(Debug, Default)]
pub struct AllRepairs {
    pub records: Vec<(RepositoryId, String, Repairs)>,
    /// Items that cannot be read: a newer version may have written them.
    pub unreadable: usize,
}

impl State {
    /// The repairs on record, of each repository, or registry, and rule. What cannot be read is counted.
    pub(crate) async fn all_repairs(&self) -> Result<AllRepairs, Failure> {
        let mut all = AllRepairs::default();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut items = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("begins_with(sk, :repair)")
            .expression_attribute_values(":repair", text(REPAIR))
            .into_paginator()
            .items()
            .send();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| Failure::of("dynamodb:Scan", &error))?;
            let key = item.get("pk").and_then(|key| key.as_s().ok());
            let id = key.and_then(|key| of_partition(key));
            let mut known = Known::default();
            read_item(&item, now, &mut known)?;
            all.unreadable = all.unreadable.saturating_add(known.unreadable.len());
            let repairs = known.repairs.into_iter();
            let repairs = repairs.filter_map(|(rule, repairs)| Some((id.clone()?, rule, repairs)));
            all.records.extend(repairs);
        }
        Ok(all)
    }
}
