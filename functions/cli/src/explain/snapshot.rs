//! A repository from a file: its settings, or what the AWS CLI prints of it.

use std::path::Path;

use ecr_warden_core::repository::Repository;
use ecr_warden_core::rules::weak_encryption::AWS_MANAGED_KEY;
use ecr_warden_core::yaml::document::{Content, Node, Place, parse};
use serde_json::{Map, Value, json};

use crate::failure::{CommandError, read};

/// What is read by a call of its own, and so may be unreadable. A file gives the value itself, or `unreadable: why`.
const READS: [&str; 9] = [
    "tags",
    "policy",
    "lifecycle",
    "has-images",
    "recent-tags",
    "scanning",
    "scan-frequency",
    "pull-through",
    "images",
];

/// Each setting that a file may give, and how it is written.
const FORMS: [(&str, &str); 16] = [
    ("mutability", "mutability: IMMUTABLE"),
    ("encryption", "encryption: { kind: kms }"),
    ("scan-on-push", "scan-on-push: true"),
    ("tags", "tags: { team: payments }"),
    (
        "policy",
        "policy: { \"Version\": \"2012-10-17\", \"Statement\": […] }",
    ),
    ("lifecycle", "lifecycle: { \"rules\": […] }"),
    ("has-images", "has-images: true"),
    ("recent-tags", "recent-tags: [latest, v1.0.0]"),
    (
        "scanning",
        "scanning: { enhanced: false, rules: [{ frequency: SCAN_ON_PUSH, filters: [\"*\"] }] }",
    ),
    ("scan-frequency", "scan-frequency: SCAN_ON_PUSH"),
    ("pull-through", "pull-through: true"),
    ("root-cache", "root-cache: true"),
    ("replicated", "replicated: true"),
    (
        "images",
        "images: [{ pushed-at: 1790000000, bytes: 1000, tags: [latest], index: false }]",
    ),
    ("created-at", "created-at: 1790000000000"),
    (
        "keys",
        "keys: { alias/ecr: { arn: \"arn:aws:kms:…:key/…\", enabled: true }, alias/aws/ecr: null }",
    ),
];

/// What the AWS CLI prints beside what matters here.
const BESIDE: [&str; 7] = [
    "registryId",
    "repositoryArn",
    "repositoryName",
    "repositoryUri",
    "createdAt",
    "nextToken",
    "lastEvaluatedAt",
];

/// The repository, with what the file says laid over.
pub(super) fn laid_over(new: &Repository, file: &Path) -> Result<Repository, CommandError> {
    let node = parse(&read(file)?)
        .map_err(|problem| CommandError::Usage(format!("{}: {problem}", file.display())))?;
    let snapshot = Snapshot { new, file };
    let mut given = Map::new();
    snapshot.read(&node, &mut given)?;
    snapshot.repository(given, node.place)
}

struct Snapshot<'s> {
    new: &'s Repository,
    file: &'s Path,
}

impl Snapshot<'_> {
    fn wrong(&self, place: Place, what: &str) -> CommandError {
        let Place { line, column } = place;
        CommandError::Usage(format!("{}:{line}:{column}: {what}", self.file.display()))
    }

    fn repository(
        &self,
        given: Map<String, Value>,
        place: Place,
    ) -> Result<Repository, CommandError> {
        let mut fields = match serde_json::to_value(self.new) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.extend(given);
        Repository::described(Value::Object(fields)).map_err(|why| self.wrong(place, &why))
    }

    /// Takes what a mapping says into `given`, by our names.
    fn read(&self, node: &Node, given: &mut Map<String, Value>) -> Result<(), CommandError> {
        if !matches!(node.content, Content::Mapping(_)) {
            return Err(self.wrong(
                node.place,
                "expected settings of a repository, as `mutability: IMMUTABLE`, or what the AWS CLI prints of it",
            ));
        }
        for (place, key, value) in node.entries() {
            match key.as_str() {
                "repositories" => self.read(self.described(value)?, given)?,
                "repositoryName" if value.value() != self.new.id.name.as_str() => {
                    let (name, of) = (value.value(), &self.new.id.name);
                    return Err(self.wrong(
                        *place,
                        &format!("this is about {name}, and the event about `{of}`"),
                    ));
                }
                key if BESIDE.contains(&key) => {}
                "KeyMetadata" => self.take("keys", *place, described_key(value), given)?,
                "keys" => self.take("keys", *place, keys(value), given)?,
                "imageTagMutability" | "mutability" => {
                    let filters = filters(node.get("imageTagMutabilityExclusionFilters"));
                    self.take(
                        "mutability",
                        *place,
                        mutability(value.value(), filters),
                        given,
                    )?;
                }
                "imageTagMutabilityExclusionFilters" => {}
                "imageScanningConfiguration" => {
                    let on_push = value
                        .get("scanOnPush")
                        .map_or(Value::Bool(false), Node::value);
                    self.take("scan-on-push", *place, on_push, given)?;
                }
                "encryptionConfiguration" => {
                    self.take("encryption", *place, encryption(value), given)?;
                }
                "policyText" => {
                    self.take("policy", *place, json!({ "known": document(value) }), given)?
                }
                "lifecyclePolicyText" => {
                    self.take(
                        "lifecycle",
                        *place,
                        json!({ "known": document(value) }),
                        given,
                    )?;
                }
                key if FORMS.iter().any(|(known, _)| *known == key) => {
                    self.take(key, *place, setting(key, value), given)?;
                }
                key => {
                    let known: Vec<&str> = FORMS.iter().map(|(key, _)| *key).collect();
                    let key: String = key.chars().take(80).collect();
                    let what = format!(
                        "a repository has no setting `{key}`: there are {}",
                        known.join(", ")
                    );
                    return Err(self.wrong(*place, &what));
                }
            }
        }
        Ok(())
    }

    /// The repository that the event is about, of those that `describe-repositories` prints.
    fn described<'n>(&self, listed: &'n Node) -> Result<&'n Node, CommandError> {
        let name = &self.new.id.name;
        let is_it = |node: &&Node| {
            let found = node.get("repositoryName").map(Node::value);
            found.is_some_and(|found| found == name.as_str())
        };
        listed.items().iter().find(is_it).ok_or_else(|| {
            self.wrong(
                listed.place,
                &format!("`{name}`, which the event is about, is not among these repositories"),
            )
        })
    }

    /// Takes a setting that can be one.
    fn take(
        &self,
        key: &str,
        place: Place,
        value: Value,
        given: &mut Map<String, Value>,
    ) -> Result<(), CommandError> {
        let alone = Map::from_iter([(key.to_owned(), value.clone())]);
        if self.repository(alone, place).is_err() {
            let form = FORMS.iter().find(|(known, _)| *known == key);
            let form = form.map_or(key, |(_, form)| form);
            return Err(self.wrong(
                place,
                &format!("`{key}` can't be read: write it as `{form}`"),
            ));
        }
        given.insert(key.to_owned(), value);
        Ok(())
    }
}

/// A setting by our own name: the value of a read, or why there is none.
fn setting(key: &str, node: &Node) -> Value {
    let value = match key {
        "policy" | "lifecycle" => document(node),
        "tags" => tags(node),
        _ => node.value(),
    };
    let unreadable = node.entries().len() == 1 && node.get("unreadable").is_some();
    match (READS.contains(&key), unreadable) {
        (true, true) => node.value(),
        (true, false) => json!({ "known": value }),
        (false, _) => value,
    }
}

/// AWS keeps a document as text; a file may have it as it is. `policyText` may be inside, as `get-repository-policy` prints it.
fn document(node: &Node) -> Value {
    match &node.content {
        Content::Mapping(_) => match node.get("policyText").or(node.get("lifecyclePolicyText")) {
            Some(text) => text.value(),
            None => Value::String(node.value().to_string()),
        },
        _ => node.value(),
    }
}

/// What KMS says of keys, by the name that they are asked by; `null`: there is no such key.
fn keys(node: &Node) -> Value {
    let entries = node.entries().iter();
    let known = entries.map(|(_, name, key)| (name.clone(), json!({ "known": key.value() })));
    Value::Object(known.collect())
}

/// `aws kms describe-key` says whether a key is a customer's: then it is not AWS's own key for ECR.
fn described_key(node: &Node) -> Value {
    let text = |key: &str| node.get(key).map_or(Value::Null, Node::value);
    let enabled = text("KeyState") == "Enabled";
    let key = json!({ "known": { "arn": text("Arn"), "enabled": enabled } });
    let managed = if text("KeyManager") == "CUSTOMER" {
        json!({ "known": null })
    } else {
        key.clone()
    };
    let mut keys = Map::from_iter([(AWS_MANAGED_KEY.to_owned(), managed)]);
    for name in ["Arn", "KeyId"] {
        if let Some(name) = text(name).as_str() {
            keys.insert(name.to_owned(), key.clone());
        }
    }
    Value::Object(keys)
}

/// `list-tags-for-resource` prints a list of keys and values.
fn tags(node: &Node) -> Value {
    if !matches!(node.content, Content::List(_)) {
        return node.value();
    }
    let pairs = node.items().iter().filter_map(|tag| {
        let key = tag.get("Key")?.value().as_str()?.to_owned();
        Some((key, tag.get("Value").map_or_else(|| json!(""), Node::value)))
    });
    Value::Object(pairs.collect())
}

fn filters(node: Option<&Node>) -> Vec<Value> {
    let items = node.map(Node::items).unwrap_or_default().iter();
    items
        .filter_map(|filter| filter.get("filter").map(Node::value))
        .collect()
}

/// AWS writes in capitals what we write in small letters.
fn mutability(value: Value, filters: Vec<Value>) -> Value {
    match value.as_str() {
        Some("MUTABLE") => json!("mutable"),
        Some("IMMUTABLE") => json!("immutable"),
        Some("IMMUTABLE_WITH_EXCLUSION") => json!({ "immutable-with-exclusion": filters }),
        Some("MUTABLE_WITH_EXCLUSION") => json!({ "mutable-with-exclusion": filters }),
        _ => value,
    }
}

fn encryption(node: &Node) -> Value {
    let kind = node.get("encryptionType").map_or(Value::Null, Node::value);
    let kind = kind
        .as_str()
        .map(|kind| kind.to_ascii_lowercase().replace('_', "-"));
    let mut encryption = json!({ "kind": kind });
    if let (Some(key), Some(fields)) = (node.get("kmsKey"), encryption.as_object_mut()) {
        fields.insert("kms-key".to_owned(), key.value());
    }
    encryption
}
