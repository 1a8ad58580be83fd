//! What is recorded beside repositories: an invalid policy that was reported, sweeps that run, and when a sweep sent a message.

use ecr_warden_core::alert::INVALID_POLICY;
use ecr_warden_core::record::FINDING;
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::single_flight::Flight;

use super::State;
use super::item::{Item, item, number, partition, text};
use crate::connect::error::Failure;

/// The policy's own partition key, before its parameter's name.
const POLICY: &str = "policy#";
/// The key of the item that says when a sweep sent a message last.
const SIGN_OF_LIFE: &str = "sign-of-life";
/// The sort key of the record of which sweeps of a registry run and wait.
const SWEEP: &str = "sweep";
/// Seconds for which it is kept after the last sweep.
const KEPT_FLIGHT: i64 = 7 * 24 * 60 * 60;

impl State {
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
                self.put(item).await
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
        self.put(item).await
    }
}
