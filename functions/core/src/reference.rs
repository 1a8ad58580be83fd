//! The rule reference, as Markdown, from what the rules say of themselves.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use crate::rule::{Entry, Subject};
use crate::rules::RULES;

const MADE: &str = "<!-- Made from the code: change it there, and run `UPDATE=1 cargo test -p ecr-warden-core reference`. -->\n";

/// The rules in the README, by their names, which say what is wrong; each links to the rule's page.
#[must_use]
pub fn readme() -> String {
    let links = RULES
        .iter()
        .map(|entry| format!("[`{0}`](docs/rules/{0}.md)", entry.meta.id));
    links.collect::<Vec<_>>().join(" ·\n") + "\n"
}

/// The lines of `docs/SUMMARY.md`, which is the site's table of contents, by name.
#[must_use]
pub fn contents() -> String {
    let mut ids: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
    ids.sort_unstable();
    let mut out = String::new();
    for id in ids {
        let _ = writeln!(out, "  - [{id}](rules/{id}.md)");
    }
    out
}

/// `docs/rules/index.md`: the list of all rules.
#[must_use]
pub fn index() -> String {
    let mut out =
        format!("{MADE}\n# Rules\n\n| rule | severity | finds | repair |\n|---|---|---|---|\n");
    for entry in RULES {
        let meta = &entry.meta;
        let _ = writeln!(
            out,
            "| [`{0}`]({0}.md) | {1} | {2} | {3} |",
            meta.id,
            meta.severity.name(),
            meta.summary,
            meta.repair
        );
    }
    out.push_str("\n[Each verdict and repair](../verdicts.md) has a table for each rule.\n");
    out
}

/// `docs/rules/RULE.md`: a rule in full.
#[must_use]
pub fn page(entry: &Entry) -> String {
    let meta = &entry.meta;
    let mut out = format!(
        "{MADE}\n# {}\n\n{}. Severity: {}.\n\n{}\n",
        meta.id,
        meta.summary,
        meta.severity.name(),
        meta.explanation
    );
    if meta.subject == Subject::Push {
        out.push_str("\nIt concerns one push: it is reported once and is not followed up.\n");
    }
    if !meta.controls.is_empty() {
        let _ = write!(out, "\nThe same elsewhere: {}.\n", meta.controls.join(", "));
    }
    if !entry.requirements().is_empty() {
        let requirements = entry.requirements().join(", ");
        let _ = write!(
            out,
            "\nAWS relates the Security Hub control to: {requirements}.\n"
        );
    }
    let _ = write!(
        out,
        "\n## Settings\n\n{}\n[All rules](index.md) · [each verdict and repair](../verdicts.md)\n",
        settings(entry)
    );
    out
}

/// A rule's settings as a table, from the schema of their types, and an example.
#[must_use]
pub fn settings(entry: &Entry) -> String {
    let mut generator = SchemaGenerator::default();
    let schema = entry.schema(&mut generator).to_value();
    let mut out = "| setting | values | default | meaning |\n|---|---|---|---|\n".to_owned();
    rows(&mut out, "", &schema, generator.definitions());
    let _ = write!(
        out,
        "\nFor example, under `rules:`\n\n```yaml\n{}\n```\n",
        entry.meta.example
    );
    out
}

type Definitions = Map<String, Value>;

/// A row for each property of an object, and for each of what it contains.
fn rows(out: &mut String, within: &str, schema: &Value, definitions: &Definitions) {
    let properties = resolved(schema, definitions).get("properties");
    // By name: a map's own order depends on what else is built.
    let properties: BTreeMap<&String, &Value> = properties
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .collect();
    for (name, property) in properties {
        let path = format!("{within}{name}");
        let default = match property.get("default") {
            None | Some(Value::Null) => "none".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(Value::Object(map)) if map.is_empty() => "none".to_owned(),
            Some(Value::Array(items)) => {
                let texts: Vec<String> = items.iter().map(plain).collect();
                format!("`{}`", texts.join("`, `"))
            }
            Some(other) => format!("`{other}`"),
        };
        let mut meaning = text(property, "description").to_owned();
        for (choice, about) in choices(property, definitions) {
            if !about.is_empty() {
                let _ = write!(meaning, "<br>`{choice}`: {about}");
            }
        }
        let cells = [
            format!("`{path}`"),
            values(property, definitions),
            default,
            meaning,
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(out, "| {} |", cells.join(" | "));
        let inner = resolved(property, definitions);
        rows(out, &format!("{path}."), inner, definitions);
        if let Some(each) = inner.get("additionalProperties") {
            rows(out, &format!("{path}.<name>."), each, definitions);
        }
    }
}

/// What a schema says in the end: behind references, and without the `null` of what may be left out.
fn resolved<'s>(schema: &'s Value, definitions: &'s Definitions) -> &'s Value {
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next())
        .and_then(|name| definitions.get(name));
    if let Some(target) = target {
        return resolved(target, definitions);
    }
    let some = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .and_then(|any| {
            any.iter()
                .find(|one| one.get("type").and_then(Value::as_str) != Some("null"))
        });
    match some {
        Some(one) => resolved(one, definitions),
        None => schema,
    }
}

/// The words that a setting is one of, each with what it means.
fn choices(schema: &Value, definitions: &Definitions) -> Vec<(String, String)> {
    let schema = resolved(schema, definitions);
    let of = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let described = of("oneOf").filter_map(|one| {
        let word = one.get("const")?;
        Some((plain(word), text(one, "description").to_owned()))
    });
    let bare = of("enum").map(|word| (plain(word), String::new()));
    described.chain(bare).collect()
}

fn values(schema: &Value, definitions: &Definitions) -> String {
    let words = choices(schema, definitions);
    if !words.is_empty() {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        return quoted.join(", ");
    }
    let schema = resolved(schema, definitions);
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null"),
        kind => kind,
    };
    match kind.and_then(Value::as_str) {
        Some("array") => match schema.get("items") {
            Some(items) => format!("list: {}", values(items, definitions)),
            None => "list".to_owned(),
        },
        Some("object") => "map".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    }
}

fn text<'s>(schema: &'s Value, key: &str) -> &'s str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
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

    /// Compares the part of a file between two texts, or with `UPDATE` in the environment writes it.
    fn part_is_fresh(file: &str, begin: &str, end: &str, wanted: &str) {
        let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        let whole = std::fs::read_to_string(path).unwrap();
        let (before, rest) = whole.split_once(begin).expect(begin);
        let (_, after) = rest.split_once(end).expect(end);
        is_fresh(file, &format!("{before}{begin}{wanted}{end}{after}"));
    }

    #[test]
    fn the_rules_in_readme_and_contents_are_fresh() {
        part_is_fresh(
            "../README.md",
            "## What it checks\n\n",
            "\nEach rule",
            &super::readme(),
        );
        part_is_fresh(
            "SUMMARY.md",
            "- [Rules](rules/index.md)\n",
            "- [Verdicts]",
            &super::contents(),
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
    fn every_rule_has_its_table_of_verdicts() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/verdicts.md");
        let verdicts = std::fs::read_to_string(path).unwrap();
        let headings: Vec<&str> = verdicts
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .flat_map(|heading| heading.split(", "))
            .collect();
        let mut rules: Vec<&str> = super::RULES.iter().map(|entry| entry.meta.id).collect();
        rules.sort_unstable();
        let mut found = headings.clone();
        found.sort_unstable();
        assert_eq!(found, rules);
    }

    #[test]
    fn the_rule_reference_is_fresh() {
        is_fresh("rules/index.md", &super::index());
        for entry in super::RULES {
            let file = format!("rules/{}.md", entry.meta.id);
            is_fresh(&file, &super::page(entry));
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(
            files,
            super::RULES.len() + 1,
            "docs/rules has a page of no rule"
        );
    }

    #[test]
    fn every_setting_has_a_row_with_its_meaning() {
        for entry in super::RULES {
            let table = super::settings(entry);
            let rows = table
                .lines()
                .skip(2)
                .take_while(|line| line.starts_with("| `"));
            let mut names = Vec::new();
            for row in rows {
                let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
                assert_eq!(cells.len(), 4, "{row}");
                assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
                assert_ne!(cells[1], "anything", "{row}");
                names.push(cells[0].to_owned());
            }
            assert!(
                names.contains(&"`mode`".to_owned()),
                "{}: {table}",
                entry.meta.id
            );
        }
        let encryption = super::settings(crate::rules::entry("weak-encryption").unwrap());
        assert!(
            encryption.contains(
                "| `when-empty` | `alert`, `recreate` | `alert` | What is done about a repository that holds no image.\
                 <br>`alert`: Report it.<br>`recreate`: Delete and create it again, with every setting it had. |"
            ),
            "{encryption}"
        );
        let tags = super::settings(crate::rules::entry("missing-tags").unwrap());
        assert!(
            tags.contains("| `require.<name>.allowed` | list: text | none |"),
            "{tags}"
        );
    }

    /// And sets something, without a fault.
    #[test]
    fn every_example_is_of_its_rule_and_parses() {
        for entry in super::RULES {
            let (id, example) = (entry.meta.id, entry.meta.example);
            assert!(example.starts_with(&format!("{id}:\n")), "{example}");
            let lines: Vec<String> = example.lines().map(|line| format!("  {line}")).collect();
            let policy = format!("version: 1\nmode: monitor\nrules:\n{}\n", lines.join("\n"));
            if let Err(problems) = crate::policy::Policy::parse(&policy) {
                panic!("{id}: {problems}");
            }
        }
    }

    #[test]
    fn the_policy_schema_is_fresh() {
        let schema = sorted(crate::policy::schema().to_value());
        let schema = serde_json::to_string_pretty(&schema).unwrap();
        is_fresh("policy.schema.json", &(schema + "\n"));
    }
}
