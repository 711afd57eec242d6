//! What goes wrong on the node itself: its disk, its runtime.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use http::StatusCode;
use onepull_mirror::{
    Digest, Store,
    router::MemoryNetwork,
    store::{FolderStore, Opened, Presence, READ_CHUNK, StoreError, Watch},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    evil::{answer, evil_counted, whole},
    support::{Node, blob, manifest, noise},
};

/// A store whose streams all break after their first chunk.
struct BadDisk(Arc<FolderStore>);

/// A store that tells of each abort and never ends it.
struct SlowAbort(Arc<FolderStore>, mpsc::Sender<Digest>);

#[async_trait]
impl Store for BadDisk {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        self.0.stat(digest).await
    }
    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        let gone = stream::iter([Err(std::io::ErrorKind::UnexpectedEof.into())]);
        Ok(self.0.open(digest, offset).await?.take(1).chain(gone).boxed().into())
    }
    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        self.0.abort(digest).await
    }
    fn watch(&self) -> Watch {
        self.0.watch()
    }
    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.0.follow(digest)
    }
}

#[async_trait]
impl Store for SlowAbort {
    async fn stat(&self, digest: &Digest) -> Result<Option<Presence>, StoreError> {
        self.0.stat(digest).await
    }
    async fn open(&self, digest: &Digest, offset: u64) -> Result<Opened, StoreError> {
        self.0.open(digest, offset).await
    }
    async fn abort(&self, digest: &Digest) -> Result<(), StoreError> {
        self.1.send(*digest).await.unwrap();
        std::future::pending().await
    }
    fn watch(&self) -> Watch {
        self.0.watch()
    }
    fn follow(&self, digest: &Digest) -> watch::Receiver<Option<Presence>> {
        self.0.follow(digest)
    }
}

#[tokio::test]
async fn a_blob_that_breaks_off_on_the_disk_is_left_to_the_registry() {
    let network = MemoryNetwork::default();
    let node = Node::start_with(&network, |store| Arc::new(BadDisk(store))).await;
    let digest = node.hold(&noise(4 * READ_CHUNK, 1)).await;

    let answer = node.get_blob(&digest).await;
    assert_eq!((answer.status, answer.complete), (StatusCode::OK, false));
    let resume = format!("bytes={}-", answer.body.len());
    let answer = node.get(&blob(&digest), &[("range", &resume)]).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_blob_whose_file_has_another_length_comes_from_a_peer() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let bytes = noise(3 * READ_CHUNK, 2);
    let digest = holder.hold(&bytes).await;
    for length in [READ_CHUNK, 4 * READ_CHUNK] {
        node.hold(&bytes).await;
        let file = File::options().write(true).open(node.store.blob(&digest)).unwrap();
        file.set_len(length as u64).unwrap();

        let answer = node.get_blob(&digest).await;
        assert!(answer.complete && answer.body == bytes, "{length}");
    }
}

#[tokio::test]
async fn a_manifest_that_rotted_on_the_disk_comes_from_a_peer() {
    let network = MemoryNetwork::default();
    let (node, holder) = (Node::start(&network).await, Node::start(&network).await);
    let json = br#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = node.hold(json).await;
    holder.hold(json).await;
    let file = File::options().write(true).open(node.store.blob(&digest)).unwrap();
    file.write_all_at(b"3", 17).unwrap();

    let answer = node.get(&manifest(&digest), &[]).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json.to_vec()));
}

#[tokio::test]
async fn wrong_bytes_make_the_runtime_drop_its_copy_and_not_wait_for_it() {
    let network = MemoryNetwork::default();
    let (sender, mut aborted) = mpsc::channel(8);
    let node = Node::start_with(&network, |store| Arc::new(SlowAbort(store, sender))).await;
    let wrong = noise(4 * READ_CHUNK, 3);
    let digest = Digest::sha256(b"something else");
    evil_counted(&network, digest, move |_| answer(0, wrong.len(), whole(wrong.clone()))).await;

    let answer = timeout(Duration::from_secs(10), node.get_blob(&digest)).await.unwrap();
    assert!(!answer.complete);
    let first = timeout(Duration::from_secs(10), aborted.recv()).await.unwrap();
    assert_eq!(first, Some(digest));
    assert!(aborted.is_empty());
}
