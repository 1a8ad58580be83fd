//! The rules. A rule is its settings: read from the policy, then asked about a repository.
//!
//! A new rule is one file here and one line in [`RULES`]; its settings' schema, its documentation and its place
//! in the catalogue follow from it.

pub mod blocked_push;
pub mod disallowed_region;
pub mod missing_statements;
pub mod missing_tags;
pub mod mutable_tags;
pub mod no_lifecycle_policy;
pub mod no_scan_on_push;
pub mod nonconforming_account_setting;
pub mod nonconforming_image_tag;
pub mod nonconforming_name;
pub mod nonconforming_template;
pub mod over_budget;
pub mod public_access;
pub mod unsigned_images;
pub mod untrusted_access;
pub mod weak_encryption;

use crate::rule::Entry;
use crate::yaml::unknown;

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
    Entry::of::<missing_statements::MissingStatements>(),
    Entry::of::<nonconforming_template::NonconformingTemplate>(),
    Entry::of::<nonconforming_account_setting::NonconformingAccountSetting>(),
    Entry::of::<unsigned_images::UnsignedImages>(),
];

/// The registry's line for an id.
#[must_use]
pub fn entry(id: &str) -> Option<&'static Entry> {
    RULES.iter().find(|entry| entry.meta.id == id)
}

/// What is said of an id that no rule has: the one that was meant, or all.
#[must_use]
pub fn unknown_rule(id: &str) -> String {
    let ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
    unknown("rule", id, &ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_here_is_registered_under_its_name() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap())
            .filter(|file| file.file_type().unwrap().is_file())
            .map(|file| file.file_name().into_string().unwrap())
            .filter(|name| name != "mod.rs")
            .map(|name| name.trim_end_matches(".rs").replace('_', "-"))
            .collect();
        files.sort();
        let mut ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
        ids.sort_unstable();
        assert_eq!(files, ids);
    }

    /// Pasted lines work as they are, or stop: they have no placeholders. Names and refused pushes have no lines to paste.
    #[test]
    fn advice_has_no_placeholders() {
        let has_lines =
            |entry: &&Entry| !["nonconforming-name", "blocked-push"].contains(&entry.meta.id);
        let rules = RULES.iter().filter(has_lines);
        let rules: String = rules
            .map(|entry| format!("  {}\n", entry.meta.example.replace('\n', "\n  ")))
            .collect();
        let examples = format!("version: 1\nmode: enforce\nrules:\n{rules}");
        // Where the advice has to choose a key, and a lifecycle policy.
        let least = "version: 1\nmode: enforce\nrules: { weak-encryption: { require: CUSTOMER_KEY }, no-lifecycle-policy: {} }";
        let id = crate::evaluate::tests::repository().id;
        let resolved = |text: &str| {
            let policy = crate::policy::Policy::parse(text).unwrap();
            let unread = crate::repository::Read::NotAsked;
            policy.for_repository(&id, &unread).unwrap().rules
        };
        let by_example = resolved(&examples);
        assert_eq!(by_example.len(), RULES.len() - 2);
        for active in by_example.iter().chain(&resolved(least)) {
            let advice = active.rule.advice(&id);
            for text in [&advice.terraform, &advice.cloudformation, &advice.cli] {
                let placeholder =
                    text.contains('…') || text.contains("file://") || text.contains("\"...\"");
                assert!(!placeholder, "{}: {text}", active.entry.meta.id);
            }
        }
    }
}
