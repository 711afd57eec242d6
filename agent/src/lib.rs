//! The node daemon: joins the peers of its cluster and serves the container runtime beside it.

mod account;
pub mod check;
pub mod cli;
pub mod cluster_key;
pub mod config;
pub mod containerd;
pub mod desired;
pub mod hosts;
mod inotify;
mod kube;
pub mod logins;
pub mod node;
pub mod origins;
pub mod p2p;
pub mod peer_tls;
pub mod runtime;
pub mod serve;
pub mod status;
pub mod threads;
pub mod uninstall;
pub mod units;
pub mod warm;
mod yaml;
