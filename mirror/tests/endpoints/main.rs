//! The mirror and peer endpoints over real sockets.
#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

mod alone;
mod api;
mod deadlines;
mod evil;
mod faults;
mod joining;
mod lies;
mod local;
mod order;
mod parked;
mod refusing;
mod rigged;
mod serving;
mod slow;
mod storm;
mod support;
mod uploads;
mod warm;
