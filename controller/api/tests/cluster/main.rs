//! The definitions on a real API server: what it accepts, what it refuses and with which words, and
//! what kubectl shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accepted;
mod kubectl;
mod node;
mod refused;
mod support;
mod typed;
