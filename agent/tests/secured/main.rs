//! Nodes with a cluster key: what they share among themselves, and what they keep from all others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod bounds;
mod certificates;
mod nodes;
mod stranger;

use onepull_agent::cluster_key::ClusterKey;

/// The key of the cluster under test, and one of another.
const KEY: &str = "6f1d8a3c5b7e9f02a4c6e8d0b2947f13358ac1ee07d94b26f80c61a57392be4d";
const OTHER: &str = "d00f5ab08c7c4bd1a6f2e9315c0784be2f6a41dd83b7590e1c6d2f48a97be350";

fn key(text: &str) -> ClusterKey {
    ClusterKey::parse(text).unwrap()
}
