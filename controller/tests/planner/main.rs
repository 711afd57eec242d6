//! The planner, seen from outside: plans that a person can read, single behaviours, and laws that hold
//! for whatever happens to a cluster.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod build;
mod cases;
mod deeds;
mod golden;
mod laws;
mod takeover;
mod world;
