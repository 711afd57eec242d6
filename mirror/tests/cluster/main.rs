//! Whole nodes on a simulated network and virtual time (turmoil): real mirrors, participants and peer
//! endpoints, through partitions, crashes and power failures.
#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod board;
mod image;
mod lab;
mod network;
mod node;
mod random;
mod registry;
mod router;
mod runtime;
mod seeds;
mod store;
mod stories;
