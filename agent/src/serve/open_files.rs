//! Lets the process open as many files as the system allows it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Fewer are not enough for the connections of a busy holder, with a file for each.
const ENOUGH: u64 = 4096;

/// Raises the limit of open files to the hard one. The usual soft limit of 1024 is there for programs
/// that use `select`; at it, no connection could be accepted, and clients would wait.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "cannot raise the limit of open files");
    }
    let now = getrlimit(Resource::Nofile).current;
    if let Some(limit) = now.filter(|limit| *limit < ENOUGH) {
        warn!(limit, "few open files are allowed: a busy node will refuse connections");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files_becomes_the_hard_one() {
        let hard = getrlimit(Resource::Nofile).maximum;
        let low = hard.map_or(1024, |hard| hard.min(1024));
        setrlimit(Resource::Nofile, Rlimit { current: Some(low), maximum: hard }).unwrap();
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: hard, maximum: hard });
    }
}
