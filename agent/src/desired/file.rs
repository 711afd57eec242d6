//! The desired state of a node without a controller: a file that somebody writes.
//!
//! The kernel tells of changes in the file's folder, so that a file written in place, one renamed over
//! it and a mounted ConfigMap (whose file is a symlink through `..data`, which is swapped) are all
//! seen. Where it cannot, the file is read again now and then.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::inotify::WatchFlags;
use thiserror::Error;
use tokio::{
    fs,
    sync::watch,
    time::{Duration, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use super::{BadDesired, Desired, DesiredState, parse};
use crate::inotify::Inotify;

/// How often the file is read although nobody told of a change: network file systems tell nothing,
/// and half a minute is soon for who wrote a list of images by hand.
const REREAD: Duration = Duration::from_secs(30);

/// Between the notice of a change and the look at it, so that a file is not read half written.
const SETTLE: Duration = Duration::from_millis(100);

/// Largest file that is read: 256 images with the longest names take 200 KiB.
const LARGEST: u64 = 1 << 20;

/// What happens to files that are written, moved, linked or removed.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF);

/// A file with the images that a node is meant to hold. While it is gone or makes no sense, what it
/// said before goes on.
pub struct DesiredFile {
    path: PathBuf,
    state: watch::Sender<Arc<DesiredState>>,
}

#[derive(Debug, Error)]
enum Unreadable {
    #[error("the desired images cannot be read from {path}: {source}; see --desired")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is not used: {source}")]
    Bad { path: PathBuf, source: BadDesired },
    #[error("{0} is not used: it has more than 1 MiB")]
    TooLarge(PathBuf),
}

// === impl DesiredFile ===

impl DesiredFile {
    /// Reads the file, and follows its changes as long as `running` says.
    pub async fn follow(path: PathBuf, tasks: &TaskTracker, running: CancellationToken) -> Self {
        let (state, _) = watch::channel(Arc::default());
        let file = Self { path, state };
        // Watched first, so that nothing is missed between.
        let notices = notices_of(file.folder()).ok();
        file.look().await;
        let follower = Self { path: file.path.clone(), state: file.state.clone() };
        let follower =
            async move { running.run_until_cancelled(follower.look_again(notices)).await };
        tasks.spawn(follower);
        file
    }

    async fn look_again(self, mut notices: Option<Inotify>) {
        loop {
            let lost = tokio::select! {
                lost = change(notices.as_ref()) => lost,
                () = sleep(REREAD) => notices.is_none(),
            };
            sleep(SETTLE).await;
            if lost {
                notices = notices_of(self.folder()).ok();
            }
            self.look().await;
        }
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
    }

    /// Publishes what the file says now, if that is news.
    async fn look(&self) {
        let read = self.read().await;
        self.state.send_if_modified(|state| {
            let now = match read {
                Ok(images) => DesiredState { images, is_known: true, ..DesiredState::default() },
                Err(problem) => DesiredState {
                    images: state.images.clone(),
                    is_known: state.is_known,
                    problem: Some(problem.to_string()),
                    ..DesiredState::default()
                },
            };
            let is_news = **state != now;
            if is_news {
                tell(&now);
                *state = Arc::new(now);
            }
            is_news
        });
    }

    async fn read(&self) -> Result<Vec<super::DesiredImage>, Unreadable> {
        let path = || self.path.clone();
        let io = |source| Unreadable::Io { path: path(), source };
        if fs::metadata(&self.path).await.map_err(io)?.len() > LARGEST {
            return Err(Unreadable::TooLarge(path()));
        }
        let yaml = fs::read_to_string(&self.path).await.map_err(io)?;
        parse(&yaml).map_err(|source| Unreadable::Bad { path: path(), source })
    }
}

impl Desired for DesiredFile {
    fn watch(&self) -> watch::Receiver<Arc<DesiredState>> {
        self.state.subscribe()
    }
}

fn tell(now: &DesiredState) {
    let images = now.images.len();
    match &now.problem {
        Some(problem) => warn!(images, "{problem}"),
        None => info!(images, "the desired images have been read"),
    }
}

fn notices_of(folder: &Path) -> io::Result<Inotify> {
    let notices = Inotify::new()?;
    notices.watch(folder, CHANGES)?;
    Ok(notices)
}

/// Waits for a change; returns whether the folder is watched no longer.
async fn change(notices: Option<&Inotify>) -> bool {
    match notices {
        Some(notices) => match notices.events().await {
            Ok(events) => events.iter().any(crate::inotify::Event::ends_watch),
            Err(_) => true,
        },
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use onepull_mirror::Digest;
    use tokio::time::timeout;

    use super::*;

    /// A change that is noticed later than this is noticed by the slow look alone.
    const LIMIT: Duration = Duration::from_secs(20);

    struct Fixture {
        folder: tempfile::TempDir,
        state: watch::Receiver<Arc<DesiredState>>,
        _running: tokio_util::sync::DropGuard,
    }

    fn yaml(names: &[&str]) -> String {
        let digest = Digest::sha256(b"");
        let entry =
            |name: &&str| format!("- {{ref: {name}, digest: \"{digest}\", source: Peers}}\n");
        format!("images: \n{}", names.iter().map(entry).collect::<String>())
    }

    async fn follow(folder: tempfile::TempDir) -> Fixture {
        let running = CancellationToken::new();
        let path = folder.path().join("desired.yaml");
        let file = DesiredFile::follow(path, &TaskTracker::new(), running.clone()).await;
        Fixture { folder, state: file.watch(), _running: running.drop_guard() }
    }

    impl Fixture {
        async fn until(&mut self, what: impl Fn(&DesiredState) -> bool) {
            timeout(LIMIT, self.state.wait_for(|state| what(state))).await.unwrap().unwrap();
        }

        async fn until_images(&mut self, count: usize) {
            self.until(|state| state.images.len() == count && state.problem.is_none()).await;
        }
    }

    #[tokio::test]
    async fn a_file_that_is_missing_is_an_empty_state_with_a_warning_until_it_is_there() {
        let mut fixture = follow(tempfile::tempdir().unwrap()).await;
        let problem = fixture.state.borrow().problem.clone().unwrap();
        assert!(problem.contains("--desired"), "{problem}");
        std::fs::write(fixture.folder.path().join("desired.yaml"), yaml(&["a"])).unwrap();
        fixture.until_images(1).await;
    }

    #[tokio::test]
    async fn a_file_renamed_over_the_old_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desired.yaml");
        std::fs::write(&path, yaml(&["a"])).unwrap();
        let mut fixture = follow(folder).await;
        fixture.until_images(1).await;
        std::fs::write(path.with_extension("new"), yaml(&["a", "b"])).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        fixture.until_images(2).await;
    }

    #[tokio::test]
    async fn a_config_map_that_is_swapped_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, names) in [("..1", &["a"][..]), ("..2", &["a", "b", "c"])] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("desired.yaml"), yaml(names)).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/desired.yaml", at("desired.yaml")).unwrap();
        let mut fixture = follow(folder).await;
        fixture.until_images(1).await;
        let at = |name: &str| fixture.folder.path().join(name);
        symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        fixture.until_images(3).await;
    }

    #[tokio::test]
    async fn a_bad_file_keeps_what_was_read_before_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desired.yaml");
        std::fs::write(&path, yaml(&["a"])).unwrap();
        let mut fixture = follow(folder).await;
        std::fs::write(&path, "images: {").unwrap();
        fixture.until(|state| state.images.len() == 1 && state.problem.is_some()).await;
        std::fs::remove_file(&path).unwrap();
        let is_missing = |problem: &String| problem.contains("cannot be read");
        fixture.until(|state| state.problem.as_ref().is_some_and(is_missing)).await;
        std::fs::write(&path, yaml(&["a", "b"])).unwrap();
        fixture.until_images(2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_folder_to_watch_the_file_is_found_by_looking_again() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("later");
        let running = CancellationToken::new();
        let path = inner.join("desired.yaml");
        let file = DesiredFile::follow(path.clone(), &TaskTracker::new(), running.clone()).await;
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(&path, yaml(&["a"])).unwrap();
        let mut state = file.watch();
        timeout(2 * REREAD, state.wait_for(|state| state.images.len() == 1))
            .await
            .unwrap()
            .unwrap();
        running.cancel();
    }
}
