//! How long what a rule finds is only reported before it is repaired: a setting that all rules have.

use std::fmt;

use schemars::{Schema, json_schema};
use serde_json::{Map, Value};

use crate::text::one_line;
use crate::yaml::document::{Content, Node, Problem};

/// The setting's name.
pub(super) const ENFORCE_AFTER: &str = "enforce-after";
/// What was reported is remembered for 90 days: after that its first sighting would be forgotten.
const LONGEST: i64 = 60 * DAY;
const DAY: i64 = 24 * HOUR;
const HOUR: i64 = 60 * 60;

/// A time in seconds, as the policy has it: `7d` or `12h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace(i64);

impl Grace {
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let number = |unit: char| text.strip_suffix(unit)?.parse::<u16>().ok().map(i64::from);
        let seconds = match (number('d'), number('h')) {
            (Some(days), _) => days.checked_mul(DAY),
            (_, Some(hours)) => hours.checked_mul(HOUR),
            _ => None,
        };
        let valid = seconds.filter(|seconds| (1..=LONGEST).contains(seconds));
        valid.map(Self).ok_or_else(|| {
            format!(
                "`{}` is not a time for `{ENFORCE_AFTER}`: write it as 7d or 12h, at most 60d",
                one_line(text, 40)
            )
        })
    }

    /// Takes the setting out of a rule's settings, which are right.
    pub(super) fn take(settings: &mut Map<String, Value>) -> Option<Self> {
        let text = settings.remove(ENFORCE_AFTER)?;
        Self::parse(text.as_str()?).ok()
    }

    /// Takes the setting out of a rule's block; the other settings are the rule's own.
    pub(super) fn split(block: &Node, problems: &mut Vec<Problem>) -> Node {
        let Content::Mapping(entries) = &block.content else {
            return block.clone();
        };
        let (graces, others): (Vec<_>, Vec<_>) = entries
            .iter()
            .cloned()
            .partition(|(_, key, _)| key == ENFORCE_AFTER);
        for (_, _, node) in graces {
            let wrong = match &node.content {
                Content::Text(text) => Self::parse(text).err(),
                _ => Some(format!(
                    "`{ENFORCE_AFTER}` is a time: write it as 7d or 12h"
                )),
            };
            problems.extend(wrong.map(|message| Problem {
                place: node.place,
                message,
            }));
        }
        Node {
            place: block.place,
            content: Content::Mapping(others),
        }
    }

    /// Adds the setting to the schema of a rule's settings.
    pub(super) fn add_to(settings: &mut Schema) {
        let property = json_schema!({
            "type": "string",
            "pattern": "^[1-9][0-9]*[dh]$",
            "description": "How long a finding is only reported before it is repaired, from when it was first seen: `7d`, `12h`; at most `60d`.",
        });
        let properties = settings.ensure_object().get_mut("properties");
        if let Some(properties) = properties.and_then(Value::as_object_mut) {
            properties.insert(ENFORCE_AFTER.to_owned(), property.to_value());
        }
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.checked_rem(DAY) == Some(0) {
            write!(f, "{}d", self.0.div_euclid(DAY))
        } else {
            write!(f, "{}h", self.0.div_euclid(HOUR))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_days_or_hours() {
        for (text, seconds) in [
            ("7d", Some(7 * DAY)),
            ("12h", Some(12 * HOUR)),
            ("60d", Some(60 * DAY)),
            ("61d", None),
            ("0d", None),
            ("7", None),
            ("7m", None),
            ("-1d", None),
            ("65535d", None),
            ("99999d", None),
            ("", None),
        ] {
            assert_eq!(
                Grace::parse(text).ok().map(Grace::seconds),
                seconds,
                "{text}"
            );
        }
        for text in ["7d", "12h", "60d"] {
            assert_eq!(Grace::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Grace::parse("48h").unwrap().to_string(), "2d");
    }
}
