//! When something is reported again, and when it waits: pure decisions about time.

use crate::finding::{Severity, Status};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;

/// Seconds after which an open finding of little severity is reported again.
pub const REMIND_AFTER: i64 = 90 * DAY;
/// Seconds in which the pushes of one repository that one rule finds lead to one alert.
const PUSHES: i64 = HOUR;
/// Seconds after which a sweep that has nothing to report says that it works.
const ALIVE: i64 = 7 * DAY;

/// Seconds after which a finding is reported again; `None`: it is reported once.
#[must_use]
pub fn interval(severity: Severity, status: Status) -> Option<i64> {
    match status {
        Status::Open | Status::Withheld | Status::Failed => Some(if severity >= Severity::High {
            DAY
        } else {
            REMIND_AFTER
        }),
        Status::Exempt | Status::Fixed | Status::Resolved => None,
    }
}

/// Whether a finding is reported again. `reported`: when it was reported last, in seconds since the epoch; `None`: a version
/// that did not record it wrote the item, which ends by its time to live where the interval is [`REMIND_AFTER`].
#[must_use]
pub fn is_due(severity: Severity, status: Status, reported: Option<i64>, now: i64) -> bool {
    interval(severity, status).is_some_and(|interval| match reported {
        Some(reported) => now.saturating_sub(reported) >= interval,
        None => interval < REMIND_AFTER,
    })
}

/// Whether a push is counted and not reported. `reported`: when the last report of its repository and rule was made.
#[must_use]
pub fn only_counts(reported: Option<i64>, now: i64) -> bool {
    reported.is_some_and(|reported| now.saturating_sub(reported) < PUSHES)
}

/// What a complete sweep does about its sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOfLife {
    /// Sends the message, and records the time.
    Send,
    /// Records the time: the sweep has sent a digest, or the first week begins.
    Record,
    Nothing,
}

/// `last`: when the topic got a message of a sweep last. `published`: this sweep has sent one.
#[must_use]
pub fn sign_of_life(last: Option<i64>, published: bool, now: i64) -> SignOfLife {
    match last {
        _ if published => SignOfLife::Record,
        None => SignOfLife::Record,
        Some(last) if now.saturating_sub(last) >= ALIVE => SignOfLife::Send,
        Some(_) => SignOfLife::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_grave_is_reported_daily() {
        let all = [
            Severity::Informational,
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ];
        for status in [Status::Open, Status::Withheld, Status::Failed] {
            let intervals = all.map(|severity| interval(severity, status));
            let (rare, daily) = (Some(90 * 86_400), Some(86_400));
            assert_eq!(intervals, [rare, rare, rare, daily, daily], "{status:?}");
        }
        for status in [Status::Exempt, Status::Fixed, Status::Resolved] {
            assert_eq!(all.map(|severity| interval(severity, status)), [None; 5]);
        }
    }

    #[test]
    fn a_reminder_is_due_once_an_interval() {
        let now = 1_000_000_000;
        for (severity, reported, expected) in [
            (Severity::High, Some(now), false),
            (Severity::High, Some(now - 86_399), false),
            (Severity::High, Some(now - 86_400), true),
            (Severity::Critical, Some(now - 86_400), true),
            (Severity::Medium, Some(now - 86_400), false),
            (Severity::Medium, Some(now - 90 * 86_400), true),
            // An item of an earlier version.
            (Severity::High, None, true),
            (Severity::Medium, None, false),
            // A clock that was ahead.
            (Severity::High, Some(now + 5), false),
        ] {
            for status in [Status::Open, Status::Withheld, Status::Failed] {
                let found = is_due(severity, status, reported, now);
                assert_eq!(found, expected, "{severity:?} {status:?} {reported:?}");
            }
            assert!(!is_due(severity, Status::Exempt, reported, now));
        }
    }

    #[test]
    fn pushes_are_counted_for_an_hour_after_a_report() {
        let now = 1_000_000_000;
        for (reported, expected) in [
            (None, false),
            (Some(now), true),
            (Some(now - 3_599), true),
            (Some(now - 3_600), false),
        ] {
            assert_eq!(only_counts(reported, now), expected, "{reported:?}");
        }
    }

    #[test]
    fn a_sign_of_life_is_sent_after_a_quiet_week() {
        let now = 1_000_000_000;
        let week = 7 * 86_400;
        for (last, published, expected) in [
            (None, false, SignOfLife::Record),
            (None, true, SignOfLife::Record),
            (Some(now - week), true, SignOfLife::Record),
            (Some(now - week), false, SignOfLife::Send),
            (Some(now - week + 1), false, SignOfLife::Nothing),
            (Some(now), false, SignOfLife::Nothing),
        ] {
            let found = sign_of_life(last, published, now);
            assert_eq!(found, expected, "{last:?} {published}");
        }
    }
}
