//! How many repositories one sweep changes: all are counted before the first is changed.
//!
//! INVARIANT: a sweep changes at most as many repositories as its limit, in all its parts together; where it would change more, it changes
//! none. A recreation that was begun before is finished all the same, and a change of the registry is no change of a repository. The retry of
//! an invocation that died while it changed counts what is left.

use std::collections::BTreeSet;

use serde_json::json;

use crate::audit::{Position, Request};
use crate::policy::MOST_CHANGES;
use crate::reason::{Code, Reason};
use crate::repository::RepositoryId;

/// The repositories that a sweep would change, as far as it has looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepLimit {
    limit: usize,
    counted: usize,
    to_change: BTreeSet<RepositoryId>,
}

impl SweepLimit {
    /// Goes on from where an earlier part of the sweep stopped.
    #[must_use]
    pub fn new(limit: usize, earlier: &Position, request: &Request) -> Self {
        let ids = earlier.to_change.iter();
        let ids = ids.filter_map(|arn| RepositoryId::from_arn(arn));
        Self {
            limit,
            counted: earlier.counted,
            to_change: ids.filter(|id| request.covers(id)).collect(),
        }
    }

    /// Counts a repository that the policy would change; `true`: it waits until everything is counted.
    pub fn count(&mut self, id: &RepositoryId) -> bool {
        let waits = !self.exceeded();
        if !waits || self.to_change.insert(id.clone()) {
            self.counted = self.counted.saturating_add(1);
        }
        waits
    }

    /// Whether the sweep changes nothing because it would change too many.
    #[must_use]
    pub fn exceeded(&self) -> bool {
        self.counted > self.limit
    }

    /// The repositories that wait: to be changed now that everything is counted, or to be reported as soon as they are too many.
    pub fn take(&mut self) -> Vec<RepositoryId> {
        std::mem::take(&mut self.to_change).into_iter().collect()
    }

    /// Has those wait for the next part that there was no time for.
    pub fn put_back(&mut self, left: Vec<RepositoryId>) {
        self.to_change.extend(left);
    }

    /// Nothing waits to be changed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.to_change.is_empty()
    }

    /// Why a repository is not changed that is not among those to be changed.
    #[must_use]
    pub fn hold(&self) -> Reason {
        if self.exceeded() {
            let why = format!(
                "a sweep changes at most {} repositories (`changes-per-sweep`); this one would change more, so it changed none",
                self.limit
            );
            return Reason::new(Code::SweepLimit, why);
        }
        let why = "the sweep found this after it had counted what it changes (`changes-per-sweep`); the next event of the repository or the \
                   next sweep changes it";
        Reason::new(Code::NotCounted, why)
    }

    /// What to do about a sweep that changes nothing, in one line; `None`: it changes what it counted. `complete`: everything was looked at.
    #[must_use]
    pub fn line(&self, request: &Request, complete: bool) -> Option<String> {
        if !self.exceeded() {
            return None;
        }
        let (counted, limit) = (self.counted, self.limit);
        let least = if complete { "" } else { "at least " };
        let fits = complete && counted <= MOST_CHANGES;
        let changes = if fits { counted } else { MOST_CHANGES };
        let some = if fits {
            ""
        } else {
            ", for some of the repositories at a time"
        };
        let repositories = match request.repositories.as_slice() {
            [] if fits => String::new(),
            [] => ", \"repositories\": [\"TEAM/**\"]".to_owned(),
            some => format!(", \"repositories\": {}", json!(some)),
        };
        let again = format!("{{\"mode\": \"enforce\", \"changes\": {changes}{repositories}}}");
        let again = again.replace('\'', "'\\''");
        Some(format!(
            "NOT CHANGED: this sweep would change {least}{counted} repositories, and its limit is {limit} (`changes-per-sweep`). To make the \
             changes{some}: make audit REQUEST='{again}'"
        ))
    }

    /// Where the next part of the sweep goes on.
    #[must_use]
    pub fn write_to(&self, position: Position) -> Position {
        Position {
            to_change: self.to_change.iter().map(RepositoryId::arn).collect(),
            counted: self.counted,
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

    fn counted(limit: usize, repositories: usize) -> SweepLimit {
        let mut counted = SweepLimit::new(limit, &Position::default(), &Request::default());
        for n in 0..repositories {
            counted.count(&id(n));
        }
        counted
    }

    /// However a sweep is cut into parts, it comes to the same.
    #[test]
    fn the_limit_holds_over_all_parts() {
        let everything = Request::default();
        for limit in 0..4 {
            for repositories in 0..6 {
                for part in 1..4 {
                    let mut position = Position::default();
                    let mut reported = 0;
                    for first in (0..repositories).step_by(part) {
                        let mut counted = SweepLimit::new(limit, &position, &everything);
                        for n in first..repositories.min(first + part) {
                            reported += usize::from(!counted.count(&id(n)));
                        }
                        if counted.exceeded() {
                            reported += counted.take().len();
                        }
                        let written = counted.write_to(Position::default()).write();
                        position = Position::read(&written).unwrap();
                    }
                    let mut counted = SweepLimit::new(limit, &position, &everything);
                    let case = format!("{repositories} in parts of {part}, at most {limit}");
                    assert_eq!(counted.exceeded(), repositories > limit, "{case}");
                    let line = counted.line(&everything, true);
                    let says = line.is_some_and(|it| it.contains(&format!(" {repositories} repo")));
                    assert_eq!(says, repositories > limit, "{case}");
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
    fn one_repository_counts_once_and_also_where_there_was_no_time_for_it() {
        let mut counted = counted(1, 1);
        counted.count(&id(0));
        let left = counted.take();
        counted.put_back(left);
        assert!(!counted.exceeded() && !counted.is_done());
        assert!(counted.hold().text.contains("next event"));
        counted.count(&id(2));
        assert!(counted.hold().text.contains("at most 1 "));
    }

    #[test]
    fn who_follows_a_part_with_other_repositories_changes_no_others() {
        let position = counted(9, 3).write_to(Position::default());
        let request: Request =
            serde_json::from_str(r#"{"repositories":["shop/1","x/**"]}"#).unwrap();
        assert_eq!(SweepLimit::new(9, &position, &request).take(), [id(1)]);
    }

    #[test]
    fn the_way_to_make_the_changes_is_one_that_works() {
        let everything = Request::default();
        let some: Request = serde_json::from_str(r#"{"repositories":["shop/**"]}"#).unwrap();
        for (repositories, request, complete, expected) in [
            (
                30,
                &everything,
                true,
                r#"'{"mode": "enforce", "changes": 30}'"#,
            ),
            (
                30,
                &some,
                true,
                r#"'{"mode": "enforce", "changes": 30, "repositories": ["shop/**"]}'"#,
            ),
            (
                600,
                &everything,
                true,
                r#"'{"mode": "enforce", "changes": 500, "repositories": ["TEAM/**"]}'"#,
            ),
            (
                30,
                &everything,
                false,
                r#"'{"mode": "enforce", "changes": 500, "repositories": ["TEAM/**"]}'"#,
            ),
        ] {
            let line = counted(20, repositories).line(request, complete).unwrap();
            assert!(line.ends_with(expected), "{line}");
            assert_eq!(line.contains("at least"), !complete, "{line}");
        }
        assert_eq!(counted(20, 20).line(&everything, true), None);
    }
}
