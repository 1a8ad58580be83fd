//! The text of a repository policy, edited so that every statement that stays keeps its bytes.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::one_line;

/// The longest text that ECR takes (service quota, "Repository policy length").
pub(crate) const LONGEST: usize = 10_240;

/// The statements as they are written.
#[derive(Deserialize)]
struct PolicyDocument<'t> {
    #[serde(borrow, rename = "Statement")]
    statement: &'t RawValue,
}

fn statement_text(text: &str) -> Result<&str, String> {
    // serde would take a list for the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_str::<PolicyDocument<'_>>(text)
        .map(|document| document.statement.get())
        .map_err(|error| wrong(&error))
}

/// serde's words can hold a whole value of the document.
pub(crate) fn wrong(error: &serde_json::Error) -> String {
    one_line(&error.to_string(), 200)
}

/// Each statement's own text.
///
/// # Errors
/// One line: it is no policy document.
pub(crate) fn statements(text: &str) -> Result<Vec<&str>, String> {
    let statement = statement_text(text)?;
    if statement.starts_with('[') {
        let many: Vec<&RawValue> =
            serde_json::from_str(statement).map_err(|error| wrong(&error))?;
        Ok(many.into_iter().map(RawValue::get).collect())
    } else {
        Ok(vec![statement])
    }
}

/// The text with one more statement at the end.
///
/// # Errors
/// One line: it is no policy document.
pub(crate) fn with(text: &str, added: &str) -> Result<String, String> {
    let statement = statement_text(text)?;
    let start = offset(text, statement);
    let end = start.saturating_add(statement.len());
    let together = match statement.strip_suffix(']') {
        None => format!("[{statement},{added}]"),
        Some(open) if statements(text)?.is_empty() => format!("{open}{added}]"),
        Some(open) => format!("{},{added}]", open.trim_end()),
    };
    let mut out = text.to_owned();
    out.replace_range(start..end, &together);
    Ok(out)
}

/// The text without these parts of it, and without the comma that each leaves.
pub(crate) fn without(text: &str, parts: &[&str]) -> String {
    let edits: Vec<(&str, Option<String>)> = parts.iter().map(|part| (*part, None)).collect();
    edited(text, &edits)
}

/// The text with these parts of it, in their order, replaced; or without them, and without the comma that each leaves.
pub(crate) fn edited(text: &str, edits: &[(&str, Option<String>)]) -> String {
    let mut out = text.to_owned();
    // From the end, so that the places before stay right.
    for (part, to) in edits.iter().rev() {
        let start = offset(text, part);
        let end = start.saturating_add(part.len());
        if let Some(to) = to {
            out.replace_range(start..end, to);
            continue;
        }
        let after = out.get(end..).unwrap_or_default();
        let trimmed = after.trim_start();
        let (start, end) = if trimmed.starts_with(',') {
            let comma = after.len().saturating_sub(trimmed.len());
            let rest = trimmed.get(1..).unwrap_or_default();
            let space = rest.len().saturating_sub(rest.trim_start().len());
            (
                start,
                end.saturating_add(comma)
                    .saturating_add(1)
                    .saturating_add(space),
            )
        } else {
            let before = out.get(..start).unwrap_or_default().trim_end();
            (
                before
                    .strip_suffix(',')
                    .map_or(start, |before| before.trim_end().len()),
                end,
            )
        };
        out.replace_range(start..end, "");
    }
    out
}

// INVARIANT: the part is a slice of the text.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_can_be_taken_away_again() {
        let added = r#"{"Sid":"x"}"#;
        for text in [
            r#"{ "Version" : "2012-10-17", "Statement": [ {"Sid": "a"} , {"Sid":"b"}] }"#,
            r#"{"Statement":[]}"#,
            r#"{"Statement":{"Sid":"one"}}"#,
        ] {
            let together = with(text, added).unwrap();
            let all = statements(&together).unwrap();
            assert_eq!(all.last(), Some(&added), "{together}");
            let back = without(&together, &all[all.len() - 1..]);
            assert_eq!(
                statements(&back).unwrap(),
                statements(text).unwrap(),
                "{back}"
            );
        }
        for wrong in ["nonsense", "[[]]", ""] {
            assert!(with(wrong, added).is_err(), "{wrong}");
        }
    }
}
