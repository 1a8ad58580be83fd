//! Comments of a policy: text from outside stays within its line.

use crate::text::one_line;

/// Columns of a comment's line.
const WIDTH: usize = 110;
/// The longest text of one comment.
const LONGEST_COMMENT: usize = 1500;

/// A comment, broken at blanks. A word longer than a line has a line of its own.
pub(super) fn comment(indent: &str, text: &str) -> Vec<String> {
    let text = one_line(text, LONGEST_COMMENT);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count().saturating_add(word.chars().count()) < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}# {word}")),
        }
    }
    lines
}

/// The name of something in backticks, cut to what a comment carries.
pub(super) fn shown(text: &str) -> String {
    format!("`{}`", one_line(text, 80))
}

/// Names in backticks; of many the first, and how many more.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>, most: usize) -> String {
    let all: Vec<&str> = names.collect();
    let first: Vec<String> = all.iter().take(most).map(|name| shown(name)).collect();
    match all.len().saturating_sub(most) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_never_leaves_its_line() {
        for text in [
            "a\nmode: enforce",
            "a\r\u{2028}b",
            "x".repeat(5000).as_str(),
        ] {
            for line in comment("  ", text) {
                assert!(line.starts_with("  # "), "{line}");
                assert!(!line.contains(['\n', '\r', '\u{2028}']), "{line}");
            }
        }
        assert_eq!(comment("", "one two"), ["# one two"]);
        assert_eq!(
            listed(["a", "b", "c"].into_iter(), 2),
            "`a`, `b` and 1 more"
        );
    }
}
