//! Text for messages: what came from outside, cut to a size that everything downstream can carry, and times.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The longest piece of outside text that is kept: an ARN is at most 2,048 characters, a tag value 256.
pub(crate) const LONGEST: usize = 2048;

/// Cuts at a character boundary and drops control characters, line breaks included: outside text is always one line.
pub fn one_line(text: &str, longest: usize) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if in_line(c) { c } else { ' ' })
        .take(longest.saturating_add(1))
        .collect();
    if line.chars().count() > longest {
        line = line.chars().take(longest.saturating_sub(1)).collect();
        line.push('…');
    }
    line
}

/// No control character, no other line separator, and no mark that shows text in another order than it has.
pub(crate) fn in_line(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `1 change`, `2 changes`.
pub(crate) fn counted<N: fmt::Display + From<u8> + PartialEq>(
    count: N,
    one: &str,
    many: &str,
) -> String {
    let name = if count == N::from(1) { one } else { many };
    format!("{count} {name}")
}

/// Seconds since the epoch as RFC 3339; `None` where no calendar has them.
#[must_use]
pub fn rfc3339(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()?
        .format(&Rfc3339)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn keeps_short_text_and_cuts_long_text_between_characters() {
        assert_eq!(one_line("payments/api", 12), "payments/api");
        assert_eq!(one_line("äöüß", 3), "äö…");
        assert_eq!(one_line("a\nb\u{1b}[31m", 10), "a b [31m");
        assert_eq!(one_line("a\u{2028}b\u{202e}c", 10), "a b c");
    }
}
