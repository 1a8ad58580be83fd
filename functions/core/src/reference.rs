//! The rule reference, as Markdown, from what the rules say of themselves.

use std::fmt::Write;

use crate::rules::{RULES, Subject};

/// `docs/rules.md`.
#[must_use]
pub fn rules() -> String {
    let mut out = "# Rules\n\nMade from the code: change it there, and run `UPDATE=1 cargo test -p ecr-warden-core reference`.\n\n\
                   | rule | severity | finds |\n|---|---|---|\n"
        .to_owned();
    for entry in RULES {
        let meta = &entry.meta;
        let _ = writeln!(
            out,
            "| [`{0}`](#{0}) | {1} | {2} |",
            meta.id,
            meta.severity.name(),
            meta.summary
        );
    }
    for entry in RULES {
        let meta = &entry.meta;
        let _ = write!(
            out,
            "\n## {}\n\n{}. Severity: {}.\n\n{}\n",
            meta.id,
            meta.summary,
            meta.severity.name(),
            meta.explanation
        );
        if meta.subject == Subject::Push {
            out.push_str("\nIt is about one push: it is told once and is not followed up.\n");
        }
        if !meta.controls.is_empty() {
            let _ = write!(out, "\nThe same elsewhere: {}.\n", meta.controls.join(", "));
        }
    }
    out
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "it compares the code with the files made from it"
)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    /// Compares, or with `UPDATE` in the environment writes.
    fn is_fresh(file: &str, wanted: &str) {
        let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var("UPDATE").is_ok() {
            std::fs::write(&path, wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/{file} is stale: UPDATE=1 cargo test -p ecr-warden-core reference"
        );
    }

    /// A map's order depends on what else is built: some crates ask serde_json to keep the order of insertion.
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let ordered: BTreeMap<String, Value> = map.into_iter().collect();
                ordered
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect()
            }
            Value::Array(items) => items.into_iter().map(sorted).collect(),
            other => other,
        }
    }

    #[test]
    fn the_rule_reference_is_fresh() {
        is_fresh("rules.md", &super::rules());
    }

    #[test]
    fn the_policy_schema_is_fresh() {
        let schema = sorted(crate::policy::schema().to_value());
        let schema = serde_json::to_string_pretty(&schema).unwrap();
        is_fresh("policy.schema.json", &(schema + "\n"));
    }
}
