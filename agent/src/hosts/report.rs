//! What became of each file, for a person and for the log.

use std::{fmt, io, path::PathBuf};

use thiserror::Error;

use super::{block::Unbalanced, merge::MergeError};

/// What an install or uninstall did, file by file.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order in which they were looked at.
    pub files: Vec<FileReport>,
}

/// What was done with one file.
#[derive(Debug)]
pub struct FileReport {
    /// The `hosts.toml`.
    pub file: PathBuf,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome {
    /// It was not there and now names the mirror.
    Created,
    /// It was there and now names the mirror as well, or names it at a new address.
    Merged,
    /// It is as it should be; nothing was written.
    Unchanged,
    /// It is as it was before onepull, but for edits made since, which stay.
    Restored,
    /// onepull had made it, so it is gone.
    Removed,
    /// It was left exactly as it was.
    Refused(FileError),
}

/// Why a file was left alone.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is not text.
    #[error("it is not UTF-8, as TOML has to be")]
    NotText,
    /// It cannot take the mirror.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// It was edited in a way that hides what is onepull's.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// Its original could not be kept, so it was not changed.
    #[error("its original cannot be kept below the data folder: {0}")]
    Backup(#[source] io::Error),
    /// A folder of the registry's own would keep it from what `_default` says.
    #[error(
        "it would hide what {} says from this registry: copy that folder to {} first, or leave \
         --registry out, so that the mirror is named in _default itself",
        default.display(), folder.display()
    )]
    HidesDefault {
        /// The folder of `_default`.
        default: PathBuf,
        /// The one that would be made.
        folder: PathBuf,
    },
    /// It cannot be written.
    #[error("it cannot be written: {0}")]
    Write(#[source] io::Error),
}

// === impl Report ===

impl Report {
    /// The files that were left alone although they should have been changed.
    pub fn refused(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|report| matches!(report.outcome, Outcome::Refused(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|report| writeln!(f, "{report}"))
    }
}

// === impl FileReport ===

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = match &self.outcome {
            Outcome::Created => "created",
            Outcome::Merged => "merged",
            Outcome::Unchanged => "unchanged",
            Outcome::Restored => "restored",
            Outcome::Removed => "removed",
            Outcome::Refused(why) => {
                return write!(f, "{}: left as it is: {why}", self.file.display());
            }
        };
        write!(f, "{}: {done}", self.file.display())
    }
}
