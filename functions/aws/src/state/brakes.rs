//! The brakes' record: one item of the state table, with the switch that stops all changes and each registry's changes of the hour.
//!
//! One item, so that one write asks for both: a change that is counted here cannot have been stopped before.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure as OnFailure;
use ecr_warden_core::brakes::{Braked, Changes, HOUR, MayChange, Switched, braked, may_change};
use ecr_warden_core::repository::RepositoryId;

use super::State;
use super::item::{Item, body, number, text};
use crate::connect::error::Failure;

/// Both keys of the item.
const BRAKES: &str = "brakes";
const STOPPED: &str = "stopped";
/// Who released the switch last.
const STARTED: &str = "started";
/// When the alert about the switch may come again, in seconds since the epoch.
const ALARM: &str = "alarm";
/// So often the count is tried again where other invocations change it at the same time.
const TRIES: usize = 20;
/// Seconds for which no other invocation publishes an alert that is being published.
const PUBLISHES: i64 = 60;

/// The record as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrakesRecord(Item);

impl BrakesRecord {
    pub(crate) fn stopped(&self) -> Option<Switched> {
        let text = self.0.get(STOPPED)?.as_s().ok();
        Some(Switched::read(text.map_or("", String::as_str)))
    }

    /// Why nothing may be changed in a registry now.
    pub(crate) fn braked(&self, registry: &RepositoryId, now: i64) -> Option<Braked> {
        let changes = self.changes(&Names::of(registry));
        braked(self.stopped().as_ref(), &changes, now)
    }

    fn changes(&self, names: &Names) -> Changes {
        Changes {
            began: self.number(&names.began),
            count: self.number(&names.count).unwrap_or_default(),
            opened: self.number(&names.opened),
        }
    }

    fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.0.get(name)?.as_n().ok()?.parse().ok()
    }
}

/// The attributes of a registry.
struct Names {
    began: String,
    count: String,
    opened: String,
    alarm: String,
}

impl Names {
    fn of(id: &RepositoryId) -> Self {
        let of = |what: &str| format!("{what}#{}/{}", id.account, id.region);
        Self {
            began: of("began"),
            count: of("count"),
            opened: of("opened"),
            alarm: of(ALARM),
        }
    }
}

impl State {
    pub(crate) async fn brakes(&self) -> Result<BrakesRecord, Failure> {
        let item = self.one(BRAKES, BRAKES).await?;
        Ok(BrakesRecord(item.unwrap_or_default()))
    }

    /// Asks for a change in the registry of a repository, and counts it: one write, or two where an hour begins or the brake opens.
    /// `Some`: it may not be made.
    pub(crate) async fn count_change(
        &self,
        id: &RepositoryId,
        limit: u32,
        now: i64,
    ) -> Result<Option<Braked>, Failure> {
        let names = Names::of(id);
        for _ in 0..TRIES {
            // What `may_change` decides within a running hour.
            let one_more = self
                .update_brakes()
                .update_expression("SET #count = #count + :one")
                .condition_expression(
                    "attribute_not_exists(#stopped) AND attribute_not_exists(#opened) AND #began > :over AND #count < :limit",
                )
                .expression_attribute_names("#stopped", STOPPED)
                .expression_attribute_names("#opened", &names.opened)
                .expression_attribute_names("#began", &names.began)
                .expression_attribute_names("#count", &names.count)
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":over", number(now.saturating_sub(HOUR)))
                .expression_attribute_values(":limit", number(limit));
            let Some(found) = self.unless(one_more).await? else {
                return Ok(None);
            };
            let stopped = found.stopped();
            let changes = found.changes(&names);
            let (next, answer) = match may_change(stopped.as_ref(), &changes, limit, now) {
                MayChange::No(braked) => return Ok(Some(braked)),
                // The hour runs: another invocation has just begun it.
                MayChange::Yes(next) if next.began == changes.began => continue,
                MayChange::Yes(next) => (next, None),
                MayChange::Opens(next, braked) => (next, Some(braked)),
            };
            if self.replace(&names, &changes, &next).await? {
                return Ok(answer);
            }
        }
        Err(Failure::Unavailable(
            "other invocations count their changes at the same time".to_owned(),
        ))
    }

    /// Replaces the changes of a registry. `false`: they are others by now, or an operator has set the switch.
    async fn replace(
        &self,
        names: &Names,
        before: &Changes,
        next: &Changes,
    ) -> Result<bool, Failure> {
        let mut set = vec!["#count = :count"];
        let mut remove = vec!["#alarm"];
        let mut update = self
            .update_brakes()
            .expression_attribute_names("#stopped", STOPPED)
            .expression_attribute_names("#began", &names.began)
            .expression_attribute_names("#count", &names.count)
            .expression_attribute_names("#opened", &names.opened)
            .expression_attribute_names("#alarm", &names.alarm)
            .expression_attribute_values(":count", number(next.count));
        for (at, value, set_to, name) in [
            (next.began, ":began", "#began = :began", "#began"),
            (next.opened, ":opened", "#opened = :opened", "#opened"),
        ] {
            match at {
                Some(at) => {
                    set.push(set_to);
                    update = update.expression_attribute_values(value, number(at));
                }
                None => remove.push(name),
            }
        }
        let mut conditions = vec!["attribute_not_exists(#stopped)"];
        for (before, value, same, none) in [
            (
                before.began.map(|at| at.to_string()),
                ":was_begun",
                "#began = :was_begun",
                "attribute_not_exists(#began)",
            ),
            (
                before.opened.map(|at| at.to_string()),
                ":was_opened",
                "#opened = :was_opened",
                "attribute_not_exists(#opened)",
            ),
        ] {
            match before {
                Some(before) => {
                    conditions.push(same);
                    update = update.expression_attribute_values(value, number(before));
                }
                None => conditions.push(none),
            }
        }
        let update = update
            .update_expression(format!(
                "SET {} REMOVE {}",
                set.join(", "),
                remove.join(", ")
            ))
            .condition_expression(conditions.join(" AND "));
        Ok(self.unless(update).await?.is_none())
    }

    /// Reserves the right to send the alert about a brake. `false`: it was sent, or another invocation sends it.
    pub(crate) async fn claim_alarm(
        &self,
        id: &RepositoryId,
        brake: &Braked,
        now: i64,
    ) -> Result<bool, Failure> {
        let update = self
            .update_brakes()
            .update_expression("SET #alarm = :soon")
            .condition_expression("attribute_not_exists(#alarm) OR #alarm <= :now")
            .expression_attribute_names("#alarm", alarm_of(id, brake))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":soon", number(now.saturating_add(PUBLISHES)));
        Ok(self.unless(update).await?.is_none())
    }

    /// Records that it was sent.
    pub(crate) async fn commit_alarm(
        &self,
        id: &RepositoryId,
        brake: &Braked,
        now: i64,
    ) -> Result<(), Failure> {
        let update = self
            .update_brakes()
            .update_expression("SET #alarm = :again")
            .expression_attribute_names("#alarm", alarm_of(id, brake))
            .expression_attribute_values(":again", number(brake.alarm_again(now)));
        self.unless(update).await.map(drop)
    }

    /// Sets the switch, also over another one.
    pub(crate) async fn stop(&self, switched: &Switched) -> Result<(), Failure> {
        let update = self
            .update_brakes()
            .update_expression("SET #stopped = :stopped REMOVE #alarm")
            .expression_attribute_names("#stopped", STOPPED)
            .expression_attribute_names("#alarm", ALARM)
            .expression_attribute_values(":stopped", body(switched)?);
        self.unless(update).await.map(drop)
    }

    /// Releases the switch. `false`: it is not set.
    pub(crate) async fn start(&self, switched: &Switched) -> Result<bool, Failure> {
        let update = self
            .update_brakes()
            .update_expression("SET #started = :started REMOVE #stopped, #alarm")
            .condition_expression("attribute_exists(#stopped)")
            .expression_attribute_names("#stopped", STOPPED)
            .expression_attribute_names("#started", STARTED)
            .expression_attribute_names("#alarm", ALARM)
            .expression_attribute_values(":started", body(switched)?);
        Ok(self.unless(update).await?.is_none())
    }

    /// Closes the brake of a registry, and begins an hour with the next change. `false`: it is not open.
    pub(crate) async fn close_brake(
        &self,
        id: &RepositoryId,
        switched: &Switched,
    ) -> Result<bool, Failure> {
        let names = Names::of(id);
        let update = self
            .update_brakes()
            .update_expression("SET #closed = :closed REMOVE #opened, #began, #count, #alarm")
            .condition_expression("attribute_exists(#opened)")
            .expression_attribute_names("#closed", format!("closed#{}/{}", id.account, id.region))
            .expression_attribute_names("#opened", &names.opened)
            .expression_attribute_names("#began", &names.began)
            .expression_attribute_names("#count", &names.count)
            .expression_attribute_names("#alarm", &names.alarm)
            .expression_attribute_values(":closed", body(switched)?);
        Ok(self.unless(update).await?.is_none())
    }

    fn update_brakes(&self) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(BRAKES))
            .key("sk", text(BRAKES))
            .return_values_on_condition_check_failure(OnFailure::AllOld)
    }

    /// Sends it. `Some`: its condition does not hold, and the record is this.
    async fn unless(
        &self,
        update: UpdateItemFluentBuilder,
    ) -> Result<Option<BrakesRecord>, Failure> {
        let error = match update.send().await {
            Ok(_) => return Ok(None),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let item = failed.item().cloned();
                Ok(Some(BrakesRecord(item.unwrap_or_default())))
            }
            _ => Err(Failure::of("dynamodb:UpdateItem", &error)),
        }
    }
}

fn alarm_of(id: &RepositoryId, brake: &Braked) -> String {
    match brake {
        Braked::Stopped(_) => ALARM.to_owned(),
        Braked::Hour { .. } | Braked::Unknown(_) => Names::of(id).alarm,
    }
}
