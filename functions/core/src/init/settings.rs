//! The settings of one rule as lines of a policy.

/// A rule with its settings, and what is said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleSettings {
    pub(super) rule: &'static str,
    /// Sentences for the comment above it.
    pub(super) notes: Vec<String>,
    /// Lines below its name, indented among themselves. None: the defaults.
    pub(super) lines: Vec<String>,
}

impl RuleSettings {
    pub(super) fn of(rule: &'static str) -> Self {
        Self {
            rule,
            notes: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Nothing is added for an empty sentence.
    pub(super) fn note(&mut self, sentence: String) {
        if !sentence.is_empty() {
            self.notes.push(sentence);
        }
    }

    /// `value`: as YAML.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.lines.push(format!("{key}: {value}"));
    }
}
