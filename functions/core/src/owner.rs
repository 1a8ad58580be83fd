//! Who owns a repository, as far as alerts have it: for filters of subscriptions, and for mentions in Slack.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::repository::RepositoryId;
use crate::text::one_line;

/// A tag's value is not longer (ECR API reference, Tag).
const LONGEST_OWNER: usize = 256;
/// As many as a message about many repositories names.
const MOST_NAMES: usize = 100;
/// As many as it mentions: a mention sends a notification to each member.
const MOST_MENTIONS: usize = 10;

/// The owner of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The value of its tag: outside text.
    pub name: String,
    /// Whom Slack is to mention, as the policy maps the name.
    pub slack: Option<SlackId>,
}

impl Owner {
    #[must_use]
    pub fn new(name: &str, slack: Option<SlackId>) -> Self {
        Self {
            name: one_line(name, LONGEST_OWNER),
            slack,
        }
    }
}

/// The id of a user group (`S…`) or of a member (`U…`, `W…`) of a Slack workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlackId(String);

impl SlackId {
    /// The mention, in Slack's markup (Slack, "Formatting text for app surfaces").
    #[must_use]
    pub fn mention(&self) -> String {
        let sign = if self.0.starts_with('S') {
            "!subteam^"
        } else {
            "@"
        };
        format!("<{sign}{}>", self.0)
    }
}

impl TryFrom<String> for SlackId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        let kind = id.starts_with(['S', 'U', 'W']);
        let letters = id
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if kind && letters && (7..=20).contains(&id.len()) {
            return Ok(Self(id));
        }
        Err(format!(
            "`{}` is not the id of a Slack user group or member: it begins with S, U or W, as S0123ABCD; a name cannot be mentioned",
            one_line(&id, 40)
        ))
    }
}

impl From<SlackId> for String {
    fn from(id: SlackId) -> Self {
        id.0
    }
}

impl JsonSchema for SlackId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SlackId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[SUW][A-Z0-9]{6,19}$",
            "description": "The id of a Slack user group (S…) or member (U…, W…).",
        })
    }
}

/// Whom an alert is for: each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Addressees {
    /// Values of the policy's `owner-tag`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// The repositories' names up to their last `/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Ids for Slack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<SlackId>,
}

impl Addressees {
    pub fn of<'r>(
        repositories: impl IntoIterator<Item = (&'r RepositoryId, Option<&'r Owner>)>,
    ) -> Self {
        let (mut owners, mut namespaces, mut mentions) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (id, owner) in repositories {
            namespaces.extend(id.name.rsplit_once('/').map(|(namespace, _)| namespace));
            owners.extend(owner.map(|owner| owner.name.as_str()));
            mentions.extend(owner.and_then(|owner| owner.slack.as_ref()));
        }
        let names = |all: BTreeSet<&str>| {
            let names = all.into_iter().take(MOST_NAMES);
            names.map(str::to_owned).collect()
        };
        Self {
            owners: names(owners),
            namespaces: names(namespaces),
            mentions: mentions.into_iter().take(MOST_MENTIONS).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slack(id: &str) -> Result<SlackId, String> {
        SlackId::try_from(id.to_owned())
    }

    #[test]
    fn only_ids_are_mentioned() {
        for (id, mention) in [
            ("S0123ABCD", Some("<!subteam^S0123ABCD>")),
            ("U012345", Some("<@U012345>")),
            ("W012345", Some("<@W012345>")),
            ("S01234", None),
            ("C0123456", None),
            ("S0123456!", None),
            ("s0123456", None),
            ("Schannel>", None),
            ("@payments", None),
            ("", None),
            ("S01234567890123456789", None),
        ] {
            assert_eq!(
                slack(id).ok().map(|id| id.mention()).as_deref(),
                mention,
                "{id}"
            );
        }
    }

    #[test]
    fn each_name_is_there_once() {
        let id = |name: &str| RepositoryId::new("123456789012", "eu-central-1", name).unwrap();
        let payments = Owner::new("payments", slack("S0123ABCD").ok());
        let (api, web, base) = (id("shop/eu/api"), id("shop/eu/web"), id("base"));
        let found = Addressees::of([
            (&api, Some(&payments)),
            (&web, Some(&payments)),
            (&base, None),
        ]);
        assert_eq!(found.owners, ["payments"]);
        assert_eq!(found.namespaces, ["shop/eu"]);
        assert_eq!(found.mentions, [slack("S0123ABCD").unwrap()]);
        let many: Vec<RepositoryId> = (0..300).map(|n| id(&format!("team-{n}/api"))).collect();
        let found = Addressees::of(many.iter().map(|id| (id, None)));
        assert_eq!(found.namespaces.len(), MOST_NAMES);
    }
}
