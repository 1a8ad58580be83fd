//! Gigabytes and cents.

/// Rounded to a ten-thousandth of a cent: what is left is noise of the arithmetic.
#[must_use]
pub fn cents(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

/// 10⁹ bytes each.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "fifteen digits are more than an estimate has"
)]
pub fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
