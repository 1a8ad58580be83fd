//! What happens next with one repository, or with the registry, as a pure function of what this attempt has read and of what earlier attempts of the same
//! invocation came to. The AWS side carries out each answer and asks again.
//!
//! INVARIANT: while the record of a repository cannot be read, nothing is repaired and nothing is recreated.
//! INVARIANT: a recreation on record comes before everything else, and only who holds its lease works on it.
//! INVARIANT: each [`Next::Observe`] asks for something that was not read yet, so that every attempt ends.

mod clearance;
mod decide;
mod owner;
mod reads;
mod recreation;
mod registry;
mod report;

use crate::claim::Claim;
use crate::defer::Turn;
use crate::plan::Plan;
use crate::policy::{Policy, Resolved};
use crate::reason::Reason;
use crate::record::{Known, LastConforming, Lease};
use crate::recreate::Intent;
use crate::registry::{Registry, RegistryReads};
use crate::repository::{Read, Reads, Repository};
use crate::trigger::{Invocation, Trigger};

/// A lease outlives its invocation by this many seconds, for calls that are still on their way.
pub const LEASE_GRACE: i64 = 30;

/// Who decides: an invocation that works on a trigger, under a policy.
#[derive(Clone, Copy, Debug)]
pub struct Reconciler<'a> {
    pub policy: &'a Policy,
    pub trigger: &'a Trigger,
    pub invocation: &'a Invocation,
    /// The name of this delivery of the event alone: see [`delivery`](crate::recreate::delivery).
    pub delivery: &'a str,
    pub requeue: Requeue,
}

/// What can wait for a later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// The event, in the delay queue.
    Event,
    /// Nothing: a sweep has no event. The repository's own events wait in the delay queue.
    NoEvent,
    /// Nothing: there is no delay queue.
    NoQueue,
}

/// What an attempt has read. It begins empty, and each [`Next::Observe`] adds to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Whether it is this event's turn among those of the repository.
    pub turn: Option<Turn>,
    /// The rate limit has no room for the calls that were wanted.
    pub rate_limited: bool,
    /// What the state table holds of the repository.
    pub record: Read<Known>,
    /// The record was read once more, after the repository.
    pub record_reread: bool,
    /// What the state table holds of the registry.
    pub registry: Read<Known>,
    pub repository: Seen,
    /// What `repository` was read with.
    pub reads: Reads,
    /// The reads are those that the repository's tags and record ask for, and all image tags were read.
    pub reads_all: bool,
    /// The CloudFormation stack that owns the repository; `Known(None)`: none does.
    pub stack: Read<Option<String>>,
    /// When ecr-warden was deployed, in seconds since the epoch.
    pub deployed_at: Read<i64>,
    /// What the brakes answered.
    pub clearance: Option<Clearance>,
}

impl Observation {
    /// The beginning of the next attempt. The turn stays this event's, and what the brakes answered.
    #[must_use]
    pub fn next_attempt(self) -> Self {
        Self {
            turn: self.turn,
            clearance: self.clearance,
            ..Self::default()
        }
    }
}

/// What the brakes answered to this invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clearance {
    /// A change may be made. `counted`: as one of the hour's changes.
    Granted { counted: bool },
    /// None may be, for this reason.
    Refused(Reason),
}

/// What is known of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    #[default]
    NotRead,
    /// What DescribeRepositories alone shows.
    Described(Box<Repository>),
    Read(Box<Repository>),
    /// The trigger is about the registry.
    Registry(Box<Registry>),
    /// ECR knows no such repository.
    Gone,
    /// Why it may not be read, in one line.
    Unreadable(String),
    /// Why it cannot be read at the moment, in one line: a retry may read it.
    Unavailable(String),
}

/// What earlier attempts of this invocation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// What was read may have been older than the record, and was read again.
    pub reread: bool,
    /// How often it waited for another invocation's change of the registry.
    pub registry_waits: u32,
    /// Why the recreation is not tried again.
    pub gave_up: Option<Reason>,
}

/// What happens next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Read this, and ask again.
    Observe(Wanted),
    /// Record that replication fills the repository.
    MarkReplica,
    /// End: there is nothing to evaluate.
    Ignore(Reason),
    /// End: the event comes back from the delay queue.
    Defer(Deferral),
    /// Fail the invocation, so that Lambda retries it. The plan is reported before.
    Fail {
        why: String,
        alarm: Option<Box<Plan>>,
    },
    /// Begin another attempt, after this number of seconds.
    StartOver { earlier: Earlier, seconds: u64 },
    /// Recreate the repository.
    Recreate {
        intent: Box<Intent>,
        lease: Lease,
        /// The intent is to be put on record; otherwise it is there and is taken over.
        begin: bool,
    },
    /// Claim and repair at the same time, then report and commit.
    Report(Box<Report>),
}

/// What to read, all of it at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This event's turn among those of the repository.
    Turn,
    Record,
    RecordAndRepository(Reads),
    /// DescribeRepositories alone, of what has just been created as the policy asks.
    RecordAndDescription,
    /// The registry's settings, as far as rules need them.
    RecordAndSettings(RegistryReads),
    /// DescribeRepositories alone.
    Description,
    /// What is beyond the description.
    Rest(Reads),
    /// The repository as a whole, with all image tags.
    Repository(Reads),
    /// The record of the registry.
    Registry,
    /// The CloudFormation stack that owns the repository.
    Stack,
    /// The time of the deployment.
    Deployment,
    /// Whether a change may be made. `counts`: as one of the hour's changes.
    Clearance {
        counts: bool,
    },
}

/// Why and for how long an event waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// Until the rate limit may have room.
    RateLimited,
    /// The repository was evaluated a moment ago.
    EvaluatedLately { seconds: i64 },
    /// For as long as this takes.
    For { seconds: i64, reason: Reason },
}

/// What was found, what is to be done about it, and what is to be reported of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub policy: Resolved,
    pub plan: Plan,
    /// What was on record; empty where that cannot be read.
    pub record: Known,
    /// Whether the record could be read. If not, nothing is claimed and nothing is committed.
    pub recorded: bool,
    pub claims: Vec<Claim>,
    /// Milliseconds since the epoch.
    pub created_at: Option<i64>,
    /// Seconds since the epoch.
    pub now: i64,
    /// Seconds after which the event is to come back.
    pub look_again_in: Option<i64>,
    /// To be recorded when it is reported: the next pushes need not read the repository.
    pub conforms: Option<LastConforming>,
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
