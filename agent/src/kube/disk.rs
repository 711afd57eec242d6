//! The file system that holds images.

use std::{
    io,
    path::{Path, PathBuf},
};

use onepull_api::Disk;
use rustix::fs::{StatVfs, statvfs};
use tokio::task::spawn_blocking;

/// Its size and what is free for others than root. A runtime makes the folder with its first image;
/// before that the nearest folder above it counts.
pub(super) async fn disk(folder: PathBuf) -> Option<Disk> {
    let found = spawn_blocking(move || nearest(&folder)).await.ok()??;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { capacity_bytes: bytes(found.f_blocks), available_bytes: bytes(found.f_bavail) })
}

fn nearest(folder: &Path) -> Option<StatVfs> {
    let mut asked = folder.ancestors().map(|folder| statvfs(folder).map_err(io::Error::from));
    let missing = |asked: &io::Result<_>| {
        asked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    asked.find(|asked| !missing(asked))?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_is_not_there_yet_will_be_on_the_disk_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        let above = disk(folder.path().to_owned()).await.unwrap();
        assert!(above.capacity_bytes > 0);
        let below = disk(folder.path().join("not/there/yet")).await.unwrap();
        assert_eq!(below.capacity_bytes, above.capacity_bytes);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(disk(file.join("below/a/file")).await, None);
    }
}
