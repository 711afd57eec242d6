//! The claim coordinator, as its callers see it: stories, random histories, simulated downloads.
#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod cost;
mod histories;
mod simulation;
mod stories;
mod support;
mod wire;
mod world;
