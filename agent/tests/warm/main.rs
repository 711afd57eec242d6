//! Declared images on nodes in one process: folder stores, an in-memory router, real sockets between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a panic is the report")]

mod image;
mod node;
mod stories;
