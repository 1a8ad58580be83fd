//! One sweep of a registry at a time: what a sweep that starts by itself does while another one runs.
//!
//! A sweep that starts while another one runs may have to evaluate what that one has passed already, so it runs after it. A third
//! one would evaluate nothing that the second one does not.

use serde::{Deserialize, Serialize};

/// Seconds by which a sweep's place outlives its invocation: for the next part of it, which comes through a queue.
const GRACE: i64 = 120;
/// Seconds after which the one that waits comes back, because most sweeps end long before their invocation's time is over.
const WAITS: i64 = 30;
/// Seconds by which the place of the one that waits outlives its delay: the queue may deliver late.
const LATE: i64 = 300;

/// A place that is taken, until it is given back or its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SweepPlace {
    /// The request id or message id of the invocation; a retry has the same.
    pub by: String,
    /// Seconds since the epoch.
    pub until: i64,
}

impl SweepPlace {
    fn is_taken_from(&self, me: &str, now: i64) -> bool {
        self.by != me && self.until > now
    }
}

/// The sweep that runs, and the one that waits for its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flight {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<SweepPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<SweepPlace>,
}

/// Where a sweep comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A schedule, or a change of the registry.
    First,
    /// The queue, where it waited for the end of another one.
    Waited,
    /// The queue: it is a later part of the sweep that runs.
    Continued,
}

/// What a sweep does. With it comes what is on record from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepDecision {
    Run(Flight),
    /// It comes back through the queue after this number of seconds.
    Wait(Flight, i64),
    /// It ends: the one that waits evaluates everything.
    Superfluous,
}

/// Decides. `ends_at`: when this invocation is over at the latest, in seconds since the epoch.
#[must_use]
pub fn decide(flight: &Flight, me: &str, start: Start, now: i64, ends_at: i64) -> SweepDecision {
    let other = |place: &Option<SweepPlace>| {
        let place = place.clone();
        place.filter(|place| place.is_taken_from(me, now))
    };
    let waiting = other(&flight.waiting);
    let running = match start {
        Start::Continued => None,
        Start::First | Start::Waited => other(&flight.running),
    };
    let Some(running) = running else {
        return SweepDecision::Run(Flight {
            running: Some(SweepPlace {
                by: me.to_owned(),
                until: ends_at.saturating_add(GRACE),
            }),
            waiting: waiting.filter(|_| start != Start::Waited),
        });
    };
    if start == Start::First && waiting.is_some() {
        return SweepDecision::Superfluous;
    }
    let seconds = running.until.saturating_sub(now).saturating_add(1);
    let seconds = seconds.clamp(1, WAITS);
    let waiting = SweepPlace {
        by: me.to_owned(),
        until: now.saturating_add(seconds).saturating_add(LATE),
    };
    SweepDecision::Wait(
        Flight {
            running: Some(running),
            waiting: Some(waiting),
        },
        seconds,
    )
}

/// What is on record when this sweep has ended.
#[must_use]
pub fn left(flight: &Flight, me: &str) -> Flight {
    Flight {
        running: flight.running.clone().filter(|place| place.by != me),
        waiting: flight.waiting.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn place(by: &str, until: i64) -> Option<SweepPlace> {
        let by = by.to_owned();
        Some(SweepPlace { by, until })
    }

    fn flight(running: Option<SweepPlace>, waiting: Option<SweepPlace>) -> Flight {
        Flight { running, waiting }
    }

    fn what(flight: &Flight, me: &str, start: Start) -> &'static str {
        match decide(flight, me, start, NOW, NOW + 900) {
            SweepDecision::Run(_) => "run",
            SweepDecision::Wait(..) => "wait",
            SweepDecision::Superfluous => "superfluous",
        }
    }

    #[test]
    fn one_runs_and_one_waits() {
        let (over, later) = (NOW, NOW + 60);
        for (running, waiting, start, decision) in [
            (None, None, Start::First, "run"),
            (place("other", over), None, Start::First, "run"),
            (place("me", later), None, Start::First, "run"),
            (place("other", later), None, Start::First, "wait"),
            (
                place("other", later),
                place("third", over),
                Start::First,
                "wait",
            ),
            (
                place("other", later),
                place("me", later),
                Start::First,
                "wait",
            ),
            (
                place("other", later),
                place("third", later),
                Start::First,
                "superfluous",
            ),
            (
                place("other", later),
                place("third", later),
                Start::Waited,
                "wait",
            ),
            (None, place("third", later), Start::First, "run"),
            (
                place("other", over),
                place("third", later),
                Start::Waited,
                "run",
            ),
            (
                place("other", later),
                place("third", later),
                Start::Continued,
                "run",
            ),
        ] {
            let flight = flight(running, waiting);
            assert_eq!(what(&flight, "me", start), decision, "{start:?} {flight:?}");
        }
    }

    #[test]
    fn places_are_kept_and_given_back() {
        let third = place("third", NOW + 60);
        let begun = |start| match decide(&flight(None, third.clone()), "me", start, NOW, NOW + 900)
        {
            SweepDecision::Run(flight) => flight,
            other => panic!("{other:?}"),
        };
        let mine = place("me", NOW + 900 + GRACE);
        assert_eq!(begun(Start::First), flight(mine.clone(), third.clone()));
        assert_eq!(begun(Start::Continued), flight(mine.clone(), third.clone()));
        assert_eq!(
            begun(Start::Waited),
            flight(mine.clone(), None),
            "it was the one that waited"
        );
        let held = flight(place("other", NOW + 5000), None);
        let SweepDecision::Wait(waits, seconds) = decide(&held, "me", Start::First, NOW, NOW + 900)
        else {
            panic!("it does not wait");
        };
        assert_eq!(seconds, WAITS);
        assert_eq!(waits.running, held.running);
        assert!(waits.waiting.is_some_and(|it| it.until > NOW + seconds));
        assert_eq!(
            left(&flight(mine, third.clone()), "me"),
            flight(None, third.clone())
        );
        let others = flight(place("other", NOW + 5), third);
        assert_eq!(left(&others, "me"), others);
    }

    /// Whatever starts, crashes and comes late: a sweep that was wanted is followed by one that began after it, and of all that start by
    /// themselves at most one runs and one waits.
    #[test]
    fn a_sweep_that_is_wanted_happens() {
        for seed in 0..2000_u64 {
            let mut random = seed;
            let mut next = |n: u64| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % n
            };
            let (mut on_record, mut now) = (Flight::default(), NOW);
            // When it is over; whether it ends by itself or is killed.
            let mut runs: Vec<(String, i64, bool)> = Vec::new();
            let mut queue: Vec<(String, i64)> = Vec::new();
            let (mut wanted, mut last_begun) = (0, 0);
            for step in 0..60_i64 {
                now += i64::try_from(next(200)).unwrap();
                let (over, still): (Vec<_>, Vec<_>) =
                    runs.into_iter().partition(|(_, until, _)| *until <= now);
                runs = still;
                for (who, _, killed) in over {
                    if !killed {
                        on_record = left(&on_record, &who);
                    }
                }
                let came = queue
                    .iter()
                    .position(|(_, at)| *at <= now)
                    .map(|at| queue.remove(at));
                let (me, start) = match came {
                    Some((who, _)) => (who, Start::Waited),
                    None if step < 40 && next(2) == 0 => (format!("{step}"), Start::First),
                    None => continue,
                };
                if start == Start::First {
                    wanted = now;
                }
                match decide(&on_record, &me, start, now, now + 900) {
                    SweepDecision::Run(flight) => {
                        on_record = flight;
                        last_begun = now;
                        let lasts = i64::try_from(1 + next(900)).unwrap();
                        runs.push((me, now + lasts, next(4) == 0));
                        assert_eq!(
                            runs.iter().filter(|(_, until, _)| *until > now).count(),
                            1,
                            "seed {seed}"
                        );
                    }
                    SweepDecision::Wait(flight, seconds) => {
                        on_record = flight;
                        queue.push((me, now + seconds));
                        assert_eq!(queue.len(), 1, "seed {seed}");
                    }
                    SweepDecision::Superfluous => {}
                }
            }
            assert!(last_begun >= wanted || !queue.is_empty(), "seed {seed}");
        }
    }
}
