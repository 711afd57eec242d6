//! The chart: what it renders, what it refuses, and that a real API server takes it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod accepted;
mod committed;
mod environment;
mod installed;
mod manifests;
mod pods;
mod rights;
mod values;
