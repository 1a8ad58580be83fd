//! serde over a document, so that all that is wrong is said at once: line, column, and the nearest thing that would
//! have been right.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};

use super::document::{Content, Node, Place, Problem};

/// Enough to correct before the next check.
pub(crate) const MOST_PROBLEMS: usize = 50;

/// Reads a type from a node and says all that is wrong with it: what a problem was found in is set aside, and
/// the rest is read again.
///
/// # Errors
/// Every problem, in the document's order.
pub(crate) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Vec<Problem>> {
    let aside = RefCell::new(BTreeSet::new());
    let mut problems = Vec::new();
    while problems.len() < MOST_PROBLEMS {
        match T::deserialize(Reader {
            node,
            aside: &aside,
        }) {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => {
                let Some(part) = error.part else {
                    // Of the whole: what is missing may be what was set aside.
                    if problems.is_empty() {
                        problems.push(Problem {
                            place: node.place,
                            message: error.message,
                        });
                    }
                    break;
                };
                problems.push(Problem {
                    place: part.place(),
                    message: error.message,
                });
                // INVARIANT: every turn sets aside one more part, or is the last one.
                if !aside.borrow_mut().insert(part) {
                    break;
                }
            }
        }
    }
    problems.sort();
    Err(problems)
}

/// The nearest of some names, where one is near.
#[must_use]
fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `unknown <kind> `x``, with what was meant or what there is.
#[must_use]
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let name = crate::text::one_line(name, 80);
    match nearest(&name, known.iter().copied()) {
        Some(near) => format!("unknown {kind} `{name}`, did you mean `{near}`?"),
        None => format!(
            "unknown {kind} `{name}`, expected one of {}",
            known
                .iter()
                .map(|k| format!("`{k}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

/// Something that can be set aside. A mapping begins where its first key does, so the place alone does not say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathPart {
    /// A key with its value.
    Key(Place),
    Value(Place),
}

impl PathPart {
    fn place(self) -> Place {
        match self {
            Self::Key(place) | Self::Value(place) => place,
        }
    }
}

/// What serde found wrong, and in what; `None`: in the whole.
#[derive(Debug)]
struct Wrong {
    part: Option<PathPart>,
    message: String,
}

impl Wrong {
    /// The innermost part is the one that is wrong.
    fn within(mut self, part: PathPart) -> Self {
        self.part.get_or_insert(part);
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            part: None,
            message: message.to_string(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (wanted, hint) = (wanted(expected), quotes(&wanted(expected), &found));
        Self::custom(format!("expected {wanted}, found {}{hint}", shown(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format!(
            "expected {}, found {length} values",
            wanted(expected)
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is there twice"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("key", field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown("value", variant, expected))
    }
}

/// What serde expected, in words of the file and not of Rust.
fn wanted(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let starts = |with: &[&str]| with.iter().any(|with| expected.starts_with(with));
    if starts(&["struct ", "a map", "map"]) {
        "settings, as `key: value`".to_owned()
    } else if starts(&["a sequence", "sequence", "tuple"]) {
        "a list, as `[a, b]`".to_owned()
    } else if starts(&["a string", "string", "str"]) {
        "text".to_owned()
    } else if starts(&["a bool", "bool"]) {
        "`true` or `false`".to_owned()
    } else if starts(&[
        "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
    ]) {
        "a whole number".to_owned()
    } else if starts(&["f32", "f64"]) {
        "a number".to_owned()
    } else if starts(&["unit", "option"]) {
        "nothing".to_owned()
    } else if starts(&["enum ", "variant "]) {
        "one of its values".to_owned()
    } else {
        expected
    }
}

/// What the quotes of a value, or their absence, make of it.
fn quotes(wanted: &str, found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_)
        | Unexpected::Unsigned(_)
        | Unexpected::Signed(_)
        | Unexpected::Float(_)
            if wanted == "text" =>
        {
            ": write it in quotes"
        }
        Unexpected::Str(text)
            if (wanted.starts_with("`true`") && matches!(*text, "true" | "false"))
                || (wanted.contains("number") && text.parse::<f64>().is_ok()) =>
        {
            ": write it without quotes"
        }
        _ => "",
    }
}

/// What serde found, likewise.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Char(value) => format!("`{value}`"),
        Unexpected::Str(value) => format!("`{}`", crate::text::one_line(value, 80)),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map | Unexpected::StructVariant | Unexpected::NewtypeStruct => {
            "settings by name".to_owned()
        }
        _ => "something else".to_owned(),
    }
}

/// serde's view of a node, without what was set aside.
#[derive(Clone, Copy)]
struct Reader<'n> {
    node: &'n Node,
    aside: &'n RefCell<BTreeSet<PathPart>>,
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Integer(value) => visitor.visit_i64(*value),
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(value) => visitor.visit_borrowed_str(value),
            Content::List(items) => visitor.visit_seq(Items {
                items: items.iter(),
                aside: self.aside,
            }),
            Content::Mapping(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
                aside: self.aside,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.node.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node.content {
            Content::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(de::Error::custom(format!(
                "expected one of `{}`",
                variants.join("`, `")
            ))),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
    aside: &'n RefCell<BTreeSet<PathPart>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Wrong;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        let aside = self.aside;
        self.items
            .find(|node| !aside.borrow().contains(&PathPart::Value(node.place)))
            .map(|node| {
                seed.deserialize(Reader { node, aside })
                    .map_err(|wrong| wrong.within(PathPart::Value(node.place)))
            })
            .transpose()
    }
}

struct Entries<'n> {
    entries: std::slice::Iter<'n, (Place, String, Node)>,
    value: Option<&'n Node>,
    aside: &'n RefCell<BTreeSet<PathPart>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Wrong;

    fn next_key_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        let aside = self.aside;
        let next = self.entries.find(|(place, _, value)| {
            let aside = aside.borrow();
            !aside.contains(&PathPart::Key(*place))
                && !aside.contains(&PathPart::Value(value.place))
        });
        let Some((place, key, value)) = next else {
            return Ok(None);
        };
        self.value = Some(value);
        let key: de::value::StrDeserializer<'_, Wrong> = key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|wrong| wrong.within(PathPart::Key(*place)))
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        match self.value.take() {
            Some(node) => seed
                .deserialize(Reader {
                    node,
                    aside: self.aside,
                })
                .map_err(|wrong| wrong.within(PathPart::Value(node.place))),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::document::{LARGEST, parse};
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    struct Example {
        mode: Mode,
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        more: BTreeMap<String, bool>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Enforce,
        Monitor,
    }

    fn problems(text: &str) -> Vec<String> {
        let node = match parse(text) {
            Ok(node) => node,
            Err(problem) => return vec![problem.to_string()],
        };
        read::<Example>(&node)
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reads_what_is_right() {
        let node =
            parse("mode: enforce\nlimit: 3\nnames: [a, '1', off]\nmore: { x: true }\n").unwrap();
        assert_eq!(
            read::<Example>(&node).unwrap(),
            Example {
                mode: Mode::Enforce,
                limit: Some(3),
                names: vec!["a".into(), "1".into(), "off".into()],
                more: [("x".into(), true)].into(),
            }
        );
    }

    #[test]
    fn says_where_quotes_are_missing_or_too_many() {
        let found = problems("mode: enforce\nnames: [1.2]\nmore: { x: 'false' }\n");
        assert_eq!(
            found,
            [
                "line 2, column 9: expected text, found `1.2`: write it in quotes",
                "line 3, column 12: expected `true` or `false`, found `false`: write it without quotes",
            ]
        );
    }

    #[test]
    fn says_everything_at_once_with_places_and_suggestions() {
        let found = problems("mode: enforc\nlimt: 3\nnames: [a, {b: c}]\nmore:\n  x: 7\n");
        assert_eq!(
            found,
            [
                "line 1, column 7: unknown value `enforc`, did you mean `enforce`?",
                "line 2, column 1: unknown key `limt`, did you mean `limit`?",
                "line 3, column 12: expected text, found settings by name",
                "line 5, column 6: expected `true` or `false`, found `7`",
            ]
        );
    }

    #[test]
    fn what_is_missing_is_said_of_the_whole() {
        assert_eq!(
            problems("limit: 3\n"),
            ["line 1, column 1: `mode` is missing"]
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        assert!(problems(&"[".repeat(40))[0].contains("nested"));
        assert!(problems(&"[".repeat(10_000))[0].starts_with("line 1"));
        assert!(problems("mode: &a enforce\n")[0].contains("anchors"));
        assert!(problems("mode: enforce\nmode: monitor\n")[0].contains("twice"));
        assert!(problems("mode: enforce\n---\nmode: monitor\n")[0].contains("one document"));
        assert!(problems("")[0].contains("empty"));
        assert!(problems(&" ".repeat(LARGEST + 1))[0].contains("the most"));
        assert!(problems("mode: [enforce\n")[0].starts_with("line"));
    }
}
