//! How much of the image a node has on disk, finished or not, and making some of it wrong.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use anyhow::Context;

use super::{ContainerdFleet, FleetError, node::Node};
use crate::image::Image;

// === impl ContainerdFleet ===

impl ContainerdFleet {
    /// Bytes of blobs and of unfinished downloads in the node's content store.
    pub fn held(&self, node: usize) -> u64 {
        self.nodes[node].held()
    }

    /// Turns over one byte in the middle of the largest layer that the node holds.
    ///
    /// # Errors
    /// When it holds none.
    pub fn corrupt(&self, node: usize) -> Result<(), FleetError> {
        let store = &self.nodes[node].content_store;
        corrupt(store, &self.image).map_err(FleetError::setup("corrupt a blob"))
    }
}

// === impl Node ===

impl Node {
    /// Bytes of blobs and of unfinished downloads in its content store.
    pub(crate) fn held(&self) -> u64 {
        let blobs = sizes(&self.content_store.join("blobs/sha256"), "");
        blobs + sizes(&self.content_store.join("ingest"), "data")
    }
}

/// The sizes of the files `<folder>/<entry>/<name>` together; what vanishes meanwhile counts as
/// nothing, as does a folder that is not there yet.
fn sizes(folder: &Path, name: &str) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let paths = entries.flatten().map(|entry| match name {
        "" => entry.path(),
        name => entry.path().join(name),
    });
    paths.filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum()
}

fn corrupt(store: &Path, image: &Image) -> anyhow::Result<()> {
    let (digest, size) =
        image.sizes.iter().max_by_key(|(_, size)| **size).context("the image has no blob")?;
    let path = onepull_mirror::store::blob_path(store, digest);
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, size / 2)?;
    file.write_all_at(&[!byte[0]], size / 2)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use onepull_testbed::layout::Spec;

    use super::*;

    #[test]
    fn finished_and_unfinished_bytes_count_and_refs_do_not() {
        let store = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: usize| {
            let path = store.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![0; bytes]).unwrap();
        };
        assert_eq!(sizes(&store.path().join("ingest"), "data"), 0);
        write("blobs/sha256/aa", 5);
        write("ingest/1/data", 7);
        write("ingest/1/ref", 100);
        let blobs = sizes(&store.path().join("blobs/sha256"), "");
        assert_eq!((blobs, sizes(&store.path().join("ingest"), "data")), (5, 7));
    }

    #[test]
    fn one_byte_of_the_largest_layer_is_another_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::generate(folder.path(), &Spec::even(10_000, 1, 1)).unwrap();
        let (largest, _) = image.sizes.iter().max_by_key(|(_, size)| **size).unwrap();
        let before = fs::read(image.blob(largest)).unwrap();
        corrupt(folder.path(), &image).unwrap();
        let after = fs::read(image.blob(largest)).unwrap();
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert_eq!((changed, before.len()), (1, after.len()));
    }
}
