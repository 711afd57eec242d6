//! The claim coordinator, as its callers see it: stories, random histories, simulated downloads.
#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod stories;
mod support;
mod wire;
