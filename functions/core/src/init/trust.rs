//! Whom repository policies let in, as suggestions that an operator confirms.

use std::collections::{BTreeMap, BTreeSet};

use super::comment::listed;
use super::settings::RuleSettings;
use crate::access::Stranger;
use crate::access::strangers::strangers;
use crate::repository::Repository;
use crate::yaml::in_quotes;

/// Identities listed for each setting.
const MOST_SUGGESTED: usize = 10;
/// Repositories that are named for each.
const MOST_SHOWN: usize = 3;

/// The settings of `untrusted-access`: no identity is trusted. Each one that is let in today is a comment below them.
pub(super) fn untrusted_access(repositories: &[Repository]) -> RuleSettings {
    let mut by: BTreeMap<Stranger, BTreeSet<&str>> = BTreeMap::new();
    for repository in repositories {
        if let Some(Some(text)) = repository.policy.known() {
            for stranger in strangers(text, &repository.id.account) {
                by.entry(stranger).or_default().insert(&repository.id.name);
            }
        }
    }
    let mut settings = RuleSettings::of("untrusted-access");
    // A setting of its own, so that removing a `#` below makes a valid policy.
    settings.set("fix", "none");
    let kinds: BTreeSet<&'static str> = by.keys().map(|stranger| stranger.setting).collect();
    if !kinds.is_empty() {
        settings.note(
            "No identity is trusted yet. These are let in today: remove the `#` of those that you know, and the access of the others."
                .to_owned(),
        );
    }
    for kind in kinds {
        let mut of: Vec<(&Stranger, &BTreeSet<&str>)> =
            by.iter().filter(|(one, _)| one.setting == kind).collect();
        of.sort_by_key(|(_, names)| std::cmp::Reverse(names.len()));
        settings.lines.push(format!("# {kind}:"));
        for (stranger, names) in of.iter().take(MOST_SUGGESTED) {
            settings.lines.push(format!(
                "#   - {} # by {}",
                in_quotes(&stranger.id),
                listed(names.iter().copied(), MOST_SHOWN)
            ));
        }
        let more = of.len().saturating_sub(MOST_SUGGESTED);
        if more > 0 {
            settings.lines.push(format!(
                "#   # and {more} more: `ecr-warden audit` names them"
            ));
        }
    }
    settings
}
