//! One alert per event, in the form of each protocol: e-mail, chat, programs.

mod chat;
mod digest;
mod text;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::finding::{Severity, Status};
use crate::ledger::Ledger;
use crate::outcome::Verdict;
use crate::reason::Code;
use crate::repository::{RepositoryId, partition};
use crate::rules::Advice;
use crate::text::{counted, one_line, rfc3339};
use crate::trigger::{Cause, Origin};

pub(crate) use digest::REST;

/// What SNS takes.
const LARGEST: usize = 250 * 1024;
/// How much of each text is kept where a message would be too large: in it everything stands several times.
const SHORTER: [usize; 4] = [200, 100, 50, 20];

/// The rule name of an alert about an invalid policy.
pub const INVALID_POLICY: &str = "invalid-policy";
/// The name under which a sweep says that it works, where there was nothing to report for a week.
pub const ALIVE: &str = "alive";
/// A policy can have many problems; these are enough to begin with.
const POLICY_PROBLEMS: usize = 2000;

/// An SNS message, ready to publish with `MessageStructure=json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// ASCII, under 100 characters, one line (SNS API reference, Publish).
    pub subject: String,
    /// The body by protocol, as one JSON object.
    pub body: String,
}

/// What an alert is about: `ecr-warden.alert/1`. Its names are a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    schema: &'static str,
    /// The same only if the same event reports the same again: a receiver that drops repetitions loses nothing.
    pub id: String,
    pub account: String,
    pub region: String,
    /// ARN; of the parameter, where the alert is about the policy.
    pub repository: String,
    /// The parameter's name, where the alert is about the policy: its ARN is the same with and without a `/` at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
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
    pub summary: Option<digest::Summary>,
    /// Messages in the dead-letter queue, in a message about many repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<u64>,
    /// Where the changes of a sweep are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    #[serde(skip)]
    name: String,
    /// Rules whose findings were reported before and are open.
    #[serde(skip)]
    standing: Vec<String>,
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
    change: Option<(String, String)>,
    #[serde(skip)]
    to_do: String,
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
    fn of(verdict: &Verdict) -> Option<Self> {
        verdict.action.as_ref().map(|action| Self {
            repository: None,
            action: action.name(),
            from: action.from(),
            to: action.to(),
            result: match verdict.status {
                Status::Failed => verdict.to_do.clone(),
                _ => "done".to_owned(),
            },
        })
    }

    fn shortened(self, longest: usize) -> Self {
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
    fn shortened(self, longest: usize) -> Self {
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
fn alert_id<T: Hash>(invocation: &str, contents: impl IntoIterator<Item = T>) -> String {
    let mut hasher = DefaultHasher::new();
    for item in contents {
        item.hash(&mut hasher);
    }
    format!("{invocation}/{:016x}", hasher.finish())
}

/// What makes it other news than another one.
fn essence(verdict: &Verdict) -> (&str, Status, &str) {
    (&verdict.rule, verdict.status, &verdict.detail)
}

impl Alert {
    /// `None` where there is no news. `invocation`: its id, which a retry has, too.
    #[must_use]
    pub fn of(
        id: &RepositoryId,
        invocation: &str,
        origin: &Origin,
        verdicts: &[Verdict],
    ) -> Option<Self> {
        let news: Vec<Verdict> = verdicts.iter().filter(|v| v.news).cloned().collect();
        let severity = worst(news.iter())?;
        Some(Self {
            schema: "ecr-warden.alert/1",
            id: alert_id(invocation, news.iter().map(essence)),
            account: id.account.clone(),
            region: id.region.clone(),
            repository: id.arn(),
            parameter: None,
            cause: origin.cause,
            actor: origin.actor.clone(),
            occurred_at: origin.occurred_at.clone(),
            severity,
            findings: news.iter().map(finding).collect(),
            omitted: 0,
            actions: news.iter().filter_map(AlertAction::of).collect(),
            summary: None,
            dead_letters: None,
            ledger: None,
            name: id.name.clone(),
            standing: verdicts
                .iter()
                .filter(|v| {
                    !v.news && matches!(v.status, Status::Open | Status::Withheld | Status::Failed)
                })
                .map(|v| v.rule.clone())
                .collect(),
        })
    }

    /// About the policy itself, which a parameter holds: what is wrong with it, or `None` where it is right again.
    #[must_use]
    pub fn of_policy(
        parameter: &str,
        account: &str,
        region: &str,
        invocation: &str,
        origin: &Origin,
        wrong: Option<&str>,
    ) -> Self {
        let (status, severity, detail, to_do) = match wrong {
            Some(wrong) => (
                Status::Open,
                Severity::High,
                one_line(wrong, POLICY_PROBLEMS),
                "the last valid policy stays in force; without one, nothing is evaluated. Correct \
                 the parameter; check it first with `ecr-warden policy check FILE`",
            ),
            None => (
                Status::Resolved,
                Severity::Informational,
                "the policy is valid again and in force".to_owned(),
                "",
            ),
        };
        let separator = if parameter.starts_with('/') { "" } else { "/" };
        Self {
            schema: "ecr-warden.alert/1",
            id: alert_id(invocation, [(INVALID_POLICY, status, &detail)]),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: format!(
                "arn:{}:ssm:{region}:{account}:parameter{separator}{parameter}",
                partition(region)
            ),
            parameter: Some(parameter.to_owned()),
            cause: origin.cause,
            actor: None,
            occurred_at: origin.occurred_at.clone(),
            severity,
            findings: vec![AlertFinding {
                repository: None,
                rule: INVALID_POLICY.to_owned(),
                severity,
                status,
                detail,
                advice: to_do.to_owned(),
                since: None,
                iac: None,
                change: None,
                to_do: to_do.to_owned(),
                reason: None,
            }],
            omitted: 0,
            actions: Vec::new(),
            summary: None,
            dead_letters: None,
            ledger: None,
            name: parameter.to_owned(),
            standing: Vec::new(),
        }
    }

    /// A sweep's sign of life: it works, there are subscribers, and there was nothing to report for a week.
    #[must_use]
    pub fn alive(
        account: &str,
        region: &str,
        invocation: &str,
        origin: &Origin,
        dead_letters: Option<u64>,
    ) -> Self {
        let detail = "the sweeps of the last week found nothing to report".to_owned();
        Self {
            schema: "ecr-warden.alert/1",
            id: alert_id(invocation, [(ALIVE, Status::Resolved, &detail)]),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: format!(
                "arn:{}:ecr:{region}:{account}:repository/*",
                partition(region)
            ),
            parameter: None,
            cause: origin.cause,
            actor: None,
            occurred_at: origin.occurred_at.clone(),
            severity: Severity::Informational,
            findings: vec![AlertFinding {
                repository: None,
                rule: ALIVE.to_owned(),
                severity: Severity::Informational,
                status: Status::Resolved,
                detail,
                advice: String::new(),
                since: None,
                iac: None,
                change: None,
                to_do: String::new(),
                reason: None,
            }],
            omitted: 0,
            actions: Vec::new(),
            summary: None,
            dead_letters: None,
            ledger: None,
            name: format!("account {account}, {region}"),
            standing: Vec::new(),
        }
        .with_dead_letters(dead_letters)
    }

    /// Names the messages that lie in the dead-letter queue; none of them, or not known, says nothing.
    #[must_use]
    pub fn with_dead_letters(self, dead_letters: Option<u64>) -> Self {
        Self {
            dead_letters: dead_letters.filter(|count| *count > 0),
            ..self
        }
    }

    /// Names where the changes are listed.
    #[must_use]
    pub fn with_ledger(self, ledger: Option<Ledger>) -> Self {
        Self { ledger, ..self }
    }

    /// One line about the dead-letter queue; `None`: it is empty.
    fn letters(&self) -> Option<String> {
        let messages = counted(self.dead_letters?, "message is", "messages are");
        Some(format!(
            "{messages} in the dead-letter queue: what was given up; docs/operations.md says how to read it"
        ))
    }

    /// The message in all its forms; its texts are cut where it would be more than SNS takes.
    #[must_use]
    pub fn message(&self) -> Message {
        let mut written = self.written();
        for longest in SHORTER {
            if written.body.len() <= LARGEST {
                break;
            }
            written = self.clone().shortened(longest).written();
        }
        written
    }

    fn shortened(mut self, longest: usize) -> Self {
        let findings = self.findings.into_iter();
        self.findings = findings.map(|it| it.shortened(longest)).collect();
        let actions = self.actions.into_iter();
        self.actions = actions.map(|it| it.shortened(longest)).collect();
        self.summary = self.summary.map(|it| it.shortened(longest));
        self
    }

    fn written(&self) -> Message {
        let machine = self.machine().to_string();
        let text = text::write(self);
        let chat = chat::write(self).to_string();
        let body = serde_json::json!({
            "default": text,
            "email": text,
            "https": chat,
            "lambda": machine,
            "sqs": machine,
        });
        Message {
            subject: text::subject(self),
            body: body.to_string(),
        }
    }

    /// `ecr-warden.alert/1`. Subscriptions filter by its body, so it has at its top what they filter by.
    fn machine(&self) -> serde_json::Value {
        let mut machine = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = machine.as_object_mut() {
            let outcome = self.outcome().name();
            fields.insert("outcome".to_owned(), outcome.into());
            fields.insert("rules".to_owned(), self.rules().into());
        }
        machine
    }

    /// Each once; of all findings, listed or not.
    fn rules(&self) -> Vec<String> {
        let listed = self.findings.iter().map(|finding| &finding.rule);
        let grouped = self.summary.iter().flat_map(digest::Summary::rules);
        let rules: BTreeSet<&String> = listed.chain(grouped).collect();
        rules.into_iter().cloned().collect()
    }

    /// The status that is the most urgent.
    fn outcome(&self) -> Status {
        self.findings
            .iter()
            .map(|finding| finding.status)
            .max_by_key(|status| weight(*status))
            .unwrap_or(Status::Resolved)
    }

    /// `1 fixed, 2 open`, the most urgent first; of the policy, whether it is valid.
    fn tally(&self) -> String {
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

/// How urgent a status is.
fn weight(status: Status) -> u8 {
    match status {
        Status::Failed => 5,
        Status::Open => 4,
        Status::Withheld => 3,
        Status::Fixed => 2,
        Status::Resolved => 1,
        Status::Exempt => 0,
    }
}

fn worst<'v>(verdicts: impl Iterator<Item = &'v Verdict>) -> Option<Severity> {
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

fn finding(verdict: &Verdict) -> AlertFinding {
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

#[cfg(test)]
mod tests;
