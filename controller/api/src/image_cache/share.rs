//! Some of the nodes: a number, or a share of all in per cent.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::schema::rule;

/// As in Kubernetes' own `maxUnavailable`: `3` or `"25%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many nodes, at least one.
    Nodes(u32),
    /// So many of a hundred, from 1 to 100.
    Percent(u8),
}

const WHOLE: u8 = 100;

// === impl Share ===

impl Share {
    /// How many of `total` that is, rounded up: at least one and not more than all, unless there are
    /// none.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Nodes(nodes) => total.min(usize::try_from(nodes).unwrap_or(usize::MAX)),
            Self::Percent(percent) => {
                let exact = total as u128 * u128::from(percent);
                usize::try_from(exact.div_ceil(u128::from(WHOLE))).unwrap_or(total).min(total)
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('%')?;
        let percent = digits.parse().ok()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        (plain && (1..=WHOLE).contains(&percent)).then_some(Self::Percent(percent))
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::Percent(WHOLE)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => write!(formatter, "{nodes}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nodes(nodes) => serializer.serialize_u32(*nodes),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl de::Visitor<'_> for Written {
    type Value = Share;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of nodes or a share such as 25%")
    }

    fn visit_u64<E: de::Error>(self, nodes: u64) -> Result<Share, E> {
        match u32::try_from(nodes) {
            Ok(nodes) if nodes > 0 => Ok(Share::Nodes(nodes)),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(nodes), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, nodes: i64) -> Result<Share, E> {
        match u64::try_from(nodes) {
            Ok(nodes) => self.visit_u64(nodes),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(nodes), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
        Share::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let valid = "type(self) == int ? self >= 1 && self <= 2147483647 \
            : self.matches('^(100|[1-9][0-9]?)%$')";
        let message = "write a number of nodes, 1 or more, or a share of them from 1% to 100%";
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": [rule(valid, message)],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Option<Share> {
        serde_json::from_value(value).ok()
    }

    #[test]
    fn numbers_and_shares_are_read_and_nonsense_is_not() {
        assert_eq!(read(json!(3)), Some(Share::Nodes(3)));
        assert_eq!(read(json!("25%")), Some(Share::Percent(25)));
        for nonsense in [json!(0), json!(-1), json!("0%"), json!("101%"), json!("+5%"), json!("3")]
        {
            assert_eq!(read(nonsense.clone()), None, "{nonsense}");
        }
    }

    #[test]
    fn a_share_is_rounded_up() {
        assert_eq!(Share::Percent(25).of(9), 3);
        assert_eq!(Share::Percent(1).of(5000), 50);
        assert_eq!(Share::Nodes(3).of(2), 2);
    }

    proptest! {
        #[test]
        fn a_share_is_some_but_not_more_than_all(percent in 1u8..=100, total in 1usize..100_000) {
            prop_assert!((1..=total).contains(&Share::Percent(percent).of(total)));
            prop_assert_eq!(Share::Percent(100).of(total), total);
        }

        #[test]
        fn what_is_written_is_read_again(percent in 1u8..=100, nodes in 1u32..) {
            for share in [Share::Percent(percent), Share::Nodes(nodes)] {
                prop_assert_eq!(read(serde_json::to_value(share).unwrap()), Some(share));
            }
        }
    }
}
