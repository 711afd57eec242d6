//! The controller against a real API server and a real registry; nodes are objects, and their agents do
//! what they are told at once.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod agents;
mod bad_input;
mod delegates;
mod limited;
mod logins;
mod metrics;
mod midway;
mod plugin;
mod rights;
mod rollouts;
mod stage;
mod tokens;
mod uninstall;
