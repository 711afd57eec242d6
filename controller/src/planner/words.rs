//! How numbers are put to people.

use std::fmt;

/// Bytes, in the unit that suits them.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 0;
        let (mut whole, mut rest) = (self.0, 0);
        while whole >= 1024 && unit + 1 < UNITS.len() {
            (whole, rest) = (whole / 1024, whole % 1024);
            unit += 1;
        }
        match unit {
            0 => write!(f, "{whole} B"),
            _ => write!(f, "{whole}.{} {}", rest * 10 / 1024, UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_suits_them() {
        let words = [0, 1023, 1536, 140 << 30].map(|bytes| Bytes(bytes).to_string());
        assert_eq!(words, ["0 B", "1023 B", "1.5 KiB", "140.0 GiB"]);
    }
}
