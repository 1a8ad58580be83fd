//! A registry from files: what the AWS CLI prints of it.

use std::path::{Path, PathBuf};

use ecr_warden_core::registry::{Registry, ReplicationDestination};
use ecr_warden_core::repository::{Read, RepositoryId};
use ecr_warden_core::yaml::document::{Content, Node, parse};
use serde_json::Value;

use crate::failure::{CommandError, read};

const EXPECTED: &str =
    "expected what `aws ecr get-registry-policy` or `aws ecr describe-registry` prints";

/// A registry without a policy and without replication, with what the files say laid over.
pub(super) fn registry(id: &RepositoryId, files: &[PathBuf]) -> Result<Registry, CommandError> {
    let new = Registry {
        id: id.clone(),
        policy: Read::Known(None),
        destinations: Read::Known(Vec::new()),
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

fn destination(node: &Node) -> Option<ReplicationDestination> {
    let text = |key: &str| node.get(key)?.value().as_str().map(str::to_owned);
    Some(ReplicationDestination {
        account: text("registryId")?,
        region: text("region")?,
    })
}
