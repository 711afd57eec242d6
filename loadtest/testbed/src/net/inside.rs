//! Running code of this process inside a namespace, on a thread that is thrown away afterwards.
//!
//! A socket stays in the namespace in which it was made, so a listener or connection may be made
//! here and used by any thread.

use std::{fs::File, path::Path, thread};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

/// Calls `work` in the namespace and returns what it returns.
pub(crate) fn call<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace)?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|_| Err(anyhow!("the code inside the namespace panicked")))
    })
}

/// Runs a future to its end in the namespace, on a runtime of its own.
///
/// `make` is called there, so that what it opens belongs to the namespace; the future need not be
/// `Send`. Dropping the returned future does not stop the one inside.
pub(super) async fn run<T, F>(
    namespace: &Path,
    make: impl FnOnce() -> F + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let namespace = namespace.to_owned();
    let (answer, answered) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let result = enter(&namespace).and_then(|()| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(async { make().await }))
        });
        // The one who asked may have stopped waiting.
        let _ = answer.send(result);
    });
    answered.await.context("the code inside the namespace panicked")?
}

fn enter(namespace: &Path) -> Result<()> {
    let file = File::open(namespace)
        .with_context(|| format!("cannot open the namespace {}", namespace.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter the namespace")
}
