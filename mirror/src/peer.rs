//! The peer protocol: `GET|HEAD /peer/v1/blobs/<digest>`, with an optional `Range`.
//!
//! A peer answers from its own store only. It never forwards a request, so requests cannot run in
//! circles.

pub(crate) mod client;
pub(crate) mod service;

pub use service::PeerService;

use crate::Digest;

/// Every path of the protocol's first version starts with this.
const PREFIX: &str = "/peer/v1/blobs/";

fn path(digest: &Digest) -> String {
    format!("{PREFIX}{digest}")
}
