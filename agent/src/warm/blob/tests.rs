//! One large layer from peers that pause, into a runtime that takes its time, with the clock paused.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use onepull_mirror::{
    Digest,
    store::FolderStore,
    warm::{Ahead, Arriving},
};
use tokio::time::{Duration, sleep};

use super::*;
use crate::warm::{
    contents::{Blob, Layer},
    source::NO_SOURCE,
};

/// Bytes of a layer of which much is written already.
const SIZE: u64 = 10_000_000_000;

/// What of it is here from before.
const HERE: u64 = SIZE - 1000;

/// Opens the large blob in `opens_in`, at [`HERE`] the first time, and counts.
struct CountingSink {
    opens_in: Duration,
    blobs: Mutex<HashMap<u64, Opened>>,
}

/// One blob, by its size.
#[derive(Clone, Default)]
struct Opened {
    times: usize,
    at: Arc<AtomicU64>,
}

/// What one of its writers has.
struct Written(Arc<AtomicU64>);

/// Sends whatever is asked for in pieces of 500 bytes, this time apart.
struct PausingPeers(Duration);

fn plan(layers: &[u64]) -> Plan {
    let blob = |size: u64| Blob { digest: Digest::sha256(&size.to_le_bytes()), size };
    let layer = |size: &u64| Layer { blob: blob(*size), media_type: "tar".into() };
    Plan::new(Digest::sha256(b"image"), blob(5), layers.iter().map(layer).collect(), Vec::new())
}

impl CountingSink {
    fn new(opens_in: Duration) -> Self {
        let large = Opened { times: 0, at: Arc::new(HERE.into()) };
        Self { opens_in, blobs: Mutex::new([(SIZE, large)].into()) }
    }

    /// How often the blob of this size was opened.
    fn opened(&self, size: u64) -> usize {
        self.blobs.lock().unwrap()[&size].times
    }
}

#[async_trait]
impl Sink for CountingSink {
    async fn open(&self, blob: &Part) -> Result<Box<dyn SinkWriter>, SinkError> {
        if blob.size == SIZE {
            sleep(self.opens_in).await;
        }
        let mut blobs = self.blobs.lock().unwrap();
        let opened = blobs.entry(blob.size).or_default();
        opened.times += 1;
        Ok(Box::new(Written(Arc::clone(&opened.at))))
    }

    async fn release(&self, _: &Digest) -> Result<(), SinkError> {
        Ok(())
    }

    async fn kept(&self) -> Result<BTreeSet<Digest>, SinkError> {
        Ok(BTreeSet::new())
    }
}

#[async_trait]
impl SinkWriter for Written {
    fn at(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    async fn append(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }

    async fn abort(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

#[async_trait]
impl Peers for PausingPeers {
    async fn stream(&self, blob: &Ahead, first: u64) -> Result<Arriving, WarmError> {
        sleep(Duration::from_millis(10)).await;
        let (pause, left) = (self.0, blob.size - first);
        let pieces = (0..left.div_ceil(500)).map(move |piece| (piece, left - piece * 500));
        let pieces = futures::stream::iter(pieces).then(move |(piece, left)| async move {
            if piece > 0 {
                sleep(pause).await;
            }
            Ok(Bytes::from(vec![0; usize::try_from(left.min(500)).unwrap()]))
        });
        Ok(pieces.boxed())
    }
}

async fn write(sink: &CountingSink, peers: &dyn Peers, plan: &Plan) -> Result<bool, Obstacle> {
    let folder = tempfile::tempdir().unwrap();
    let store = FolderStore::open_or_create(folder.path()).unwrap();
    let (written, warmed) = (AtomicU64::new(0), Counter::default());
    let writing = Writing {
        sink,
        store: &store,
        peers,
        registry: "r.example",
        written: &written,
        warmed: &warmed,
        turns: watch::Sender::default(),
        movement: Movement::new(Instant::now()),
        aside: CancellationToken::new(),
    };
    writing.write(plan).boxed().await
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_peers_costs_no_second_opening_of_a_blob_of_which_much_is_written() {
    let sink = CountingSink::new(Duration::ZERO);
    let peers = PausingPeers(Duration::from_secs(3));
    assert!(write(&sink, &peers, &plan(&[SIZE])).await.unwrap());
    assert_eq!(sink.opened(SIZE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_came_unheard_has_a_young_blob_within_two_seconds() {
    let sink = CountingSink::new(Duration::ZERO);
    let peers = PausingPeers(Duration::from_secs(3));
    assert!(write(&sink, &peers, &plan(&[1000])).await.unwrap());
    assert_eq!(sink.opened(1000), 2, "it was closed between");
}

/// Sends nothing of the small layer before the large one may be written.
struct OneByOne(PausingPeers);

#[async_trait]
impl Peers for OneByOne {
    async fn stream(&self, blob: &Ahead, first: u64) -> Result<Arriving, WarmError> {
        if blob.size != SIZE {
            sleep(NO_SOURCE + Duration::from_secs(10)).await;
        }
        self.0.stream(blob, first).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_the_runtime_takes_long_to_open_comes_from_peers_all_the_same() {
    let sink = CountingSink::new(NO_SOURCE + Duration::from_secs(1));
    let peers = PausingPeers(Duration::ZERO);
    assert!(write(&sink, &peers, &plan(&[SIZE])).await.unwrap());
    assert_eq!(sink.opened(SIZE), 1);
}

#[tokio::test(start_paused = true)]
async fn nor_is_another_blob_of_the_image_late_meanwhile() {
    let sink = CountingSink::new(NO_SOURCE + Duration::from_secs(1));
    let peers = OneByOne(PausingPeers(Duration::ZERO));
    assert!(write(&sink, &peers, &plan(&[SIZE, 1000])).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_a_source_an_image_needs_upstream_after_half_a_minute() {
    let (sink, start) = (CountingSink::new(Duration::ZERO), Instant::now());
    let peers = OneByOne(PausingPeers(Duration::ZERO));
    let outcome = write(&sink, &peers, &plan(&[1000])).await;
    assert!(matches!(outcome, Err(Obstacle::NeedsUpstream(_))), "{outcome:?}");
    assert_eq!(start.elapsed(), NO_SOURCE);
}
