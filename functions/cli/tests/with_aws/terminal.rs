//! A terminal of 80 columns: what an operator sees who types a command.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const COLUMNS: u16 = 80;

/// Runs a command there, and types an answer to each question. Its exit status, and what the screen shows at the end.
pub(crate) fn at_terminal(mut command: Command, answers: &[&str]) -> (i32, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let side = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let size = Winsize {
        ws_row: 24,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&side, size).unwrap();
    command
        .env("TERM", "xterm-256color")
        .stdin(Stdio::from(side.try_clone().unwrap()))
        .stdout(Stdio::from(side.try_clone().unwrap()))
        .stderr(Stdio::from(side));
    let mut child = command.spawn().unwrap();
    // Its copies of the terminal.
    drop(command);
    let mut controller = File::from(controller);
    let mut answers = answers.iter();
    let mut shown = Vec::new();
    let mut bytes = [0; 4096];
    // It ends with an error when the command has gone.
    while let Ok(read @ 1..) = controller.read(&mut bytes) {
        shown.extend_from_slice(&bytes[..read]);
        if shown.ends_with(b"] ")
            && let Some(answer) = answers.next()
        {
            controller
                .write_all(format!("{answer}\n").as_bytes())
                .unwrap();
        }
    }
    let status = child.wait().unwrap().code().unwrap();
    (status, screen(&String::from_utf8(shown).unwrap()))
}

/// The lines that stay, with the codes of colours as they are sent. Progress draws over itself.
fn screen(sent: &str) -> String {
    let mut lines: Vec<Vec<String>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut prefix = String::new();
    let mut characters = sent.chars();
    while let Some(c) = characters.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' => {
                characters.next();
                let mut code = String::new();
                while !code.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    code.push(characters.next().unwrap());
                }
                panic_if_lost(&code);
                match code.chars().last() {
                    Some('K') => lines[row].truncate(if code == "2K" { 0 } else { column }),
                    Some('A') => {
                        row = row.saturating_sub(code.trim_end_matches('A').parse().unwrap_or(1))
                    }
                    Some('m') if column > 0 => {
                        lines[row][column - 1].push_str(&format!("\u{1b}[{code}"))
                    }
                    Some('m') => prefix.push_str(&format!("\u{1b}[{code}")),
                    _ => {}
                }
            }
            c => {
                // As a terminal does where a line is full.
                if column == usize::from(COLUMNS) {
                    (row, column) = (row + 1, 0);
                    if row == lines.len() {
                        lines.push(Vec::new());
                    }
                }
                let line = &mut lines[row];
                while line.len() <= column {
                    line.push(" ".to_owned());
                }
                line[column] = std::mem::take(&mut prefix);
                line[column].push(c);
                column += 1;
            }
        }
    }
    let lines = lines.iter().map(|line| line.concat());
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

fn panic_if_lost(code: &str) {
    assert!(
        code.ends_with(['K', 'A', 'm', 'h', 'l', 'J']),
        "the screen does not know {code:?}"
    );
}

#[test]
fn what_is_drawn_over_is_not_seen() {
    assert_eq!(screen("a\r\nb"), "a\nb");
    assert_eq!(screen("spin\r\u{1b}[2Kdone\r\n"), "done");
    assert_eq!(screen("one\r\ntwo\u{1b}[1A\r\u{1b}[2Kthree"), "three\ntwo");
    assert_eq!(
        screen("\u{1b}[1;31mhigh\u{1b}[0m x"),
        "\u{1b}[1;31mhigh\u{1b}[0m x"
    );
    let long = "x".repeat(85);
    assert_eq!(screen(&long), format!("{}\n{}", &long[..80], &long[80..]));
}
