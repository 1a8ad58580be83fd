//! Whether a trail records ECR's management writes in this region. Without one EventBridge receives no API call of ECR.
//!
//! Sources: EventBridge User Guide, "AWS service events delivered via AWS CloudTrail"; CloudTrail API reference, EventSelector and
//! AdvancedFieldSelector.

use crate::doctor::checkup::{Answered, CheckName, Checkup};
use crate::doctor::command::AwsCli;
use crate::doctor::no_answer::NoAnswer;

/// A trail that applies to the region or to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailSummary {
    pub arn: String,
    pub home_region: String,
    pub is_multi_region: bool,
    /// The organization's management account owns it.
    pub is_of_organization: bool,
    pub is_logging: Answered<bool>,
    pub selectors: Answered<Selectors>,
}

/// Which events a trail records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selectors {
    /// For each selector, whether it includes management events and whether it includes writes. Without any, a trail records all
    /// management events.
    Basic(Vec<(bool, bool)>),
    /// Each selector is a list of conditions that an event has to meet together.
    Advanced(Vec<Vec<FieldSelector>>),
}

/// A condition of an advanced event selector. Empty lists say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub field: String,
    pub equals: Vec<String>,
    pub starts_with: Vec<String>,
    pub ends_with: Vec<String>,
    pub not_equals: Vec<String>,
    pub not_starts_with: Vec<String>,
    pub not_ends_with: Vec<String>,
}

/// Whether CreateRepository and PutImage are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Recording {
    Yes,
    No,
    /// It depends on a field that differs from event to event.
    DependsOn(String),
}

/// The calls that a trail has to record. It records the others of ECR that write, then, too.
const CALLS: [&str; 2] = ["CreateRepository", "PutImage"];

impl Selectors {
    fn recording(&self) -> Recording {
        match self {
            Self::Basic(selectors) => {
                let records = selectors.is_empty()
                    || selectors
                        .iter()
                        .any(|(management, writes)| *management && *writes);
                if records {
                    Recording::Yes
                } else {
                    Recording::No
                }
            }
            Self::Advanced(selectors) => {
                let mut worst = Recording::Yes;
                for call in CALLS {
                    match best(selectors, call) {
                        Recording::No => return Recording::No,
                        Recording::Yes => {}
                        unclear => worst = unclear,
                    }
                }
                worst
            }
        }
    }
}

/// One selector that records the call is enough.
fn best(selectors: &[Vec<FieldSelector>], call: &str) -> Recording {
    let mut best = Recording::No;
    for selector in selectors {
        match of_selector(selector, call) {
            Recording::Yes => return Recording::Yes,
            Recording::No => {}
            unclear => best = unclear,
        }
    }
    best
}

/// A selector records what meets all its conditions.
fn of_selector(conditions: &[FieldSelector], call: &str) -> Recording {
    let mut all = Recording::Yes;
    for condition in conditions {
        let value = match condition.field.as_str() {
            "eventCategory" => "Management",
            "readOnly" => "false",
            "eventSource" => "ecr.amazonaws.com",
            "eventName" => call,
            "eventType" => "AwsApiCall",
            other => {
                all = Recording::DependsOn(other.to_owned());
                continue;
            }
        };
        if !condition.admits(value) {
            return Recording::No;
        }
    }
    all
}

impl FieldSelector {
    fn admits(&self, value: &str) -> bool {
        let positive = [&self.equals, &self.starts_with, &self.ends_with];
        let wants = positive.iter().any(|list| !list.is_empty());
        let equals = |list: &[String]| list.iter().any(|it| it == value);
        let starts = |list: &[String]| list.iter().any(|it| value.starts_with(it.as_str()));
        let ends = |list: &[String]| list.iter().any(|it| value.ends_with(it.as_str()));
        let wanted = equals(&self.equals) || starts(&self.starts_with) || ends(&self.ends_with);
        let excluded =
            equals(&self.not_equals) || starts(&self.not_starts_with) || ends(&self.not_ends_with);
        (wanted || !wants) && !excluded
    }
}

/// Why a trail does not do.
struct TrailFault {
    /// Otherwise, it is not known whether it does.
    is_failing: bool,
    detail: String,
    advice: Option<String>,
}

impl TrailSummary {
    fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    fn described(&self) -> String {
        let kind = match (self.is_of_organization, self.is_multi_region) {
            (true, _) => "the organization's trail",
            (false, true) => "the trail of all regions",
            (false, false) => "the trail",
        };
        format!("{kind} `{}`", self.name())
    }

    /// `Ok`: it records management writes of ECR.
    fn verdict(&self, aws: &AwsCli) -> Result<(), TrailFault> {
        let trail = self.described();
        let unknown = |detail: String, advice| {
            Err(TrailFault {
                is_failing: false,
                detail,
                advice,
            })
        };
        let failing = |detail: String, advice| {
            Err(TrailFault {
                is_failing: true,
                detail,
                advice: Some(advice),
            })
        };
        // A trail that does not log needs no selectors: it fails in either case.
        match &self.is_logging {
            Ok(true) => {}
            Ok(false) => {
                let start = if self.is_of_organization {
                    "ask the organization's management account to start it".to_owned()
                } else {
                    // CloudTrail starts a trail in its home region only.
                    let home = AwsCli {
                        region: self.home_region.clone(),
                        ..aws.clone()
                    };
                    home.command(&["cloudtrail", "start-logging", "--name", &self.arn])
                };
                return failing(format!("{trail} does not log"), start);
            }
            Err(why) => {
                return unknown(
                    format!("whether {trail} logs is not known: {}", of_trail(why)),
                    why.advice(),
                );
            }
        }
        match &self.selectors {
            Ok(selectors) => match selectors.recording() {
                Recording::Yes => Ok(()),
                Recording::No => failing(
                    format!("{trail} does not record management writes of ECR"),
                    format!(
                        "add a selector for management events that write; {} lists the selectors",
                        aws.command(&["cloudtrail", "get-event-selectors", "--trail-name", &self.arn])
                    ),
                ),
                Recording::DependsOn(field) => unknown(
                    format!("{trail} logs, but records management writes by their `{field}` only"),
                    Some("record management writes without a condition on that field".to_owned()),
                ),
            },
            Err(why) if self.is_of_organization => unknown(
                format!("{trail} logs, but its event selectors cannot be read: {}", of_trail(why)),
                Some(
                    "ask the organization's management account whether it records management writes"
                        .to_owned(),
                ),
            ),
            Err(why) => unknown(
                format!("the event selectors of {trail} cannot be read: {}", of_trail(why)),
                why.advice(),
            ),
        }
    }
}

fn of_trail(why: &NoAnswer) -> String {
    match why {
        NoAnswer::Gone => "this account does not see it".to_owned(),
        why => why.to_string(),
    }
}

/// Decides the check.
#[must_use]
pub fn trail(answer: &Answered<Vec<TrailSummary>>, aws: &AwsCli) -> Checkup {
    let check = CheckName::Trail;
    let trails = match answer {
        Ok(trails) => trails,
        Err(why) => return Checkup::unanswered(check, why),
    };
    let here = |trail: &&TrailSummary| trail.is_multi_region || trail.home_region == aws.region;
    let mut faults = Vec::new();
    for trail in trails.iter().filter(here) {
        match trail.verdict(aws) {
            Ok(()) => {
                let detail = format!("{} records management writes", trail.described());
                return Checkup::ok(check, detail);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        return Checkup::failing(
            check,
            format!(
                "no CloudTrail trail records {}, so events of ECR's API calls do not arrive",
                aws.region
            ),
            "`make deploy PARAMETERS=\"CreateTrail=true\"`, or create a trail that records management writes",
        );
    }
    let details: Vec<&str> = faults.iter().map(|fault| fault.detail.as_str()).collect();
    let detail = details.join("; ");
    // What is not known may be what is looked for.
    match faults.iter().find(|fault| !fault.is_failing) {
        Some(unknown) => Checkup::unknown(check, detail, unknown.advice.clone()),
        None => {
            let advice = faults.iter().find_map(|fault| fault.advice.clone());
            Checkup::failing(check, detail, advice.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests;
