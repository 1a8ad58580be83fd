//! A YAML document with the place of everything in it.

use std::collections::BTreeSet;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

/// No policy is nested deeper or larger. Each override's settings are checked together
/// with those that they are laid over, which takes the square of the size.
const DEEPEST: usize = 32;
pub(crate) const LARGEST: usize = 64 * 1024;

/// Where something stands, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// Something wrong in the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    /// One line, lower case, no final period.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.place.line, self.place.column, self.message
        )
    }
}

/// A node and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the document's order; keys are unique.
    Mapping(Vec<(Place, String, Node)>),
}

impl Node {
    /// The value under a key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find_map(|(_, name, value)| (name == key).then_some(value))
    }

    /// The entries of a mapping; none for anything else.
    #[must_use]
    pub fn entries(&self) -> &[(Place, String, Self)] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The same without places.
    #[must_use]
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Integer(value) => Value::from(*value),
            Content::Float(value) => Value::from(*value),
            Content::Text(value) => Value::String(value.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::value).collect()),
            Content::Mapping(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(_, key, value)| (key.clone(), value.value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Reads one YAML document. Anchors, tags and further documents are refused: a policy means what it says.
///
/// # Errors
/// The first thing that is not YAML; what follows it is unknown.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let at_start = Place { line: 1, column: 1 };
    if text.len() > LARGEST {
        return Err(Problem {
            place: at_start,
            message: format!("the policy has {} bytes; the most is {LARGEST}", text.len()),
        });
    }
    let mut events = Events {
        parser: Parser::new_from_str(text),
    };
    loop {
        match events.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => {
                return Err(Problem {
                    place: at_start,
                    message: "the policy is empty".to_owned(),
                });
            }
            (event, span) => {
                let root = events.node(event, span, 0)?;
                loop {
                    match events.next()? {
                        (Event::StreamEnd, _) => return Ok(root),
                        (Event::DocumentEnd | Event::Nothing, _) => {}
                        (_, span) => {
                            return Err(problem(
                                span,
                                "a policy is one document: remove what follows `---`",
                            ));
                        }
                    }
                }
            }
        }
    }
}

fn problem(span: Span, message: impl Into<String>) -> Problem {
    Problem {
        place: span.into(),
        message: message.into(),
    }
}

struct Events<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
}

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Problem> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Problem {
                place: Place {
                    line: error.marker().line(),
                    column: error.marker().col() + 1,
                },
                message: format!("not YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Problem> {
        if depth > DEEPEST {
            return Err(problem(
                span,
                format!("nested deeper than {DEEPEST} levels"),
            ));
        }
        let refuse_extras = |anchor: usize, tagged: bool| {
            if anchor != 0 || tagged {
                Err(problem(
                    span,
                    "anchors and tags are not supported here: write the value out",
                ))
            } else {
                Ok(())
            }
        };
        let content = match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                if style == ScalarStyle::Plain {
                    plain(&text)
                } else {
                    Content::Text(text.into_owned())
                }
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                Content::List(items)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_extras(anchor, tag.is_some())?;
                Content::Mapping(self.mapping(depth)?)
            }
            Event::Alias(_) => {
                return Err(problem(
                    span,
                    "anchors and tags are not supported here: write the value out",
                ));
            }
            _ => return Err(problem(span, "not YAML: something is missing here")),
        };
        Ok(Node {
            place: span.into(),
            content,
        })
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<(Place, String, Node)>, Problem> {
        let mut entries: Vec<(Place, String, Node)> = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            let (event, key_span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(problem(key_span, "a key must be plain text")),
            };
            if !keys.insert(key.clone()) {
                return Err(problem(key_span, format!("`{key}` is there twice")));
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push((key_span.into(), key, value));
        }
    }
}

/// YAML 1.2's core schema: `off` and dates are text.
fn plain(text: &str) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let starts_as_number = digits.starts_with(|c: char| c.is_ascii_digit());
            // Twelve digits with a leading zero are an account, not a number.
            let is_number = starts_as_number
                && (digits.len() == 1 || !digits.starts_with('0') || digits.contains('.'));
            if let (true, Ok(number)) = (is_number, text.parse()) {
                Content::Integer(number)
            } else if let (true, Ok(number)) = (is_number, text.parse()) {
                Content::Float(number)
            } else {
                Content::Text(text.to_owned())
            }
        }
    }
}
