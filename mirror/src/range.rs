//! The `Range` request header: one byte range, as RFC 9110 section 14 defines it.

use std::ops::Range;

/// What a `Range` header asks for, before the size of the blob is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// No range, or one that RFC 9110 lets a server ignore: another unit, several ranges, nonsense.
    Whole,
    /// `bytes=N-`: from a byte to the end.
    From(u64),
    /// `bytes=N-M`: both ends included.
    Between(u64, u64),
    /// `bytes=-N`: the last bytes.
    Last(u64),
}

/// A range applied to a blob of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// The whole blob: answered with 200.
    Whole,
    /// Some bytes of it, end excluded: answered with 206.
    Part(Range<u64>),
    /// Nothing of the blob is in the range: answered with 416.
    Unsatisfiable,
}

impl ByteRange {
    /// Reads the header's value; `None` is a request without one.
    pub fn parse(header: Option<&str>) -> Self {
        header.and_then(parse_bytes).unwrap_or(Self::Whole)
    }

    /// Applies the range to a blob of `size` bytes.
    pub fn of(self, size: u64) -> Span {
        let part = match self {
            Self::Whole => return Span::Whole,
            Self::From(first) => first..size,
            Self::Between(first, last) => first..size.min(last.saturating_add(1)),
            Self::Last(length) => size.saturating_sub(length)..size,
        };
        if part.is_empty() { Span::Unsatisfiable } else { Span::Part(part) }
    }

    /// The first byte asked for, where that does not depend on the size.
    pub fn first(self) -> Option<u64> {
        match self {
            Self::Whole => Some(0),
            Self::From(first) | Self::Between(first, _) => Some(first),
            Self::Last(_) => None,
        }
    }
}

fn parse_bytes(header: &str) -> Option<ByteRange> {
    let (unit, range) = header.trim().split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first.trim(), last.trim()) {
        ("", length) => Some(ByteRange::Last(parse_number(length)?)),
        (first, "") => Some(ByteRange::From(parse_number(first)?)),
        (first, last) => {
            let (first, last) = (parse_number(first)?, parse_number(last)?);
            (first <= last).then_some(ByteRange::Between(first, last))
        }
    }
}

/// Digits only: `u64::from_str` would also take a sign.
fn parse_number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        assert_eq!(ByteRange::parse(Some("bytes=0-")), ByteRange::From(0));
        assert_eq!(ByteRange::parse(Some("bytes=2-5")), ByteRange::Between(2, 5));
        assert_eq!(ByteRange::parse(Some("Bytes = -7")), ByteRange::Last(7));
    }

    #[test]
    fn what_a_server_may_ignore_is_the_whole_blob() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=+1-",
            "bytes=1--2",
            "bytes=99999999999999999999-",
            "bytes=0x1-",
        ] {
            assert_eq!(ByteRange::parse(Some(header)), ByteRange::Whole, "{header:?}");
        }
        assert_eq!(ByteRange::parse(None), ByteRange::Whole);
    }

    #[test]
    fn a_range_outside_the_blob_cannot_be_satisfied() {
        assert_eq!(ByteRange::From(10).of(10), Span::Unsatisfiable);
        assert_eq!(ByteRange::Last(0).of(10), Span::Unsatisfiable);
        assert_eq!(ByteRange::Last(3).of(0), Span::Unsatisfiable);
        assert_eq!(ByteRange::Between(0, u64::MAX).of(10), Span::Part(0..10));
        assert_eq!(ByteRange::Last(u64::MAX).of(10), Span::Part(0..10));
    }

    proptest! {
        #[test]
        fn a_span_lies_within_the_blob(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size: u64) {
            if let Span::Part(part) = ByteRange::parse(Some(&header)).of(size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
