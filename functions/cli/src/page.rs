//! Plain text for a reader: how wide it is, what is coloured, and where lines break.

use std::io::IsTerminal;

use ecr_warden_core::text::one_line;

use crate::output::{Stream, columns};

/// Who reads a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    /// As wide as the terminal; `None`: lines do not break, for `grep` and `less -S`.
    pub(crate) columns: Option<usize>,
    pub(crate) colour: bool,
    /// Whether the terminal makes links of texts.
    pub(crate) links: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Heading,
    Alarm,
    Warning,
    Note,
    Quiet,
}

impl Page {
    /// Not a terminal.
    pub(crate) const PLAIN: Self = Self {
        columns: None,
        colour: false,
        links: false,
    };

    pub(crate) fn of(stream: Stream) -> Self {
        let (terminal, links) = match stream {
            Stream::Output => (
                std::io::stdout().is_terminal(),
                supports_hyperlinks::on(supports_hyperlinks::Stream::Stdout),
            ),
            Stream::Error => (
                std::io::stderr().is_terminal(),
                supports_hyperlinks::on(supports_hyperlinks::Stream::Stderr),
            ),
        };
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // https://no-color.org
        let plain = variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|t| t == "dumb");
        Self {
            columns: terminal.then(|| columns(stream)),
            colour: terminal && !plain,
            links: terminal && !plain && links,
        }
    }

    /// The text between the codes for its style (ECMA-48, Select Graphic Rendition).
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Heading => "1",
            Style::Alarm => "1;31",
            Style::Warning => "33",
            Style::Note => "36",
            Style::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The text as a link (OSC 8, <https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda>). `url` has no control characters.
    pub(crate) fn link(self, text: &str, url: &str) -> String {
        if !self.links {
            return text.to_owned();
        }
        format!("\u{1b}]8;;{url}\u{1b}\\{text}\u{1b}]8;;\u{1b}\\")
    }

    /// Lines that begin with `first`, and with as many blanks where the text goes on; at most `most` lines, the last with an ellipsis.
    pub(crate) fn paragraph(self, first: &str, text: &str, most: usize) -> String {
        let indent = first.chars().count();
        let width = self
            .columns
            .map_or(usize::MAX, |columns| columns.saturating_sub(indent))
            .max(NARROWEST);
        let lines = cut(wrap(text, width), most, width);
        let blanks = format!("\n{}", " ".repeat(indent));
        format!("{first}{}", lines.join(&blanks))
    }
}

/// Text is not set in fewer columns, however narrow the terminal is.
const NARROWEST: usize = 20;

/// Breaks at blanks, and within a word only if it is longer than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut length) = (String::new(), 0_usize);
    // What comes from AWS or a bucket is not for the terminal to interpret.
    let text = one_line(text, usize::MAX);
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        let fits = length
            .saturating_add(1)
            .saturating_add(rest.len())
            .le(&width);
        if length > 0 && fits {
            line.push(' ');
            length = length.saturating_add(1);
        } else if length > 0 {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        while rest.len() > width {
            let next = rest.split_off(width);
            lines.push(rest.into_iter().collect());
            rest = next;
        }
        length = length.saturating_add(rest.len());
        line.extend(rest);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

fn cut(mut lines: Vec<String>, most: usize, width: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            if last.chars().count() >= width {
                last.pop();
            }
            last.push('…');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Page = Page {
        columns: Some(30),
        ..Page::PLAIN
    };

    #[test]
    fn lines_break_at_blanks_and_long_words_within() {
        for (text, width, lines) in [
            ("", 5, vec![""]),
            ("one two three", 7, vec!["one two", "three"]),
            ("one two three", 8, vec!["one two", "three"]),
            ("abcdefgh ij", 3, vec!["abc", "def", "gh", "ij"]),
            ("a abcdef", 3, vec!["a", "abc", "def"]),
            ("abc def", usize::MAX, vec!["abc def"]),
        ] {
            assert_eq!(wrap(text, width), lines, "{text} in {width}");
        }
    }

    #[test]
    fn a_paragraph_hangs_and_ends() {
        let text = "tags can be overwritten by each push of the same name";
        assert_eq!(
            PLAIN.paragraph("  shop  ", text, 2),
            "  shop  tags can be\n        overwritten by each…"
        );
        let wide = Page {
            columns: None,
            ..PLAIN
        };
        assert_eq!(
            wide.paragraph("  shop  ", text, 2),
            format!("  shop  {text}")
        );
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let coloured = Page {
            colour: true,
            ..PLAIN
        };
        assert_eq!(
            coloured.paint(Style::Alarm, "high"),
            "\u{1b}[1;31mhigh\u{1b}[0m"
        );
        assert_eq!(PLAIN.paint(Style::Alarm, "high"), "high");
    }

    #[test]
    fn links_are_only_where_the_terminal_has_them() {
        let linked = Page {
            links: true,
            ..PLAIN
        };
        assert_eq!(
            linked.link("shop", "https://example.com"),
            "\u{1b}]8;;https://example.com\u{1b}\\shop\u{1b}]8;;\u{1b}\\"
        );
        assert_eq!(PLAIN.link("shop", "https://example.com"), "shop");
    }
}
