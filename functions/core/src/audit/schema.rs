//! How an audit that another version wrote is read.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The format of the answer.
const SCHEMA: &str = "ecr-warden.audit/1";

/// The name of the format, which is written and required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schema;

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(SCHEMA)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let schema = String::deserialize(from)?;
        if schema == SCHEMA {
            return Ok(Self);
        }
        Err(D::Error::custom(format!(
            "the format is `{schema}`, not `{SCHEMA}`"
        )))
    }
}
