//! The rules. A rule is its settings: read from the policy, then asked about a repository.
//!
//! A new rule is one file here and one line in [`RULES`]; its settings' schema, its documentation and its place
//! in the catalogue follow from it.

pub mod blocked_push;
pub mod disallowed_region;
pub mod missing_tags;
pub mod mutable_tags;
pub mod no_lifecycle_policy;
pub mod no_scan_on_push;
pub mod nonconforming_image_tag;
pub mod nonconforming_name;
pub mod over_budget;
pub mod public_access;
pub mod untrusted_access;
pub mod weak_encryption;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;
use crate::finding::{Severity, Violation};
use crate::policy::document::{Node, Problem};
use crate::policy::read;
use crate::repository::{Reads, Repository, RepositoryId};

/// Every rule there is, in the order in which findings are reported.
pub static RULES: &[Entry] = &[
    Entry::of::<mutable_tags::MutableTags>(),
    Entry::of::<weak_encryption::WeakEncryption>(),
    Entry::of::<no_scan_on_push::NoScanOnPush>(),
    Entry::of::<no_lifecycle_policy::NoLifecyclePolicy>(),
    Entry::of::<public_access::PublicAccess>(),
    Entry::of::<untrusted_access::UntrustedAccess>(),
    Entry::of::<nonconforming_name::NonconformingName>(),
    Entry::of::<missing_tags::MissingTags>(),
    Entry::of::<disallowed_region::DisallowedRegion>(),
    Entry::of::<nonconforming_image_tag::NonconformingImageTag>(),
    Entry::of::<blocked_push::BlockedPush>(),
    Entry::of::<over_budget::OverBudget>(),
];

/// What the catalogue says of a rule.
#[derive(Debug)]
pub struct Meta {
    /// Names the fault, so that "exempt from X" reads well.
    pub id: &'static str,
    pub severity: Severity,
    pub subject: Subject,
    /// One line: what it finds.
    pub summary: &'static str,
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
    /// Report, and change nothing.
    Monitor,
    /// Do not look.
    Off,
}

/// A rule, as its settings.
pub trait Rule: Send + Sync + std::fmt::Debug {
    fn mode(&self) -> Option<RuleMode>;

    /// What it needs to know, to the least: each read is a call for each event.
    fn reads(&self) -> Reads;

    /// What it still needs to know when DescribeRepositories has answered: in an audit of many that is a call for each.
    fn reads_after(&self, _described: &Repository) -> Reads {
        self.reads()
    }

    /// Judges a snapshot. Blind to mode and exemptions: the plan knows those.
    fn check(&self, repository: &Repository) -> Option<Violation>;

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

    /// Whether its repair changes the registry, so that the record of the repair is the registry's and not a repository's.
    fn repairs_registry(&self) -> bool {
        false
    }

    /// What the settings get wrong together, each in one line; a setting that is wrong alone does not parse.
    fn contradictions(&self) -> Vec<String>;

    /// The lines that keep the finding from coming back, for this repository, as far as the policy alone tells: pasted, they
    /// satisfy the rule and take away nothing that the policy allows.
    fn advice(&self, id: &RepositoryId) -> Advice;

    /// The same where the repair is known, made or not: what it sets is what the definition must say.
    fn advice_on(&self, id: &RepositoryId, _repair: Option<&Action>) -> Advice {
        self.advice(id)
    }
}

/// What prevents the finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// One sentence.
    #[serde(skip)]
    pub text: String,
    pub terraform: String,
    pub cloudformation: String,
    /// The call that mends one repository by hand, for a shell in which `$REPOSITORY` names it and `AWS_REGION` is its
    /// region: so the advice for many is the same.
    #[serde(skip)]
    pub cli: String,
}

/// A rule's settings type, as the policy's parser sees it.
pub trait Settings: Rule + DeserializeOwned + JsonSchema + 'static {
    const META: Meta;

    /// What is wrong inside of its settings, where they hold a document of AWS's, with its place.
    fn problems_inside(_block: &Node) -> Vec<Problem> {
        Vec::new()
    }
}

type Build = fn(Map<String, Value>) -> Result<Box<dyn Rule>, String>;

/// A line of the registry.
#[derive(Debug)]
pub struct Entry {
    pub meta: Meta,
    check_document: fn(&Node) -> Vec<Problem>,
    build: Build,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    const fn of<S: Settings>() -> Self {
        Self {
            meta: S::META,
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

/// The registry's line for an id.
#[must_use]
pub fn entry(id: &str) -> Option<&'static Entry> {
    RULES.iter().find(|entry| entry.meta.id == id)
}

/// A string literal that means the same in HCL, YAML and JSON.
fn quoted(text: &str) -> String {
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
    fn every_file_here_is_registered_under_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .map(|name| name.trim_end_matches(".rs").replace('_', "-"))
            .collect();
        files.sort();
        let mut ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
        ids.sort_unstable();
        assert_eq!(files, ids);
    }

    #[test]
    fn words_and_documents_stay_what_they_are() {
        assert_eq!(shell_word("it's $x"), r"'it'\''s $x'");
        assert_eq!(quoted("${a} %{b}"), "\"$${a} %%{b}\"");
        assert_eq!(heredoc("{\"a\":\"${x}\"}"), "<<EOT\n{\"a\":\"$${x}\"}\nEOT");
    }

    /// Pasted lines work as they are, or stop: they have no placeholders.
    #[test]
    fn advice_has_no_placeholders() {
        let policy = "
version: 1
mode: enforce
rules:
  mutable-tags: {}
  weak-encryption: { require: CUSTOMER_KEY }
  no-scan-on-push: {}
  no-lifecycle-policy: {}
  public-access: {}
  missing-tags: { require: { team: {} } }
  disallowed-region: { allow: [eu-central-1] }
  nonconforming-image-tag: {}
  over-budget: { most-gb: 1 }
";
        let policy = crate::policy::Policy::parse(policy).unwrap();
        let id = crate::evaluate::tests::repository().id;
        let resolved = policy
            .for_repository(&id, &crate::repository::Read::NotAsked)
            .unwrap();
        assert_eq!(resolved.rules.len(), 10);
        for active in &resolved.rules {
            let advice = active.rule.advice(&id);
            for text in [&advice.terraform, &advice.cloudformation, &advice.cli] {
                let placeholder =
                    text.contains('…') || text.contains("file://") || text.contains("\"...\"");
                assert!(!placeholder, "{}: {text}", active.entry.meta.id);
            }
        }
    }
}
