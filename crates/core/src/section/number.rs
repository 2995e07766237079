//! Durations, counts, sizes and amounts of money.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::text::FromText;
use crate::fleet::Usd;

/// No list of sessions, approvals or merges needs more.
pub const MAX_COUNT: u32 = 10_000;

/// Longer waits overflow the clock before they end.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A duration such as `"90s"`, of at least so many milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time<const MIN_MS: u64 = 0>(Duration);

impl<const MIN_MS: u64> Time<MIN_MS> {
    /// A default.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl<const MIN_MS: u64> FromText for Time<MIN_MS> {
    fn schema() -> Value {
        json!({"title": "duration", "pattern": "^[0-9]", "examples": ["90s", "2h"]})
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let bad =
            |_| "bad duration\nwrite a duration in quotes, such as \"90s\" or \"2h\"".to_owned();
        let duration = humantime::parse_duration(text).map_err(bad)?;
        let min = Duration::from_millis(MIN_MS);
        if (min..=MAX_TIME).contains(&duration) {
            return Ok(Self(duration));
        }
        Err(format!("is out of bounds\n{} to 365days", humantime::format_duration(min)))
    }
}

/// In the largest unit that needs no second one.
impl<const MIN_MS: u64> fmt::Display for Time<MIN_MS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (seconds, 0) if seconds > 0 && seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            (seconds, 0) if seconds > 60 && seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            (seconds, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

/// A whole number within these bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count<const MIN: u32 = 0, const MAX: u32 = MAX_COUNT>(u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// A default.
    pub const fn of(count: u32) -> Self {
        Self(count)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Within(u32, u32);
        impl Visitor<'_> for Within {
            type Value = u32;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} to {}", self.0, self.1)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
                let count =
                    u32::try_from(number).ok().filter(|count| (self.0..=self.1).contains(count));
                count.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
            }
        }
        deserializer.deserialize_any(Within(MIN, MAX)).map(Self)
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Count<MIN, MAX> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Count_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"title": "number", "type": "integer", "minimum": MIN, "maximum": MAX})
    }
}

/// A number of US dollars, such as `2.5`: not negative, at most a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Dollars(Usd);

/// The most that an amount may be.
const MAX_DOLLARS: f64 = 1_000_000.0;

impl Dollars {
    /// The amount.
    pub const fn get(self) -> Usd {
        self.0
    }

    /// The amount; zero, which bounds nothing, is `None`.
    pub fn cap(self) -> Option<Usd> {
        Some(self.0).filter(|usd| *usd > Usd::default())
    }
}

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Usd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of dollars, 0 to 1000000, such as 2.5")
            }

            fn visit_f64<E: Error>(self, dollars: f64) -> Result<Usd, E> {
                if (0.0..=MAX_DOLLARS).contains(&dollars) {
                    return Ok(Usd::from_dollars(dollars));
                }
                Err(E::invalid_value(Unexpected::Float(dollars), &self))
            }

            fn visit_i64<E: Error>(self, dollars: i64) -> Result<Usd, E> {
                let whole = u32::try_from(dollars).ok().map(f64::from);
                let whole = whole.filter(|dollars| *dollars <= MAX_DOLLARS);
                let bad = || E::invalid_value(Unexpected::Signed(dollars), &self);
                whole.map(Usd::from_dollars).ok_or_else(bad)
            }
        }
        deserializer.deserialize_any(Amount).map(Self)
    }
}

impl JsonSchema for Dollars {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"title": "dollars", "type": "number", "minimum": 0, "maximum": MAX_DOLLARS})
    }
}

/// A size such as `"1GiB"`, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// A default.
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// In bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromText for Size {
    fn schema() -> Value {
        json!({
            "title": "size",
            "pattern": "^[0-9]+ ?([kKMGT]i?)?B$|^0$",
            "examples": ["1GiB", "500MB", "0"],
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let bad =
            || "bad size\nwrite a size in quotes, such as \"1GiB\", \"500MB\" or \"0\"".to_owned();
        bytes(text).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0"),
            bytes if bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

/// Bytes of `"500MB"`, `"1GiB"`, `"0"`.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let factor: u64 = match text[digits..].trim() {
        "B" => 1,
        "" if number == 0 => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

crate::text_value!([const MIN_MS: u64] Time<MIN_MS>);
crate::text_value!([] Size);
