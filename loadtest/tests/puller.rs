//! The embedded puller against origins that misbehave: it has to do what containerd does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::{net::Ipv4Addr, sync::Arc};

use hyper::StatusCode;
use onepull_loadtest::{
    image::Image,
    origin::{Egress, Fault, Faults, Origin, REPOSITORY, TAG},
    puller::{PullError, Puller, Source},
};
use onepull_mirror::{Store, store::FolderStore};
use onepull_testbed::layout::Spec;

/// One layer: with the configuration, two blobs are asked for.
const LAYERS: u64 = 1;

struct Bench {
    image: Arc<Image>,
    store: Arc<FolderStore>,
    puller: Puller,
    _folders: [tempfile::TempDir; 2],
}

impl Bench {
    fn new() -> Self {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let image =
            Arc::new(Image::generate(folders[0].path(), &Spec::even(1 << 20, LAYERS, 1)).unwrap());
        let store = Arc::new(FolderStore::open_or_create(folders[1].path()).unwrap());
        let puller = Puller::new(Arc::clone(&store), None);
        Self { image, store, puller, _folders: folders }
    }

    async fn origin(&self, faults: &Faults) -> Origin {
        let image = Arc::clone(&self.image);
        Origin::start(Ipv4Addr::LOCALHOST.into(), image, None, faults.clone()).await.unwrap()
    }

    async fn pull(&self, mirror: Option<&Origin>, origin: &Origin) -> Result<(), PullError> {
        let source = Source {
            mirror: mirror.map(Origin::address),
            origin: origin.address(),
            repository: REPOSITORY.into(),
        };
        let digest = self.puller.pull(&source, TAG).await?;
        assert_eq!(digest, self.image.manifest);
        for (digest, size) in &self.image.sizes {
            let presence = self.store.stat(digest).await.unwrap();
            assert_eq!(presence.and_then(|presence| presence.complete()), Some(*size));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_pull_moves_each_byte_of_the_image_once() {
    let bench = Bench::new();
    let origin = bench.origin(&Faults::default()).await;
    bench.pull(None, &origin).await.unwrap();
    let Egress { body, wire } = origin.egress();
    assert_eq!(body, bench.image.bytes());
    assert!(wire > body && wire < body + 10_000, "{wire} bytes on the wire for {body}");

    bench.pull(None, &origin).await.unwrap();
    let manifest = bench.image.sizes[&bench.image.manifest];
    assert_eq!(origin.egress().body, body + manifest, "a second pull asks for the manifest alone");
}

#[tokio::test]
async fn what_the_mirror_has_is_not_asked_of_the_registry() {
    let bench = Bench::new();
    let [mirror, origin] =
        [bench.origin(&Faults::default()).await, bench.origin(&Faults::default()).await];
    bench.pull(Some(&mirror), &origin).await.unwrap();
    assert_eq!(mirror.egress().body, bench.image.bytes());
    assert_eq!(origin.egress().body, 0, "the tag's HEAD has no body");
}

#[tokio::test]
async fn a_body_that_ends_early_is_resumed_at_its_byte_from_the_next_host_that_has_it() {
    let bench = Bench::new();
    let cut = Fault::Truncate(100);
    let gone = Fault::Status(StatusCode::NOT_FOUND);
    let faults = Faults::new([cut, cut, gone, gone]);
    let [mirror, origin] = [bench.origin(&faults).await, bench.origin(&Faults::default()).await];
    bench.pull(Some(&mirror), &origin).await.unwrap();
    assert_eq!(faults.left(), 0);
    let manifest = bench.image.sizes[&bench.image.manifest];
    assert_eq!(mirror.egress().body, manifest + 200);
    assert_eq!(origin.egress().body, bench.image.bytes() - manifest - 200);
}

#[tokio::test]
async fn a_mirror_that_is_not_there_costs_nothing_but_the_attempt() {
    let bench = Bench::new();
    let origin = bench.origin(&Faults::default()).await;
    let source = Source {
        mirror: Some("127.0.0.1:1".parse().unwrap()),
        origin: origin.address(),
        repository: REPOSITORY.into(),
    };
    bench.puller.pull(&source, TAG).await.unwrap();
    assert_eq!(origin.egress().body, bench.image.bytes());
    assert_eq!(bench.puller.received().from_mirror(), 0);
}

#[tokio::test]
async fn three_breaks_without_progress_fail_the_pull() {
    let bench = Bench::new();
    let faults = Faults::new([Fault::Truncate(0); 12]);
    let origin = bench.origin(&faults).await;
    let error = bench.pull(None, &origin).await.unwrap_err();
    assert!(matches!(error, PullError::Broken { breaks: 3, at: 0, .. }), "{error}");
}

#[tokio::test]
async fn wrong_bytes_fail_the_pull_and_are_not_kept() {
    let bench = Bench::new();
    let origin = bench.origin(&Faults::new([Fault::Corrupt, Fault::Corrupt])).await;
    let error = bench.pull(None, &origin).await.unwrap_err();
    let PullError::Store { digest, .. } = error else { panic!("{error}") };
    assert_eq!(bench.store.stat(&digest).await.unwrap(), None);
}

#[tokio::test]
async fn a_blob_that_no_host_serves_fails_the_pull_and_says_what_each_host_said() {
    let bench = Bench::new();
    let faults = || Faults::new([Fault::Status(StatusCode::SERVICE_UNAVAILABLE); 4]);
    let [mirror, origin] = [bench.origin(&faults()).await, bench.origin(&faults()).await];
    let error = bench.pull(Some(&mirror), &origin).await.unwrap_err();
    let PullError::Unavailable { tried, .. } = error else { panic!("{error}") };
    let said =
        [mirror, origin].map(|host| format!("{} answered 503 Service Unavailable", host.address()));
    assert_eq!(tried, said);
}
