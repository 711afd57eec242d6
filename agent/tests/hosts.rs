//! What install and uninstall promise about files that people wrote.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[path = "hosts/examples.rs"]
mod examples;
#[path = "hosts/node.rs"]
mod node;
#[path = "hosts/properties.rs"]
mod properties;
