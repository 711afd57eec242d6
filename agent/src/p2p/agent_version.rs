//! What a onepull node says about itself in Identify's agent version, for example
//! `onepull/0.1.0 peer=29901 zone=eu-1a`.
//!
//! Identify already travels on every connection, so a peer's endpoint costs no exchange of its own.
//! The grammar is `onepull/VERSION` and `KEY=VALUE` fields, each after one space. Unknown fields are
//! skipped, so that later versions can say more. The address is not part of it: it is the one that
//! the peer advertises as its external address.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest zone: that of a Kubernetes label value.
const LONGEST_ZONE: usize = 63;

/// The longest agent version that is looked at; a longer one is not from a onepull node.
const LONGEST: usize = 512;

/// A onepull node's own words about where its peer endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentVersion {
    /// The port of the peer endpoint.
    pub(crate) peer_port: u16,
    /// The failure domain, when its operator named one.
    pub(crate) zone: Option<Zone>,
}

/// The name of a failure domain: 1 to 63 letters, digits, `-`, `_` and `.`, as in the Kubernetes
/// label `topology.kubernetes.io/zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zone(String);

/// Why a string is not the agent version of a onepull node, or not a zone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ParseError {
    /// Another program's agent version.
    #[error("it does not start with onepull/")]
    NotOnepull,
    /// No `peer=PORT`, or not a port.
    #[error("it names no peer endpoint")]
    NoPeerPort,
    /// Not a zone's name.
    #[error("a zone has 1 to 63 letters, digits, '-', '_' and '.'")]
    BadZone,
}

// === impl AgentVersion ===

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "onepull/{} peer={}", env!("CARGO_PKG_VERSION"), self.peer_port)?;
        match &self.zone {
            Some(zone) => write!(f, " zone={}", zone.0),
            None => Ok(()),
        }
    }
}

impl FromStr for AgentVersion {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split(' ');
        let name = fields.next().and_then(|name| name.strip_prefix("onepull/"));
        if name.is_none_or(str::is_empty) || text.len() > LONGEST {
            return Err(ParseError::NotOnepull);
        }
        let (mut peer_port, mut zone) = (None, None);
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            match key {
                "peer" => peer_port = value.parse().ok().filter(|port| *port != 0),
                "zone" => zone = Some(value.parse()?),
                _ => {}
            }
        }
        Ok(Self { peer_port: peer_port.ok_or(ParseError::NoPeerPort)?, zone })
    }
}

// === impl Zone ===

impl FromStr for Zone {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.is_empty() || text.len() > LONGEST_ZONE || !text.chars().all(allowed) {
            return Err(ParseError::BadZone);
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<AgentVersion, ParseError> {
        text.parse()
    }

    #[test]
    fn an_agent_version_says_where_the_peer_endpoint_is() {
        let expected = AgentVersion { peer_port: 29901, zone: Some(Zone("eu-1a".into())) };
        assert_eq!(parse("onepull/0.1.0 peer=29901 zone=eu-1a"), Ok(expected.clone()));
        assert_eq!(parse("onepull/9.0.0 mood=fine flag zone=eu-1a peer=29901"), Ok(expected));
        assert_eq!(
            parse("onepull/0.1.0 peer=29901"),
            Ok(AgentVersion { peer_port: 29901, zone: None })
        );
    }

    #[test]
    fn other_programs_and_broken_fields_are_refused() {
        for text in ["", "onepull/", "rust-libp2p/0.48.0", "Onepull/0.1.0 peer=1", "onepull peer=1"]
        {
            assert_eq!(parse(text), Err(ParseError::NotOnepull), "{text}");
        }
        for text in ["onepull/1", "onepull/1 peer=", "onepull/1 peer=0", "onepull/1 peer=65536"] {
            assert_eq!(parse(text), Err(ParseError::NoPeerPort), "{text}");
        }
        for zone in ["", "a/b", "ü", &"z".repeat(64)] {
            assert_eq!(parse(&format!("onepull/1 peer=1 zone={zone}")), Err(ParseError::BadZone));
        }
    }

    proptest! {
        #[test]
        fn what_a_node_says_is_what_others_read(
            peer_port in 1u16.., zone in proptest::option::of("[A-Za-z0-9._-]{1,63}"),
        ) {
            let said = AgentVersion { peer_port, zone: zone.map(Zone) };
            prop_assert_eq!(parse(&said.to_string()), Ok(said));
        }

        #[test]
        fn parsing_never_panics(text in "(onepull/)?\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
