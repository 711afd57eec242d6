//! Agents that are told by a real API server what to hold, and report to it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod bootstrap;
#[path = "../shared/cluster.rs"]
mod cluster;
mod outages;
mod refusals;
mod removals;
mod rollouts;
mod support;
