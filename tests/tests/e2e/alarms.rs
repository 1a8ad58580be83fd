//! Alarms that nobody knows what to do about are noise.

use std::collections::BTreeSet;

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
