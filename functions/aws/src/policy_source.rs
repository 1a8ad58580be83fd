//! Where the policy comes from: the function's own, or an SSM parameter that is read again without a deployment.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ecr_warden_core::policy::Policy;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connect::clients::Clients;
use crate::connect::error::Failure;

/// A parameter is read again when what is known of it is older.
const FRESH: Duration = Duration::from_secs(60);
/// SSM's largest page of a parameter's versions.
const PAGE: i32 = 50;

/// The source.
#[derive(Debug)]
pub enum PolicySource {
    /// It does not change while the function runs.
    Fixed(Arc<Policy>),
    Parameter(Box<Parameter>),
}

impl PolicySource {
    #[must_use]
    pub fn fixed(policy: Policy) -> Self {
        Self::Fixed(Arc::new(policy))
    }

    /// An SSM parameter of type `String`, by its name.
    #[must_use]
    pub fn parameter(clients: &Clients, name: String) -> Self {
        Self::Parameter(Box::new(Parameter {
            ssm: clients.ssm(),
            name,
            cached: Mutex::default(),
        }))
    }
}

/// A parameter, and the policy that it holds.
#[derive(Debug)]
pub struct Parameter {
    ssm: aws_sdk_ssm::Client,
    name: String,
    cached: Mutex<Option<(Arc<Policy>, ReadAt)>>,
}

/// When something was read, by two clocks: while Lambda freezes a function its monotonic clock stands still, and the wall clock can be set
/// back (hashicorp/vault-lambda-extension#150).
#[derive(Clone, Copy, Debug)]
struct ReadAt {
    monotonic: Instant,
    wall: SystemTime,
}

impl ReadAt {
    fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// The greater of both ages; by a wall clock that was set back, the age is unknown and it is read again.
    fn is_fresh(self, now: Self) -> bool {
        let by_wall = now.wall.duration_since(self.wall);
        let by_monotonic = now.monotonic.duration_since(self.monotonic);
        by_monotonic < FRESH && by_wall.is_ok_and(|age| age < FRESH)
    }
}

/// A look at the source.
pub(crate) struct PolicyRead {
    /// What is in force; `Err`: nothing is, and one line says why.
    pub(crate) policy: Result<Arc<Policy>, String>,
    /// What the parameter was found to be, where it was just read.
    pub(crate) read: Option<ParameterStatus>,
}

/// A parameter as it was just read.
pub(crate) struct ParameterStatus {
    pub(crate) parameter: String,
    /// What is wrong with it: another policy than its own is in force, or none.
    pub(crate) wrong: Option<String>,
}

impl PolicySource {
    pub(crate) async fn look(&self) -> PolicyRead {
        match self {
            Self::Fixed(policy) => PolicyRead {
                policy: Ok(Arc::clone(policy)),
                read: None,
            },
            Self::Parameter(parameter) => parameter.look().await,
        }
    }
}

impl Parameter {
    /// A policy that is not valid never replaces one that was: the last one stays in force.
    async fn look(&self) -> PolicyRead {
        let mut cached = self.cached.lock().await;
        if let Some((policy, read_at)) = &*cached
            && read_at.is_fresh(ReadAt::now())
        {
            return PolicyRead {
                policy: Ok(Arc::clone(policy)),
                read: None,
            };
        }
        let before = cached.as_ref().map(|(policy, _)| Arc::clone(policy));
        let (policy, wrong) = match self.current().await {
            Ok(Ok(policy)) => (Ok(Arc::new(policy)), None),
            Ok(Err(problems)) => {
                let wrong = format!(
                    "the policy in the parameter `{}` is not valid: {problems}",
                    self.name
                );
                (self.last_good(before, &wrong).await, Some(wrong))
            }
            // This says nothing of the parameter.
            Err(Failure::Unavailable(why)) => {
                return PolicyRead {
                    policy: before.ok_or(why),
                    read: None,
                };
            }
            Err(other) => {
                let wrong = format!("the parameter `{}` can't be read: {other}", self.name);
                (self.last_good(before, &wrong).await, Some(wrong))
            }
        };
        if let Ok(policy) = &policy {
            *cached = Some((Arc::clone(policy), ReadAt::now()));
        }
        PolicyRead {
            policy,
            read: Some(ParameterStatus {
                parameter: self.name.clone(),
                wrong,
            }),
        }
    }

    /// What the parameter holds now: a policy, or all that is wrong with it in one line.
    async fn current(&self) -> Result<Result<Policy, String>, Failure> {
        let answer = self
            .ssm
            .get_parameter()
            .name(&self.name)
            .send()
            .await
            .map_err(|error| Failure::of("ssm:GetParameter", &error))?;
        let text = answer.parameter.and_then(|parameter| parameter.value);
        Ok(parse(&text.unwrap_or_default()))
    }

    /// The one that was in force before, or the newest of the parameter's versions that is valid.
    async fn last_good(
        &self,
        before: Option<Arc<Policy>>,
        wrong: &str,
    ) -> Result<Arc<Policy>, String> {
        if let Some(before) = before {
            return Ok(before);
        }
        let mut newest: Option<(i64, Policy)> = None;
        let mut token = None;
        loop {
            let page = self
                .ssm
                .get_parameter_history()
                .name(&self.name)
                .max_results(PAGE)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| Failure::of("ssm:GetParameterHistory", &error))
                .map_err(|failure| {
                    format!("{wrong}; and its earlier versions can't be read: {failure}")
                })?;
            for version in page.parameters() {
                let is_newer = newest
                    .as_ref()
                    .is_none_or(|(number, _)| *number < version.version());
                if let (true, Ok(policy)) = (is_newer, parse(version.value().unwrap_or_default())) {
                    newest = Some((version.version(), policy));
                }
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        newest
            .map(|(_, policy)| Arc::new(policy))
            .ok_or_else(|| format!("{wrong}; and none of its earlier versions is valid"))
    }
}

fn parse(text: &str) -> Result<Policy, String> {
    Policy::parse(text).map_err(|problems| {
        let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        lines.join("; ")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function that was frozen for twenty minutes reads the policy again: its monotonic clock has gone on by five seconds.
    #[test]
    fn the_policy_is_read_again_after_a_minute_by_either_clock() {
        let read = ReadAt::now();
        let later = |monotonic: u64, wall: u64| ReadAt {
            monotonic: read.monotonic + Duration::from_secs(monotonic),
            wall: read.wall + Duration::from_secs(wall),
        };
        assert!(read.is_fresh(later(5, 5)));
        assert!(!read.is_fresh(later(5, 1200)), "frozen");
        assert!(!read.is_fresh(later(61, 0)), "the wall clock was stopped");
        let set_back = ReadAt {
            wall: read.wall - Duration::from_secs(10),
            ..later(5, 0)
        };
        assert!(!read.is_fresh(set_back));
    }
}
