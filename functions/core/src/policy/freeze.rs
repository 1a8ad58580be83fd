//! Freezes: days, or hours of each week, in which nothing is changed.
//!
//! Zones have no names here. A name needs the database of zones, which changes some times a year: it is not in Lambda's runtime, and a copy
//! in the functions would grow old with them. Who has summer time names both offsets, and the window is the longer one.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::exemption::{Day, ExemptionReason};
use crate::reason::{Code, Reason};
use crate::text::one_line;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// The epoch was a Thursday.
const EPOCH: i64 = 3 * DAY;
/// Summer and winter time, and a change of the law.
const MOST_OFFSETS: usize = 4;

/// When nothing is changed, as the file has it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct FreezeFile {
    /// The first day (UTC), as 2026-12-20; or when it begins in each week, as `fri 16:00`.
    from: Moment,
    /// The last day (UTC), as 2027-01-06; or when it ends in each week, as `mon 08:00`.
    until: Moment,
    /// Of the times of a week: the zone's offset from UTC, as `+01:00`. With summer time, both of its offsets: it is frozen while it
    /// is at any of them. Without it: UTC.
    #[serde(default)]
    utc_offsets: Vec<UtcOffset>,
    /// Why. It is shown with each finding.
    reason: ExemptionReason,
}

/// When nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "FreezeFile")]
#[schemars(with = "FreezeFile")]
pub(super) struct Freeze {
    window: Window,
    reason: ExemptionReason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Window {
    Days {
        from: Day,
        until: Day,
    },
    Weekly {
        from: WeekTime,
        until: WeekTime,
        offsets: Vec<UtcOffset>,
    },
}

impl TryFrom<FreezeFile> for Freeze {
    type Error = String;

    fn try_from(file: FreezeFile) -> Result<Self, String> {
        let FreezeFile {
            from,
            until,
            utc_offsets,
            reason,
        } = file;
        let window = match (from, until) {
            (Moment::Day(from), Moment::Day(until)) => {
                if until < from {
                    return Err(format!(
                        "this freeze ends before it begins: `until` is {until}, before `from`, {from}"
                    ));
                }
                if !utc_offsets.is_empty() {
                    return Err(
                        "a freeze of days is in UTC: leave `utc-offsets` out, and name a day more at each end"
                            .to_owned(),
                    );
                }
                Window::Days { from, until }
            }
            (Moment::Week(from), Moment::Week(until)) => {
                if from == until {
                    return Err(format!(
                        "this freeze has no length: `from` and `until` are both {from}; `mode: monitor` changes nothing at any time"
                    ));
                }
                if utc_offsets.len() > MOST_OFFSETS {
                    return Err(format!("a zone has at most {MOST_OFFSETS} `utc-offsets`"));
                }
                let offsets = match utc_offsets {
                    none if none.is_empty() => vec![UtcOffset(0)],
                    some => some,
                };
                Window::Weekly {
                    from,
                    until,
                    offsets,
                }
            }
            (Moment::Day(day), Moment::Week(time)) | (Moment::Week(time), Moment::Day(day)) => {
                return Err(format!(
                    "`from` and `until` are both days, or both times of a week: not {day} and {time}"
                ));
            }
        };
        Ok(Self { window, reason })
    }
}

impl Freeze {
    /// Why nothing is changed at this time, in seconds since the epoch, if it holds then.
    pub(super) fn hold(&self, now: i64) -> Option<Reason> {
        let reason = &self.reason;
        let when = match &self.window {
            Window::Days { from, until } => {
                let holds = (from.start()..until.end()).contains(&now);
                holds.then(|| format!("until {until}"))
            }
            Window::Weekly {
                from,
                until,
                offsets,
            } => {
                let holds = offsets.iter().any(|offset| {
                    let local = now.saturating_add(offset.0).saturating_add(EPOCH);
                    let time = local.rem_euclid(WEEK);
                    if from.0 < until.0 {
                        (from.0..until.0).contains(&time)
                    } else {
                        time >= from.0 || time < until.0
                    }
                });
                holds.then(|| {
                    let offsets: Vec<String> = offsets.iter().map(ToString::to_string).collect();
                    format!("from {from} until {until} ({})", offsets.join(", "))
                })
            }
        };
        when.map(|when| {
            let why = format!("the policy changes nothing {when} (`freezes`: {reason})");
            Reason::new(Code::Frozen, why)
        })
    }
}

/// A day, or a time of each week.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Moment {
    Day(Day),
    Week(WeekTime),
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some(time) = WeekTime::parse(&text) {
            return Ok(Self::Week(time));
        }
        Day::try_from(text.clone()).map(Self::Day).map_err(|_| {
            format!(
                "`{}` is neither a day nor a time of the week: write it as 2027-03-31 or as `fri 16:00`",
                one_line(&text, 40)
            )
        })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(\\d{4}-\\d\\d-\\d\\d|(mon|tue|wed|thu|fri|sat|sun) ([01]\\d|2[0-3]):[0-5]\\d)$",
            "description": "A day, as 2027-03-31, or a time of each week, as `fri 16:00`.",
        })
    }
}

/// Seconds since Monday, 00:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct WeekTime(i64);

impl WeekTime {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = WEEKDAYS.iter().position(|weekday| *weekday == day)?;
        let day = i64::try_from(day).ok()?.checked_mul(DAY)?;
        day.checked_add(clock(time, 23)?).map(Self)
    }
}

impl fmt::Display for WeekTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = usize::try_from(self.0.div_euclid(DAY)).unwrap_or_default();
        let day = WEEKDAYS.get(day).copied().unwrap_or_default();
        let time = self.0.rem_euclid(DAY);
        let (hours, minutes) = (time.div_euclid(HOUR), time.rem_euclid(HOUR) / MINUTE);
        write!(f, "{day} {hours:02}:{minutes:02}")
    }
}

/// Seconds east of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct UtcOffset(i64);

impl TryFrom<String> for UtcOffset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parse = || match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(east), _) => clock(east, 14),
            (_, Some(west)) => clock(west, 14)?.checked_neg(),
            _ => None,
        };
        parse().map(Self).ok_or_else(|| {
            format!(
                "`{}` is not an offset from UTC: write it as +01:00 or -05:00",
                one_line(&text, 40)
            )
        })
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, size) = (if self.0 < 0 { '-' } else { '+' }, self.0.saturating_abs());
        let (hours, minutes) = (size.div_euclid(HOUR), size.rem_euclid(HOUR) / MINUTE);
        write!(f, "UTC{sign}{hours:02}:{minutes:02}")
    }
}

impl JsonSchema for UtcOffset {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UtcOffset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[+-](0\\d|1[0-4]):[0-5]\\d$",
            "description": "An offset from UTC, as +01:00.",
        })
    }
}

/// `16:00`, in seconds.
fn clock(text: &str, most_hours: i64) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str, most: i64| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = part.parse().ok().filter(|_| digits)?;
        (number <= most).then_some(number)
    };
    let hours = two_digits(hours, most_hours)?.checked_mul(HOUR)?;
    hours.checked_add(two_digits(minutes, 59)?.checked_mul(MINUTE)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::repository::RepositoryId;

    fn policy(freezes: &str) -> Result<Policy, String> {
        let text = format!("version: 1\nmode: enforce\nfreezes: [{freezes}]");
        Policy::parse(&text).map_err(|problems| problems.to_string())
    }

    fn holds(freezes: &str, now: i64) -> bool {
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let hold = policy(freezes).unwrap().hold(&id, now);
        assert!(hold.as_ref().is_none_or(|hold| hold.code == Code::Frozen));
        hold.is_some()
    }

    /// Monday, 2027-01-18, 00:00 UTC.
    const MONDAY: i64 = 1_800_230_400;

    #[test]
    fn a_weekly_freeze_holds_in_each_week() {
        let over_weekend = "{ from: fri 16:00, until: mon 08:00, reason: weekend }";
        let nights = "{ from: \"tue 22:00\", until: \"wed 06:00\", reason: night }";
        let hour = |day: i64, hour: i64| day * DAY + hour * HOUR;
        for (freeze, from, until) in [
            (over_weekend, hour(4, 16), hour(7, 8)),
            (nights, hour(1, 22), hour(2, 6)),
        ] {
            for week in [-2900, -1, 0, 1, 52] {
                let at = |time: i64| MONDAY + week * WEEK + time;
                for (time, expected) in [
                    (from - 1, false),
                    (from, true),
                    ((from + until) / 2, true),
                    (until - 1, true),
                    (until, false),
                ] {
                    assert_eq!(holds(freeze, at(time)), expected, "{freeze} {week} {time}");
                }
            }
        }
    }

    #[test]
    fn with_two_offsets_it_holds_as_long_as_at_any_of_them() {
        let of = |offsets: &str| {
            format!("{{ from: fri 16:00, until: mon 08:00, utc-offsets: {offsets}, reason: x }}")
        };
        let friday = MONDAY + 4 * DAY;
        let monday = MONDAY + 7 * DAY;
        for (offsets, begins, ends) in [
            ("[]", friday + 16 * HOUR, monday + 8 * HOUR),
            ("[\"+01:00\"]", friday + 15 * HOUR, monday + 7 * HOUR),
            (
                "[\"-05:30\"]",
                friday + 21 * HOUR + HOUR / 2,
                monday + 13 * HOUR + HOUR / 2,
            ),
            (
                "[\"+01:00\", \"+02:00\"]",
                friday + 14 * HOUR,
                monday + 7 * HOUR,
            ),
        ] {
            let freeze = of(offsets);
            for (now, expected) in [
                (begins - 1, false),
                (begins, true),
                (ends - 1, true),
                (ends, false),
            ] {
                assert_eq!(holds(&freeze, now), expected, "{offsets} {now}");
            }
        }
    }

    #[test]
    fn what_is_no_freeze_is_a_problem_with_its_place() {
        for (freeze, problem) in [
            (
                "from: 2027-01-06, until: 2026-12-20",
                "ends before it begins",
            ),
            (
                "from: fri 16:00, until: 2026-12-20",
                "both days, or both times of a week",
            ),
            ("from: fri 16:00, until: fri 16:00", "no length"),
            (
                "from: fr 16:00, until: mon 08:00",
                "`fr 16:00` is neither a day nor a time of the week",
            ),
            (
                "from: fri 24:00, until: mon 08:00",
                "`fri 24:00` is neither",
            ),
            (
                "from: fri 16:60, until: mon 08:00",
                "`fri 16:60` is neither",
            ),
            (
                "from: fri +6:00, until: mon 08:00",
                "`fri +6:00` is neither",
            ),
            (
                "from: fri 16:00, until: mon 08:00, utc-offsets: [\"Europe/Berlin\"]",
                "not an offset",
            ),
            (
                "from: fri 16:00, until: mon 08:00, utc-offsets: [\"+15:00\"]",
                "not an offset",
            ),
            (
                "from: 2026-12-20, until: 2027-01-06, utc-offsets: [\"+01:00\"]",
                "in UTC",
            ),
        ] {
            let found = policy(&format!("{{ {freeze}, reason: x }}")).unwrap_err();
            assert!(found.contains(problem), "{freeze}: {found}");
            assert!(found.starts_with("line 3, column "), "{freeze}: {found}");
        }
    }
}
