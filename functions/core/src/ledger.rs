//! What a sweep changed, one line each (JSON Lines, `ecr-warden.change/1`), so that all of it can be listed and rolled back.
//!
//! A line only points at a change: what is put back, and whether it still may be, is decided by the state table's record.

use serde::{Deserialize, Serialize};

use crate::action::{Action, SET_REGISTRY_SCANNING};
use crate::finding::Status;
use crate::outcome::Verdict;
use crate::record::{Known, Repair};
use crate::repository::RepositoryId;
use crate::rules::entry;
use crate::text::counted;

/// The cause of a repair that was a rollback.
pub const ROLLBACK: &str = "rollback";

const SCHEMA: &str = "ecr-warden.change/1";
/// Longer ledgers are none of ours: a sweep makes this many changes in some fifty of its parts.
const MOST_CHANGES: usize = 200_000;

/// A change that a sweep made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    schema: String,
    /// Of the sweep, RFC 3339.
    pub at: String,
    /// ARN.
    pub repository: String,
    pub rule: String,
    pub action: String,
    pub from: String,
    pub to: String,
}

impl Change {
    fn is(&self, action: &Action) -> bool {
        self.action == action.name() && self.from == action.from() && self.to == action.to()
    }

    fn is_reverse_of(&self, action: &Action) -> bool {
        self.action == action.name() && self.from == action.to() && self.to == action.from()
    }
}

/// Where the changes of a sweep are listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// `s3://BUCKET/KEY`.
    pub location: String,
    pub changes: usize,
}

impl Ledger {
    /// In one line, with the command that reverts them.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { location, changes } = self;
        let changes = counted(*changes, "change is", "changes are");
        format!(
            "{changes} listed in {location}; `ecr-warden rollback --sweep {location}` shows and reverts them"
        )
    }
}

/// The changes among what a sweep reports.
#[must_use]
pub fn changes(at: &str, news: &[(&RepositoryId, &[Verdict])]) -> Vec<Change> {
    let made = |verdict: &&Verdict| verdict.news && verdict.status != Status::Failed;
    news.iter()
        .flat_map(|(id, verdicts)| {
            verdicts.iter().filter(made).filter_map(|verdict| {
                let action = verdict.action.as_ref()?;
                Some(Change {
                    schema: SCHEMA.to_owned(),
                    at: at.to_owned(),
                    repository: id.arn(),
                    rule: verdict.rule.clone(),
                    action: action.name().to_owned(),
                    from: action.from(),
                    to: action.to(),
                })
            })
        })
        .collect()
}

/// As JSON Lines.
#[must_use]
pub fn write(changes: &[Change]) -> String {
    let lines = changes.iter().filter_map(|change| {
        let line = serde_json::to_string(change).ok()?;
        Some(format!("{line}\n"))
    });
    lines.collect()
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// One line: it is no ledger.
pub fn read(text: &str) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let number = n.saturating_add(1);
        if number > MOST_CHANGES {
            return Err(format!("it has more than {MOST_CHANGES} lines"));
        }
        let change: Change = serde_json::from_str(line)
            .map_err(|error| format!("line {number} is no change: {error}"))?;
        if change.schema != SCHEMA {
            return Err(format!("line {number} is not of the form {SCHEMA}"));
        }
        changes.push(change);
    }
    Ok(changes)
}

impl Change {
    /// The rule, if the change is one of the registry.
    #[must_use]
    pub fn of_registry(&self) -> Option<&'static str> {
        let rule = entry(&self.rule).map(|entry| entry.meta.id);
        rule.filter(|_| self.action == SET_REGISTRY_SCANNING)
    }
}

/// Whether a change can be rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It is the newest change of its rule.
    RollBack,
    /// It was rolled back already.
    Done,
    /// It cannot be, for this reason.
    Impossible(&'static str),
}

/// Decides by what is on record about the repository.
#[must_use]
pub fn undo(change: &Change, known: &Known) -> Undo {
    let history: &[Repair] = known
        .repairs
        .get(&change.rule)
        .map_or(&[], |repairs| &repairs.history);
    match history {
        [newest, ..] if change.is(&newest.action) => match newest.action.reverse() {
            Some(_) => Undo::RollBack,
            None => Undo::Impossible("ECR cannot change the encryption of a repository"),
        },
        [newest, ..] if newest.cause == ROLLBACK && change.is_reverse_of(&newest.action) => {
            Undo::Done
        }
        older if older.iter().any(|repair| change.is(&repair.action)) => {
            Undo::Impossible("the same setting was changed again since")
        }
        _ => Undo::Impossible("the change is not on record"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Newer, Repairs, Result as Repaired};
    use crate::repository::{Encryption, TagMutability};

    fn id(name: &str) -> RepositoryId {
        RepositoryId::new("123456789012", "eu-central-1", name).unwrap()
    }

    fn action() -> Action {
        Action::SetTagMutability {
            from: TagMutability::Mutable,
            to: TagMutability::Immutable,
        }
    }

    fn verdict(status: Status, action: Option<Action>, news: bool) -> Verdict {
        Verdict {
            rule: "mutable-tags".to_owned(),
            severity: crate::finding::Severity::Medium,
            status,
            detail: "tags are mutable".to_owned(),
            to_do: String::new(),
            advice: None,
            since: None,
            action,
            news,
            reason: None,
        }
    }

    fn made(action: Action) -> Change {
        let verdicts = [verdict(Status::Fixed, Some(action), true)];
        let id = id("shop/api");
        changes("2026-11-25T12:00:00Z", &[(&id, &verdicts[..])]).remove(0)
    }

    #[test]
    fn what_was_made_and_is_news_is_listed() {
        let (first, second) = (id("shop/api"), id("shop/web"));
        let fixed = [
            verdict(Status::Fixed, Some(action()), true),
            verdict(Status::Fixed, Some(action()), false),
            verdict(Status::Failed, Some(action()), true),
            verdict(Status::Open, None, true),
        ];
        let partly = [verdict(Status::Open, Some(action()), true)];
        let listed = changes("now", &[(&first, &fixed[..]), (&second, &partly[..])]);
        let of: Vec<&str> = listed.iter().map(|it| it.repository.as_str()).collect();
        assert_eq!(of, [first.arn(), second.arn()]);
        let text = write(&listed);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(read(&text), Ok(listed));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_ledger_is_refused_with_its_line() {
        let good = write(&[made(action())]);
        for (text, wrong) in [
            (format!("{good}{{}}\n"), "line 2 is no change"),
            (
                good.replace("change/1", "change/2"),
                "line 1 is not of the form",
            ),
            (format!("{good}\u{0}"), "line 2 is no change"),
            (good.repeat(MOST_CHANGES + 1), "more than"),
        ] {
            let why = read(&text).unwrap_err();
            assert!(why.contains(wrong), "{why}");
        }
        assert!(read(&good.repeat(MOST_CHANGES)).is_ok());
    }

    #[test]
    fn the_line_names_the_number_the_place_and_the_command() {
        let ledger = Ledger {
            location: "s3://reports/sweep.jsonl".to_owned(),
            changes: 2,
        };
        assert_eq!(
            ledger.line(),
            "2 changes are listed in s3://reports/sweep.jsonl; `ecr-warden rollback --sweep s3://reports/sweep.jsonl` shows and \
             reverts them"
        );
    }

    fn repair(action: Action, cause: &str) -> Repair {
        Repair {
            action,
            result: Repaired::Done,
            at: 5,
            cause: cause.to_owned(),
            actor: None,
            approved_by: None,
            newer: Newer::default(),
        }
    }

    /// A record of these repairs, the oldest first.
    fn known(history: &[Repair]) -> Known {
        let mut repairs = Repairs::default();
        for repair in history {
            repairs = repairs.with(repair.clone());
        }
        Known {
            repairs: [("mutable-tags".to_owned(), repairs)].into(),
            ..Known::default()
        }
    }

    /// Changes that differ from one in a single value each.
    fn others(change: &Change) -> [Change; 3] {
        let mut all = [(); 3].map(|()| change.clone());
        all[0].action = "set-tags".to_owned();
        all[1].from = "x".to_owned();
        all[2].to = "x".to_owned();
        all
    }

    /// A change is the same only by its action, the value before and the value after.
    #[test]
    fn what_is_not_the_change_on_record_is_not_rolled_back() {
        let on_record = known(&[repair(action(), "sweep")]);
        let not_on_record = Undo::Impossible("the change is not on record");
        let same = made(action());
        for other in others(&same) {
            assert_eq!(undo(&other, &on_record), not_on_record, "{other:?}");
        }
        // The newest one on record is a rollback, of this change or of another one.
        let reverse = Change {
            from: same.to.clone(),
            to: same.from.clone(),
            ..same.clone()
        };
        let rolled_back = known(&[repair(action(), ROLLBACK)]);
        assert_eq!(undo(&reverse, &rolled_back), Undo::Done);
        for other in others(&reverse) {
            assert_eq!(undo(&other, &rolled_back), not_on_record, "{other:?}");
        }
        // Another change came after it.
        let another = Action::SetTagMutability {
            from: TagMutability::Immutable,
            to: TagMutability::MutableWithExclusion(["a*".to_owned()].into()),
        };
        let history = [repair(action(), "sweep"), repair(another, "sweep")];
        assert_eq!(
            undo(&same, &known(&history)),
            Undo::Impossible("the same setting was changed again since")
        );
    }

    #[test]
    fn the_newest_change_on_record_is_rolled_back_once() {
        let change = made(action());
        let back = action().reverse().unwrap();
        let by_sweep = repair(action(), "sweep");
        assert_eq!(
            undo(&change, &known(std::slice::from_ref(&by_sweep))),
            Undo::RollBack
        );
        let rolled_back = repair(back.clone(), ROLLBACK);
        assert_eq!(
            undo(&change, &known(&[by_sweep.clone(), rolled_back])),
            Undo::Done
        );
        for history in [&[][..], &[by_sweep, repair(back, "sweep")]] {
            assert!(matches!(
                undo(&change, &known(history)),
                Undo::Impossible(_)
            ));
        }
        let recreated = Action::Recreate {
            from: Encryption::aes256(),
            to: Encryption::kms(None),
        };
        let change = made(recreated.clone());
        let on_record = known(&[repair(recreated, "sweep")]);
        assert!(
            matches!(undo(&change, &on_record), Undo::Impossible(why) if why.contains("encryption"))
        );
    }
}
