//! The data plane of onepull: digests, ranges, stores, fetching from peers, serving.
//!
//! The crate speaks the pull side of the OCI distribution protocol to a container runtime and a
//! small protocol of its own to peers. What a node holds and who else holds it come through two
//! seams, [`Store`] and [`Router`]; this crate knows no containerd, no libp2p and no Kubernetes.

pub mod digest;
pub mod router;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use digest::Digest;
pub use router::{Peer, Router};
pub use store::Store;
