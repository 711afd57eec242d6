//! Resolution against real registries, and against servers that do what real ones do only on a bad
//! day.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_days;
mod basic;
mod limits;
mod open;
mod server;
mod support;
mod tls;
mod token;
mod token_server;
