//! The result of one check and of all.

use serde::Serialize;

use crate::doctor::no_answer::NoAnswer;

/// What AWS answered to one call.
pub type Answered<T> = Result<T, NoAnswer>;

/// The names of the checks, in the order in which they are shown. They are public: `ecr-warden.doctor/1` has them as `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    Credentials,
    Stack,
    Trail,
    Triggers,
    Subscribers,
    Policy,
    Brakes,
    DeadLetters,
    Functions,
    Permissions,
    CanaryRepair,
    CanaryAlert,
    CanaryRemoval,
}

impl CheckName {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Stack => "stack",
            Self::Trail => "trail",
            Self::Triggers => "triggers",
            Self::Subscribers => "subscribers",
            Self::Policy => "policy",
            Self::Brakes => "brakes",
            Self::DeadLetters => "dead-letters",
            Self::Functions => "functions",
            Self::Permissions => "permissions",
            Self::CanaryRepair => "canary-repair",
            Self::CanaryAlert => "canary-alert",
            Self::CanaryRemoval => "canary-removal",
        }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    Ok,
    Failing,
    /// AWS did not say what the check needs to know.
    Unknown,
}

impl Health {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Unknown => "unknown",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checkup {
    pub check: CheckName,
    pub status: Health,
    /// What was found, in one line.
    pub detail: String,
    /// What to do, in one line; `None` where nothing is to be done.
    pub advice: Option<String>,
}

impl Checkup {
    #[must_use]
    pub fn ok(check: CheckName, detail: impl Into<String>) -> Self {
        Self {
            check,
            status: Health::Ok,
            detail: detail.into(),
            advice: None,
        }
    }

    #[must_use]
    pub fn failing(check: CheckName, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            check,
            status: Health::Failing,
            detail: detail.into(),
            advice: Some(advice.into()),
        }
    }

    #[must_use]
    pub fn unknown(check: CheckName, detail: impl Into<String>, advice: Option<String>) -> Self {
        Self {
            check,
            status: Health::Unknown,
            detail: detail.into(),
            advice,
        }
    }

    /// The check could not be made because a call was not answered.
    #[must_use]
    pub fn unanswered(check: CheckName, why: &NoAnswer) -> Self {
        Self::unknown(check, why.to_string(), why.advice())
    }
}

/// How AWS behaves where its documentation does not say: what was tried, and what AWS did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AwsObservation {
    pub tried: &'static str,
    pub seen: String,
}

/// `ecr-warden.doctor/1`: all checks of one stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub schema: &'static str,
    pub stack: String,
    pub account: String,
    pub region: String,
    /// All checks are ok.
    pub healthy: bool,
    pub checks: Vec<Checkup>,
    /// What the canary's run has seen of AWS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<AwsObservation>,
}

impl Diagnosis {
    #[must_use]
    pub fn new(stack: &str, account: &str, region: &str, mut checks: Vec<Checkup>) -> Self {
        checks.sort_by_key(|checkup| checkup.check);
        Self {
            schema: "ecr-warden.doctor/1",
            stack: stack.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            healthy: checks.iter().all(|checkup| checkup.status == Health::Ok),
            checks,
            observations: Vec::new(),
        }
    }

    /// With the checks of a canary's run, and what it has seen.
    #[must_use]
    pub fn with_canary(self, checks: Vec<Checkup>, observations: Vec<AwsObservation>) -> Self {
        let checks = self.checks.into_iter().chain(checks).collect();
        Self {
            observations,
            ..Self::new(&self.stack, &self.account, &self.region, checks)
        }
    }

    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// How many checks came to this.
    #[must_use]
    pub fn count(&self, status: Health) -> usize {
        let with = self
            .checks
            .iter()
            .filter(|checkup| checkup.status == status);
        with.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_its_schema_and_each_check_in_order() {
        let checks = vec![
            Checkup::failing(CheckName::Trail, "no trail", "create one"),
            Checkup::ok(CheckName::Credentials, "mary"),
        ];
        let diagnosis = Diagnosis::new("ecr-warden", "111111111111", "eu-west-1", checks);
        let json: serde_json::Value = serde_json::from_str(&diagnosis.json()).unwrap();
        let expected = serde_json::json!({
            "schema": "ecr-warden.doctor/1",
            "stack": "ecr-warden", "account": "111111111111", "region": "eu-west-1",
            "healthy": false,
            "checks": [
                { "check": "credentials", "status": "ok", "detail": "mary", "advice": null },
                { "check": "trail", "status": "failing", "detail": "no trail", "advice": "create one" },
            ],
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn names_are_the_same_in_tables_and_in_json() {
        for check in [
            CheckName::Credentials,
            CheckName::Stack,
            CheckName::Trail,
            CheckName::Triggers,
            CheckName::Subscribers,
            CheckName::Policy,
            CheckName::Brakes,
            CheckName::DeadLetters,
            CheckName::Functions,
            CheckName::Permissions,
            CheckName::CanaryRepair,
            CheckName::CanaryAlert,
            CheckName::CanaryRemoval,
        ] {
            assert_eq!(serde_json::to_value(check).unwrap(), check.name());
        }
        for status in [Health::Ok, Health::Failing, Health::Unknown] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn an_unknown_check_is_not_healthy() {
        let unknown = Checkup::unanswered(CheckName::Stack, &NoAnswer::Other("no answer".into()));
        assert!(!Diagnosis::new("s", "1", "r", vec![unknown]).healthy);
        let ok = Checkup::ok(CheckName::Stack, "fine");
        assert!(Diagnosis::new("s", "1", "r", vec![ok]).healthy);
    }
}
