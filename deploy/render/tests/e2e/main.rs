//! onepull as it ships, on real kubelets: the chart and the image, installed by README's own commands in a cluster of
//! three nodes with a registry beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod faults;
mod leaving;
mod pods;
mod readme;
mod report;
mod rollout;
mod token;
mod workstation;
