//! One report per event, written in the forms that its readers need: people, a chat and machines.

mod chat;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::finding::{Severity, Status};
use crate::outcome::{OutcomeAction, Verdict, actions};
use crate::repository::{RepositoryId, partition};
use crate::rules::Advice;
use crate::text::{one_line, rfc3339};

/// What SNS takes, without the attributes.
const LARGEST: usize = 250 * 1024;
/// As many findings as a message about many lists, and as much of each text: in a message everything stands several times.
const DIGEST: usize = 20;
const DIGEST_TEXT: usize = 200;

/// The name under which people are told of a policy that can't be used.
pub const INVALID_POLICY: &str = "invalid-policy";
/// A policy can have many problems; these are enough to begin with.
const POLICY_PROBLEMS: usize = 2000;

/// An SNS message, ready to publish with `MessageStructure=json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// ASCII, under 100 characters, one line (SNS API reference, Publish).
    pub subject: String,
    /// The body by protocol, as one JSON object.
    pub body: String,
    /// For subscription filters.
    pub attributes: BTreeMap<&'static str, Attribute>,
}

/// A message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Text(String),
    /// A filter matches where one of them does.
    List(Vec<String>),
}

/// What an alert is about: `ecr-warden.alert/1`. Its names are a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    schema: &'static str,
    /// The same for a retry of the same event, so that a receiver can tell a repetition.
    pub id: String,
    pub account: String,
    pub region: String,
    /// ARN; of the parameter, where the alert is about the policy.
    pub repository: String,
    pub cause: String,
    pub actor: Option<String>,
    /// RFC 3339.
    pub occurred_at: String,
    pub severity: Severity,
    pub findings: Vec<AlertFinding>,
    /// How many more findings there are than a message holds.
    #[serde(skip_serializing_if = "is_none")]
    pub omitted: usize,
    pub actions: Vec<OutcomeAction>,
    #[serde(skip)]
    name: String,
    /// Rules that were told before and still stand.
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
    pub detail: String,
    /// What people must still do, or how to keep it from coming back.
    pub advice: String,
    /// RFC 3339: when it was first seen.
    pub since: Option<String>,
    pub iac: Option<Advice>,
    #[serde(skip)]
    change: Option<(String, String)>,
    #[serde(skip)]
    to_do: String,
}

impl AlertFinding {
    /// For a message about many, or about much. What keeps it from coming back would be the same lines again and again.
    fn shortened(self) -> Self {
        Self {
            detail: short(&self.detail),
            advice: short(&self.to_do),
            to_do: short(&self.to_do),
            change: self.change.map(|(from, to)| (short(&from), short(&to))),
            iac: None,
            ..self
        }
    }

    /// The repository's name, in a message about many.
    fn place(&self) -> String {
        let id = self.repository.as_deref().and_then(RepositoryId::from_arn);
        id.map_or_else(String::new, |id| format!("{}: ", id.name))
    }
}

/// The event that led to it.
#[derive(Clone, Debug)]
pub struct Occasion<'o> {
    /// See [`Alert::id`].
    pub id: &'o str,
    pub cause: &'o str,
    pub actor: Option<&'o str>,
    pub occurred_at: &'o str,
}

impl Alert {
    /// `None` where there is no news.
    #[must_use]
    pub fn of(id: &RepositoryId, occasion: &Occasion<'_>, verdicts: &[Verdict]) -> Option<Self> {
        let news: Vec<Verdict> = verdicts.iter().filter(|v| v.news).cloned().collect();
        let severity = worst(news.iter())?;
        Some(Self {
            schema: "ecr-warden.alert/1",
            id: occasion.id.to_owned(),
            account: id.account.clone(),
            region: id.region.clone(),
            repository: id.arn(),
            cause: occasion.cause.to_owned(),
            actor: occasion.actor.map(str::to_owned),
            occurred_at: occasion.occurred_at.to_owned(),
            severity,
            findings: news.iter().map(finding).collect(),
            omitted: 0,
            actions: actions(&news),
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

    /// One message about many repositories: what is new in each. `None` where nothing is.
    #[must_use]
    pub fn digest(
        account: &str,
        region: &str,
        occasion: &Occasion<'_>,
        repositories: &[(&RepositoryId, &[Verdict])],
    ) -> Option<Self> {
        let mut news: Vec<(&RepositoryId, &Verdict)> = repositories
            .iter()
            .flat_map(|(id, verdicts)| verdicts.iter().map(move |verdict| (*id, verdict)))
            .filter(|(_, verdict)| verdict.news)
            .collect();
        let severity = worst(news.iter().map(|(_, verdict)| *verdict))?;
        // The gravest first, and no more than a message holds.
        news.sort_by_key(|(id, verdict)| {
            (
                std::cmp::Reverse(weight(verdict.status)),
                std::cmp::Reverse(verdict.severity),
                id.name.clone(),
            )
        });
        let total = news.len();
        let touched: std::collections::BTreeSet<&RepositoryId> =
            news.iter().map(|(id, _)| *id).collect();
        let name = format!("{} repositories", touched.len());
        news.truncate(DIGEST);
        let changes: Vec<Verdict> = news.iter().map(|(_, verdict)| (*verdict).clone()).collect();
        Some(Self {
            schema: "ecr-warden.alert/1",
            id: occasion.id.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: format!(
                "arn:{}:ecr:{region}:{account}:repository/*",
                partition(region)
            ),
            cause: occasion.cause.to_owned(),
            actor: occasion.actor.map(str::to_owned),
            occurred_at: occasion.occurred_at.to_owned(),
            severity,
            findings: news
                .iter()
                .map(|(id, verdict)| AlertFinding {
                    repository: Some(id.arn()),
                    ..finding(verdict).shortened()
                })
                .collect(),
            omitted: total.saturating_sub(DIGEST),
            actions: actions(&changes).into_iter().map(shortened).collect(),
            name,
            standing: Vec::new(),
        })
    }

    /// About the policy itself, which a parameter holds: what is wrong with it, or `None` where it is right again.
    #[must_use]
    pub fn of_policy(
        parameter: &str,
        account: &str,
        region: &str,
        occasion: &Occasion<'_>,
        wrong: Option<&str>,
    ) -> Self {
        let (status, severity, detail, to_do) = match wrong {
            Some(wrong) => (
                Status::Open,
                Severity::High,
                one_line(wrong, POLICY_PROBLEMS),
                "the last valid policy stays in force, or nothing is judged where there is none: correct the parameter, and try \
                 it with `ecr-warden policy check` before",
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
            id: occasion.id.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            repository: format!(
                "arn:{}:ssm:{region}:{account}:parameter{separator}{parameter}",
                partition(region)
            ),
            cause: occasion.cause.to_owned(),
            actor: None,
            occurred_at: occasion.occurred_at.to_owned(),
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
            }],
            omitted: 0,
            actions: Vec::new(),
            name: parameter.to_owned(),
            standing: Vec::new(),
        }
    }

    /// The message in all its forms; its texts are cut where it would be more than SNS takes.
    #[must_use]
    pub fn message(&self) -> Message {
        let whole = self.written();
        if whole.body.len() <= LARGEST {
            return whole;
        }
        let mut cut = self.clone();
        cut.findings = cut
            .findings
            .into_iter()
            .map(AlertFinding::shortened)
            .collect();
        cut.actions = cut.actions.into_iter().map(shortened).collect();
        cut.written()
    }

    fn written(&self) -> Message {
        let machine = serde_json::to_string(self).unwrap_or_default();
        let people = text::write(self);
        let chat = chat::write(self).to_string();
        let body = serde_json::json!({
            "default": people,
            "email": people,
            "https": chat,
            "lambda": machine,
            "sqs": machine,
        });
        let mut rules: Vec<String> = self.findings.iter().map(|f| f.rule.clone()).collect();
        rules.dedup();
        let attributes = [
            ("severity", Attribute::Text(self.severity.name().to_owned())),
            ("outcome", Attribute::Text(self.outcome().name().to_owned())),
            ("rule", Attribute::List(rules)),
            ("account", Attribute::Text(self.account.clone())),
            ("region", Attribute::Text(self.region.clone())),
        ];
        Message {
            subject: text::subject(self),
            body: body.to_string(),
            attributes: attributes.into(),
        }
    }

    /// The status that needs people the most.
    fn outcome(&self) -> Status {
        self.findings
            .iter()
            .map(|finding| finding.status)
            .max_by_key(|status| weight(*status))
            .unwrap_or(Status::Resolved)
    }

    /// `1 fixed, 2 open`, in the order in which they need people.
    fn tally(&self) -> String {
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
                let count = self.findings.iter().filter(|f| f.status == status).count();
                (count > 0).then(|| format!("{count} {}", status.name()))
            })
            .collect();
        counted.join(", ")
    }
}

/// How much a status needs people.
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

fn short(text: &str) -> String {
    one_line(text, DIGEST_TEXT)
}

fn shortened(action: OutcomeAction) -> OutcomeAction {
    OutcomeAction {
        from: short(&action.from),
        to: short(&action.to),
        result: short(&action.result),
        ..action
    }
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
