//! The kernel's notices of changes in folders, for a task to wait for.

use std::{io, mem::MaybeUninit, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

/// Holds some 40 events at a time; the kernel keeps the rest.
const BUFFER: usize = 4096;

/// The folders that are watched through one descriptor.
#[derive(Debug)]
pub(crate) struct Inotify(AsyncFd<OwnedFd>);

/// One watched folder. The kernel does not use a number again before it has used all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WatchId(pub(crate) i32);

/// Something changed in a watched folder, or with it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) watch: WatchId,
    pub(crate) what: ReadFlags,
    /// The entry of the folder; `None` for the folder itself.
    pub(crate) name: Option<String>,
}

// === impl Inotify ===

impl Inotify {
    #[allow(
        deprecated,
        reason = "its successor is unsafe, for types that replace their descriptor; this one never does"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self(AsyncFd::new(descriptor)?))
    }

    /// Watches a folder. One that is watched already keeps its id.
    pub(crate) fn watch(&self, folder: &Path, what: WatchFlags) -> io::Result<WatchId> {
        let watch = inotify::add_watch(self.0.get_ref(), folder, what | WatchFlags::ONLYDIR)?;
        Ok(WatchId(watch))
    }

    /// Ends a watch; the kernel has ended that of a folder that is gone.
    pub(crate) fn unwatch(&self, watch: WatchId) {
        let _ = inotify::remove_watch(self.0.get_ref(), watch.0);
    }

    /// Waits for changes and returns all that have gathered.
    ///
    /// # Cancel safety
    /// Nothing is read before this is ready.
    pub(crate) async fn events(&self) -> io::Result<Vec<Event>> {
        let mut ready = self.0.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(self.0.get_ref(), &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => events.push(Event {
                    watch: WatchId(event.wd()),
                    what: event.events(),
                    name: event.file_name().map(|name| name.to_string_lossy().into_owned()),
                }),
                Err(Errno::WOULDBLOCK) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.clear_ready();
        Ok(events)
    }
}

// === impl Event ===

impl Event {
    /// Whether the folder itself is no longer watched.
    pub(crate) fn ends_watch(&self) -> bool {
        let ends = ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
        self.what.intersects(ends | ReadFlags::UNMOUNT)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn writes_that_nobody_has_read_of_are_one_event() {
        let folder = tempfile::tempdir().unwrap();
        let inotify = Inotify::new().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "").unwrap();
        let watch = inotify.watch(folder.path(), WatchFlags::MODIFY).unwrap();
        let mut file = fs::File::options().append(true).open(&path).unwrap();
        for _ in 0..1000 {
            io::Write::write_all(&mut file, b"more").unwrap();
        }
        let events = inotify.events().await.unwrap();
        assert!(matches!(&events[..], [event] if event.watch == watch), "{events:?}");
        assert_eq!(events[0].name.as_deref(), Some("data"));
    }

    #[tokio::test]
    async fn a_folder_that_goes_ends_its_watch() {
        let folder = tempfile::tempdir().unwrap();
        let inotify = Inotify::new().unwrap();
        let watch = inotify.watch(folder.path(), WatchFlags::DELETE_SELF).unwrap();
        drop(folder);
        let events = inotify.events().await.unwrap();
        assert!(
            events.iter().any(|event| event.watch == watch && event.ends_watch()),
            "{events:?}"
        );
    }
}
