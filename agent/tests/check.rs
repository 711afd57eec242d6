//! Each misconfiguration that `check` names is found by it, with real containerds.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "check/containerd.rs"]
mod containerd;
#[path = "check/node.rs"]
mod node;
#[path = "check/proof.rs"]
mod proof;
#[path = "check/socket.rs"]
mod socket;
