//! Sends repositories through the pipeline.

use ecr_warden_core::outcome::Outcome;
use ecr_warden_core::reason::{Code, Reason};
use ecr_warden_core::repository::RepositoryId;
use ecr_warden_core::trigger::{Invocation, Origin, Trigger};
use futures_util::stream::{self, StreamExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::run::{Sweep, Swept};
use crate::pipeline::Pipeline;
use crate::pipeline::commit::News;

/// Repositories that are repaired side by side.
const AT_ONCE: usize = 4;

impl Pipeline {
    /// Sends each through the pipeline, with the reason why it is not changed, if there is one; answers those that there was no time for.
    pub(super) async fn act(
        &self,
        sweep: &Sweep<'_>,
        to_do: impl IntoIterator<Item = (RepositoryId, Option<Reason>)> + Send,
        origin: &Origin,
        news: &Mutex<Vec<News>>,
        each: &mut (dyn FnMut(&RepositoryId, Swept<'_>) + Send),
    ) -> Vec<RepositoryId> {
        let mut left = Vec::new();
        let mut running = stream::iter(to_do)
            .map(|(id, hold)| async move {
                if Instant::now() >= sweep.stop_acting {
                    return (id, None);
                }
                let invocation = Invocation {
                    id: sweep.request_id.to_owned(),
                    deadline: sweep.ends_at,
                    event: None,
                    deferred: None,
                    hold,
                };
                let trigger = Trigger {
                    repository: id.clone(),
                    origin: origin.clone(),
                    pushed: None,
                    replicated: false,
                    created_as: None,
                };
                let result = self.run_quietly(&trigger, &invocation, news).await;
                (id, Some(result))
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, result)) = running.next().await {
            match result {
                None => left.push(id),
                Some(Ok((
                    Outcome {
                        ignored: Some(why),
                        reason,
                        ..
                    },
                    _,
                ))) => {
                    if reason == Some(Code::RepositoryGone) {
                        each(&id, Swept::Gone);
                    } else {
                        each(&id, Swept::Unjudged(&why));
                    }
                }
                Some(Ok((_, verdicts))) => each(&id, Swept::Judged(&verdicts)),
                // Its next event or the next sweep tries again.
                Some(Err(error)) => {
                    tracing::warn!(%error, "left for the next sweep");
                    each(&id, Swept::Unjudged(&error.to_string()));
                }
            }
        }
        left
    }
}
