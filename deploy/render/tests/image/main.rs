//! The image: what is in it, that it is the same each time, and that its programs run in it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod bill;
mod build;
mod content;
mod name_server;
mod running;
mod same;
