//! Sizes and rates as a person writes them: `256MiB`, `200Mbit`.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of bytes, written `512KiB`, `256MiB`, `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

/// A link's rate in bits per second, written `200Mbit`, `10Gbit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LinkRate(u64);

/// Why a text is no size or rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseUnitError {
    /// Not a number followed by one of the units.
    #[error("{text:?} is not a {what}: write a whole number and one of {units}, as in {example}")]
    Malformed {
        /// What was read.
        text: String,
        /// What was expected.
        what: &'static str,
        /// The units there are.
        units: String,
        /// One that would do.
        example: &'static str,
    },
    /// Nothing would ever pass.
    #[error("a {0} must be more than zero")]
    Zero(&'static str),
    /// It does not fit in 64 bits.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

/// A unit's name and how many of the base unit it is.
type Unit = (&'static str, u64);

const SIZE_UNITS: [Unit; 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("B", 1),
];

const RATE_UNITS: [Unit; 4] =
    [("Gbit", 1_000_000_000), ("Mbit", 1_000_000), ("kbit", 1000), ("bit", 1)];

// === impl ByteSize ===

impl ByteSize {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, "size", &SIZE_UNITS, "256MiB").map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &SIZE_UNITS)
    }
}

// === impl LinkRate ===

impl LinkRate {
    /// `bits` bits per second.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// Bits per second.
    pub const fn bits_per_second(self) -> u64 {
        self.0
    }

    /// Whole bytes per second, at least one.
    pub const fn bytes_per_second(self) -> u64 {
        if self.0 < 8 { 1 } else { self.0 / 8 }
    }

    /// How long `bytes` take at this rate.
    #[allow(clippy::cast_precision_loss, reason = "an estimate in seconds")]
    pub fn time_for(self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.0 as f64)
    }
}

impl FromStr for LinkRate {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, "rate", &RATE_UNITS, "200Mbit").map(Self)
    }
}

impl fmt::Display for LinkRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self.0, &RATE_UNITS)
    }
}

fn parse(
    text: &str,
    what: &'static str,
    units: &[Unit],
    example: &'static str,
) -> Result<u64, ParseUnitError> {
    let malformed = || ParseUnitError::Malformed {
        text: text.chars().take(80).collect(),
        what,
        units: units.iter().map(|unit| unit.0).collect::<Vec<_>>().join(", "),
        example,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
    let (number, unit) = text.split_at(digits);
    let too_large = || ParseUnitError::TooLarge(text.chars().take(80).collect());
    if number.is_empty() {
        return Err(malformed());
    }
    let number: u64 = number.parse().map_err(|_| too_large())?;
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let factor = factor.ok_or_else(malformed)?.1;
    match number.checked_mul(factor) {
        Some(0) => Err(ParseUnitError::Zero(what)),
        Some(value) => Ok(value),
        None => Err(too_large()),
    }
}

/// In the largest unit that it is a whole multiple of.
fn print(f: &mut fmt::Formatter<'_>, value: u64, units: &[Unit]) -> fmt::Result {
    let exact = units.iter().find(|(_, factor)| value.is_multiple_of(*factor) && value > 0);
    let (name, factor) = exact.or(units.last()).copied().unwrap_or(("", 1));
    write!(f, "{}{name}", value / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_and_rates_read_as_people_write_them() {
        assert_eq!("64MiB".parse(), Ok(ByteSize::new(64 << 20)));
        assert_eq!("1gib".parse(), Ok(ByteSize::new(1 << 30)));
        assert_eq!("200Mbit".parse(), Ok(LinkRate::new(200_000_000)));
        assert_eq!("10Gbit".parse::<LinkRate>().unwrap().bytes_per_second(), 1_250_000_000);
        assert_eq!(LinkRate::new(8000).time_for(500), Duration::from_millis(500));
    }

    #[test]
    fn an_error_names_the_units_and_shows_an_example() {
        let error = "200".parse::<LinkRate>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"200\" is not a rate: write a whole number and one of Gbit, Mbit, kbit, bit, as in 200Mbit"
        );
        assert!("MiB".parse::<ByteSize>().is_err());
        assert!("1.5GiB".parse::<ByteSize>().is_err());
        assert_eq!("0MiB".parse::<ByteSize>(), Err(ParseUnitError::Zero("size")));
        let huge = "99999999TiB".parse::<ByteSize>();
        assert_eq!(huge, Err(ParseUnitError::TooLarge("99999999TiB".into())));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(value in 1u64..u64::MAX) {
            prop_assert_eq!(ByteSize::new(value).to_string().parse(), Ok(ByteSize::new(value)));
            prop_assert_eq!(LinkRate::new(value).to_string().parse(), Ok(LinkRate::new(value)));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<ByteSize>();
            let _ = text.parse::<LinkRate>();
        }
    }
}
