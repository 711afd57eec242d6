//! The load test that proves what onepull saves.
//!
//! It makes nodes pull one image, with and without sharing, and measures what the registry sent and
//! when each node was done. See [`run`] for the order of things and [`report`] for what comes out.

pub mod app;
pub mod arm;
pub mod cli;
pub mod cluster;
pub mod control_plane;
pub mod faults;
pub mod fleet;
pub mod hop;
pub mod image;
mod key;
pub mod late;
pub mod machine;
pub mod memory;
pub mod model;
pub mod origin;
pub mod overhead;
pub mod pattern;
pub mod progress;
pub mod puller;
pub mod report;
pub mod run;
pub mod scrape;
pub mod sim;
pub mod transfers;

pub use onepull_agent::units;
