//! A registry from files: what the AWS CLI prints of it.

use std::path::{Path, PathBuf};

use ecr_warden_core::registry::{
    BLOB_MOUNTING, Creation, POLICY_SCOPE, Registry, ReplicationDestination, SigningFilter,
    SigningRule, Template,
};
use ecr_warden_core::repository::{
    Encryption, Read, RegistryScanning, RepositoryId, ScanRule, TagMutability,
};
use ecr_warden_core::yaml::document::{Content, Node, parse};
use serde_json::Value;

use crate::failure::{CommandError, read};

const EXPECTED: &str = "expected what `aws ecr get-registry-policy`, `describe-registry`, \
                        `describe-repository-creation-templates`, `describe-pull-through-cache-rules`, \
                        `get-registry-scanning-configuration`, `get-account-setting` or `get-signing-configuration` prints";

/// A registry as ECR sets it up, without a policy, replication, templates, caches, scanning and signing, with what the files say laid over.
/// What KMS says of keys is not known.
pub(super) fn registry(id: &RepositoryId, files: &[PathBuf]) -> Result<Registry, CommandError> {
    let new = Registry {
        policy: Read::Known(None),
        destinations: Read::Known(Vec::new()),
        templates: Read::Known(Vec::new()),
        caches: Read::Known(Vec::new()),
        scanning: Read::Known(RegistryScanning::default()),
        policy_scope: Read::Known("V2".to_owned()),
        blob_mounting: Read::Known("DISABLED".to_owned()),
        signing: Read::Known(Vec::new()),
        ..Registry::unread(id)
    };
    files
        .iter()
        .try_fold(new, |registry, file| laid_over(registry, file))
}

fn laid_over(mut registry: Registry, file: &Path) -> Result<Registry, CommandError> {
    let node = parse(&read(file)?)
        .map_err(|problem| CommandError::Usage(format!("{}: {problem}", file.display())))?;
    let wrong = |node: &Node, what: &str| {
        let (line, column) = (node.place.line, node.place.column);
        CommandError::Usage(format!("{}:{line}:{column}: {what}", file.display()))
    };
    if node.entries().is_empty() {
        return Err(wrong(&node, EXPECTED));
    }
    for (_, key, value) in node.entries() {
        match key.as_str() {
            "policyText" => registry.policy = Read::Known(Some(document(value))),
            "replicationConfiguration" => {
                let rules = value.get("rules").map(Node::items).unwrap_or_default();
                let destinations = rules
                    .iter()
                    .flat_map(|rule| {
                        rule.get("destinations")
                            .map(Node::items)
                            .unwrap_or_default()
                    })
                    .map(|node| destination(node).ok_or_else(|| wrong(node, EXPECTED)))
                    .collect::<Result<_, _>>()?;
                registry.destinations = Read::Known(destinations);
            }
            "repositoryCreationTemplates" => {
                let templates = value.items().iter();
                let templates =
                    templates.map(|node| template(node).ok_or_else(|| wrong(node, EXPECTED)));
                registry.templates = Read::Known(templates.collect::<Result<_, _>>()?);
            }
            "pullThroughCacheRules" => {
                let prefixes = value.items().iter();
                let prefixes = prefixes.map(|node| {
                    text(node, "ecrRepositoryPrefix").ok_or_else(|| wrong(node, EXPECTED))
                });
                registry.caches = Read::Known(prefixes.collect::<Result<_, _>>()?);
            }
            "scanningConfiguration" => {
                let scanning = scanning(value).ok_or_else(|| wrong(value, EXPECTED))?;
                registry.scanning = Read::Known(scanning);
            }
            "signingConfiguration" => {
                let rules = items(value, "rules").iter();
                let rules = rules.map(|node| signing(node).ok_or_else(|| wrong(node, EXPECTED)));
                registry.signing = Read::Known(rules.collect::<Result<_, _>>()?);
            }
            "name" => {
                let setting = match value.value().as_str() {
                    Some(POLICY_SCOPE) => &mut registry.policy_scope,
                    Some(BLOB_MOUNTING) => &mut registry.blob_mounting,
                    _ => continue,
                };
                *setting = Read::Known(text(&node, "value").ok_or_else(|| wrong(&node, EXPECTED))?);
            }
            // Of the setting that `name` names.
            "value" if node.get("name").is_some() => {}
            "registryId" => {}
            _ => return Err(wrong(value, EXPECTED)),
        }
    }
    Ok(registry)
}

/// AWS keeps a document as text; a file may have it as it is.
fn document(node: &Node) -> String {
    match (&node.content, node.value()) {
        (Content::Mapping(_), value) => value.to_string(),
        (_, Value::String(text)) => text,
        (_, value) => value.to_string(),
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.value().as_str().map(str::to_owned)
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

fn destination(node: &Node) -> Option<ReplicationDestination> {
    Some(ReplicationDestination {
        account: text(node, "registryId")?,
        region: text(node, "region")?,
    })
}

fn template(node: &Node) -> Option<Template> {
    let filters = items(node, "imageTagMutabilityExclusionFilters").iter();
    let filters = filters.filter_map(|it| text(it, "filter")).collect();
    let mutability = TagMutability::named(text(node, "imageTagMutability").as_deref(), filters);
    let tags = items(node, "resourceTags").iter();
    let tags = tags.filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?)));
    let occasions = items(node, "appliedFor").iter();
    let occasions = occasions.filter_map(|it| Some(Creation::named(it.value().as_str()?)));
    Some(Template {
        prefix: text(node, "prefix")?,
        applied_for: occasions.collect(),
        mutability,
        encryption: node
            .get("encryptionConfiguration")
            .map_or_else(Encryption::aes256, encryption),
        tags: tags.collect(),
        policy: node.get("repositoryPolicy").map(document),
        lifecycle: node.get("lifecyclePolicy").map(document),
        has_role: node.get("customRoleArn").is_some(),
    })
}

fn signing(node: &Node) -> Option<SigningRule> {
    let filters = items(node, "repositoryFilters").iter().map(|filter| {
        Some(SigningFilter {
            kind: text(filter, "filterType")?,
            pattern: text(filter, "filter")?,
        })
    });
    Some(SigningRule {
        profile: text(node, "signingProfileArn")?,
        filters: filters.collect::<Option<_>>()?,
    })
}

fn encryption(node: &Node) -> Encryption {
    let kind = text(node, "encryptionType").unwrap_or_default();
    Encryption::named(Some(&kind), text(node, "kmsKey").as_deref())
}

fn scanning(node: &Node) -> Option<RegistryScanning> {
    let rules = items(node, "rules").iter().map(|rule| {
        let filters = items(rule, "repositoryFilters").iter();
        Some(ScanRule {
            frequency: serde_json::from_value(rule.get("scanFrequency")?.value()).ok()?,
            filters: filters.filter_map(|it| text(it, "filter")).collect(),
        })
    });
    Some(RegistryScanning {
        enhanced: text(node, "scanType").as_deref() == Some("ENHANCED"),
        rules: rules.collect::<Option<_>>()?,
    })
}
