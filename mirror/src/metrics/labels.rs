//! By what is counted apart: closed sets, but for the names of registries.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// Where the bytes of an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum Origin {
    /// This node's own store.
    local,
    /// Another node.
    peer,
}

/// Labels of byte and request counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Served {
    /// Where the bytes came from.
    pub source: Origin,
    /// The upstream registry they would have come from.
    pub registry: String,
}

/// The label of counters that know only the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Upstream {
    /// The upstream registry.
    pub registry: String,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum Outcome {
    /// This node was told to take the blob from outside the storm.
    lead,
    /// It was told whom to follow.
    follow,
    /// It was told to ask again.
    not_yet,
    /// No coordinator answered.
    unanswered,
}

/// Labels of the counter of claims.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Claimed {
    /// What became of it.
    pub verdict: Outcome,
}

/// Which end of a connection this node was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum End {
    /// The other node opened it.
    accepted,
    /// This node opened it.
    dialed,
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "these are the label values as they are exported")]
pub enum Failure {
    /// One end did not accept what the other showed.
    refused,
    /// It broke off, or took too long.
    unfinished,
}

/// Labels of the counter of handshakes that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Handshake {
    /// Which end this node was.
    pub end: End,
    /// Why it failed.
    pub why: Failure,
}
