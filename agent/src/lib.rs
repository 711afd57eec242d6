//! The node daemon: joins the peers of its cluster and serves the container runtime beside it.

pub mod containerd;
pub mod hosts;
pub mod p2p;
