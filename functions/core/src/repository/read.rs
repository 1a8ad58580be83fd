//! What a read brought back, and which reads are wanted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What a read brought back. A rule that needs what could not be had reports, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Read<T> {
    /// No enabled rule needs it.
    #[default]
    NotAsked,
    Known(T),
    /// It could not be read, and why, in one line; a missing permission is named.
    Unreadable(String),
}

/// How the reason begins where AWS names a statement of the repository policy as what denies a call; the permission follows.
pub const DENIED_BY_POLICY: &str = "the repository policy denies ecr-warden ";

impl<T> Read<T> {
    /// Why it could not be read.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) => Some(why),
            Self::NotAsked | Self::Known(_) => None,
        }
    }

    #[must_use]
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::NotAsked | Self::Unreadable(_) => None,
        }
    }

    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        match self {
            Self::Known(value) => Read::Known(change(value)),
            Self::NotAsked => Read::NotAsked,
            Self::Unreadable(why) => Read::Unreadable(why),
        }
    }

    /// The value, or the reason why there is none.
    ///
    /// # Errors
    /// One line.
    pub fn required(&self) -> Result<&T, String> {
        match self {
            Self::Known(value) => Ok(value),
            Self::NotAsked => Err("it was not read".to_owned()),
            Self::Unreadable(why) => Err(why.clone()),
        }
    }
}

/// What an enabled rule needs to know of a repository beside DescribeRepositories' answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub tags: bool,
    pub policy: bool,
    pub lifecycle: bool,
    /// Whether there is any image.
    pub images: bool,
    /// The tags of the images that were pushed last.
    pub recent_tags: bool,
    /// The registry's scanning configuration, and when ECR scans the repository by it.
    pub scanning: bool,
    /// Whether a pull-through cache fills it.
    pub pull_through: bool,
    /// What each image weighs.
    pub storage: bool,
    /// KMS keys by alias, id or ARN whose description is needed.
    pub keys: BTreeSet<String>,
}

impl Reads {
    /// Everything that a recreation has to put back, and whether there is anything that it must not touch.
    #[must_use]
    pub fn of_recreation() -> Self {
        Self {
            tags: true,
            policy: true,
            lifecycle: true,
            images: true,
            ..Self::default()
        }
    }

    /// Whether nothing is to be read.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub fn add(&mut self, other: Self) {
        let Self {
            tags,
            policy,
            lifecycle,
            images,
            recent_tags,
            scanning,
            pull_through,
            storage,
            keys,
        } = other;
        self.tags |= tags;
        self.policy |= policy;
        self.lifecycle |= lifecycle;
        self.images |= images;
        self.recent_tags |= recent_tags;
        self.scanning |= scanning;
        self.pull_through |= pull_through;
        self.storage |= storage;
        self.keys.extend(keys);
    }

    /// These but for those.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        Self {
            tags: self.tags && !others.tags,
            policy: self.policy && !others.policy,
            lifecycle: self.lifecycle && !others.lifecycle,
            images: self.images && !others.images,
            recent_tags: self.recent_tags && !others.recent_tags,
            scanning: self.scanning && !others.scanning,
            pull_through: self.pull_through && !others.pull_through,
            storage: self.storage && !others.storage,
            keys: self.keys.difference(&others.keys).cloned().collect(),
        }
    }

    /// Whether these bring all that those would.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        let mut together = self.clone();
        together.add(others.clone());
        together == *self
    }
}
