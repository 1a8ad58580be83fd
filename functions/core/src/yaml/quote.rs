//! Text from outside, written into YAML.

use std::fmt::Write;

use crate::text::in_line;

/// A scalar in double quotes that reads as this text, on one line. JSON's strings are YAML's; what YAML or an editor takes for a line break or
/// does not show is escaped.
pub(crate) fn in_quotes(text: &str) -> String {
    let mut quoted = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        if in_line(c) && c != '\u{feff}' {
            quoted.push(c);
        } else {
            let _ = write!(quoted, "\\u{:04x}", u32::from(c));
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::document::parse;

    #[test]
    fn any_text_is_read_as_it_was_written() {
        for text in [
            "",
            "latest",
            "a: b # c",
            "\"x\" \\ 'y'",
            "line\nbreak\r\n\ttab",
            "*a &b !c - {d} [e] %f @g `h`",
            "é → ü 🐳",
            "\u{0}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{202e}\u{feff}",
            "off",
            "0123",
        ] {
            let quoted = in_quotes(text);
            assert!(!quoted.contains(['\n', '\r']), "{quoted}");
            assert!(quoted.chars().all(in_line), "{quoted}");
            for yaml in [
                format!("key: {quoted} # comment\n"),
                format!("key: [{quoted}, {quoted}]\n"),
                format!("key:\n  {quoted}: {{}}\n"),
            ] {
                let read = parse(&yaml).unwrap().value();
                let read = match &read["key"] {
                    serde_json::Value::Array(many) => many[0].as_str().unwrap().to_owned(),
                    serde_json::Value::Object(one) => one.keys().next().unwrap().clone(),
                    one => one.as_str().unwrap().to_owned(),
                };
                assert_eq!(read, text, "{yaml}");
            }
        }
    }
}
