//! Lines for a terminal of 80 columns; colours where it is one and nobody asked for none.

use std::io::IsTerminal;
use std::time::Instant;

use comfy_table::{ContentArrangement, Table};

const WIDTH: u16 = 80;

pub(crate) struct Screen {
    colours: bool,
}

impl Screen {
    /// <https://no-color.org>: any value of `NO_COLOR` but the empty one means none.
    pub(crate) fn of_this_terminal() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: std::io::stdout().is_terminal() && !unwanted,
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn title(&self, text: &str) {
        println!("\n{}\n", self.paint("1", text));
    }

    pub(crate) fn plain(&self, text: &str) {
        for line in text.lines() {
            println!("  {line}");
        }
    }

    pub(crate) fn note(&self, text: &str) {
        for line in wrapped(text, 78) {
            println!("  {}", self.paint("2", &line));
        }
    }

    pub(crate) fn timed(&self, began: Instant, text: &str) {
        let time = format!("{:5.1} s", began.elapsed().as_secs_f32());
        println!("  {}  {text}", self.paint("2", &time));
    }

    /// Something that came as it should.
    pub(crate) fn good(&self, what: &str, how: &str) {
        println!("  {what:<44}{}", self.paint("32", how));
    }

    /// Something that is wrong, and is to be mended.
    pub(crate) fn bad(&self, what: &str, how: &str) {
        println!("  {what:<44}{}", self.paint("33", how));
    }

    /// One of an alert's answers.
    pub(crate) fn field(&self, label: &str, value: &str) {
        let mut label = format!("{label:<15}");
        for line in value.lines().flat_map(|line| wrapped(line, 63)) {
            println!("  {}{line}", self.paint("1", &label));
            label = " ".repeat(15);
        }
    }

    pub(crate) fn gap(&self) {
        println!();
    }

    pub(crate) fn failure(&self, text: &str) {
        eprintln!("\n{} {text}", self.paint("1;31", "demo failed:"));
    }

    pub(crate) fn table<const COLUMNS: usize>(
        &self,
        header: [&str; COLUMNS],
        rows: &[[String; COLUMNS]],
    ) {
        let mut table = Table::new();
        table
            .load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH)
            .set_header(header);
        for row in rows {
            table.add_row(row);
        }
        println!("{table}");
    }
}

/// Broken at spaces, so that it fits the room.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if paragraph.len() <= room {
            lines.push(paragraph.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
