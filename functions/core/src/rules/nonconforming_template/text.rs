//! The command, and the definitions, that make a template create conforming repositories.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::source::{Correction, TemplateKind};
use crate::registry::Creation;
use crate::repository::{EncryptionType, Repository, TagMutability};
use crate::rule::{Advice, heredoc, quoted, shell_word};

/// ECR uses a KMS key and sets tags with a role of the operator's (ECR User Guide, "Creating an IAM role for repository creation
/// templates").
const ROLE: &str = "\"${ROLE_ARN:?say the role that ECR creates repositories with}\"";

/// Bytes. An alert has 256 KiB for all its findings (SNS quota), and each definition twice.
const LONGEST_DEFINITIONS: usize = 20_000;

/// The command that changes the template, or creates it.
pub(super) fn command(wanted: &Correction) -> String {
    let Correction { source, from, to } = wanted;
    let exists = source.kind == TemplateKind::Template;
    let verb = if exists { "update" } else { "create" };
    let mut command = format!(
        "aws ecr {verb}-repository-creation-template --prefix {}",
        shell_word(&source.template.prefix)
    );
    if !exists {
        let occasions: Vec<&str> = source
            .template
            .applied_for
            .iter()
            .map(Creation::name)
            .collect();
        let _ = write!(command, " --applied-for {}", occasions.join(" "));
    }
    if let (true, Some((name, filters))) = (from.mutability != to.mutability, mutability(to)) {
        let _ = write!(command, " --image-tag-mutability {name}");
        if !filters.is_empty() {
            command.push_str(" --image-tag-mutability-exclusion-filters");
        }
        for filter in filters {
            let one = format!("filterType=WILDCARD,filter={filter}");
            let _ = write!(command, " {}", shell_word(&one));
        }
    }
    if let (true, Some((name, key))) = (from.encryption != to.encryption, encryption(to)) {
        let key = key.map_or_else(String::new, |key| format!(",kmsKey={key}"));
        let settings = format!("encryptionType={name}{key}");
        let _ = write!(
            command,
            " --encryption-configuration {}",
            shell_word(&settings)
        );
    }
    if let (true, Some(tags)) = (from.tags != to.tags, to.tags.known()) {
        command.push_str(" --resource-tags");
        for (key, value) in tags {
            let tag = serde_json::json!({ "Key": key, "Value": value }).to_string();
            let _ = write!(command, " {}", shell_word(&tag));
        }
    }
    for (option, from, to) in [
        ("repository-policy", &from.policy, &to.policy),
        ("lifecycle-policy", &from.lifecycle, &to.lifecycle),
    ] {
        match to.known() {
            Some(Some(document)) if from != to => {
                let _ = write!(command, " --{option} {}", shell_word(document));
            }
            Some(None) if from != to => {
                let _ = write!(
                    command,
                    " # and remove its {option}: delete the template and create it without one"
                );
            }
            _ => {}
        }
    }
    if needs_role(to) && !source.template.has_role {
        let role = format!(" --custom-role-arn {ROLE}");
        let at = command.find(" # ").unwrap_or(command.len());
        command.insert_str(at, &role);
    }
    command
}

/// The definitions of these templates.
pub(super) fn advise(wanted: &[&Correction]) -> Advice {
    let join = |of: fn(&Correction) -> String| joined(wanted.iter().map(|it| of(it)));
    Advice {
        text: "Set this where the creation templates are defined; it is for new repositories only."
            .to_owned(),
        terraform: join(terraform),
        cloudformation: join(cloudformation),
        cli: join(command),
    }
}

/// As many of the definitions as alerts and reports can carry, and how many are left out. Documents in them can be long.
fn joined(definitions: impl ExactSizeIterator<Item = String>) -> String {
    let mut left = definitions.len();
    let mut out = String::new();
    for definition in definitions {
        if !out.is_empty() && out.len().saturating_add(definition.len()) > LONGEST_DEFINITIONS {
            let _ = write!(out, "\n\n# and {left} more");
            break;
        }
        let separator = if out.is_empty() { "" } else { "\n\n" };
        let _ = write!(out, "{separator}{definition}");
        left = left.saturating_sub(1);
    }
    out
}

fn terraform(wanted: &Correction) -> String {
    let Correction { source, to, .. } = wanted;
    let occasions = source.template.applied_for.iter();
    let occasions: Vec<String> = occasions.map(|it| quoted(it.name())).collect();
    let mut out = format!(
        "resource \"aws_ecr_repository_creation_template\" \"{}\" {{\n  prefix      = {}\n  applied_for = [{}]\n",
        identifier(&source.template.prefix),
        quoted(&source.template.prefix),
        occasions.join(", ")
    );
    if let Some((name, filters)) = mutability(to) {
        let _ = writeln!(out, "\n  image_tag_mutability = \"{name}\"");
        for filter in filters {
            let filter = quoted(&filter);
            let _ = writeln!(
                out,
                "\n  image_tag_mutability_exclusion_filter {{\n    filter      = {filter}\n    filter_type = \"WILDCARD\"\n  }}"
            );
        }
    }
    if let Some((name, key)) = encryption(to) {
        let _ = writeln!(out, "\n  encryption_configuration {{");
        let _ = writeln!(out, "    encryption_type = {}", quoted(name));
        if let Some(key) = key {
            let _ = writeln!(out, "    kms_key         = {}", quoted(key));
        }
        out.push_str("  }\n");
    }
    if let Some(tags) = to.tags.known().filter(|tags| !tags.is_empty()) {
        out.push_str("\n  resource_tags = {\n");
        for (key, value) in tags {
            let _ = writeln!(out, "    {} = {}", quoted(key), quoted(value));
        }
        out.push_str("  }\n");
    }
    for (name, document) in [
        ("repository_policy", &to.policy),
        ("lifecycle_policy", &to.lifecycle),
    ] {
        if let Some(Some(document)) = document.known() {
            let _ = writeln!(out, "\n  {name} = {}", heredoc(document));
        }
    }
    if needs_role(to) {
        out.push_str("\n  custom_role_arn = var.ecr_creation_role_arn\n");
    }
    out.push('}');
    out
}

fn cloudformation(wanted: &Correction) -> String {
    let Correction { source, to, .. } = wanted;
    let occasions = source.template.applied_for.iter();
    let occasions: Vec<String> = occasions.map(|it| quoted(it.name())).collect();
    let mut out = format!(
        "Type: AWS::ECR::RepositoryCreationTemplate\nProperties:\n  Prefix: {}\n  AppliedFor: [{}]",
        quoted(&source.template.prefix),
        occasions.join(", ")
    );
    if let Some((name, filters)) = mutability(to) {
        let _ = write!(out, "\n  ImageTagMutability: {name}");
        if !filters.is_empty() {
            out.push_str("\n  ImageTagMutabilityExclusionFilters:");
        }
        for filter in filters {
            let _ = write!(
                out,
                "\n    - ImageTagMutabilityExclusionFilterType: WILDCARD\n      ImageTagMutabilityExclusionFilterValue: {}",
                quoted(&filter)
            );
        }
    }
    if let Some((name, key)) = encryption(to) {
        let name = quoted(name);
        let _ = write!(
            out,
            "\n  EncryptionConfiguration:\n    EncryptionType: {name}"
        );
        if let Some(key) = key {
            let _ = write!(out, "\n    KmsKey: {}", quoted(key));
        }
    }
    if let Some(tags) = to.tags.known().filter(|tags| !tags.is_empty()) {
        out.push_str("\n  ResourceTags:");
        for (key, value) in tags {
            let (key, value) = (quoted(key), quoted(value));
            let _ = write!(out, "\n    - Key: {key}\n      Value: {value}");
        }
    }
    for (name, document) in [
        ("RepositoryPolicy", &to.policy),
        ("LifecyclePolicy", &to.lifecycle),
    ] {
        if let Some(Some(document)) = document.known() {
            // JSON's string is YAML's. `${` is no template outside of `!Sub`.
            let document = serde_json::Value::from(document.as_str());
            let _ = write!(out, "\n  {name}: {document}");
        }
    }
    if needs_role(to) {
        out.push_str("\n  CustomRoleArn: !Ref EcrCreationRoleArn");
    }
    out
}

fn needs_role(repository: &Repository) -> bool {
    let tagged = repository.tags.known().is_some_and(|tags| !tags.is_empty());
    tagged || repository.encryption.kind != EncryptionType::Aes256
}

/// ECR's name of the setting, and its filters; `None`: this version does not know it.
fn mutability(repository: &Repository) -> Option<(&'static str, BTreeSet<String>)> {
    match &repository.mutability {
        TagMutability::Mutable => Some(("MUTABLE", BTreeSet::new())),
        TagMutability::Immutable => Some(("IMMUTABLE", BTreeSet::new())),
        TagMutability::ImmutableWithExclusion(filters) => {
            Some(("IMMUTABLE_WITH_EXCLUSION", filters.clone()))
        }
        TagMutability::MutableWithExclusion(filters) => {
            Some(("MUTABLE_WITH_EXCLUSION", filters.clone()))
        }
        TagMutability::Unknown(_) => None,
    }
}

/// ECR's name of the type, and the key; `None`: this version does not know it.
fn encryption(repository: &Repository) -> Option<(&'static str, Option<&str>)> {
    let name = match repository.encryption.kind {
        EncryptionType::Aes256 => "AES256",
        EncryptionType::Kms => "KMS",
        EncryptionType::KmsDsse => "KMS_DSSE",
        EncryptionType::Unknown(_) => return None,
    };
    Some((name, repository.encryption.kms_key.as_deref()))
}

/// A name in Terraform.
fn identifier(prefix: &str) -> String {
    let letters = prefix.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '_'
        }
    });
    let name: String = letters.collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}
