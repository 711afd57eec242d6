//! The data plane of onepull: digests, ranges, stores, fetching from peers, serving.
//!
//! The crate speaks the pull side of the OCI distribution protocol to a container runtime
//! ([`Mirror`]) and a small protocol of its own to peers ([`PeerService`]). What a node holds and
//! who else holds it come through two seams, [`Store`] and [`Router`]; this crate knows no
//! containerd, no libp2p and no Kubernetes.

pub mod announce;
pub mod claim;
pub mod deadlines;
pub mod declared;
pub mod digest;
mod fetch;
pub mod manifest;
pub mod metrics;
pub mod mirror;
pub mod participant;
pub mod peer;
pub mod range;
mod recent;
mod relay;
pub mod request;
pub mod reservation;
pub mod response;
pub mod router;
pub mod server;
pub mod sink;
pub mod sources;
mod stand_in;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod throttle;
pub mod warm;

pub use deadlines::Deadlines;
pub use declared::Declared;
pub use digest::Digest;
pub use metrics::Metrics;
pub use mirror::Mirror;
pub use participant::Participant;
pub use peer::PeerService;
pub use reservation::Reservation;
pub use router::{Peer, Router};
pub use sink::Sink;
pub use store::Store;
pub use throttle::Throttle;
pub use warm::Warm;
