//! An audit of many repositories: what is asked for, and what is answered (`ecr-warden.audit/1`).

mod parts;
mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::schema::Schema;
use crate::finding::{Severity, Status};
use crate::glob::Glob;
use crate::ledger::Ledger;
use crate::outcome::Verdict;
use crate::reason::{Code, Reason, known};
use crate::repository::RepositoryId;
use crate::storage::StorageCost;
use crate::units::cents;

/// Findings with advice at most. Advice is most of a finding's size, and a function has no space for more.
const MOST_ADVISED: usize = 5000;

/// Stands in the place of a rule where a repository was not judged.
pub const UNJUDGED: &str = "not-judged";

/// What to audit. Everything is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Globs over names; empty: all.
    pub repositories: Vec<Glob>,
    /// Empty: the function's own.
    pub accounts: Vec<String>,
    /// Empty: the function's own.
    pub regions: Vec<String>,
    /// Also estimate what the images cost a month: it takes calls for each repository. For `monitor` only.
    pub cost: bool,
    /// `monitor`, which is the default, reads and reports. `enforce` repairs as the policy says, and reports.
    pub mode: Option<RequestMode>,
    /// What an audit that stopped before its end gave out as `next`.
    pub next: Option<String>,
    /// Where it stops before its end, it goes on by itself instead of giving out `next`: for schedules, which follow nothing.
    pub r#continue: bool,
    /// Seconds after which to answer with what was audited by then, and `next`: for callers behind a network that drops silent
    /// connections. At least [`FEWEST_SECONDS`]; absent: as long as the function may run.
    pub seconds: Option<u32>,
    /// With `enforce`, how many repositories to change at most, in place of the policy's `changes-per-sweep`: for who has read what a sweep
    /// would change.
    pub changes: Option<usize>,
    /// Publish all open findings again in one message, for a new subscriber, although they were reported before.
    pub repeat: bool,
}

/// What an audit does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestMode {
    /// Repair as the policy says.
    Enforce,
    /// Report, and change nothing.
    Monitor,
}

/// The request as messages show it.
pub const REQUEST: &str = "{\"repositories\": [glob], \"accounts\": [], \"regions\": [], \"cost\": false, \
    \"mode\": \"monitor\" | \"enforce\", \"changes\": 20, \"repeat\": false, \"seconds\": 240}";

/// Enough to list and judge some repositories, so that following `next` comes to an end.
pub const FEWEST_SECONDS: u32 = 10;

impl Request {
    /// Whether it is about every repository of the function's own account and region.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        self.repositories.is_empty() && self.accounts.is_empty() && self.regions.is_empty()
    }

    /// Whether it is a sweep of everything that starts by itself: one of a registry runs at a time.
    #[must_use]
    pub fn is_unattended(&self) -> bool {
        self.covers_all()
            && self.r#continue
            && self.mode == Some(RequestMode::Enforce)
            && !self.repeat
    }

    /// How long the answer may take, where the function may run for so long.
    ///
    /// # Errors
    /// One line: it asks for too few seconds.
    pub fn time(&self, left: Duration) -> Result<Duration, String> {
        match self.seconds {
            Some(seconds) if seconds < FEWEST_SECONDS => Err(format!(
                "`seconds` is {seconds}: ask for at least {FEWEST_SECONDS}"
            )),
            Some(seconds) => Ok(left.min(Duration::from_secs(seconds.into()))),
            None => Ok(left),
        }
    }

    /// A request for some repositories is not about the registry.
    #[must_use]
    pub fn covers(&self, id: &RepositoryId) -> bool {
        let mut globs = self.repositories.iter();
        self.repositories.is_empty()
            || (!id.is_registry() && globs.any(|glob| glob.matches(&id.name)))
    }
}

/// Where an audit stopped. Callers take it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub region: String,
    /// ECR's token of the page; `None`: the first.
    pub page: Option<String>,
    /// The last repository of the page before: where to go on if ECR takes the token no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What of that page was audited already.
    pub done: Vec<String>,
    /// ARNs of what was looked at and is still to be acted on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// ARNs of what a sweep would change: see [`SweepLimit`](crate::sweep_limit::SweepLimit).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to_change: Vec<String>,
    /// How many it would change, as far as it has looked.
    #[serde(default)]
    pub counted: usize,
    /// Everything was listed: only `left` and `to_change` remain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed: bool,
    /// ARNs of what could not be judged, so that Security Hub keeps what it knows of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<String>,
    /// When the first part began, in seconds since the epoch, as long as Security Hub has taken what was found since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_since: Option<i64>,
}

impl Position {
    /// # Errors
    /// One line: it is none of ours.
    pub fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text)
            .map_err(|_| "`next` does not come from an audit; start again without it".to_owned())
    }

    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The answer: a part, where `next` is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    schema: Schema,
    pub summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub findings: Option<Vec<AuditFinding>>,
    /// Of each repository, the dearest first. Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<Vec<StorageCost>>,
    /// Instead of `findings` and `costs`, where they are too many for an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Locations>,
    /// Ask again with this; `null`: the audit is complete.
    pub next: Option<String>,
    /// Where the changes of a sweep are listed; absent: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<Ledger>,
    /// What stops all changes at present, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brakes: Vec<String>,
    /// Why nothing was audited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// The code of `ignored`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known"
    )]
    pub reason: Option<Code>,
}

/// Of the repositories that this answer is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub repositories: usize,
    /// Without a finding that stands; what is exempt may.
    pub compliant: usize,
    /// Could not be judged this time: neither compliant nor with a finding of its own.
    pub unjudged: usize,
    /// What was found, by rule; what is exempt does not count.
    pub findings: BTreeMap<String, usize>,
    /// Of that, what a sweep has repaired; the rest stands.
    pub fixed: BTreeMap<String, usize>,
    /// Only where it was asked for. What is free is taken off the first part of an audit of all repositories.
    pub estimated_monthly_cost_usd: Option<f64>,
}

/// One finding of one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFinding {
    /// ARN.
    pub repository: String,
    pub rule: String,
    pub severity: Severity,
    pub status: Status,
    /// Why it is open, or its repair withheld or failed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known"
    )]
    pub reason: Option<Code>,
    pub detail: String,
    /// What the operator must still do, or why nothing was done.
    pub to_do: String,
    /// How it is kept from coming back.
    #[serde(skip)]
    pub advice: Option<crate::rule::Advice>,
    /// Seconds since the epoch at which it was first seen, where that is on record.
    #[serde(skip)]
    pub since: Option<i64>,
    /// This sweep reports it in its own message.
    #[serde(skip)]
    pub news: bool,
}

/// Where the whole report is: S3 URIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locations {
    pub json: String,
    pub csv: String,
    pub html: String,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            schema: Schema,
            summary: Summary::default(),
            findings: Some(Vec::new()),
            costs: None,
            report: None,
            next: None,
            ledger: None,
            brakes: Vec::new(),
            ignored: None,
            reason: None,
        }
    }
}

impl Audit {
    /// Nothing was audited, for this reason.
    #[must_use]
    pub fn ignored(why: Reason) -> Self {
        Self {
            findings: None,
            ignored: Some(why.text),
            reason: Some(why.code),
            ..Self::default()
        }
    }

    /// Adds what was found in one repository, or in the registry, which is counted as none.
    pub fn add(&mut self, id: &RepositoryId, verdicts: &[Verdict]) {
        let stands =
            |status: Status| matches!(status, Status::Open | Status::Withheld | Status::Failed);
        let repositories = usize::from(!id.is_registry());
        self.summary.repositories = self.summary.repositories.saturating_add(repositories);
        if !verdicts.iter().any(|verdict| stands(verdict.status)) {
            self.summary.compliant = self.summary.compliant.saturating_add(repositories);
        }
        let one_more = |counts: &mut BTreeMap<String, usize>, rule: &str| {
            let count = counts.entry(rule.to_owned()).or_default();
            *count = count.saturating_add(1);
        };
        for verdict in verdicts {
            if !matches!(verdict.status, Status::Exempt | Status::Resolved) {
                one_more(&mut self.summary.findings, &verdict.rule);
            }
            if verdict.status == Status::Fixed {
                one_more(&mut self.summary.fixed, &verdict.rule);
            }
            if let Some(findings) = &mut self.findings {
                let advised = findings.len() < MOST_ADVISED;
                findings.push(AuditFinding {
                    repository: id.arn(),
                    rule: verdict.rule.clone(),
                    severity: verdict.severity,
                    status: verdict.status,
                    reason: verdict.reason,
                    detail: verdict.detail.clone(),
                    to_do: verdict.to_do.clone(),
                    advice: verdict.advice.clone().filter(|_| advised),
                    since: verdict.since,
                    news: verdict.news,
                });
            }
        }
    }

    /// Adds a repository that could not be judged, and why.
    pub fn add_unjudged(&mut self, id: &RepositoryId, why: &str) {
        let repositories = usize::from(!id.is_registry());
        self.summary.repositories = self.summary.repositories.saturating_add(repositories);
        self.summary.unjudged = self.summary.unjudged.saturating_add(repositories);
        if let Some(findings) = &mut self.findings {
            findings.push(AuditFinding {
                repository: id.arn(),
                rule: UNJUDGED.to_owned(),
                severity: Severity::Informational,
                status: Status::Open,
                reason: None,
                detail: format!(
                    "{} was not evaluated this time: {why}",
                    if id.is_registry() {
                        "the registry"
                    } else {
                        "the repository"
                    }
                ),
                to_do: "its next event or the next sweep evaluates it again".to_owned(),
                advice: None,
                since: None,
                news: false,
            });
        }
    }

    /// Adds what a repository's images cost.
    pub fn add_cost(&mut self, cost: StorageCost) {
        let sum = self.summary.estimated_monthly_cost_usd.get_or_insert(0.0);
        *sum = cents(*sum + cost.monthly_usd);
        self.costs.get_or_insert_default().push(cost);
    }

    /// Open findings that this audit has not reported, by repository: what a new subscriber has not been sent.
    #[must_use]
    pub fn to_repeat(&self) -> BTreeMap<RepositoryId, Vec<Verdict>> {
        let mut all: BTreeMap<RepositoryId, Vec<Verdict>> = BTreeMap::new();
        for finding in self.findings.iter().flatten() {
            let open = matches!(
                finding.status,
                Status::Open | Status::Withheld | Status::Failed
            );
            if !open || finding.news || finding.rule == UNJUDGED {
                continue;
            }
            if let Some(id) = RepositoryId::from_arn(&finding.repository) {
                all.entry(id).or_default().push(Verdict {
                    rule: finding.rule.clone(),
                    severity: finding.severity,
                    status: finding.status,
                    reason: finding.reason,
                    detail: finding.detail.clone(),
                    to_do: finding.to_do.clone(),
                    // A message about many repositories has no room for it.
                    advice: None,
                    since: finding.since,
                    action: None,
                    news: true,
                });
            }
        }
        all
    }

    /// Takes off what is free.
    pub fn deduct(&mut self, free_usd: f64) {
        if let Some(sum) = &mut self.summary.estimated_monthly_cost_usd {
            *sum = cents((*sum - free_usd).max(0.0));
        }
    }

    /// Sorts findings by severity, then by repository, and costs by their amount, the highest first.
    pub fn sort(&mut self) {
        if let Some(costs) = &mut self.costs {
            costs.sort_by(|a, b| (b.bytes, &a.repository).cmp(&(a.bytes, &b.repository)));
        }
        if let Some(findings) = &mut self.findings {
            findings.sort_by(|a, b| {
                (b.severity, &a.repository, &a.rule).cmp(&(a.severity, &b.repository, &b.rule))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rule: &str, status: Status) -> Verdict {
        Verdict {
            rule: rule.to_owned(),
            severity: Severity::Medium,
            status,
            detail: "d".to_owned(),
            to_do: String::new(),
            advice: None,
            since: None,
            action: None,
            news: false,
            reason: None,
        }
    }

    #[test]
    fn what_stands_is_counted() {
        let mut audit = Audit::default();
        let id = |name| RepositoryId::new("123456789012", "eu-central-1", name).unwrap();
        audit.add(&id("shop/a"), &[]);
        audit.add(&id("shop/b"), &[verdict("mutable-tags", Status::Exempt)]);
        audit.add(
            &id("shop/c"),
            &[
                verdict("mutable-tags", Status::Open),
                verdict("missing-tags", Status::Withheld),
            ],
        );
        let summary = &audit.summary;
        assert_eq!((summary.repositories, summary.compliant), (3, 2));
        assert_eq!(summary.findings["mutable-tags"], 1);
        audit.add_unjudged(&id("shop/d"), "it is throttled");
        let summary = &audit.summary;
        assert_eq!(
            (summary.repositories, summary.compliant, summary.unjudged),
            (4, 2, 1)
        );
        assert_eq!(
            audit.findings.as_mut().and_then(Vec::pop).unwrap().rule,
            UNJUDGED
        );
        let json = serde_json::to_value(&audit).unwrap();
        assert_eq!(json["schema"], "ecr-warden.audit/1");
        assert_eq!(json["next"], serde_json::Value::Null);
        assert_eq!(json["findings"].as_array().unwrap().len(), 3);
        assert_eq!(
            json["summary"]["estimated_monthly_cost_usd"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn what_is_repaired_is_told_from_what_stands() {
        let mut audit = Audit::default();
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/a").unwrap();
        for status in [Status::Fixed, Status::Open, Status::Failed] {
            audit.add(&id, &[verdict("mutable-tags", status)]);
        }
        let json = serde_json::to_value(&audit.summary).unwrap();
        assert_eq!(json["findings"], serde_json::json!({ "mutable-tags": 3 }));
        assert_eq!(json["fixed"], serde_json::json!({ "mutable-tags": 1 }));
        assert_eq!(json["compliant"], 1);
    }

    #[test]
    fn costs_are_summed_and_what_is_free_is_taken_off() {
        let cost = |name: &str, bytes: u64, usd: f64| StorageCost {
            repository: name.to_owned(),
            images: 1,
            bytes,
            monthly_usd: usd,
            untagged_usd: 0.0,
            old_usd: 0.0,
            default_lifecycle_saves_usd: None,
            unreadable: None,
        };
        let mut audit = Audit::default();
        audit.deduct(0.05);
        assert_eq!(audit.summary.estimated_monthly_cost_usd, None);
        audit.add_cost(cost("small", 1, 0.1));
        audit.add_cost(cost("large", 2, 0.2));
        audit.deduct(0.05);
        audit.sort();
        let json = serde_json::to_value(&audit).unwrap();
        assert_eq!(json["summary"]["estimated_monthly_cost_usd"], 0.25);
        assert_eq!(json["costs"][0]["repository"], "large");
        audit.deduct(7.0);
        assert_eq!(audit.summary.estimated_monthly_cost_usd, Some(0.0));
    }

    #[test]
    fn a_request_is_strict_and_everything_in_it_optional() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        assert_eq!(read("{}").unwrap(), Request::default());
        assert!(read(r#"{"repositorys":[]}"#).is_err());
        assert!(read(r#"{"repositories":["Shop/*"]}"#).is_err());
        let some = read(r#"{"repositories":["shop/**"],"mode":"enforce"}"#).unwrap();
        let id = |name| RepositoryId::new("123456789012", "eu-central-1", name).unwrap();
        assert!(some.covers(&id("shop/a/b")) && !some.covers(&id("shops")));
        assert!(Position::read("nonsense").is_err());
        let position = Position {
            region: "eu-central-1".to_owned(),
            page: Some("t".to_owned()),
            done: vec!["shop/a".to_owned()],
            imported_since: Some(7),
            ..Position::default()
        };
        assert_eq!(Position::read(&position.write()), Ok(position));
    }
}
