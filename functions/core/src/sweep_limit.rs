//! How many repositories one sweep changes: all are counted before the first is changed.
//!
//! INVARIANT: a sweep changes at most as many repositories as its limit, in all its parts together; where it would change more, it changes
//! none. A recreation that was begun before is finished all the same, and a change of the registry is no change of a repository.

use std::collections::BTreeSet;

use crate::audit::Position;
use crate::reason::{Code, Reason};
use crate::repository::RepositoryId;

/// The repositories that a sweep would change, as far as it has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepLimit {
    limit: usize,
    to_change: BTreeSet<RepositoryId>,
    exceeded: bool,
}

impl SweepLimit {
    /// Goes on from where an earlier part of the sweep stopped.
    #[must_use]
    pub fn new(limit: usize, earlier: &Position) -> Self {
        let ids = earlier.to_change.iter();
        let mut counted = Self {
            limit,
            to_change: BTreeSet::new(),
            exceeded: earlier.exceeded,
        };
        for id in ids.filter_map(|arn| RepositoryId::from_arn(arn)) {
            counted.add(id);
        }
        counted
    }

    /// Counts a repository that the policy would change.
    pub fn add(&mut self, id: RepositoryId) {
        self.to_change.insert(id);
        self.exceeded |= self.to_change.len() > self.limit;
    }

    /// Whether the sweep changes nothing because it would change too many.
    #[must_use]
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Nothing waits to be changed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.to_change.is_empty()
    }

    /// The repositories that were counted, to be changed now that everything was looked at, or to be reported as soon as they are too many.
    pub fn take(&mut self) -> Vec<RepositoryId> {
        std::mem::take(&mut self.to_change).into_iter().collect()
    }

    /// Why a repository is not changed that is not among those to be changed.
    #[must_use]
    pub fn hold(&self) -> Reason {
        let limit = self.limit;
        if self.exceeded {
            let why = format!(
                "a sweep changes at most {limit} repositories (`changes-per-sweep`); this one would change more, so it changed none"
            );
            return Reason::new(Code::SweepLimit, why);
        }
        let why = "it was found after the sweep had counted what it changes (`changes-per-sweep`); its next event or the next sweep changes it";
        Reason::new(Code::NotCounted, why)
    }

    /// Where the next part of the sweep goes on.
    #[must_use]
    pub fn write_to(&self, position: Position) -> Position {
        Position {
            to_change: self.to_change.iter().map(RepositoryId::arn).collect(),
            exceeded: self.exceeded,
            ..position
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RepositoryId {
        RepositoryId::new("123456789012", "eu-central-1", &format!("shop/{n}")).unwrap()
    }

    /// However a sweep is cut into parts, it comes to the same.
    #[test]
    fn the_limit_holds_over_all_parts() {
        for limit in 0..4 {
            for repositories in 0..6 {
                for part in 1..4 {
                    let mut position = Position::default();
                    let mut reported = 0;
                    for first in (0..repositories).step_by(part) {
                        let mut counted = SweepLimit::new(limit, &position);
                        for n in first..repositories.min(first + part) {
                            counted.add(id(n));
                        }
                        if counted.exceeded() {
                            reported += counted.take().len();
                        }
                        let written = counted.write_to(Position::default()).write();
                        position = Position::read(&written).unwrap();
                    }
                    let mut counted = SweepLimit::new(limit, &position);
                    let case = format!("{repositories} in parts of {part}, at most {limit}");
                    assert_eq!(counted.exceeded(), repositories > limit, "{case}");
                    let (changed, held) = if repositories > limit {
                        (0, repositories)
                    } else {
                        (repositories, 0)
                    };
                    assert_eq!((counted.take().len(), reported), (changed, held), "{case}");
                }
            }
        }
    }

    #[test]
    fn one_repository_counts_once() {
        let mut counted = SweepLimit::new(1, &Position::default());
        counted.add(id(1));
        counted.add(id(1));
        assert!(!counted.exceeded());
        assert!(counted.hold().text.contains("next event"));
        counted.add(id(2));
        assert!(counted.hold().text.contains("at most 1 "));
    }
}
