//! Under a rate limit, one repository's events do not use up what the others need: a repository is evaluated once in some seconds,
//! and events in between wait for the next evaluation together.
//!
//! One item a repository says when its last evaluation began and when a deferred event of it comes back. Pushes are not part of it:
//! each carries something of its own to evaluate.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure as OnFailure};
use ecr_warden_core::defer::{Evaluations, SKEW, SPACING, Turn, turn};
use ecr_warden_core::repository::RepositoryId;

use crate::connect::clock::millis;
use crate::connect::error::Failure;

/// The partition key, before the repository's ARN. It is none of the repository's records.
const SPACED: &str = "spacing#";
const SORT: &str = "ecr";
/// DynamoDB removes the item so many seconds after its last use.
const KEPT: i64 = 3600;

/// The items in the state table.
#[derive(Debug)]
pub(crate) struct Spacing<'s> {
    pub(crate) client: &'s Client,
    pub(crate) table: &'s str,
}

impl Spacing<'_> {
    /// Decides what an event of the repository does. If it is to evaluate, that is recorded by the same write.
    pub(crate) async fn enter(&self, id: &RepositoryId, me: &str) -> Result<Turn, Failure> {
        let now = millis();
        let conditional = self
            .begin(id, me, now)
            .condition_expression(
                "(attribute_not_exists(began) OR began <= :free OR #by = :me) AND (attribute_not_exists(due) OR due < :soon)",
            )
            .expression_attribute_values(":free", number(now.saturating_sub(SPACING)))
            .expression_attribute_values(":soon", number(now.saturating_add(SKEW)))
            .return_values_on_condition_check_failure(OnFailure::AllOld);
        let Some(found) = refused(conditional.send().await)? else {
            return Ok(Turn::Evaluate);
        };
        let decision = turn(&found, me, now);
        if decision == Turn::Evaluate {
            // What is recorded there is not to be believed.
            sent(self.begin(id, me, now).send().await)?;
        }
        Ok(decision)
    }

    fn begin(&self, id: &RepositoryId, me: &str, now: i64) -> UpdateItemFluentBuilder {
        self.update(id, now)
            .update_expression("SET began = :now, #by = :me, expires_at = :expires REMOVE due")
            .expression_attribute_names("#by", "by")
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":me", AttributeValue::S(me.to_owned()))
    }

    /// Records that a deferred event comes back so many seconds after `at`, a time before it was sent. `evaluated`: whether
    /// another invocation's evaluation keeps the repository waiting; otherwise none has begun.
    pub(crate) async fn wait(
        &self,
        id: &RepositoryId,
        at: i64,
        seconds: i64,
        evaluated: bool,
    ) -> Result<(), Failure> {
        let due = at.saturating_add(seconds.saturating_mul(1000));
        let expression = if evaluated {
            "SET due = :due, expires_at = :expires"
        } else {
            "SET due = :due, expires_at = :expires REMOVE began, #by"
        };
        let mut update = self
            .update(id, at)
            .update_expression(expression)
            .expression_attribute_values(":due", number(due));
        if !evaluated {
            update = update.expression_attribute_names("#by", "by");
        }
        sent(update.send().await)
    }

    fn update(&self, id: &RepositoryId, now: i64) -> UpdateItemFluentBuilder {
        let expires = (now / 1000).saturating_add(KEPT);
        self.client
            .update_item()
            .table_name(self.table)
            .key("pk", AttributeValue::S(format!("{SPACED}{}", id.arn())))
            .key("sk", AttributeValue::S(SORT.to_owned()))
            .expression_attribute_values(":expires", number(expires))
    }
}

type Answer = Result<UpdateItemOutput, SdkError<UpdateItemError>>;

fn sent(answer: Answer) -> Result<(), Failure> {
    answer
        .map(|_| ())
        .map_err(|error| Failure::of("dynamodb:UpdateItem", &error))
}

/// What is there, where the condition does not hold.
fn refused(answer: Answer) -> Result<Option<Evaluations>, Failure> {
    let error = match answer {
        Ok(_) => return Ok(None),
        Err(error) => error,
    };
    if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
    {
        let of = |name| failed.item().and_then(|item| item.get(name));
        let millis = |name| of(name).and_then(|value| value.as_n().ok()?.parse().ok());
        return Ok(Some(Evaluations {
            began: millis("began"),
            by: of("by").and_then(|by| by.as_s().ok()).cloned(),
            due: millis("due"),
        }));
    }
    Err(Failure::of("dynamodb:UpdateItem", &error))
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
