//! What was done in an account: the changes, suspensions and resumptions that the state table remembers.

use serde::Serialize;

use crate::glob::Glob;
use crate::policy::exemption::Day;
use crate::record::{Repairs, Result as RepairResult};
use crate::repository::RepositoryId;
use crate::text::rfc3339;

/// One thing that was done: a line of `ecr-warden.history/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    pub schema: &'static str,
    /// RFC 3339.
    pub at: String,
    /// ARN; of the registry, where the change was the registry's.
    pub repository: String,
    pub rule: String,
    pub event: HistoryEvent,
    /// Who had made the change necessary, or who suspended or resumed; `None`: it is not known.
    pub actor: Option<String>,
    /// The event, the sweep or the command that it was made for; of a change only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The setting before and after; of a change only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Who approved the change, where the policy asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// `done`, `failed: …`, or why it was suspended.
    pub detail: String,
    #[serde(skip)]
    id: RepositoryId,
    #[serde(skip)]
    seconds: i64,
}

/// What kind of thing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryEvent {
    Change,
    Suspension,
    Resumption,
    /// Of a change that is not made yet.
    Approval,
}

impl HistoryEvent {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Suspension => "suspension",
            Self::Resumption => "resumption",
            Self::Approval => "approval",
        }
    }
}

/// What is asked for; what is not given narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub repositories: Vec<Glob>,
    pub rule: Option<String>,
    /// A part of the actor's ARN.
    pub actor: Option<String>,
    /// Seconds since the epoch: the first, and the one after the last.
    pub since: Option<i64>,
    pub until: Option<i64>,
}

impl HistoryFilter {
    fn covers(&self, entry: &HistoryEntry) -> bool {
        let named = |glob: &Glob| glob.matches(&entry.id.name);
        let of_actor = |part: &String| {
            let actor = entry.actor.as_ref();
            actor.is_some_and(|actor| actor.contains(part.as_str()))
        };
        (self.repositories.is_empty() || self.repositories.iter().any(named))
            && self.rule.as_ref().is_none_or(|rule| *rule == entry.rule)
            && self.actor.as_ref().is_none_or(of_actor)
            && self.since.is_none_or(|since| entry.seconds >= since)
            && self.until.is_none_or(|until| entry.seconds < until)
    }
}

/// Everything that the filter covers, newest first. `records`: of each repository, the repairs of each rule.
#[must_use]
pub fn history(
    records: Vec<(RepositoryId, String, Repairs)>,
    filter: &HistoryFilter,
) -> Vec<HistoryEntry> {
    let entries = records
        .into_iter()
        .flat_map(|(id, rule, repairs)| entries(&id, &rule, repairs));
    let mut entries: Vec<HistoryEntry> = entries.filter(|entry| filter.covers(entry)).collect();
    // Of one second: by repository and rule, so that two runs say the same.
    entries.sort_by(|a, b| {
        let key = |it: &HistoryEntry| (it.repository.clone(), it.rule.clone());
        b.seconds.cmp(&a.seconds).then_with(|| key(a).cmp(&key(b)))
    });
    entries
}

/// The beginning of a time that is asked for, in seconds since the epoch: a day (`2026-11-01`, UTC), or a number of days ago (`30d`).
///
/// # Errors
/// One line: it is neither.
pub fn since(text: &str, now: i64) -> Result<i64, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok());
    if let Some(days) = days {
        return Ok(now.saturating_sub(i64::from(days).saturating_mul(24 * 60 * 60)));
    }
    let day = Day::try_from(text.to_owned());
    day.map(Day::start)
        .map_err(|why| format!("{why}, or as 30d for the last 30 days"))
}

fn entries(id: &RepositoryId, rule: &str, repairs: Repairs) -> Vec<HistoryEntry> {
    let entry = |event, seconds, actor: Option<String>, detail: String| HistoryEntry {
        schema: "ecr-warden.history/1",
        at: rfc3339(seconds).unwrap_or_default(),
        repository: id.arn(),
        rule: rule.to_owned(),
        event,
        actor,
        cause: None,
        from: None,
        to: None,
        approved_by: None,
        detail,
        id: id.clone(),
        seconds,
    };
    let changes = repairs.history.into_iter().map(|repair| HistoryEntry {
        cause: Some(repair.cause),
        from: Some(repair.action.from()),
        to: Some(repair.action.to()),
        approved_by: repair.approved_by,
        ..entry(
            HistoryEvent::Change,
            repair.at,
            repair.actor,
            result(repair.result),
        )
    });
    let held = repairs
        .held
        .map(|held| entry(HistoryEvent::Suspension, held.at, None, held.why));
    let resumed = repairs.resumed_by.map(|who| {
        let detail = "repairs were resumed".to_owned();
        entry(
            HistoryEvent::Resumption,
            repairs.forgiven,
            Some(who),
            detail,
        )
    });
    let approved = repairs.approved.map(|approval| HistoryEntry {
        from: Some(approval.action.from()),
        to: Some(approval.action.to()),
        ..entry(
            HistoryEvent::Approval,
            approval.at,
            Some(approval.by),
            "approved, and not made yet".to_owned(),
        )
    });
    changes.chain(held).chain(resumed).chain(approved).collect()
}

fn result(result: RepairResult) -> String {
    match result {
        RepairResult::Begun => "begun; its result is not known".to_owned(),
        RepairResult::Done => "done".to_owned(),
        RepairResult::Failed(why) => format!("failed: {why}"),
        RepairResult::FellBack(why) => format!("kept the old encryption: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::record::{Held, Newer, Repair};
    use crate::repository::TagMutability;

    fn repair(at: i64, actor: Option<&str>, result: RepairResult) -> Repair {
        Repair {
            action: Action::SetTagMutability {
                from: TagMutability::Mutable,
                to: TagMutability::Immutable,
            },
            result,
            at,
            cause: "CreateRepository".to_owned(),
            actor: actor.map(str::to_owned),
            approved_by: None,
            newer: Newer::default(),
        }
    }

    /// Two repositories: one that was repaired twice and rolled back, one whose repair failed and was resumed.
    fn records() -> Vec<(RepositoryId, String, Repairs)> {
        let id = |name| RepositoryId::new("111111111111", "eu-west-1", name).unwrap();
        let of = |name, repairs| (id(name), "mutable-tags".to_owned(), repairs);
        let api = Repairs {
            history: vec![
                repair(
                    300,
                    Some("arn:aws:iam::111111111111:role/ci"),
                    RepairResult::Done,
                ),
                repair(100, None, RepairResult::Done),
            ],
            held: Some(Held {
                why: "rolled back by mary".to_owned(),
                at: 400,
                by_person: true,
            }),
            ..Repairs::default()
        };
        let web = Repairs {
            history: vec![repair(
                200,
                Some("ann"),
                RepairResult::Failed("denied".to_owned()),
            )],
            forgiven: 250,
            resumed_by: Some("arn:aws:iam::111111111111:user/ann".to_owned()),
            ..Repairs::default()
        };
        vec![of("shop/web", web), of("shop/api", api)]
    }

    fn seconds(filter: &HistoryFilter) -> Vec<i64> {
        let all = history(records(), filter);
        all.iter().map(|entry| entry.seconds).collect()
    }

    #[test]
    fn everything_is_listed_newest_first() {
        let all = history(records(), &HistoryFilter::default());
        let lines: Vec<(i64, &str, &str)> = all
            .iter()
            .map(|it| (it.seconds, it.event.name(), it.detail.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                (400, "suspension", "rolled back by mary"),
                (300, "change", "done"),
                (250, "resumption", "repairs were resumed"),
                (200, "change", "failed: denied"),
                (100, "change", "done"),
            ]
        );
    }

    #[test]
    fn filters_narrow_and_combine() {
        let filter = HistoryFilter::default;
        let globs = |text: &str| vec![Glob::try_from(text.to_owned()).unwrap()];
        for (filter, expected) in [
            (
                HistoryFilter {
                    repositories: globs("shop/w*"),
                    ..filter()
                },
                vec![250, 200],
            ),
            (
                HistoryFilter {
                    repositories: globs("other/**"),
                    ..filter()
                },
                vec![],
            ),
            (
                HistoryFilter {
                    rule: Some("public-access".to_owned()),
                    ..filter()
                },
                vec![],
            ),
            (
                HistoryFilter {
                    actor: Some("role/ci".to_owned()),
                    ..filter()
                },
                vec![300],
            ),
            (
                HistoryFilter {
                    actor: Some("ann".to_owned()),
                    ..filter()
                },
                vec![250, 200],
            ),
            (
                HistoryFilter {
                    since: Some(200),
                    until: Some(400),
                    ..filter()
                },
                vec![300, 250, 200],
            ),
            (
                HistoryFilter {
                    actor: Some("ann".to_owned()),
                    since: Some(201),
                    ..filter()
                },
                vec![250],
            ),
        ] {
            assert_eq!(seconds(&filter), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_time_is_a_day_or_so_many_days_ago() {
        let now = 1_800_000_000;
        for (text, expected) in [
            ("2027-01-14", Ok(1_799_884_800)),
            ("30d", Ok(now - 30 * 24 * 60 * 60)),
            ("0d", Ok(now)),
            ("30", Err(())),
            ("last week", Err(())),
            ("-1d", Err(())),
        ] {
            assert_eq!(since(text, now).map_err(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_its_schema() {
        let all = history(records(), &HistoryFilter::default());
        let json = serde_json::to_value(&all[1]).unwrap();
        let expected = serde_json::json!({
            "schema": "ecr-warden.history/1", "at": "1970-01-01T00:05:00Z",
            "repository": "arn:aws:ecr:eu-west-1:111111111111:repository/shop/api", "rule": "mutable-tags",
            "event": "change", "actor": "arn:aws:iam::111111111111:role/ci", "cause": "CreateRepository",
            "from": "MUTABLE", "to": "IMMUTABLE", "detail": "done",
        });
        assert_eq!(json, expected);
    }
}
