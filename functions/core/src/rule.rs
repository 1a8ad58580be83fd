//! What a rule is: its settings, its description, and what it decides about a repository.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;
pub use crate::advice::Advice;
use crate::finding::{Finding, Fix, Severity, Violation};
use crate::registry::{Registry, RegistryReads};
use crate::repository::{Reads, Repository, RepositoryId};
use crate::requirements::requirements;
use crate::yaml::document::{Node, Problem};
use crate::yaml::read;

/// What the catalogue says of a rule.
#[derive(Debug)]
pub struct Meta {
    /// Names the fault, so that "exempt from X" reads well.
    pub id: &'static str,
    pub severity: Severity,
    pub subject: Subject,
    /// One line: what it finds.
    pub summary: &'static str,
    /// What a repair does, as `sets it`; `none`: it only reports.
    pub repair: &'static str,
    /// Markdown: why it matters, and what the repair may break.
    pub explanation: &'static str,
    /// YAML, as it is under `rules:` in a policy: useful settings.
    pub example: &'static str,
    /// The same control elsewhere: Security Hub, Config, Prowler.
    pub controls: &'static [&'static str],
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The repository: the finding is open until it is repaired.
    Repository,
    /// One push: the next look at the repository says nothing of it.
    Push,
}

/// What a rule does about what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleMode {
    /// Repair what can be repaired.
    Enforce,
    /// Report, and make each repair when someone approves it: `ecr-warden approve`.
    Approve,
    /// Report, and change nothing.
    Monitor,
    /// Do not look.
    Off,
}

/// A rule, as its settings.
pub trait Rule: Send + Sync + std::fmt::Debug {
    fn mode(&self) -> Option<RuleMode>;

    /// What it needs to know, to the least: each read is a call for each event. A rule about the registry alone reads nothing of repositories.
    fn reads(&self) -> Reads {
        Reads::default()
    }

    /// What it still needs to know when DescribeRepositories has answered: in an audit of many that is a call for each.
    fn reads_after(&self, _described: &Repository) -> Reads {
        self.reads()
    }

    /// What of [`Rule::reads_after`] only adds to the words of a finding: without it the same is found, and the same repair follows. An
    /// audit of very many repositories leaves it out.
    fn explained_by(&self, _described: &Repository) -> Reads {
        Reads::default()
    }

    /// What must be read to find what is wrong and what repairs it.
    fn reads_to_judge(&self, described: &Repository) -> Reads {
        let all = self.reads_after(described);
        all.without(&self.explained_by(described))
    }

    /// Judges a snapshot. Blind to mode and exemptions: the plan knows those. A rule about the registry alone finds nothing in repositories.
    fn check(&self, _repository: &Repository) -> Option<Violation> {
        None
    }

    /// What it needs to know of the registry. Only rules with [`Settings::JUDGES_REGISTRY`] are asked.
    fn registry_reads(&self) -> RegistryReads {
        RegistryReads::default()
    }

    /// Judges what holds for all repositories of the registry. Only rules with [`Settings::JUDGES_REGISTRY`] are asked.
    fn check_registry(
        &self,
        _registry: &Registry,
        _policy: &NewRepositories<'_>,
    ) -> Option<RegistryViolation> {
        None
    }

    /// What a new repository would have to be created with to pass, by a creation template: `Ok` the setting, `Err` what the operator
    /// does instead, in one line. Only rules with [`Settings::KNOWN_AT_CREATION`] are asked, about what they found.
    ///
    /// # Errors
    /// No template can say it.
    fn at_creation(&self, _new: &Repository, violation: &Violation) -> Result<Action, String> {
        match &violation.fix {
            Fix::Safe(action) | Fix::Disruptive(action) => Ok(action.clone()),
            Fix::Manual(what) => Err(what.clone()),
        }
    }

    /// How much what it finds in this repository matters, where that is not what the rule's findings usually do.
    fn severity(&self, _repository: &Repository) -> Option<Severity> {
        None
    }

    /// Whether CloudFormation is to be asked before the rule has a repository recreated: the recreation of what a stack owns makes the
    /// stack drift, and the stack's next change of its encryption fails.
    fn spares_stacks(&self) -> bool {
        false
    }

    /// Whether it wants pushes to the repository refused. In doubt a quarantine that is there stays.
    fn quarantines(&self, _repository: &Repository) -> bool {
        false
    }

    /// The lifecycle policy that repositories without one are to have.
    fn default_lifecycle(&self) -> Option<&Map<String, Value>> {
        None
    }

    /// Whether its findings are about the repository's resource tags.
    fn judges_tags(&self) -> bool {
        false
    }

    /// Whether its repair changes the registry, so that the record of the repair is the registry's and not a repository's.
    fn repairs_registry(&self) -> bool {
        false
    }

    /// What the settings get wrong together, each in one line; a setting that is wrong alone does not parse.
    fn contradictions(&self) -> Vec<String>;

    /// The lines that keep the finding from coming back, for this repository, as far as the policy alone decides: pasted, they
    /// satisfy the rule and take away nothing that the policy allows.
    fn advice(&self, id: &RepositoryId) -> Advice;

    /// The same where the repair is known, made or not: what it sets is what the definition must say.
    fn advice_on(&self, id: &RepositoryId, _repair: Option<&Action>) -> Advice {
        self.advice(id)
    }
}

/// What a rule found in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryViolation {
    pub violation: Violation,
    /// How much it matters, where that is not what the rule's findings usually do.
    pub severity: Option<Severity>,
    /// What prevents it, where the settings of the registry decide that.
    pub advice: Option<Advice>,
}

impl From<Violation> for RegistryViolation {
    fn from(violation: Violation) -> Self {
        Self {
            violation,
            severity: None,
            advice: None,
        }
    }
}

/// What the whole policy says of a repository that ECR creates by itself.
pub type NewRepositories<'p> = dyn Fn(&Repository) -> Result<NewRepository, String> + 'p;

/// A repository that ECR creates by itself, evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRepository {
    /// Without those that the policy exempts it from.
    pub findings: Vec<Finding>,
    /// The same repository, created as the rules require, as far as a template can say it.
    pub conforming: Repository,
    /// What the operator does about the rest, each in one line.
    pub to_do: Vec<String>,
}

/// A rule's settings type, as the policy's parser sees it.
pub trait Settings: Rule + DeserializeOwned + JsonSchema + 'static {
    const META: Meta;

    /// Whether it judges the registry as well, once per account and region.
    const JUDGES_REGISTRY: bool = false;

    /// Whether the settings with which a repository is created say what it judges: the rule then also judges the repositories that creation
    /// templates, caches and replication bring about.
    const KNOWN_AT_CREATION: bool = false;

    /// What is wrong inside of its settings, where they hold a document of AWS's, with its place.
    fn problems_inside(_block: &Node) -> Vec<Problem> {
        Vec::new()
    }
}

type Build = fn(Map<String, Value>) -> Result<Box<dyn Rule>, String>;

/// A line of the list of rules.
#[derive(Debug)]
pub struct Entry {
    pub meta: Meta,
    pub judges_registry: bool,
    pub known_at_creation: bool,
    check_document: fn(&Node) -> Vec<Problem>,
    build: Build,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    pub(crate) const fn of<S: Settings>() -> Self {
        Self {
            meta: S::META,
            judges_registry: S::JUDGES_REGISTRY,
            known_at_creation: S::KNOWN_AT_CREATION,
            check_document: |node| match read::<S>(node) {
                Ok(_) => S::problems_inside(node),
                Err(problems) => problems,
            },
            build: |settings| {
                serde_json::from_value::<S>(Value::Object(settings))
                    .map(|rule| Box::new(rule) as Box<dyn Rule>)
                    .map_err(|error| error.to_string())
            },
            schema: SchemaGenerator::subschema_for::<S>,
        }
    }

    /// The requirements that AWS relates to the rule's Security Hub control.
    #[must_use]
    pub fn requirements(&self) -> &'static [&'static str] {
        let mut controls = self.meta.controls.iter();
        controls
            .find_map(|control| requirements(control))
            .unwrap_or_default()
    }

    /// The requirements, and the same control elsewhere.
    #[must_use]
    pub fn related(&self) -> Vec<&'static str> {
        let requirements = self.requirements().iter();
        requirements.chain(self.meta.controls).copied().collect()
    }

    /// All that is wrong with a block of settings in the policy file, with places.
    pub(crate) fn problems(&self, block: &Node) -> Vec<Problem> {
        (self.check_document)(block)
    }

    /// The rule with these settings.
    ///
    /// # Errors
    /// One line.
    pub(crate) fn build(&self, settings: Map<String, Value>) -> Result<Box<dyn Rule>, String> {
        (self.build)(settings)
    }

    /// The JSON Schema of its settings.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

/// What the operator does about a setting that cannot be read.
pub(crate) fn make_readable(permission: &str) -> String {
    format!("fix the read error above; if the permission {permission} is missing, grant it")
}

/// A string literal that means the same in HCL, YAML and JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned())
        .to_string()
        .replace("${", "$${")
        .replace("%{", "%%{")
}

/// One word of a POSIX shell.
pub(crate) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A document between the marks of an HCL here-document, where `${` and `%{` begin templates.
pub(crate) fn heredoc(document: &str) -> String {
    let escaped = document.replace("${", "$${").replace("%{", "%%{");
    format!("<<EOT\n{escaped}\nEOT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_documents_stay_what_they_are() {
        assert_eq!(shell_word("it's $x"), r"'it'\''s $x'");
        assert_eq!(quoted("${a} %{b}"), "\"$${a} %%{b}\"");
        assert_eq!(heredoc("{\"a\":\"${x}\"}"), "<<EOT\n{\"a\":\"$${x}\"}\nEOT");
    }
}
