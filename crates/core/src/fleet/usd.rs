//! Amounts of money.

use std::fmt;
use std::ops::Add;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROS_PER_USD: f64 = 1_000_000.0;

/// US dollars, kept in whole micro-dollars so that sums are exact and equal amounts compare as
/// equal. In JSON a number of dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// Rounded to the nearest micro-dollar; negative amounts and what is not a number are 0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, which is meant"
    )]
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * MICROS_PER_USD).round() as u64)
    }

    /// The difference; zero where the other is more.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// As a number of dollars.
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / MICROS_PER_USD
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Usd {
    /// `$2.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.2}", self.dollars())
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from_dollars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_exactly_and_odd_ones_are_zero() {
        let dime = Usd::from_dollars(0.1);
        let sum = (0..10).fold(Usd::default(), |sum, _| sum + dime);
        assert_eq!(sum, Usd::from_dollars(1.0));
        assert_eq!(
            (sum.to_string(), serde_json::to_string(&dime).ok()),
            ("$1.00".to_owned(), Some("0.1".to_owned()))
        );
        assert_eq!(serde_json::from_str::<Usd>("0.1").ok(), Some(dime));
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Usd::from_dollars(odd), Usd::default());
        }
        assert_eq!(Usd::from_dollars(f64::INFINITY) + dime, Usd(u64::MAX));
    }
}
