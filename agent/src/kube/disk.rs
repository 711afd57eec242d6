//! The file system that holds images.

use std::path::PathBuf;

use onepull_api::Disk;
use rustix::fs::statvfs;
use tokio::task::spawn_blocking;

/// Its size and what is free for others than root, if the folder is there.
pub(super) async fn disk(folder: PathBuf) -> Option<Disk> {
    let found = spawn_blocking(move || statvfs(&folder)).await.ok()?.ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { capacity_bytes: bytes(found.f_blocks), available_bytes: bytes(found.f_bavail) })
}
