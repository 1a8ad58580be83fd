//! How the policy prices storage.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// How storage is priced, for audits that are asked what it costs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Costs {
    /// USD for a gigabyte (10⁹ bytes) kept a month, where `regions` says nothing else.
    usd_per_gb_month: Usd,
    /// The same by region.
    #[serde(default)]
    regions: BTreeMap<String, Usd>,
    /// Gigabytes that are free: 0.5 in the first year of some accounts. They are taken off an audit of all repositories, and not off
    /// one of some.
    #[serde(default)]
    free_gb: Usd,
    /// An image that was neither pushed nor pulled for this number of days is an old one.
    #[serde(default)]
    old_after_days: OldAfter,
}

/// Not negative, and not absurd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
#[schemars(transform = usd_schema)]
struct Usd(f64);

impl TryFrom<f64> for Usd {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        (0.0..=1_000_000.0)
            .contains(&value)
            .then_some(Self(value))
            .ok_or_else(|| format!("{value} is not a number from 0 to 1000000"))
    }
}

fn usd_schema(schema: &mut schemars::Schema) {
    *schema = schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1_000_000 });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
struct OldAfter(u16);

impl Default for OldAfter {
    fn default() -> Self {
        Self(90)
    }
}

impl Costs {
    pub(crate) fn price(&self, region: &str) -> f64 {
        self.regions.get(region).unwrap_or(&self.usd_per_gb_month).0
    }

    /// The days after which an image that was neither pushed nor pulled is an old one.
    pub(crate) fn old_after_days(&self) -> u16 {
        self.old_after_days.0
    }

    /// What the free gigabytes would cost in a region.
    #[must_use]
    pub fn free_usd(&self, region: &str) -> f64 {
        self.free_gb.0 * self.price(region)
    }
}
