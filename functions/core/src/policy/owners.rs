//! Which tag names a repository's owner, and whom Slack mentions for it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::owner::{Owner, SlackId};
use crate::repository::Read;
use crate::yaml::document::{Node, Problem};

/// How an owner is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct OwnerContact {
    /// Whom Slack mentions: the id of a user group (S…) or of a member (U…, W…).
    slack: SlackId,
}

/// By value of the owner's tag.
pub(super) type Contacts = BTreeMap<String, OwnerContact>;

/// How owners are found.
#[derive(Clone, Debug)]
pub(super) struct OwnerLookup {
    tag: String,
    contacts: Contacts,
}

impl OwnerLookup {
    pub(super) fn of_file(tag: Option<&String>, contacts: &Contacts) -> Option<Self> {
        tag.map(|tag| Self {
            tag: tag.clone(),
            contacts: contacts.clone(),
        })
    }

    /// The owner by a repository's tags; `None`: it has no such tag, or it cannot be read.
    pub(super) fn find(&self, tags: &Read<BTreeMap<String, String>>) -> Option<Owner> {
        let name = tags.known()?.get(&self.tag)?;
        let contact = self.contacts.get(name);
        let slack = contact.map(|contact| contact.slack.clone());
        Some(Owner::new(name, slack)).filter(|owner| !owner.name.is_empty())
    }
}

/// What is wrong with the settings together.
pub(super) fn problem(document: &Node) -> Option<Problem> {
    let owners = document.get("owners")?;
    document.get("owner-tag").is_none().then(|| Problem {
        place: owners.place,
        message: "`owners` has no effect without `owner-tag`, the key of the tag that names a repository's owner"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::repository::RepositoryId;

    fn policy(more: &str) -> Result<Policy, String> {
        let text = format!("version: 1\nmode: enforce\nrules: {{ mutable-tags: {{}} }}\n{more}");
        Policy::parse(&text).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_owner_is_the_tags_and_the_mention_the_policys() {
        let id = RepositoryId::new("123456789012", "eu-central-1", "shop/api").unwrap();
        let text = "owner-tag: team\nowners: { payments: { slack: S0123ABCD } }";
        let policy = policy(text).unwrap();
        let reads = (policy.reads(&id).tags, policy.names_owners());
        assert_eq!(reads, (true, true));
        for (tag, value, expected) in [
            ("team", "payments", Some(("payments", true))),
            ("team", "<!channel>", Some(("<!channel>", false))),
            ("team", "", None),
            ("Team", "payments", None),
        ] {
            let tags = Read::Known([(tag.to_owned(), value.to_owned())].into());
            let owner = policy.for_repository(&id, &tags).unwrap().owner;
            let owner = owner.as_ref();
            let found = owner.map(|owner| (owner.name.as_str(), owner.slack.is_some()));
            assert_eq!(found, expected, "{tag}: {value}");
        }
        let unread = Read::Unreadable("denied".to_owned());
        assert_eq!(policy.for_repository(&id, &unread).unwrap().owner, None);
    }

    #[test]
    fn settings_without_effect_are_problems() {
        let alone = policy("owners: { payments: { slack: S0123ABCD } }").unwrap_err();
        assert!(
            alone.contains("line 4, column 9") && alone.contains("owner-tag"),
            "{alone}"
        );
        let name = policy("owner-tag: team\nowners: { payments: { slack: \"@payments\" } }");
        assert!(name.unwrap_err().contains("cannot be mentioned"));
    }
}
