//! What the node was told last, in a file, so that an agent that starts while the API server is away
//! has not forgotten.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use onepull_api::NodeImageCache;
use thiserror::Error;
use tokio::task::spawn_blocking;
use tracing::warn;

const NAME: &str = "nodeimagecache.json";

/// Largest file that is read: an object of etcd has at most 1.5 MiB.
const LARGEST: u64 = 4 << 20;

/// Where it is, in a data folder.
pub(crate) fn remembered_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The file, and whose object belongs there.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    path: PathBuf,
    node: String,
}

#[derive(Debug, Error)]
enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no NodeImageCache: {0}")]
    Form(#[from] serde_json::Error),
    #[error("it is that of node {0}")]
    Other(String),
    #[error("it has more than 4 MiB")]
    TooLarge,
}

// === impl Memory ===

impl Memory {
    pub(super) fn new(folder: &Path, node: &str) -> Self {
        Self { path: remembered_in(folder), node: node.to_owned() }
    }

    /// The object; `None` if there was none, or the file makes no sense, which is told.
    pub(super) async fn recall(&self) -> Option<NodeImageCache> {
        let (memory, path) = (self.clone(), self.path.display());
        match spawn_blocking(move || memory.read()).await.ok()? {
            Ok(object) => object,
            Err(error) => {
                warn!("{path} is not used: {error}");
                None
            }
        }
    }

    /// Takes the place of what was there. That it failed is told, and nothing else depends on it.
    pub(super) async fn keep(&self, object: Option<NodeImageCache>) {
        let (memory, path) = (self.clone(), self.path.display());
        if let Ok(Err(error)) = spawn_blocking(move || memory.write(object.as_ref())).await {
            warn!("{path} cannot be written, so a restart without the API server forgets: {error}");
        }
    }

    fn read(&self) -> Result<Option<NodeImageCache>, Unreadable> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(Unreadable::TooLarge);
        }
        let object: NodeImageCache = serde_json::from_str(&text)?;
        match object.metadata.name.as_deref() {
            Some(name) if name == self.node => Ok(Some(object)),
            other => Err(Unreadable::Other(other.unwrap_or("without a name").to_owned())),
        }
    }

    /// Under another name first, so that no reader sees half of it.
    fn write(&self, object: Option<&NodeImageCache>) -> io::Result<()> {
        let Some(object) = object else { return removed(&self.path) };
        let unfinished = self.path.with_extension("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(object)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)
    }
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use onepull_api::NodeImageCacheSpec;

    use super::*;

    fn object(node: &str) -> NodeImageCache {
        let spec = NodeImageCacheSpec { zone: Some("a".into()), ..Default::default() };
        NodeImageCache::new(node, spec)
    }

    #[tokio::test]
    async fn what_was_kept_is_recalled_until_there_is_nothing_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path(), "n");
        assert_eq!(memory.recall().await, None);
        memory.keep(Some(object("n"))).await;
        assert_eq!(memory.recall().await, Some(object("n")));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        memory.keep(None).await;
        assert_eq!(memory.recall().await, None);
    }

    #[tokio::test]
    async fn what_is_no_memory_of_this_node_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::new(folder.path(), "n");
        memory.keep(Some(object("another"))).await;
        assert_eq!(memory.recall().await, None);
        fs::write(folder.path().join(NAME), "{\"kind\":").unwrap();
        assert_eq!(memory.recall().await, None);
    }
}
