//! Real containerds pull through real agents, each node in a network namespace of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod cluster;
mod dropping;
mod faults;
mod sharing;
mod strangers;
mod uninstall;
mod warming;
