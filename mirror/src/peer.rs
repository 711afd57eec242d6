//! The peer protocol.
//!
//! - `GET|HEAD /peer/v1/blobs/<digest>`, with an optional `Range`. A peer answers from its own store
//!   only and never forwards a request, so requests cannot run in circles. To a node that follows
//!   it, and says so in `Onepull-Follower`, it also sends what it is still receiving: 409 when it is
//!   not ahead of that node. 503 when all its upload slots are taken: the next peer is to be asked.
//! - `POST /peer/v1/claims` and `POST /peer/v1/progress`: see [`crate::claim::wire`].
//! - `POST /peer/v1/doubts/<digest>`, without a body: the sender was sent wrong bytes, by this node among
//!   others perhaps. The answer says nothing.

pub(crate) mod client;
pub(crate) mod dial;
pub(crate) mod service;
pub(crate) mod tls;

pub use dial::{Dial, Wire};
pub use service::PeerService;
pub use tls::Tls;

use crate::Digest;

/// Every path of the protocol's first version starts with this.
const PREFIX: &str = "/peer/v1/blobs/";

/// Where claims are sent.
pub(crate) const CLAIMS: &str = "/peer/v1/claims";

/// Where participants say how far they are.
pub(crate) const PROGRESS: &str = "/peer/v1/progress";

/// Where it is said that bytes were wrong; the digest follows.
const DOUBTS: &str = "/peer/v1/doubts/";

/// The header by which a follower names itself: the address of its peer endpoint.
const FOLLOWER: &str = "onepull-follower";

fn path(digest: &Digest) -> String {
    format!("{PREFIX}{digest}")
}
