//! Real containerds pull through real agents, each node in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

#[path = "../shared/cluster.rs"]
mod cluster;
mod dropping;
mod faults;
mod pulling;
mod sharing;
mod strangers;
mod uninstall;
mod warming;
