//! One alert per event, in the form of each protocol: e-mail, chat, programs.

mod chat;
mod digest;
mod model;
mod summary;
mod text;

pub use self::model::{ALIVE, Alert, AlertAction, AlertFinding, INVALID_POLICY};
use self::model::{alert_id, essence, finding, worst};
pub(crate) use self::summary::REST;
use self::summary::SHORTER;
use crate::finding::{Severity, Status};
use crate::outcome::Verdict;
use crate::owner::Addressees;
use crate::repository::{RepositoryId, partition};
use crate::text::one_line;
use crate::trigger::Origin;

/// What SNS takes.
const LARGEST: usize = 250 * 1024;
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
            over_limit: None,
            addressees: Addressees::of([(id, None)]),
            name: id.label(),
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
            over_limit: None,
            addressees: Addressees::default(),
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
            over_limit: None,
            addressees: Addressees::default(),
            name: format!("account {account}, {region}"),
            standing: Vec::new(),
        }
        .with_dead_letters(dead_letters)
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
}

#[cfg(test)]
mod tests;
