//! A small disk of its own for a containerd, that a test can fill up.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::run;

/// Written at a time while filling: fast, and what is left afterwards is less than a layer needs.
const PIECE: usize = 256 * 1024;

/// A tmpfs, in memory, so it is as fast as the test and costs what it holds. Dropping it unmounts
/// it: the containerd on it has to go first.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

// === impl SmallDisk ===

impl SmallDisk {
    /// Mounts one of `bytes` bytes.
    ///
    /// # Errors
    /// Without root.
    pub fn mount(bytes: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("onepull-disk-").tempdir()?;
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        run(mount.args(["-t", "tmpfs", "-o", &size, "onepull"]).arg(folder.path()))?;
        Ok(Self { folder })
    }

    /// Where it is mounted: a folder for [`Options::folder`](super::Options::folder).
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all the room that is left.
    ///
    /// # Errors
    /// When it cannot be written for another reason than that it is full.
    pub fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler()).context("cannot fill the disk")?;
        loop {
            match file.write_all(&[0; PIECE]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("cannot fill the disk"),
            }
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn free(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("cannot free the disk")
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A mount that is still used goes when its last user does.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Requirement, skip};

    #[test]
    fn a_filled_disk_takes_nothing_until_it_is_freed() {
        if skip("a_filled_disk_takes_nothing_until_it_is_freed", &[Requirement::Root]) {
            return;
        }
        let disk = SmallDisk::mount(4 << 20).unwrap();
        let write = |bytes: usize| fs::write(disk.path().join("a"), vec![0; bytes]);
        write(1 << 20).unwrap();
        disk.fill().unwrap();
        assert_eq!(write(2 << 20).unwrap_err().kind(), ErrorKind::StorageFull);
        disk.free().unwrap();
        write(2 << 20).unwrap();
        let folder = disk.path().to_owned();
        drop(disk);
        assert!(!folder.exists());
    }
}
