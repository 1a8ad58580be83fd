//! Carries out the core's recreation protocol: look, ask the core for the next step, do it, look again.

use std::time::Duration;

use aws_sdk_ecr::types::{ImageScanningConfiguration, Tag};
use ecr_warden_core::recreate::{Finished, Intent, Next, Progress, Withdrawn, next};
use ecr_warden_core::repository::{Encryption, MARKER_TAG, Reads, Repository};
use ecr_warden_core::state::{Lease, Repair, Repairs, Result as RepairResult, Said};
use ecr_warden_core::{action::Action, finding::Status};

use crate::clients::Regional;
use crate::ecr;
use crate::failure::Failure;
use crate::load::{LoadError, load_once};
use crate::state::State;

/// How often a read that is older than a write is repeated, and the pause before each.
const LOOKS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// A tag that no repository has: removing it proves that tags may be removed.
const REHEARSED_TAG: &str = "ecr-warden:rehearsal";

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished(Finished),
    Withdrawn(Withdrawn),
    /// The intent stays on record, and another attempt goes on from here.
    Interrupted(Interruption),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// Throttled, timed out or out of time: it may work in a minute.
    Transient(String),
    /// It will not work until somebody does something, and the repository may be gone until then.
    Stuck(String),
}

/// One attempt at one intent.
pub(crate) struct Attempt<'a> {
    pub(crate) aws: &'a Regional,
    pub(crate) state: &'a State,
    pub(crate) intent: Intent,
    pub(crate) lease: &'a Lease,
    /// What was said of the rule before: its version goes on.
    pub(crate) said_version: u64,
    /// What the rule has repaired before.
    pub(crate) repairs: Repairs,
    /// Seconds since the epoch.
    pub(crate) now: i64,
}

enum Step {
    Go,
    End(End),
}

impl Attempt<'_> {
    /// Runs to an end. `first`: this attempt has just written the intent.
    pub(crate) async fn run(mut self, first: bool) -> End {
        let mut progress = Progress {
            first,
            ..Progress::default()
        };
        for _ in 0..LOOKS {
            match self.step(&mut progress).await {
                Ok(Step::Go) => {}
                Ok(Step::End(end)) => return end,
                Err(Failure::Unavailable(why)) => {
                    return End::Interrupted(Interruption::Transient(why));
                }
                Err(other) => return End::Interrupted(Interruption::Stuck(other.to_string())),
            }
        }
        End::Interrupted(Interruption::Transient(
            "ECR does not show what was changed yet".to_owned(),
        ))
    }

    async fn look(&self) -> Result<Option<Repository>, Failure> {
        match load_once(self.aws, &self.intent.before.id, &Reads::of_recreation()).await {
            Ok(repository) => Ok(Some(repository)),
            Err(LoadError::Gone) => Ok(None),
            Err(LoadError::Unavailable(why)) => Err(Failure::Unavailable(why)),
            Err(LoadError::Unreadable(why)) => Err(stuck(why)),
        }
    }

    async fn step(&mut self, progress: &mut Progress) -> Result<Step, Failure> {
        let seen = self.look().await?;
        let next = next(&self.intent, *progress, seen.as_ref()).map_err(stuck)?;
        tracing::info!(repository = %self.intent.before.id, intent = self.intent.id, step = ?next, "recreation");
        match next {
            Next::Wait => {
                tokio::time::sleep(PAUSE).await;
                Ok(Step::Go)
            }
            Next::Withdraw(why) => self.withdraw(why).await,
            Next::Rehearse => self.rehearse(progress).await,
            Next::Delete => self.delete(progress).await,
            Next::Create(encryption) => self.create(progress, &encryption).await,
            Next::Restore { policy, lifecycle } => {
                tokio::try_join!(
                    self.put_policy(policy.as_deref()),
                    self.put_lifecycle(lifecycle.as_deref())
                )?;
                Ok(Step::Go)
            }
            Next::Remember(created_at) => {
                self.intent.made = Some(created_at);
                if !self.state.save(&self.intent, self.lease).await? {
                    return Ok(Step::End(lost_lease()));
                }
                Ok(Step::Go)
            }
            Next::RemoveMarker => {
                self.untag(MARKER_TAG).await?;
                progress.unmarked = true;
                Ok(Step::Go)
            }
            Next::Finish(how) => self.finish(how).await,
        }
    }

    /// Every write of the protocol, in a form that leaves the repository as it is: creation of what exists is
    /// refused after permissions were checked, and the policies are those that are there.
    async fn rehearse(&self, progress: &mut Progress) -> Result<Step, Failure> {
        let before = &self.intent.before;
        let (created, rest) = tokio::join!(self.send_create(self.intent.encryption()), async {
            tokio::try_join!(
                self.put_policy(before.policy.known().and_then(Option::as_deref)),
                self.put_lifecycle(before.lifecycle.known().and_then(Option::as_deref)),
                // Not the marker: should ours be there already, it must keep it until its policies are back.
                self.untag(REHEARSED_TAG),
            )
        });
        match created {
            // Somebody deleted it a moment ago, and now ours is there.
            Ok(()) => {
                progress.deleted = true;
                progress.created = true;
                return Ok(Step::Go);
            }
            Err(failure) if failure.is("RepositoryAlreadyExistsException") => {}
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            Err(other) => return self.refused(&other).await,
        }
        match rest {
            Ok(_) => {
                progress.rehearsed = true;
                Ok(Step::Go)
            }
            Err(Failure::Unavailable(why)) => Err(Failure::Unavailable(why)),
            Err(failure) if failure.is("RepositoryNotFoundException") => Ok(Step::Go),
            Err(other) => self.refused(&other).await,
        }
    }

    async fn delete(&self, progress: &mut Progress) -> Result<Step, Failure> {
        let result = self
            .aws
            .ecr
            .delete_repository()
            .repository_name(&self.intent.before.id.name)
            .force(false)
            .send()
            .await
            .map_err(|error| Failure::of("ecr:DeleteRepository", &error));
        match result {
            Ok(_) => progress.deleted = true,
            Err(failure) if failure.is("RepositoryNotFoundException") => progress.deleted = true,
            // The next look shows the image, and the intent is withdrawn.
            Err(failure) if failure.is("RepositoryNotEmptyException") => {
                return self.withdraw(Withdrawn::HoldsImages).await;
            }
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            Err(other) => return self.refused(&other).await,
        }
        Ok(Step::Go)
    }

    async fn create(
        &mut self,
        progress: &mut Progress,
        encryption: &Encryption,
    ) -> Result<Step, Failure> {
        match self.send_create(encryption).await {
            Ok(()) => progress.created = true,
            // By an earlier try of ours, or by somebody else: the next look tells.
            Err(failure) if failure.is("RepositoryAlreadyExistsException") => {}
            Err(Failure::Unavailable(why)) => return Err(Failure::Unavailable(why)),
            Err(other) if self.intent.fallback.is_none() => {
                self.intent.fallback = Some(other.to_string());
                if !self.state.save(&self.intent, self.lease).await? {
                    return Ok(Step::End(lost_lease()));
                }
            }
            Err(other) => {
                return Ok(Step::End(End::Interrupted(Interruption::Stuck(format!(
                    "the repository was deleted and can't be created again: {other}. Its settings are on record, and \
                     every event of it and every sweep tries again: mend this now"
                )))));
            }
        }
        Ok(Step::Go)
    }

    /// Nothing was changed yet, so the intent can go.
    async fn refused(&self, why: &Failure) -> Result<Step, Failure> {
        self.withdraw(Withdrawn::Refused(why.to_string())).await
    }

    async fn withdraw(&self, why: Withdrawn) -> Result<Step, Failure> {
        self.state
            .finish(&self.intent, self.lease, None, None, self.now)
            .await?;
        Ok(Step::End(End::Withdrawn(why)))
    }

    async fn finish(&self, how: Finished) -> Result<Step, Failure> {
        let intent = &self.intent;
        let action = Action::Recreate {
            from: intent.before.encryption.clone(),
            to: intent.to.clone(),
        };
        let result = match &how {
            Finished::Recreated => RepairResult::Done,
            Finished::FellBack(why) => RepairResult::FellBack(why.clone()),
            // The intent is all that is known of what was there: it stays until people were told.
            Finished::Superseded => return Ok(Step::End(End::Finished(how))),
        };
        let record = self.repairs.with(Repair {
            action: action.clone(),
            result,
            at: self.now,
            cause: intent.cause.clone(),
            actor: intent.actor.clone(),
        });
        // Whoever looks next finds a repair that nobody has been told of, and tells.
        let said = (how == Finished::Recreated).then(|| Said {
            status: Status::Fixed,
            about: String::new(),
            since: intent.started_at,
            version: self.said_version.saturating_add(1),
            action: Some(action),
            pending: Some(self.lease.clone()),
        });
        self.state
            .finish(intent, self.lease, Some(&record), said.as_ref(), self.now)
            .await?;
        Ok(Step::End(End::Finished(how)))
    }

    pub(crate) async fn send_create(&self, encryption: &Encryption) -> Result<(), Failure> {
        let before = &self.intent.before;
        let unbuildable = |error: aws_sdk_ecr::error::BuildError| stuck(error.to_string());
        let mut request = self
            .aws
            .ecr
            .create_repository()
            .repository_name(&before.id.name)
            .encryption_configuration(ecr::encryption_request(encryption).map_err(unbuildable)?)
            .image_scanning_configuration(
                ImageScanningConfiguration::builder()
                    .scan_on_push(before.scan_on_push)
                    .build(),
            );
        let (mutability, filters) =
            ecr::mutability_request(&before.mutability).ok_or_else(|| {
                stuck(format!(
                    "tag mutability `{}` can't be written",
                    before.mutability
                ))
            })?;
        request = request
            .image_tag_mutability(mutability)
            .set_image_tag_mutability_exclusion_filters(filters);
        // Tags that AWS owns can't be written.
        let own = before.tags.known().into_iter().flatten();
        let own = own.filter(|(key, _)| !key.starts_with("aws:") && *key != MARKER_TAG);
        let marker = (&MARKER_TAG.to_owned(), &self.intent.id);
        for (key, value) in own.chain([marker]) {
            let tag = Tag::builder()
                .key(key)
                .value(value)
                .build()
                .map_err(unbuildable)?;
            request = request.tags(tag);
        }
        request
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:CreateRepository", &error))
    }

    /// `force`: a policy that locks its author out was there before and is put back as it was.
    async fn put_policy(&self, text: Option<&str>) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        self.aws
            .ecr
            .set_repository_policy()
            .repository_name(&self.intent.before.id.name)
            .policy_text(text)
            .force(true)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:SetRepositoryPolicy", &error))
    }

    async fn put_lifecycle(&self, text: Option<&str>) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        self.aws
            .ecr
            .put_lifecycle_policy()
            .repository_name(&self.intent.before.id.name)
            .lifecycle_policy_text(text)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:PutLifecyclePolicy", &error))
    }

    async fn untag(&self, key: &str) -> Result<(), Failure> {
        self.aws
            .ecr
            .untag_resource()
            .resource_arn(self.intent.before.id.arn())
            .tag_keys(key)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| Failure::of("ecr:UntagResource", &error))
    }
}

fn lost_lease() -> End {
    End::Interrupted(Interruption::Transient(
        "another invocation has taken this recreation over".to_owned(),
    ))
}

fn stuck(why: String) -> Failure {
    Failure::Refused {
        code: "recreation".to_owned(),
        message: why,
    }
}
