//! Patterns for repository names and for the values of tags.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

/// A tag's value, in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TagGlob(String);

impl TagGlob {
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.0 == value || (self.0.contains('*') && WildMatch::new(&self.0).matches(value))
    }
}

/// The longest filter of ECR's over repository names that both scanning and signing take.
const LONGEST_FILTER: usize = 255;

/// Why ECR does not take a filter over repository names in the registry's scanning or signing, where `*` stands for any characters.
/// Separators stand alone, and at neither end (API reference, ScanningRepositoryFilter; CloudFormation reference,
/// AWS::ECR::SigningConfiguration RepositoryFilter).
pub(crate) fn not_a_filter(setting: &str, filter: &str) -> Option<String> {
    let is_character = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'*');
    let is_separator = |b: u8| matches!(b, b'.' | b'_' | b'-' | b'/');
    let fits = (1..=LONGEST_FILTER).contains(&filter.len())
        && filter.bytes().all(|b| is_character(b) || is_separator(b))
        && filter
            .split(['.', '_', '-', '/'])
            .all(|part| !part.is_empty());
    (!fits).then(|| {
        format!(
            "{setting}: `{}` is not a filter of ECR's: lower-case letters, digits, `.`, `_`, `-`, `/` and `*`, at most {LONGEST_FILTER}",
            crate::text::one_line(filter, 80)
        )
    })
}

/// A glob over repository names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Glob(String);

impl TryFrom<String> for Glob {
    type Error = String;

    fn try_from(glob: String) -> Result<Self, String> {
        let fits = (1..=256).contains(&glob.len())
            && glob.bytes().all(|b| {
                matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' | b'*' | b'?')
            });
        let shown = crate::text::one_line(&glob, 80);
        if !fits {
            return Err(format!(
                "`{shown}` matches no repository: names have lower-case letters, digits, `.`, `_`, `-`, `/`; wildcards are \
                 `*`, `**` and `?`"
            ));
        }
        // Elsewhere it would be no more than a `*`, and its author meant more.
        if glob
            .split('/')
            .any(|part| part != "**" && part.contains("**"))
        {
            return Err(format!(
                "`{shown}`: `**` matches whole parts of a name; write a `/` on each side of it, \
                 for example `team-*/**`"
            ));
        }
        Ok(Self(glob))
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> Self {
        glob.0
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        fast_glob::glob_match(&self.0, name)
    }
}
