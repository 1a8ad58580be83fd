//! The share of ECR's calls that the policy grants: every call takes a turn, of all functions together.
//!
//! The next free turn of a registry is one number in the state table, moved on by conditional writes. Where that can't be had,
//! each process keeps to the share by itself.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::retry::ErrorKind;
use tokio::time::timeout;

/// The partition key of a registry's turns, before account and region.
const QUOTA: &str = "quota#";
const SORT: &str = "ecr";

/// A call that nobody took a turn for in advance waits so long for one; then the SDK backs off, as if ECR had throttled it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// The state table gets so long to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Turns that were taken in advance are used at once or not at all.
const KEPT: Duration = Duration::from_secs(2);
/// So often others may be faster.
const TRIES: usize = 20;
/// No permit is so far ahead: an event waits for three seconds at most, and of an audit one repository's calls at a time. Only a
/// wrong clock, for example of a machine that runs the command, records such a time.
const FURTHEST: Duration = Duration::from_secs(60);

/// No turn is free soon enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the share of ECR's calls that the policy grants (`ecr-calls-per-second`) is used up for {} ms", .0.as_millis())]
pub(crate) struct Spent(Duration);

/// What the policy grants, and how far it is used up.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    /// Calls a second in each registry; 0: as many as ECR takes.
    granted: AtomicU32,
    /// Whether a call went without its turn since this was last asked.
    refused: AtomicBool,
    shared: OnceLock<(Client, String)>,
}

impl Quota {
    pub(crate) fn grant(&self, calls_per_second: Option<u32>) {
        let calls = calls_per_second.unwrap_or_default();
        self.granted.store(calls, Ordering::Relaxed);
    }

    /// From now on the turns are those of everybody who shares the table.
    pub(crate) fn share(&self, client: Client, table: String) {
        let _ = self.shared.set((client, table));
    }

    /// Whether a call went without its turn since this was last asked.
    pub(crate) fn take_refused(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }

    fn granted(&self) -> Option<u32> {
        Some(self.granted.load(Ordering::Relaxed)).filter(|calls| *calls > 0)
    }
}

/// The turns of one registry.
#[derive(Debug)]
pub(crate) struct Turns {
    quota: Arc<Quota>,
    key: String,
    /// Turns that were taken in advance, and until when they are good.
    kept: Mutex<(u32, Duration)>,
    /// The next free turn where the state table can't be asked.
    own: Mutex<Duration>,
    /// Of those who take turns in advance one waits, and the others wait for it: so that an audit, which reads many
    /// repositories side by side, is ahead of an event by one repository's calls and no more.
    queue: tokio::sync::Mutex<()>,
}

impl Turns {
    pub(crate) fn new(quota: Arc<Quota>, account: &str, region: &str) -> Self {
        Self {
            quota,
            key: format!("{QUOTA}{account}/{region}"),
            kept: Mutex::default(),
            own: Mutex::default(),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// Takes turns for calls that are made next, and waits for them. `patience`: how long that may be; `None`: as long as
    /// it takes.
    pub(crate) async fn take(&self, calls: u32, patience: Option<Duration>) -> Result<(), Spent> {
        if self.quota.granted().is_none() || calls == 0 {
            return Ok(());
        }
        let _first = self.queue.lock().await;
        self.wait(calls, patience.unwrap_or(Duration::MAX)).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let left = if kept.1 > now { kept.0 } else { 0 };
        *kept = (left.saturating_add(calls), now + KEPT);
        Ok(())
    }

    /// The turn of one call: one that was taken in advance, or the next.
    async fn one(&self) -> Result<(), Spent> {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.1 > now()
                && let Some(left) = kept.0.checked_sub(1)
            {
                kept.0 = left;
                return Ok(());
            }
        }
        self.wait(1, PATIENCE).await
    }

    async fn wait(&self, calls: u32, patience: Duration) -> Result<(), Spent> {
        let Some(granted) = self.quota.granted() else {
            return Ok(());
        };
        let cost = Duration::from_secs(1)
            .saturating_mul(calls)
            .checked_div(granted)
            .unwrap_or_default();
        let turn = match self.quota.shared.get() {
            Some((client, table)) => {
                match timeout(ANSWER, self.next(client, table, cost, patience)).await {
                    Ok(Some(turn)) => turn,
                    Ok(None) | Err(_) => {
                        tracing::warn!(
                            "cannot read the shared rate limit; this function applies the limit to \
                             its own calls"
                        );
                        self.next_own(cost, patience)
                    }
                }
            }
            None => self.next_own(cost, patience),
        };
        let turn = turn.inspect_err(|_| self.quota.refused.store(true, Ordering::Relaxed))?;
        tokio::time::sleep(turn.saturating_sub(now())).await;
        Ok(())
    }

    /// The next free turn by the state table; `None`: it can't be told.
    async fn next(
        &self,
        client: &Client,
        table: &str,
        cost: Duration,
        patience: Duration,
    ) -> Option<Result<Duration, Spent>> {
        let mut recorded = Duration::ZERO;
        for _ in 0..TRIES {
            let now = now();
            let free_at = believed(recorded, now);
            if let Some(wait) = free_at.checked_sub(now).filter(|wait| *wait > patience) {
                return Some(Err(Spent(wait)));
            }
            let idle = free_at <= now;
            let update = client
                .update_item()
                .table_name(table)
                .key("pk", AttributeValue::S(self.key.clone()))
                .key("sk", AttributeValue::S(SORT.to_owned()))
                .return_values_on_condition_check_failure(OnFailure::AllOld)
                .return_values(ReturnValue::UpdatedNew)
                .expression_attribute_values(":now", number(now));
            let update = if idle {
                // What is not believed is replaced, unless another function has just done so.
                let wrong = recorded.max(now);
                update
                    .update_expression("SET free_at = :after")
                    .condition_expression(
                        "attribute_not_exists(free_at) OR free_at <= :now OR free_at = :wrong",
                    )
                    .expression_attribute_values(":after", number(now + cost))
                    .expression_attribute_values(":wrong", number(wrong))
            } else {
                // Whoever else is waiting may be first: then this turn is a later one, and not too late.
                update
                    .update_expression("SET free_at = free_at + :cost")
                    .condition_expression("free_at > :now AND free_at <= :latest")
                    .expression_attribute_values(":cost", number(cost))
                    .expression_attribute_values(":latest", number(now.saturating_add(patience)))
            };
            match update.send().await {
                Ok(answer) => {
                    let after = answer
                        .attributes()
                        .and_then(|item| millis(item.get("free_at")))?;
                    return Some(Ok(after.saturating_sub(cost)));
                }
                Err(SdkError::ServiceError(error)) => match error.into_err() {
                    UpdateItemError::ConditionalCheckFailedException(failed) => {
                        let free = failed.item().and_then(|item| item.get("free_at"));
                        recorded = millis(free)?;
                    }
                    _ => return None,
                },
                Err(_) => return None,
            }
        }
        None
    }

    /// The next free turn as far as this process knows.
    fn next_own(&self, cost: Duration, patience: Duration) -> Result<Duration, Spent> {
        let mut free_at = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let turn = believed(*free_at, now).max(now);
        let wait = turn.saturating_sub(now);
        if wait > patience {
            return Err(Spent(wait));
        }
        *free_at = turn + cost;
        Ok(turn)
    }
}

/// The next free permit as recorded, or at once where that is further ahead than it can be.
fn believed(free_at: Duration, now: Duration) -> Duration {
    if free_at.saturating_sub(now) > FURTHEST {
        now
    } else {
        free_at
    }
}

/// Since the epoch, in whole milliseconds, rounded up: no turn is early. The functions' clocks are those of AWS's hosts, some
/// milliseconds apart at the most.
fn now() -> Duration {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = since.as_micros().div_ceil(1000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Milliseconds, which DynamoDB keeps exactly.
fn number(at: Duration) -> AttributeValue {
    AttributeValue::N(at.as_millis().min(u128::from(u64::MAX)).to_string())
}

fn millis(value: Option<&AttributeValue>) -> Option<Duration> {
    let text = value?.as_n().ok()?;
    text.parse().ok().map(Duration::from_millis)
}

/// Sends requests when it is their turn.
#[derive(Debug)]
pub(crate) struct Paced {
    pub(crate) inner: SharedHttpClient,
    pub(crate) turns: Arc<Turns>,
}

impl HttpClient for Paced {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(PacedConnector {
            inner: self.inner.http_connector(settings, components),
            turns: Arc::clone(&self.turns),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct PacedConnector {
    inner: SharedHttpConnector,
    turns: Arc<Turns>,
}

impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.turns.quota.granted().is_none() {
            return self.inner.call(request);
        }
        let (inner, turns) = (self.inner.clone(), Arc::clone(&self.turns));
        HttpConnectorFuture::new(async move {
            let turn = turns.one().await;
            turn.map_err(|spent| {
                ConnectorError::other(Box::new(spent), Some(ErrorKind::ThrottlingError))
            })?;
            inner.call(request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(calls_per_second: u32) -> Turns {
        let quota = Arc::<Quota>::default();
        quota.grant(Some(calls_per_second));
        Turns::new(quota, "111122223333", "eu-central-1")
    }

    #[test]
    fn turns_are_as_far_apart_as_the_share_says() {
        let turns = turns(20);
        let cost = Duration::from_millis(50);
        let first = turns.next_own(cost, PATIENCE).unwrap();
        let second = turns.next_own(cost * 4, PATIENCE).unwrap();
        let third = turns.next_own(cost, PATIENCE).unwrap();
        assert_eq!(second - first, cost);
        assert_eq!(third - second, cost * 4);
    }

    #[test]
    fn who_would_wait_too_long_takes_no_turn() {
        let turns = turns(1);
        let long = Duration::from_secs(60);
        turns.next_own(long, PATIENCE).unwrap();
        let refused = turns.next_own(long, PATIENCE).unwrap_err();
        assert!(refused.0 > PATIENCE);
        // It did not move the turns on.
        assert!(turns.next_own(long, long).is_ok());
    }

    #[test]
    fn permit_further_ahead_than_possible_is_not_believed() {
        let now = Duration::from_secs(1_800_000_000);
        let second = Duration::from_secs(1);
        for (free_at, expected) in [
            (Duration::ZERO, Duration::ZERO),
            (now - second, now - second),
            (now, now),
            (now + second, now + second),
            (now + FURTHEST, now + FURTHEST),
            (now + FURTHEST + second, now),
            (now + 240 * second, now),
            (Duration::MAX, now),
        ] {
            assert_eq!(believed(free_at, now), expected, "{free_at:?}");
        }
        // Nor where this process recorded it, before its clock was corrected.
        let turns = turns(1);
        *turns.own.lock().unwrap() = super::now() + Duration::from_secs(240);
        let turn = turns.next_own(second, PATIENCE).unwrap();
        assert!(turn <= super::now());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_taken_in_advance_are_used_first_and_once() {
        let turns = turns(1);
        turns.take(2, None).await.unwrap();
        for _ in 0..2 {
            turns.one().await.unwrap();
        }
        assert_eq!(turns.kept.lock().unwrap().0, 0);
        let before = *turns.own.lock().unwrap();
        turns.one().await.unwrap();
        assert_eq!(*turns.own.lock().unwrap() - before, Duration::from_secs(1));
    }

    #[tokio::test]
    async fn without_a_share_nobody_waits() {
        let turns = turns(1);
        turns.quota.grant(None);
        for _ in 0..100 {
            turns.take(100, Some(Duration::ZERO)).await.unwrap();
        }
        assert_eq!(*turns.own.lock().unwrap(), Duration::ZERO);
    }
}
