//! When a deferred event comes back, when it is given up, and which events of one repository wait for each other.

use serde::Serialize;
use serde_json::Value;

/// SQS accepts at most 900 s of delay.
pub const LONGEST_DELAY: i64 = 900;
/// The first delay without a known end, in seconds. Each further one is twice as long.
const FIRST_DELAY: i64 = 10;
/// Seconds after which an event that could not be processed is given up: its invocation fails, and it becomes a dead letter.
pub const LONGEST_WAIT: i64 = 6 * 60 * 60;
/// Parts after which a sweep is given up. With the smallest rate limit a part reads 150 repositories or more.
pub const MOST_PARTS: u32 = 1000;
/// Seconds for which the delay queues keep a message, so none was deferred earlier.
const KEPT: i64 = 345_600;
/// A larger count is not one of ours.
const MOST_DEFERRALS: u32 = 10_000;

/// The message attributes that carry [`Deferred`]: seconds since the epoch, and a count.
pub const FIRST_DEFERRED_AT: &str = "first-deferred-at";
pub const DEFERRALS: &str = "deferrals";

/// Since when, in seconds since the epoch, and how often an event has been deferred, or a sweep continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Deferred {
    pub since: i64,
    pub count: u32,
}

impl Deferred {
    /// Reads the attributes of an SQS message as Lambda hands them over; `None`: it has none of ours. `now` in seconds since
    /// the epoch. Values that no deferral of ours has are brought into range.
    #[must_use]
    pub fn of_message(message: &Value, now: i64) -> Option<Self> {
        let text = |name: &str| {
            let attribute = message.get("messageAttributes")?.get(name)?;
            attribute.get("stringValue")?.as_str()
        };
        let since: i64 = text(FIRST_DEFERRED_AT)?.parse().ok()?;
        let count: u32 = text(DEFERRALS)?.parse().ok()?;
        Some(Self {
            since: since.clamp(now.saturating_sub(KEPT), now),
            count: count.clamp(1, MOST_DEFERRALS),
        })
    }

    /// For how many seconds it has waited.
    #[must_use]
    pub fn waited(&self, now: i64) -> i64 {
        now.saturating_sub(self.since).max(0)
    }

    /// The same one deferral later; of an event that was not deferred before, the first one.
    #[must_use]
    pub fn next(before: Option<Self>, now: i64) -> Self {
        Self {
            since: before.map_or(now, |before| before.since),
            count: before.map_or(0, |before| before.count).saturating_add(1),
        }
    }
}

/// What becomes of an event that can't be processed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayDecision {
    In { seconds: i64, deferred: Deferred },
    GiveUp { waited: i64 },
}

/// Decides when an event comes back. `needed`: the seconds until it can be processed, where that is known. The first time these are
/// kept to; an event that is deferred again waits twice as long each time. `random`: any number, so that events that are deferred
/// together come back apart.
#[must_use]
pub fn defer(
    before: Option<Deferred>,
    needed: Option<i64>,
    now: i64,
    random: u32,
) -> DelayDecision {
    let deferred = Deferred::next(before, now);
    let waited = deferred.waited(now);
    if waited >= LONGEST_WAIT {
        return DelayDecision::GiveUp { waited };
    }
    let doublings = before.map_or(0, |before| before.count).min(7);
    let longest = FIRST_DELAY
        .saturating_mul(1 << doublings)
        .min(LONGEST_DELAY);
    let half = longest / 2;
    let spread = i64::from(random).checked_rem(half.saturating_add(1));
    let backoff = half.saturating_add(spread.unwrap_or_default());
    let seconds = match (needed, before) {
        (Some(needed), None) => needed,
        (Some(needed), Some(_)) => needed.max(backoff),
        (None, _) => backoff,
    };
    DelayDecision::In {
        seconds: seconds.clamp(0, LONGEST_DELAY),
        deferred,
    }
}

/// Whether a sweep has more parts than one that ends.
#[must_use]
pub fn is_endless(part: Option<Deferred>) -> bool {
    part.is_some_and(|part| part.count >= MOST_PARTS)
}

/// Milliseconds between two reads of one repository's settings under a rate limit, however many events it has: the others
/// need their share.
pub const SPACING: i64 = 10_000;
/// Clocks of two hosts, and SQS's of a delay, differ by less than this many milliseconds.
pub const SKEW: i64 = 2_000;
/// Milliseconds within which a deferred event must come back to count for others. It is also a bound on what a wrong clock may
/// have written.
pub const FORESEEN: i64 = 60_000;

/// What is recorded of a repository's evaluations under a rate limit, in milliseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluations {
    /// When the last one began.
    pub began: Option<i64>,
    /// The invocation that began it.
    pub by: Option<String>,
    /// When a deferred event of the repository comes back, at the earliest.
    pub due: Option<i64>,
}

/// What an event of a repository does under a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Evaluate,
    /// It ends here: a deferred event, which is in the queue, has the repository evaluated later than this one.
    Covered {
        seconds: i64,
    },
    /// Defer it by this number of seconds: an evaluation began a moment ago, and may not have seen what this event is about.
    In {
        seconds: i64,
    },
}

/// Decides by what is recorded. `me`: the invocation, whose retry goes on at once. `now` in milliseconds since the epoch.
///
/// INVARIANT: each event is followed by an evaluation that begins after it. It begins one itself, or comes back, or ends while
/// another one is known to come back [`SKEW`] after it or later.
#[must_use]
pub fn turn(found: &Evaluations, me: &str, now: i64) -> Turn {
    let ahead = |at: i64| at.saturating_sub(now);
    let due = found.due.map(ahead);
    if let Some(wait) = due.filter(|wait| (SKEW..=FORESEEN).contains(wait)) {
        return Turn::Covered {
            seconds: seconds(wait),
        };
    }
    let ours = found.by.as_deref() == Some(me);
    let free = found
        .began
        .map(|began| ahead(began).saturating_add(SPACING));
    match free.filter(|wait| !ours && (1..=SPACING + SKEW).contains(wait)) {
        Some(wait) => Turn::In {
            seconds: seconds(wait),
        },
        None => Turn::Evaluate,
    }
}

/// Whole seconds, rounded up.
fn seconds(millis: i64) -> i64 {
    millis.saturating_add(999) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn deferred(ago: i64, count: u32) -> Option<Deferred> {
        let since = NOW - ago;
        Some(Deferred { since, count })
    }

    #[test]
    fn delay_doubles_up_to_the_longest_that_sqs_takes() {
        let bounds = [
            (5, 10),
            (10, 20),
            (20, 40),
            (40, 80),
            (80, 160),
            (160, 320),
            (320, 640),
            (450, 900),
            (450, 900),
        ];
        for (count, (least, most)) in (0..).zip(bounds) {
            let before = deferred(100, count).filter(|_| count > 0);
            let mut seen = Vec::new();
            for random in 0..1000 {
                let DelayDecision::In { seconds, deferred } = defer(before, None, NOW, random)
                else {
                    panic!("given up");
                };
                assert_eq!(deferred.count, count + 1);
                assert_eq!(
                    deferred.since,
                    if count == 0 { NOW } else { NOW - 100 },
                    "{count}"
                );
                seen.push(seconds);
            }
            let (min, max) = (seen.iter().min(), seen.iter().max());
            assert_eq!((min, max), (Some(&least), Some(&most)), "{count}");
        }
    }

    #[test]
    fn event_is_given_up_after_six_hours_and_not_before() {
        for (ago, count, given_up) in [
            (0, 1, false),
            (LONGEST_WAIT - 1, 40, false),
            (LONGEST_WAIT, 1, true),
            (LONGEST_WAIT + 900, 9000, true),
        ] {
            for needed in [None, Some(5)] {
                let decision = defer(deferred(ago, count), needed, NOW, 0);
                let expected = DelayDecision::GiveUp { waited: ago };
                assert_eq!(decision == expected, given_up, "{ago} {decision:?}");
            }
        }
        // Deferred as often as possible, it comes back about forty times.
        let (mut before, mut now) = (None, NOW);
        while let DelayDecision::In { seconds, deferred } = defer(before, Some(0), now, 0) {
            (before, now) = (Some(deferred), now + seconds);
        }
        let count = before.unwrap().count;
        assert!((40..60).contains(&count), "{count}");
    }

    #[test]
    fn known_delay_is_kept_once_and_is_the_least_afterwards() {
        for (before, needed, least, most) in [
            (None, 2, 2, 2),
            (None, 300, 300, 300),
            (None, 5000, LONGEST_DELAY, LONGEST_DELAY),
            (None, -5, 0, 0),
            (deferred(10, 1), 2, 10, 20),
            (deferred(10, 1), 300, 300, 300),
        ] {
            for random in [0, 1, 17, u32::MAX] {
                let DelayDecision::In { seconds, .. } = defer(before, Some(needed), NOW, random)
                else {
                    panic!("given up");
                };
                assert!((least..=most).contains(&seconds), "{before:?} {needed}");
            }
        }
    }

    #[test]
    fn what_a_message_says_is_bounded() {
        let message = |since: &str, count: &str| {
            json!({ "messageAttributes": {
                FIRST_DEFERRED_AT: { "stringValue": since, "dataType": "Number" },
                DEFERRALS: { "stringValue": count, "dataType": "Number" },
            } })
        };
        for (since, count, expected) in [
            ("1799999990", "3", deferred(10, 3)),
            // From the future, from before the queue, and more often than possible.
            ("9223372036854775807", "0", deferred(0, 1)),
            (
                "-9223372036854775808",
                "4294967295",
                deferred(KEPT, MOST_DEFERRALS),
            ),
            ("99999999999999999999", "3", None),
            ("1e9", "3", None),
            ("1799999990", "-1", None),
            ("", "", None),
        ] {
            let found = Deferred::of_message(&message(since, count), NOW);
            assert_eq!(found, expected, "{since} {count}");
        }
        // As the version before sends it.
        assert_eq!(Deferred::of_message(&json!({ "body": "{}" }), NOW), None);
        let odd = json!({ "messageAttributes": { FIRST_DEFERRED_AT: 7, DEFERRALS: [] } });
        assert_eq!(Deferred::of_message(&odd, NOW), None);
    }

    #[test]
    fn sweep_has_a_bound() {
        assert!(!is_endless(None));
        assert!(!is_endless(deferred(5 * 86_400, MOST_PARTS - 1)));
        assert!(is_endless(deferred(0, MOST_PARTS)));
    }

    #[test]
    fn flood_of_one_repository_waits_for_its_own_evaluations() {
        let now = NOW * 1000;
        let found = |began: Option<i64>, due: Option<i64>| Evaluations {
            began: began.map(|ago| now - ago),
            by: began.map(|_| "another".to_owned()),
            due: due.map(|ahead| now + ahead),
        };
        let covered = |seconds| Turn::Covered { seconds };
        let after = |seconds| Turn::In { seconds };
        for (began, due, expected) in [
            (None, None, Turn::Evaluate),
            // An evaluation began a moment ago: this event may be younger.
            (Some(0), None, after(10)),
            (Some(3_500), None, after(7)),
            (Some(SPACING - 1), None, after(1)),
            (Some(SPACING), None, Turn::Evaluate),
            // One that comes back covers it.
            (Some(3_500), Some(6_500), covered(7)),
            (None, Some(SKEW), covered(2)),
            (None, Some(FORESEEN), covered(60)),
            // One that may come back at this moment, or has, does not.
            (None, Some(SKEW - 1), Turn::Evaluate),
            (Some(3_500), Some(SKEW - 1), after(7)),
            (None, Some(-1), Turn::Evaluate),
            // A wrong clock wrote these.
            (None, Some(FORESEEN + 1), Turn::Evaluate),
            (Some(-SKEW), None, after(12)),
            (Some(-SKEW - 1), None, Turn::Evaluate),
            (Some(i64::MIN / 2), Some(i64::MAX / 2), Turn::Evaluate),
        ] {
            let decision = turn(&found(began, due), "me", now);
            assert_eq!(decision, expected, "{began:?} {due:?}");
        }
        // A retry of the invocation that began it.
        assert_eq!(turn(&found(Some(0), None), "another", now), Turn::Evaluate);
    }
}
