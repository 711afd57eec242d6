//! Conformance suites for the seams, run against every implementation, fake and real.
//!
//! They panic with the broken promise; call them from a test.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code: a panic is the report")]

pub mod router;
pub mod sink;
pub mod store;
