//! What an alert says, before it is written for a protocol.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::summary::DigestSummary;
use crate::finding::{Severity, Status};
use crate::ledger::Ledger;
use crate::outcome::{OutcomeAction, Verdict};
use crate::owner::Addressees;
use crate::reason::Code;
use crate::rule::Advice;
use crate::text::{counted, one_line, rfc3339};
use crate::trigger::Cause;

/// The rule name of an alert about an invalid policy.
pub const INVALID_POLICY: &str = "invalid-policy";
/// The name under which a sweep says that it works, where there was nothing to report for a week.
pub const ALIVE: &str = "alive";
/// What an alert is about: `ecr-warden.alert/1`. Its names are a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    pub(super) schema: &'static str,
    /// The same only if the same event reports the same again: a receiver that drops repetitions loses nothing.
    pub id: String,
    pub account: String,
    pub region: String,
    /// ARN; of the parameter, where the alert is about the policy.
    pub repository: String,
    /// The parameter's name, where the alert is about the policy: its ARN is the same with and without a `/` at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    pub cause: Cause,
    pub actor: Option<String>,
    /// RFC 3339.
    pub occurred_at: String,
    pub severity: Severity,
    pub findings: Vec<AlertFinding>,
    /// How many more findings there are than a message holds.
    #[serde(skip_serializing_if = "is_none")]
    pub omitted: usize,
    pub actions: Vec<AlertAction>,
    /// What all findings together are, in a message about many repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<DigestSummary>,
    /// Messages in the dead-letter queue, in a message about many repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// Where the changes of a sweep are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// What to do about a sweep that changed nothing because it would have changed too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<String>,
    /// Whom it is for.
    #[serde(flatten)]
    pub addressees: Addressees,
    #[serde(skip)]
    pub(super) name: String,
    /// Rules whose findings were reported before and are open.
    #[serde(skip)]
    pub(super) standing: Vec<String>,
}

/// One finding of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertFinding {
    /// ARN, in a message about many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    pub rule: String,
    pub severity: Severity,
    pub status: Status,
    /// Why it is open, or its repair withheld or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    pub detail: String,
    /// What the operator must still do, or how to prevent it.
    pub advice: String,
    /// RFC 3339: when it was first seen.
    pub since: Option<String>,
    pub iac: Option<Advice>,
    #[serde(skip)]
    pub(super) change: Option<(String, String)>,
    #[serde(skip)]
    pub(super) to_do: String,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertAction {
    /// ARN, in a message about many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    pub action: &'static str,
    pub from: String,
    pub to: String,
    /// `done`, or why not.
    pub result: String,
}

impl AlertAction {
    pub(super) fn of(verdict: &Verdict) -> Option<Self> {
        let OutcomeAction {
            action,
            from,
            to,
            result,
        } = OutcomeAction::of(verdict)?;
        Some(Self {
            repository: None,
            action,
            from,
            to,
            result,
        })
    }

    pub(super) fn shortened(self, longest: usize) -> Self {
        Self {
            from: one_line(&self.from, longest),
            to: one_line(&self.to, longest),
            result: one_line(&self.result, longest),
            ..self
        }
    }
}

impl AlertFinding {
    /// For a message about many, or about much. What keeps it from coming back would be the same lines again and again.
    pub(super) fn shortened(self, longest: usize) -> Self {
        let short = |text: &str| one_line(text, longest);
        Self {
            detail: short(&self.detail),
            advice: short(&self.to_do),
            to_do: short(&self.to_do),
            change: self.change.map(|(from, to)| (short(&from), short(&to))),
            iac: None,
            ..self
        }
    }
}

/// [`Alert::id`] by the alert's contents: one invocation can send more than one alert.
pub(super) fn alert_id<T: Hash>(invocation: &str, contents: impl IntoIterator<Item = T>) -> String {
    let mut hasher = DefaultHasher::new();
    for item in contents {
        item.hash(&mut hasher);
    }
    format!("{invocation}/{:016x}", hasher.finish())
}

/// What makes it other news than another one.
pub(super) fn essence(verdict: &Verdict) -> (&str, Status, &str) {
    (&verdict.rule, verdict.status, &verdict.detail)
}

impl Alert {
    /// Names the messages that lie in the dead-letter queue; none of them, or not known, says nothing.
    #[must_use]
    pub fn with_dead_letters(self, dead_letters: Option<u64>) -> Self {
        Self {
            dead_letters: dead_letters.filter(|count| *count > 0),
            ..self
        }
    }

    /// Names whom it is for.
    #[must_use]
    pub fn with_addressees(self, addressees: Addressees) -> Self {
        Self { addressees, ..self }
    }

    /// Names where the changes are listed.
    #[must_use]
    pub fn with_ledger(self, ledger: Option<Ledger>) -> Self {
        Self { ledger, ..self }
    }

    /// Says what to do about a sweep over its limit.
    #[must_use]
    pub fn with_over_limit(self, over_limit: Option<String>) -> Self {
        Self { over_limit, ..self }
    }

    /// One line about the dead-letter queue; `None`: it is empty.
    pub(super) fn letters(&self) -> Option<String> {
        let messages = counted(self.dead_letters?, "message is", "messages are");
        Some(format!(
            "{messages} in the dead-letter queue: what was given up; docs/operations.md says how to read it"
        ))
    }

    pub(super) fn shortened(mut self, longest: usize) -> Self {
        let findings = self.findings.into_iter();
        self.findings = findings.map(|it| it.shortened(longest)).collect();
        let actions = self.actions.into_iter();
        self.actions = actions.map(|it| it.shortened(longest)).collect();
        self.summary = self.summary.map(|it| it.shortened(longest));
        self
    }

    /// `ecr-warden.alert/1`. Subscriptions filter by its body, so it has at its top what they filter by.
    pub(super) fn machine(&self) -> serde_json::Value {
        let mut machine = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = machine.as_object_mut() {
            let outcome = self.outcome().name();
            fields.insert("outcome".to_owned(), outcome.into());
            fields.insert("rules".to_owned(), self.rules().into());
        }
        machine
    }

    /// Each once; of all findings, listed or not.
    pub(super) fn rules(&self) -> Vec<String> {
        let listed = self.findings.iter().map(|finding| &finding.rule);
        let grouped = self.summary.iter().flat_map(DigestSummary::rules);
        let rules: BTreeSet<&String> = listed.chain(grouped).collect();
        rules.into_iter().cloned().collect()
    }

    /// The status that is the most urgent.
    pub(super) fn outcome(&self) -> Status {
        self.findings
            .iter()
            .map(|finding| finding.status)
            .max_by_key(|status| status.urgency())
            .unwrap_or(Status::Resolved)
    }

    /// `1 fixed, 2 open`, the most urgent first; of the policy, whether it is valid.
    pub(super) fn tally(&self) -> String {
        if self.findings.iter().any(|finding| finding.rule == ALIVE) {
            return "alive".to_owned();
        }
        if self.parameter.is_some() {
            let now = match self.outcome() {
                Status::Resolved => "valid again",
                _ => "not valid",
            };
            return format!("the policy is {now}");
        }
        let order = [
            Status::Failed,
            Status::Open,
            Status::Withheld,
            Status::Fixed,
            Status::Resolved,
            Status::Exempt,
        ];
        let counted: Vec<String> = order
            .into_iter()
            .filter_map(|status| {
                let count = match &self.summary {
                    Some(summary) => summary.count(status),
                    None => self.findings.iter().filter(|f| f.status == status).count(),
                };
                (count > 0).then(|| format!("{count} {}", status.name()))
            })
            .collect();
        counted.join(", ")
    }
}

pub(super) fn worst<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Option<Severity> {
    verdicts
        .map(|verdict| match verdict.status {
            Status::Exempt => Severity::Informational,
            _ => verdict.severity,
        })
        .max()
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

pub(super) fn finding(verdict: &Verdict) -> AlertFinding {
    let keeping = verdict.advice.as_ref().map_or("", |advice| &advice.text);
    AlertFinding {
        repository: None,
        rule: verdict.rule.clone(),
        severity: verdict.severity,
        status: verdict.status,
        reason: verdict.reason,
        detail: verdict.detail.clone(),
        advice: [verdict.to_do.as_str(), keeping]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(". "),
        since: verdict.since.and_then(rfc3339),
        iac: verdict.advice.clone(),
        change: verdict
            .action
            .as_ref()
            .map(|action| (action.from(), action.to())),
        to_do: verdict.to_do.clone(),
    }
}
