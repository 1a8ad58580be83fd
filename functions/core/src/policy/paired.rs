//! Rules that have something in common: `public-access` and `untrusted-access` were one rule, so where a policy has the former alone the
//! latter follows it; and `blocked-push` lets move what `mutable-tags` does.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::file::Blocks;
use super::grace::ENFORCE_AFTER;
use crate::rule::Settings;
use crate::rules::blocked_push::BlockedPush;
use crate::rules::mutable_tags::MutableTags;
use crate::rules::public_access::PublicAccess;
use crate::rules::untrusted_access::UntrustedAccess;

pub(super) const PUBLIC: &str = PublicAccess::META.id;
pub(super) const UNTRUSTED: &str = UntrustedAccess::META.id;

/// Lists of whom either trusts, which count for both.
const SHARED_LISTS: [&str; 5] = [
    "trusted-accounts",
    "trusted-organizations",
    "trusted-organization-paths",
    "trusted-vpcs",
    "trusted-vpc-endpoints",
];
const SERVICES: &str = "services";
const MUTABLE: &str = MutableTags::META.id;
const BLOCKED: &str = BlockedPush::META.id;
const ALLOWED: &str = "allow-exclusions";

/// Lays over what rules have in common. It switches `untrusted-access` on with the mode and the grace period of `public-access` where only the
/// latter is mentioned, and has both trust whom either trusts. Answers whether it follows so.
pub(super) fn pair(settings: &mut Blocks) -> bool {
    let follows = settings.contains_key(PUBLIC) && !settings.contains_key(UNTRUSTED);
    if follows {
        let block = ["mode", ENFORCE_AFTER].into_iter().filter_map(|key| {
            let value = settings.get(PUBLIC)?.get(key)?;
            Some((key.to_owned(), value.clone()))
        });
        let block = block.collect();
        settings.insert(UNTRUSTED, block);
    }
    for key in SHARED_LISTS {
        let mut together = BTreeSet::new();
        for rule in [PUBLIC, UNTRUSTED] {
            let listed = settings.get(rule).and_then(|block| block.get(key));
            let listed = listed.and_then(Value::as_array).into_iter().flatten();
            together.extend(listed.filter_map(Value::as_str).map(str::to_owned));
        }
        if !together.is_empty() {
            set(settings, key, &together.into_iter().collect());
        }
    }
    let stricter =
        |block: &Map<String, Value>| block.get(SERVICES).is_some_and(|of| of == "with-source");
    if [PUBLIC, UNTRUSTED]
        .iter()
        .any(|rule| settings.get(rule).is_some_and(stricter))
    {
        set(settings, SERVICES, &Value::from("with-source"));
    }
    if let Some(allowed) = settings
        .get(MUTABLE)
        .filter(|block| block.get("mode").is_none_or(|mode| mode != "off"))
        .and_then(|block| block.get(ALLOWED).cloned())
        && let Some(block) = settings.get_mut(BLOCKED)
    {
        block.entry(ALLOWED).or_insert(allowed);
    }
    follows
}

fn set(settings: &mut Blocks, key: &str, value: &Value) {
    for rule in [PUBLIC, UNTRUSTED] {
        if let Some(block) = settings.get_mut(rule) {
            block.insert(key.to_owned(), value.clone());
        }
    }
}
