//! The states of the stack's EventBridge rules and of its schedule.

use aws_types::SdkConfig;
use ecr_warden_core::doctor::{NoAnswer, TriggerState};
use futures_util::future::join_all;

use crate::doctor::answer::no_answer;
use crate::doctor::stack::{Resources, StackResource};

pub(crate) async fn triggers(config: &SdkConfig, resources: &Resources) -> Vec<TriggerState> {
    let events = aws_sdk_eventbridge::Client::new(config);
    let scheduler = aws_sdk_scheduler::Client::new(config);
    let rules = resources.of_kind("AWS::Events::Rule");
    let schedules = resources.of_kind("AWS::Scheduler::Schedule");
    let (rules, schedules) = tokio::join!(
        join_all(rules.map(|rule| async {
            let state = rule_state(&events, &rule.physical).await;
            trigger(rule, false, state)
        })),
        join_all(schedules.map(|schedule| async {
            let state = schedule_state(&scheduler, &schedule.physical).await;
            trigger(schedule, true, state)
        })),
    );
    rules.into_iter().chain(schedules).collect()
}

fn trigger(
    resource: &StackResource,
    is_schedule: bool,
    state: Result<String, NoAnswer>,
) -> TriggerState {
    TriggerState {
        logical: resource.logical.clone(),
        physical: resource.physical.clone(),
        is_schedule,
        state,
    }
}

async fn rule_state(events: &aws_sdk_eventbridge::Client, name: &str) -> Result<String, NoAnswer> {
    let answer = events.describe_rule().name(name).send().await;
    let answer = answer.map_err(|error| no_answer("events:DescribeRule", &error))?;
    let state = answer.state();
    Ok(state.map(ToString::to_string).unwrap_or_default())
}

async fn schedule_state(
    scheduler: &aws_sdk_scheduler::Client,
    name: &str,
) -> Result<String, NoAnswer> {
    let answer = scheduler.get_schedule().name(name).send().await;
    let answer = answer.map_err(|error| no_answer("scheduler:GetSchedule", &error))?;
    let state = answer.state();
    Ok(state.map(ToString::to_string).unwrap_or_default())
}
