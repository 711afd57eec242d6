//! Claims and progress on the wire: JSON bodies between peer endpoints.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `POST /peer/v1/claims` | [`Ask`] | [`Answer`] |
//! | `POST /peer/v1/progress` | [`Report`] | [`Advices`] |
//!
//! Every message says its version in `v`. Unknown fields are ignored, so a version can grow; unknown
//! words in a known field are an error, because a verdict that is misread is worse than none.
//! Advice is another matter: a word that is not known here leaves all as it is.
//!
//! The node that a message names is believed: neither its address nor its word that it may lead is
//! checked against the connection it came by. Behind a proxy or with several addresses they differ
//! honestly; and whoever can reach the peer endpoint can serve wrong bytes anyhow, which the hash
//! finds. Authentication of peers decides who can reach it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::digest::ParseDigestError;

mod asking;
mod node;
mod reporting;

pub use asking::{Answer, Ask};
pub use reporting::{Advices, Report};

/// The version that is spoken here.
pub const VERSION: u32 = 1;

/// Largest message. A full report, 64 entries with sha512 digests, IPv6 addresses and the longest
/// zones, is 30 KiB; twice that leaves room for fields to come.
pub const LARGEST_MESSAGE: usize = 64 * 1024;

/// Most participants in one report. A node takes part in a few downloads at once; it sends what is
/// more in another report.
pub const MOST_REPORTED: usize = 64;

/// Most times that a claim is sent on to a closer coordinator. Each hop at least halves the distance
/// that is left, and all nodes of a small cluster know each other.
pub const MOST_HOPS: u8 = 3;

/// Why a message is refused.
#[derive(Debug, Error)]
pub enum WireError {
    /// It is longer than [`LARGEST_MESSAGE`].
    #[error("a claim message has at most {LARGEST_MESSAGE} bytes")]
    TooLarge,
    /// It is of another version.
    #[error("claim messages of version {0} are not understood here: use version {VERSION}")]
    Version(u32),
    /// It is not JSON, lacks a field, or says something unknown.
    #[error("not a claim message")]
    Malformed(#[from] serde_json::Error),
    /// A digest is none.
    #[error("a claim message names no valid digest")]
    Digest(#[from] ParseDigestError),
    /// An address that no node can have.
    #[error("{0:?} is not the peer endpoint of a node: expected IP:PORT")]
    Endpoint(String),
    /// A zone with a bad name.
    #[error("{0:?} is not a zone: use 1 to 63 letters, digits, '-', '_' and '.'")]
    Zone(String),
    /// A list has more entries than it may, or none where it needs one.
    #[error("{field} has {len} entries: expected {least} to {most}")]
    Length {
        /// The list's field.
        field: &'static str,
        /// How many entries it has.
        len: usize,
        /// How many it needs.
        least: usize,
        /// How many it may have.
        most: usize,
    },
    /// The claim was sent on too often.
    #[error("a claim is sent on at most {MOST_HOPS} times")]
    Hops(u8),
    /// A verdict or stage lacks what belongs to it.
    #[error("{word:?} needs {field:?}")]
    Missing {
        /// What was said.
        word: &'static str,
        /// The field that goes with it.
        field: &'static str,
    },
}

/// What every message has.
#[derive(Deserialize)]
struct Envelope {
    v: u32,
}

/// A message with its version.
#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    message: &'a T,
}

/// Reads a message of this version.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    if bytes.len() > LARGEST_MESSAGE {
        return Err(WireError::TooLarge);
    }
    let Envelope { v } = serde_json::from_slice(bytes)?;
    if v != VERSION {
        return Err(WireError::Version(v));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Writes a message of this version.
fn write<T: Serialize>(message: &T) -> Vec<u8> {
    let versioned = Versioned { v: VERSION, message };
    // Writing to memory fails only for maps with keys that are no strings; no message has a map.
    serde_json::to_vec(&versioned).unwrap_or_default()
}

fn check_length(
    field: &'static str,
    len: usize,
    least: usize,
    most: usize,
) -> Result<(), WireError> {
    match len {
        len if len < least || len > most => Err(WireError::Length { field, len, least, most }),
        _ => Ok(()),
    }
}
