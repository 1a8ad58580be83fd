//! One sweep of a registry at a time: the record in the state table.

use std::time::Duration;

use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::single_flight::{Start, SweepDecision, decide, left};
use time::OffsetDateTime;

use crate::connect::error::Failure;
use crate::fleet::audit::Home;
use crate::pipeline::Pipeline;

/// So often the record is read again where another sweep has changed it meanwhile.
const TRIES: usize = 5;

/// What a sweep does that started by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    Runs,
    /// It must come back after so many seconds.
    Waits(i64),
    /// Another one waits already.
    Superfluous,
}

impl Pipeline {
    /// Takes the place of the sweep that runs, or of the one that waits. Without the record it runs: two sweeps at a time repair
    /// nothing twice. `left`: what the invocation has left.
    pub async fn enter_sweep(
        &self,
        home: &Home,
        me: &str,
        start: Start,
        left: Duration,
    ) -> Entered {
        match self.enter(&home.registry(), me, start, left).await {
            Ok(entered) => entered,
            Err(why) => {
                tracing::warn!(%why, "whether another sweep runs is unknown");
                Entered::Runs
            }
        }
    }

    async fn enter(
        &self,
        registry: &RepositoryId,
        me: &str,
        start: Start,
        left: Duration,
    ) -> Result<Entered, Failure> {
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        for _ in 0..TRIES {
            let (flight, version) = self.state.flight(registry).await?;
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let (flight, entered) =
                match decide(&flight, me, start, now, now.saturating_add(seconds)) {
                    SweepDecision::Run(flight) => (flight, Entered::Runs),
                    SweepDecision::Wait(flight, seconds) => (flight, Entered::Waits(seconds)),
                    SweepDecision::Superfluous => return Ok(Entered::Superfluous),
                };
            let recorded = self.state.record_flight(registry, &flight, version, now);
            if recorded.await? {
                return Ok(entered);
            }
        }
        Err(Failure::Unavailable(
            "other sweeps change the record at the same time".to_owned(),
        ))
    }

    /// Gives the place back. Where that fails it is free after its time.
    pub async fn leave_sweep(&self, home: &Home, me: &str) {
        let registry = home.registry();
        let given_back = async {
            for _ in 0..TRIES {
                let (flight, version) = self.state.flight(&registry).await?;
                let now = OffsetDateTime::now_utc().unix_timestamp();
                let after = left(&flight, me);
                if after == flight
                    || self
                        .state
                        .record_flight(&registry, &after, version, now)
                        .await?
                {
                    break;
                }
            }
            Ok::<(), Failure>(())
        };
        if let Err(why) = given_back.await {
            tracing::warn!(%why, "the place among sweeps is not given back; the next sweep waits until its time is over");
        }
    }
}
