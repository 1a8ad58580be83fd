//! What the state table remembers of all repositories: their repairs, and the changes that wait for approval.

use ecr_warden_core::approval::Offer;
use ecr_warden_core::record::{FINDING, Known, REPAIR, Repairs};
use ecr_warden_core::repository::RepositoryId;
use time::OffsetDateTime;

use super::State;
use super::item::{of_partition, read_item, text};
use crate::connect::error::Failure;

/// Everything of one kind that is on record.
#[derive(Debug)]
pub struct OnRecord<T> {
    pub records: Vec<T>,
    /// Items that cannot be read: a newer version may have written them.
    pub unreadable: usize,
}

/// The repairs of a repository, or of the registry, by a rule.
pub(crate) type RuleRepairs = (RepositoryId, String, Repairs);

impl State {
    /// The repairs of each repository and registry.
    pub(crate) async fn all_repairs(&self) -> Result<OnRecord<RuleRepairs>, Failure> {
        self.of_kind(REPAIR, |id, known| {
            let repairs = known.repairs.into_iter();
            repairs
                .map(|(rule, repairs)| (id.clone(), rule, repairs))
                .collect()
        })
        .await
    }

    /// The changes that wait for approval.
    pub(crate) async fn offers(&self) -> Result<OnRecord<Offer>, Failure> {
        self.of_kind(FINDING, |id, known| known.offers(id)).await
    }

    /// What the items of a kind, by the beginning of their sort keys, say of repositories and registries.
    async fn of_kind<T>(
        &self,
        kind: &str,
        read: impl Fn(&RepositoryId, Known) -> Vec<T>,
    ) -> Result<OnRecord<T>, Failure> {
        let mut all = OnRecord {
            records: Vec::new(),
            unreadable: 0,
        };
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let mut items = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .filter_expression("begins_with(sk, :kind)")
            .expression_attribute_values(":kind", text(kind))
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
            if let Some(id) = id {
                all.records.extend(read(&id, known));
            }
        }
        Ok(all)
    }
}
