//! Alarms that nobody knows what to do about are noise.

use std::collections::BTreeSet;

use crate::support::{World, call, deferred, status};

#[test]
fn what_to_do_about_each_alarm_is_written_down() {
    let template = include_str!("../../../infra/template.yaml");
    let alarms: BTreeSet<&str> = template
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix("Alarm:"))
        .collect();
    let operations = include_str!("../../../docs/operations.md");
    let explained: BTreeSet<&str> = operations
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once("Alarm` |")?.0))
        .collect();
    assert_eq!(alarms, explained);
    assert!(!alarms.is_empty());
}

/// The lines of a resource of the template.
fn resource(name: &str) -> Vec<&'static str> {
    let template = include_str!("../../../infra/template.yaml");
    let mut lines = template.lines();
    lines
        .by_ref()
        .find(|line| *line == format!("  {name}:"))
        .unwrap_or_else(|| panic!("{name}"));
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(str::trim).collect()
}

/// Each deferral is a new message, so the age of the queue's oldest one would never reach an alarm's threshold.
#[tokio::test]
async fn event_that_was_first_deferred_half_an_hour_ago_raises_the_alarm() {
    let alarm = resource("DeferredAlarm");
    let of = |name: &str| {
        let mut lines = alarm.iter();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let metric = of("MetricName").unwrap();
    let threshold: u64 = of("Threshold").unwrap().parse().unwrap();
    assert_eq!(of("Statistic"), Some("Maximum"));
    assert_eq!(of("ComparisonOperator"), Some("GreaterThanThreshold"));
    let namespace = "!Sub ecr-warden/${AWS::StackName}";
    assert_eq!(of("Namespace"), Some(namespace));

    let world = World::own();
    world
        .set_policy("version: 1\nmode: enforce\nrules: { mutable-tags: {} }\n")
        .await;
    let name = "shop/deferred-x";
    world.create(name).await;
    let event = call("CreateRepository", name);
    let shown = |waited: u64| {
        let mut seconds = waited..waited + 60;
        seconds.find(|seconds| {
            let value = format!("\"{metric}\":{seconds}");
            world.local.log_of(&["ecr-warden/ecr-warden", &value])
        })
    };
    let message = deferred("thirty-one-minutes", &event, 31 * 60, 5);
    let outcome = world.invoke_function(&world.stack.enforcer, &message);
    assert_eq!(
        status(&outcome.await.unwrap(), "mutable-tags"),
        Some("fixed")
    );
    let seconds = shown(31 * 60).unwrap();
    assert!(seconds > threshold, "{seconds}");
}

/// What Lambda would stop, starve or give up by default.
#[test]
fn queues_that_a_function_sends_to_itself_are_set_up_for_it() {
    for (function, queue, mapping) in [
        ("Enforcer", "RevisitQueue", "Revisits"),
        ("Auditor", "SweepQueue", "SweepsGoOn"),
    ] {
        let has = |name: &str, line: &str| resource(name).contains(&line);
        assert!(has(function, "RecursiveLoop: Allow"));
        assert!(has(function, &format!("REVISIT_QUEUE_URL: !Ref {queue}")));
        assert!(has(queue, "maxReceiveCount: 20"));
        assert!(has(
            mapping,
            "ScalingConfig: { MaximumConcurrency: !Ref QueueConcurrency }"
        ));
        assert!(has(
            mapping,
            &format!("EventSourceArn: !GetAtt {queue}.Arn")
        ));
        // An account with a concurrency of 10 refuses to reserve any.
        let reserved = "ReservedConcurrentExecutions: !If [WithReservedConcurrency, !Ref ReservedConcurrency, !Ref AWS::NoValue]";
        assert!(has(function, reserved));
    }
    let has_default = |name: &str, default: &str| resource(name).contains(&default);
    assert!(has_default("ReservedConcurrency", "Default: \"\""));
    assert!(has_default("QueueConcurrency", "Default: 10"));
    for (alarm, function) in [
        ("RecursionAlarm", "Enforcer"),
        ("SweepRecursionAlarm", "Auditor"),
    ] {
        let lines = resource(alarm);
        let metric = "MetricName: RecursiveInvocationsDropped";
        let of = format!("Dimensions: [{{ Name: FunctionName, Value: !Ref {function} }}]");
        assert!(lines.contains(&metric) && lines.contains(&of.as_str()));
    }
}
