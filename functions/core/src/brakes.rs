//! Whether ecr-warden may change something now: the switch by which an operator stops all changes, and how many changes an hour allows.
//!
//! INVARIANT: while the switch is set, no attempt that begins to read makes a change, not even the removal of a quarantine.
//! INVARIANT: with `changes-per-hour`, at most that number are made within an hour from the first change of a registry. The brake opens at the first one
//! too many, and is open for an hour unless an operator closes it.
//! A recreation that was begun is finished all the same: the repository may not exist at the moment.

use serde::{Deserialize, Serialize};

use crate::finding::{Finding, Fix, Severity, Violation};
use crate::plan::{Decision, Plan, Step};
use crate::reason::{Code, Reason};
use crate::text::{LONGEST, one_line, rfc3339};

/// Seconds.
pub const HOUR: i64 = 60 * 60;
/// While changes are stopped, an alert says so after this number of seconds again.
const DAY: i64 = 24 * HOUR;

/// Who has set or released the switch, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// An ARN.
    pub by: String,
    /// Seconds since the epoch.
    pub at: i64,
    /// One line.
    #[serde(default)]
    pub reason: String,
}

impl Switched {
    #[must_use]
    pub fn new(by: &str, at: i64, reason: &str) -> Self {
        Self {
            by: one_line(by, LONGEST),
            at,
            reason: one_line(reason, LONGEST),
        }
    }

    /// Reads the record. What cannot be read is a switch that is set: a newer version may have written it.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).map_or_else(
            |_| Self::new("an unknown caller", 0, "its record cannot be read"),
            |it: Self| Self::new(&it.by, it.at, &it.reason),
        )
    }
}

/// How many changes of one account and region were made lately. All times are in seconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// When the hour began in which changes are counted.
    pub began: Option<i64>,
    pub count: u64,
    /// When the brake opened last; `None`: it did not in this hour, or an operator has closed it.
    pub opened: Option<i64>,
}

/// Why nothing may be changed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Braked {
    /// An operator has stopped all changes.
    Stopped(Switched),
    /// `changes-per-hour` is used up.
    Hour { count: u64, opened: i64 },
    /// The record cannot be read or written, for this reason.
    Unknown(String),
}

/// Whether a change may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayChange {
    /// Yes, once this is on record.
    Yes(Changes),
    No(Braked),
    /// No, once this is on record: the brake opens.
    Opens(Changes, Braked),
}

/// Decides whether one more change may be made. `stopped`: the switch, if it is set.
#[must_use]
pub fn may_change(
    stopped: Option<&Switched>,
    changes: &Changes,
    limit: u32,
    now: i64,
) -> MayChange {
    if let Some(braked) = braked(stopped, changes, now) {
        return MayChange::No(braked);
    }
    // An hour that begins in the future was recorded by a wrong clock: it counts, and ends when the brake has been open.
    let began = changes
        .began
        .filter(|began| changes.opened.is_none() && now.saturating_sub(*began) < HOUR);
    let count = began.map_or(0, |_| changes.count);
    if count < u64::from(limit) {
        return MayChange::Yes(Changes {
            began: began.or(Some(now)),
            count: count.saturating_add(1),
            opened: None,
        });
    }
    let opened = Changes {
        opened: Some(now),
        ..changes.clone()
    };
    let braked = Braked::Hour {
        count: changes.count,
        opened: now,
    };
    MayChange::Opens(opened, braked)
}

/// Why nothing may be changed now, as far as the record says; `None`: a change may be asked for.
#[must_use]
pub fn braked(stopped: Option<&Switched>, changes: &Changes, now: i64) -> Option<Braked> {
    if let Some(stop) = stopped {
        return Some(Braked::Stopped(stop.clone()));
    }
    let opened = changes.opened?;
    (now.saturating_sub(opened) < HOUR).then_some(Braked::Hour {
        count: changes.count,
        opened,
    })
}

impl Braked {
    /// Why a repair is withheld. It is the same as long as the brake is open: it is said once of each finding.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Stopped(Switched { by, at, reason }) => {
                let since = rfc3339(*at).unwrap_or_default();
                let why = format!(
                    "all changes are stopped since {since} by {by}: {reason}; `ecr-warden start` allows them again"
                );
                Reason::new(Code::Stopped, why)
            }
            Self::Hour { count, .. } => {
                let why = format!(
                    "{count} changes were made within an hour in this account and region (`changes-per-hour`); the next event or sweep \
                     after the brake has closed makes it"
                );
                Reason::new(Code::HourlyLimit, why)
            }
            Self::Unknown(why) => Reason::new(
                Code::RecordUnreadable,
                format!("no repair is made while it cannot be recorded how many were made: {why}"),
            ),
        }
    }

    /// The one alert about it; `None`: it has none of its own.
    #[must_use]
    pub fn alarm(&self) -> Option<Plan> {
        let Reason { code, .. } = self.reason();
        let (rule, detail, what) = match self {
            Self::Stopped(Switched { by, at, reason }) => (
                "all-changes-stopped",
                format!(
                    "ecr-warden reports and changes nothing: {by} stopped all changes at {}: {reason}",
                    rfc3339(*at).unwrap_or_default()
                ),
                "when the reason is gone, run `ecr-warden start`; this alert comes again each day"
                    .to_owned(),
            ),
            Self::Hour { count, opened } => (
                "changes-per-hour",
                format!(
                    "ecr-warden has made {count} changes within an hour, as many as `changes-per-hour` allows; further ones are withheld"
                ),
                format!(
                    "the brake closes at {}. See what was changed with `ecr-warden history`; to go on at once run `ecr-warden resume --brake`, \
                     to stop all changes `ecr-warden stop`",
                    rfc3339(opened.saturating_add(HOUR)).unwrap_or_default()
                ),
            ),
            Self::Unknown(_) => return None,
        };
        Some(Plan {
            steps: vec![Step {
                finding: Finding {
                    rule,
                    severity: Severity::High,
                    violation: Violation {
                        detail,
                        fix: Fix::Manual(what.clone()),
                    },
                    left: None,
                    advice: None,
                },
                decision: Decision::Withhold(Reason::new(code, what)),
            }],
            complete: false,
        })
    }

    /// When that alert may come again, in seconds since the epoch.
    #[must_use]
    pub fn alarm_again(&self, now: i64) -> i64 {
        match self {
            Self::Hour { opened, .. } => opened.saturating_add(HOUR),
            Self::Stopped(_) | Self::Unknown(_) => now.saturating_add(DAY),
        }
    }

    /// One line for a report.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Hour { opened, .. } => format!(
                "NOTHING IS CHANGED until {}: {}; `ecr-warden resume --brake` closes it now",
                rfc3339(opened.saturating_add(HOUR)).unwrap_or_default(),
                self.reason()
            ),
            Self::Stopped(_) | Self::Unknown(_) => format!("NOTHING IS CHANGED: {}", self.reason()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn changes(began: Option<i64>, count: u64, opened: Option<i64>) -> Changes {
        Changes {
            began,
            count,
            opened,
        }
    }

    #[test]
    fn changes_are_counted_in_hours_and_the_brake_opens_at_the_first_too_many() {
        let hour = |opened| Braked::Hour { count: 3, opened };
        let began = Some(NOW - 60);
        for (found, expected) in [
            (
                changes(None, 0, None),
                MayChange::Yes(changes(Some(NOW), 1, None)),
            ),
            (
                changes(began, 1, None),
                MayChange::Yes(changes(began, 2, None)),
            ),
            (
                changes(began, 2, None),
                MayChange::Yes(changes(began, 3, None)),
            ),
            (
                changes(began, 3, None),
                MayChange::Opens(changes(began, 3, Some(NOW)), hour(NOW)),
            ),
            // The policy's limit was higher.
            (
                changes(began, 9, None),
                MayChange::Opens(
                    changes(began, 9, Some(NOW)),
                    Braked::Hour {
                        count: 9,
                        opened: NOW,
                    },
                ),
            ),
            // It is open.
            (
                changes(began, 3, Some(NOW - 1)),
                MayChange::No(hour(NOW - 1)),
            ),
            (
                changes(began, 3, Some(NOW - HOUR + 1)),
                MayChange::No(hour(NOW - HOUR + 1)),
            ),
            // It has closed, or another hour begins.
            (
                changes(began, 3, Some(NOW - HOUR)),
                MayChange::Yes(changes(Some(NOW), 1, None)),
            ),
            (
                changes(Some(NOW - HOUR), 3, None),
                MayChange::Yes(changes(Some(NOW), 1, None)),
            ),
            // A wrong clock began the hour: it is counted in all the same.
            (
                changes(Some(NOW + 9 * HOUR), 2, None),
                MayChange::Yes(changes(Some(NOW + 9 * HOUR), 3, None)),
            ),
        ] {
            assert_eq!(may_change(None, &found, 3, NOW), expected, "{found:?}");
        }
    }

    /// However events come, no hour from its first change has more changes than allowed.
    #[test]
    fn no_hour_has_more_changes_than_allowed() {
        for limit in 1..5 {
            for pause in [1, 600, 1799, 3599, 3600] {
                let (mut found, mut made) = (Changes::default(), Vec::new());
                for n in 0..40 {
                    let now = NOW + n * pause;
                    match may_change(None, &found, limit, now) {
                        MayChange::Yes(next) => {
                            made.push((next.began.unwrap(), now));
                            found = next;
                        }
                        MayChange::Opens(next, _) => found = next,
                        MayChange::No(_) => {}
                    }
                }
                for (began, _) in &made {
                    let of_hour = made.iter().filter(|(other, _)| other == began);
                    assert!(of_hour.clone().count() <= limit as usize, "{limit} {pause}");
                    assert!(of_hour.into_iter().all(|(_, at)| at - began < HOUR));
                }
                assert!(made.len() > limit as usize || pause == 1, "it closes again");
            }
        }
    }

    #[test]
    fn the_switch_comes_before_everything() {
        let stop = Switched::new("arn:aws:iam::111111111111:user/mary", NOW - 5, "INC-1\nx");
        for found in [Changes::default(), changes(Some(NOW), 3, Some(NOW))] {
            let answer = may_change(Some(&stop), &found, 3, NOW);
            assert_eq!(answer, MayChange::No(Braked::Stopped(stop.clone())));
        }
        let reason = Braked::Stopped(stop.clone()).reason();
        assert_eq!(reason.code, Code::Stopped);
        for part in [
            "user/mary",
            "INC-1 x",
            "2027-01-15T07:59:55Z",
            "ecr-warden start",
        ] {
            assert!(reason.text.contains(part), "{reason}");
        }
        let stored = serde_json::to_string(&stop).unwrap();
        assert_eq!(Switched::read(&stored), stop);
        // Nor does a record that this version cannot read allow anything.
        assert!(Switched::read("{}").reason.contains("cannot be read"));
    }

    #[test]
    fn each_brake_but_an_unknown_one_has_an_alert() {
        let hour = Braked::Hour {
            count: 3,
            opened: NOW,
        };
        let alarm = hour.alarm().unwrap();
        let step = &alarm.steps[0];
        assert!(
            step.finding.violation.detail.contains("3 changes"),
            "{step:?}"
        );
        let Decision::Withhold(why) = &step.decision else {
            panic!("{step:?}");
        };
        assert_eq!(why.code, Code::HourlyLimit);
        assert!(why.text.contains("2027-01-15T09:00:00Z"), "{why}");
        assert_eq!(hour.alarm_again(NOW + 9), NOW + HOUR);
        assert_eq!(Braked::Unknown("x".to_owned()).alarm(), None);
    }
}
