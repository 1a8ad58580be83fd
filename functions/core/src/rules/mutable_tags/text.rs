//! What `mutable-tags` says of tags and filters.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::rule::{Advice, quoted, shell_word};

/// The lines that make a repository immutable but for these filters.
pub(crate) fn advise(filters: &BTreeSet<String>) -> Advice {
    let text = "Set the tag mutability where the repository is defined, or the next deployment sets it back";
    let cli =
        "aws ecr put-image-tag-mutability --repository-name \"$REPOSITORY\" --image-tag-mutability";
    if filters.is_empty() {
        return Advice {
            text: format!("{text}."),
            terraform: "image_tag_mutability = \"IMMUTABLE\"".to_owned(),
            cli: format!("{cli} IMMUTABLE"),
            cloudformation: "ImageTagMutability: IMMUTABLE".to_owned(),
        };
    }
    let mut advice = Advice {
        text: format!("{text}; tags like {} stay mutable.", listed(filters)),
        terraform: "image_tag_mutability = \"IMMUTABLE_WITH_EXCLUSION\"\n".to_owned(),
        cli: format!("{cli} IMMUTABLE_WITH_EXCLUSION --image-tag-mutability-exclusion-filters"),
        cloudformation:
            "ImageTagMutability: IMMUTABLE_WITH_EXCLUSION\nImageTagMutabilityExclusionFilters:"
                .to_owned(),
    };
    for filter in filters {
        let _ = write!(
            advice.terraform,
            "\nimage_tag_mutability_exclusion_filter {{\n  filter      = {}\n  filter_type = \"WILDCARD\"\n}}\n",
            quoted(filter)
        );
        let _ = write!(
            advice.cloudformation,
            "\n  - ImageTagMutabilityExclusionFilterType: WILDCARD\n    ImageTagMutabilityExclusionFilterValue: {}",
            quoted(filter)
        );
        let one = format!("filterType=WILDCARD,filter={filter}");
        let _ = write!(advice.cli, " {}", shell_word(&one));
    }
    advice.terraform.truncate(advice.terraform.trim_end().len());
    advice
}

pub(super) fn listed<'f>(filters: impl IntoIterator<Item = &'f String>) -> String {
    let quoted: Vec<String> = filters.into_iter().map(|f| format!("`{f}`")).collect();
    quoted.join(", ")
}

pub(super) fn fits_filter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'*' | b'-')
}

/// Whether a tag is a version without its last part, such as `v1`, `1.2`, `1.x` or, of a variant, `3.12-slim`, which moves with each release.
pub(crate) fn is_floating_version(tag: &str) -> bool {
    let (version, variant) = tag.split_once('-').unwrap_or((tag, ""));
    let version = version.strip_prefix('v').unwrap_or(version);
    let parts: Vec<&str> = version.split('.').collect();
    let is_number =
        |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let is_part = |part: &&str| is_number(part) || *part == "x";
    // A variant is a word; `1.2-rc1` and `1-3f9c2ab` are single builds.
    let is_word = variant.bytes().all(|b| b.is_ascii_lowercase());
    let is_platform = matches!(variant, "amd64" | "arm64");
    parts.len() <= 2
        && parts.first().is_some_and(is_number)
        && parts.iter().all(is_part)
        && (is_word || is_platform)
}

/// `None`: it lacks nothing.
pub(super) fn lacks(filters: &[String]) -> Option<String> {
    (!filters.is_empty()).then(|| {
        format!(
            "it lacks exclusion filters that the policy grants: {}",
            listed(filters)
        )
    })
}

/// As many of the tags as a message names.
const NAMED: usize = 50;

pub(super) fn with_impact(detail: String, stuck: &[&str]) -> String {
    if stuck.is_empty() {
        return detail;
    }
    let named: Vec<String> = stuck
        .iter()
        .take(NAMED)
        .map(|tag| format!("`{tag}`"))
        .collect();
    let more = match stuck.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{detail}; once immutable, pushes to these tags will fail (they usually move, and no \
         `allow-exclusions` match them): {}{more}",
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::is_floating_version;

    #[test]
    fn a_version_without_its_last_part_floats_also_of_a_variant() {
        for (tag, floats) in [
            ("1", true),
            ("v1.2", true),
            ("v1.x", true),
            ("3.12-slim", true),
            ("v1-alpine", true),
            ("1.2-amd64", true),
            ("1.2.3", false),
            ("1.2.3-slim", false),
            ("1.2-rc1", false),
            ("1-3f9c2ab", false),
            ("x", false),
            ("20260101", false),
            ("v", false),
        ] {
            assert_eq!(is_floating_version(tag), floats, "{tag}");
        }
    }
}
