//! Numbers, times and names as the HTML report shows them.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::finding::Severity;
use crate::repository::RepositoryId;

pub(super) fn usd(of: f64) -> String {
    grouped(&format!("{of:.2}"))
}

pub(super) fn thousands(of: usize) -> String {
    grouped(&of.to_string())
}

/// A decimal number with its thousands separated.
pub(super) fn grouped(number: &str) -> String {
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut out = String::new();
    for (n, digit) in whole.chars().enumerate() {
        let behind = whole.len().saturating_sub(n);
        if behind.is_multiple_of(3) && out.ends_with(|c: char| c.is_ascii_digit()) {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// A time of RFC 3339 to the minute, in UTC; what is none stays as it is.
pub(super) fn minute(at: &str) -> String {
    let Ok(time) = OffsetDateTime::parse(at, &Rfc3339) else {
        return at.to_owned();
    };
    let time = time.to_utc();
    format!(
        "{} {:02}:{:02} UTC",
        time.date(),
        time.hour(),
        time.minute()
    )
}

/// Accounts or regions that the head names at most.
const PLACES: usize = 6;

pub(super) fn some_of(places: &BTreeSet<&str>) -> String {
    let named: Vec<&str> = places.iter().copied().take(PLACES).collect();
    match places.len().saturating_sub(PLACES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

pub(super) fn letter(severity: Severity) -> char {
    match severity {
        Severity::Critical => 'C',
        Severity::High => 'H',
        Severity::Medium => 'M',
        Severity::Low => 'L',
        Severity::Informational => 'I',
    }
}

pub(super) fn name_and_place(arn: &str) -> (String, String) {
    match RepositoryId::from_arn(arn) {
        Some(id) => (id.label(), format!("{}, {}", id.account, id.region)),
        None => (arn.to_owned(), String::new()),
    }
}
