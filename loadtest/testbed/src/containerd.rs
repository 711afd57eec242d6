//! A containerd of a test: release 1.6 or 2.2, with folders, sockets and network of its own.

mod audit;
mod config;
mod content;
mod cri;
mod disk;
mod server;

pub use audit::{ImageAudit, audit_manifest};
pub use config::Options;
pub use content::Content;
pub use cri::Cri;
pub use disk::SmallDisk;
pub use server::{Containerd, Version};
