//! An alert, in its machine form.

use serde_json::Value;

use super::block::{context, items, link, section, text, word};
use crate::alert::{INVALID_POLICY, REST};
use crate::finding::Severity;
use crate::ledger::Ledger;
use crate::owner::SlackId;
use crate::repository::RepositoryId;
use crate::text::counted;

/// A name longer than this is cut in a headline.
const LONG_NAME: usize = 100;
/// Of what one line names.
const RULES: usize = 4;
const CHANGES: usize = 20;
/// What needs people comes first.
const STATUSES: [&str; 6] = ["failed", "open", "withheld", "fixed", "resolved", "exempt"];

pub(super) fn severity(alert: &Value) -> Severity {
    alert
        .get("severity")
        .and_then(|severity| serde_json::from_value(severity.clone()).ok())
        .unwrap_or(Severity::Informational)
}

/// `🟠 MEDIUM · 1 open, 1 fixed: payments/api`.
pub(super) fn headline(alert: &Value) -> String {
    format!("{} · {}", word(severity(alert)), what(alert))
}

fn what(alert: &Value) -> String {
    let name = name(alert);
    let tally = tally(alert);
    if let Some(summary) = alert.get("summary") {
        let of = match text(alert, "cause") {
            "sweep" => "sweep",
            _ => "all repositories",
        };
        let count = |key| number(summary, key);
        return format!(
            "{of}: {} in {} ({tally})",
            counted(count("findings"), "finding", "findings"),
            counted(count("repositories"), "repository", "repositories")
        );
    }
    let place = name.unwrap_or_else(|| text(alert, "account").to_owned());
    match items(alert, "findings") {
        [finding] if text(finding, "rule") == INVALID_POLICY => {
            let now = match text(finding, "status") {
                "resolved" => "valid again",
                _ => "not valid",
            };
            format!("The policy is {now}: {place}")
        }
        _ => format!("{tally}: {place}"),
    }
}

/// With the rules, the account and the region.
pub(super) fn in_a_line(alert: &Value) -> String {
    let findings = items(alert, "findings");
    let about_policy = findings
        .iter()
        .any(|finding| text(finding, "rule") == INVALID_POLICY);
    let what = match name(alert) {
        Some(name) if !about_policy => {
            let mut rules: Vec<String> = findings
                .iter()
                .take(RULES)
                .map(|finding| format!("{} {}", text(finding, "rule"), text(finding, "status")))
                .collect();
            let more = findings.len().saturating_sub(RULES);
            if more > 0 {
                rules.push(format!("{more} more"));
            }
            format!("{}: {name}", rules.join(", "))
        }
        _ => what(alert),
    };
    format!(
        "{} · {what} · {}, {}",
        word(severity(alert)),
        text(alert, "account"),
        text(alert, "region")
    )
}

/// Whom it is to mention. What is no id mentions no one, also in a forged alert.
pub(super) fn mentioned(alert: &Value) -> Vec<SlackId> {
    let ids = items(alert, "mentions").iter();
    ids.filter_map(|id| serde_json::from_value(id.clone()).ok())
        .collect()
}

pub(super) fn in_full(alert: &Value, most: usize) -> Vec<Value> {
    let mut blocks = vec![context(&head(alert))];
    let summary = alert.get("summary");
    let over_limit = text(alert, "over_limit");
    blocks.extend((!over_limit.is_empty()).then(|| section(over_limit)));
    let groups = summary.map_or(&[][..], |summary| items(summary, "groups"));
    let findings = items(alert, "findings");
    let mut shown: Vec<&Value> = match groups {
        [] => findings.iter().collect(),
        _ => groups.iter().collect(),
    };
    shown.sort_by_key(|finding| {
        let place = STATUSES
            .iter()
            .position(|it| *it == text(finding, "status"));
        place.unwrap_or(STATUSES.len())
    });
    for finding in shown.iter().take(most) {
        blocks.push(section(&paragraph(finding)));
    }
    let unseen = u64::try_from(shown.len().saturating_sub(most)).unwrap_or_default();
    let more = match groups {
        [] => unseen.saturating_add(number(alert, "omitted")),
        _ => unseen,
    };
    if more > 0 {
        let kind = if groups.is_empty() {
            "findings"
        } else {
            "groups"
        };
        blocks.push(section(&format!("and {more} more {kind}")));
    }
    blocks.extend(changes(alert));
    if let Some(ledger) = alert.get("ledger") {
        let location = text(ledger, "location").to_owned();
        let changes = usize::try_from(number(ledger, "changes")).unwrap_or(usize::MAX);
        blocks.push(context(&Ledger { location, changes }.line()));
    }
    let cut = |group: &Value| {
        u64::try_from(items(group, "repositories").len()).unwrap_or_default()
            < number(group, "count")
    };
    if groups.iter().any(cut) {
        blocks.push(context(REST));
    }
    blocks.extend(link("Open in the console", console(alert).as_deref()));
    blocks
}

fn head(alert: &Value) -> String {
    let mut head = String::new();
    if let Some(name) = name(alert).filter(|name| name.len() > LONG_NAME) {
        head.push_str(&format!("{name} · "));
    }
    head.push_str(&format!(
        "account {}, {} · {}",
        text(alert, "account"),
        text(alert, "region"),
        text(alert, "cause")
    ));
    let owners: Vec<&str> = items(alert, "owners")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !owners.is_empty() {
        head.push_str(&format!(" · owned by {}", owners.join(", ")));
    }
    if let Some(actor) = alert.get("actor").and_then(Value::as_str) {
        head.push_str(&format!(" by {actor}"));
    }
    let at = text(alert, "occurred_at");
    if !at.is_empty() {
        head.push_str(&format!(" at {at}"));
    }
    head
}

/// Of a finding, or of a group of them.
fn paragraph(finding: &Value) -> String {
    let status = text(finding, "status");
    let rule = text(finding, "rule");
    let severity = text(finding, "severity");
    let mut lines = match number(finding, "count") {
        0 => {
            let name = name_of(text(finding, "repository"));
            let place = name.map_or_else(String::new, |name| format!("{name}: "));
            format!("{} {place}{rule} ({severity})", status.to_uppercase())
        }
        count => {
            let listed = items(finding, "repositories").iter();
            let names: Vec<&str> = listed.filter_map(Value::as_str).collect();
            let named = u64::try_from(names.len()).unwrap_or_default();
            let more = match count.saturating_sub(named) {
                0 => String::new(),
                more => format!(" … and {more} more"),
            };
            let names = names.join(", ");
            let status = status.to_uppercase();
            format!("{count} {status} {rule} ({severity}): {names}{more}")
        }
    };
    lines.push_str(&format!("\n{}", text(finding, "detail")));
    let to_do = match text(finding, "advice") {
        "" => text(finding, "to_do"),
        advice => advice,
    };
    if !to_do.is_empty() {
        let label = match status {
            "fixed" | "resolved" => "Prevent",
            "failed" => "Failed",
            "withheld" => "Withheld",
            "exempt" => "Exempt",
            _ => "To do",
        };
        lines.push_str(&format!("\n{label}: {to_do}"));
    }
    lines
}

/// What was changed, and what was to be.
fn changes(alert: &Value) -> Vec<Value> {
    let done = |action: &&Value| text(action, "result") == "done";
    let (changed, failed): (Vec<&Value>, Vec<&Value>) =
        items(alert, "actions").iter().partition(done);
    let fixed = alert
        .pointer("/summary/tally/fixed")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    [("Changed", changed, fixed), ("Not changed", failed, 0)]
        .into_iter()
        .filter(|(_, actions, _)| !actions.is_empty())
        .map(|(head, actions, of)| {
            let mut lines: Vec<String> = actions
                .iter()
                .take(CHANGES)
                .map(|action| change(action))
                .collect();
            let of = of.max(u64::try_from(actions.len()).unwrap_or_default());
            let more = of.saturating_sub(u64::try_from(lines.len()).unwrap_or_default());
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            section(&format!("{head}\n{}", lines.join("\n")))
        })
        .collect()
}

/// `shop/api: MUTABLE → IMMUTABLE`, in a message about many; else with the action's name in the place of the repository's.
fn change(action: &Value) -> String {
    let place =
        name_of(text(action, "repository")).unwrap_or_else(|| text(action, "action").to_owned());
    let result = match text(action, "result") {
        "done" => String::new(),
        why => format!(" ({why})"),
    };
    let (from, to) = (text(action, "from"), text(action, "to"));
    format!("{place}: {from} → {to}{result}")
}

fn tally(alert: &Value) -> String {
    let counted = STATUSES.into_iter().filter_map(|status| {
        let count = match alert.get("summary") {
            Some(summary) => summary
                .get("tally")
                .map_or(0, |tally| number(tally, status)),
            None => {
                let findings = items(alert, "findings").iter();
                let such = findings.filter(|finding| text(finding, "status") == status);
                u64::try_from(such.count()).unwrap_or_default()
            }
        };
        (count > 0).then(|| format!("{count} {status}"))
    });
    counted.collect::<Vec<_>>().join(", ")
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Of the repository, or of the policy's parameter.
fn name(alert: &Value) -> Option<String> {
    let parameter = text(alert, "parameter");
    if !parameter.is_empty() {
        return Some(parameter.to_owned());
    }
    name_of(text(alert, "repository")).filter(|name| name != "*")
}

fn name_of(arn: &str) -> Option<String> {
    if let Some(id) = RepositoryId::from_arn(arn).filter(RepositoryId::is_registry) {
        return Some(id.label());
    }
    let (_, resource) = arn.rsplit_once(':')?;
    let (_, name) = resource.split_once('/')?;
    Some(name.to_owned())
}

/// Only of what is a repository's ARN for sure: everything in it is of an alphabet without markup.
pub(super) fn console(alert: &Value) -> Option<String> {
    RepositoryId::from_arn(text(alert, "repository")).map(|id| id.console_url())
}
