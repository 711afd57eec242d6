//! Blobs that are written ahead of any pull, in real containerds.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use containerd_client::services::v1::{
    CreateRequest, DeleteRequest, ListRequest, leases_client::LeasesClient,
};
use onepull_agent::containerd::{ContainerdSink, NAMESPACE, Pace};
use onepull_mirror::{
    Digest, Sink, Store,
    mirror::{DELIVERIES_WAITING, Delivery},
    sink::{Part, Role, SinkError, SinkWriter},
    testing::sink::{SinkFixture, conforms},
};
use onepull_testbed::{Version, containerd::Options};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{
    ingest::Writing,
    runtime::{LIMIT, Node, within},
};

/// A containerd, the store that follows it, and a sink into it.
pub(crate) struct Warm {
    pub(crate) node: Node,
    pub(crate) sink: Arc<ContainerdSink>,
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
}

impl Warm {
    pub(crate) async fn start(version: Version, options: Options<'_>) -> Self {
        let node = Node::with(version, options, Pace::default()).await;
        let (told, deliveries) = mpsc::channel(DELIVERIES_WAITING);
        let sink = Arc::new(ContainerdSink::new(&node.containerd.socket(), told));
        Self { node, sink, deliveries }
    }

    pub(crate) async fn open(&self, part: &Part) -> Box<dyn SinkWriter> {
        timeout(LIMIT, self.sink.open(part)).await.unwrap().unwrap()
    }

    /// Writes a whole blob.
    pub(crate) async fn put(&self, part: &Part, bytes: Bytes) {
        let mut writer = self.open(part).await;
        writer.append(bytes).await.unwrap();
        writer.commit().await.unwrap();
    }
}

#[async_trait]
impl SinkFixture for Warm {
    fn store(&self) -> Arc<dyn Store> {
        self.node.store.clone()
    }

    fn sink(&self) -> Arc<dyn Sink> {
        self.sink.clone()
    }

    /// Ending any lease collects, and this way says when that is done.
    async fn collect_garbage(&self) {
        let mut leases = LeasesClient::new(self.node.containerd.channel().await.unwrap());
        let id = "collect".to_owned();
        let create = CreateRequest { id: id.clone(), ..Default::default() };
        leases.create(within(NAMESPACE, create)).await.unwrap();
        leases.delete(within(NAMESPACE, DeleteRequest { id, sync: true })).await.unwrap();
    }
}

pub(crate) fn part(bytes: &[u8], role: Role) -> Part {
    let (image, digest) = (Digest::sha256(b"image"), Digest::sha256(bytes));
    Part { image, role, digest, size: bytes.len() as u64 }
}

pub(crate) async fn it_keeps_the_promises_of_a_sink(version: Version) {
    conforms(&Warm::start(version, Options::default()).await).await;
}

pub(crate) async fn a_blob_that_containerd_writes_is_busy(version: Version) {
    let warm = Warm::start(version, Options::default()).await;
    let part = part(b"12", Role::Layer);
    let channel = warm.node.containerd.channel().await.unwrap();
    let pull = Writing::begin(channel, part.digest, Some(2)).await;
    let opened = timeout(LIMIT, warm.sink.open(&part)).await.unwrap();
    assert!(matches!(opened.err(), Some(SinkError::Busy(busy)) if busy == part.digest));
    pull.close().await;
    assert_eq!(warm.open(&part).await.at(), 0);
}

pub(crate) async fn it_goes_on_after_a_restart_of_containerd_and_of_the_agent(version: Version) {
    let mut warm = Warm::start(version, Options::default()).await;
    let part = part(b"1234", Role::Layer);
    let mut writer = warm.open(&part).await;
    writer.append(Bytes::from_static(b"1")).await.unwrap();
    writer.close().await;
    let mut cut_off = warm.open(&part).await;
    warm.node.containerd.kill();
    let failed = async {
        while cut_off.append(Bytes::from_static(b"")).await.is_ok() {
            if cut_off.append(Bytes::from_static(b"2")).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, failed).await.unwrap();
    let refused = warm.sink.open(&part).await;
    assert!(matches!(refused.err(), Some(SinkError::Refused { .. })), "nobody answers");
    warm.node.containerd.restart().await.unwrap();

    let mut writer = warm.open(&part).await;
    assert_eq!(writer.at(), 1);
    writer.append(Bytes::from_static(b"2")).await.unwrap();
    writer.close().await;
    let (told, _) = mpsc::channel(1);
    let restarted = ContainerdSink::new(&warm.node.containerd.socket(), told);
    let mut writer = restarted.open(&part).await.unwrap();
    assert_eq!(writer.at(), 2);
    writer.append(Bytes::from_static(b"34")).await.unwrap();
    writer.commit().await.unwrap();
    restarted.release(&part.image).await.unwrap();
}

pub(crate) async fn its_lease_says_whose_it_is(version: Version) {
    let warm = Warm::start(version, Options::default()).await;
    let part = part(b"12", Role::Layer);
    warm.put(&part, Bytes::from_static(b"12")).await;
    let mut leases = LeasesClient::new(warm.node.containerd.channel().await.unwrap());
    let list = within(NAMESPACE, ListRequest::default());
    let [lease] = <[_; 1]>::try_from(leases.list(list).await.unwrap().into_inner().leases).unwrap();
    assert_eq!(lease.id, format!("onepull-{}", part.image));
    let label = ("onepull.dev/keeps-image".to_owned(), part.image.to_string());
    assert_eq!(lease.labels, [label].into());
}

pub(crate) async fn what_it_wrote_is_told_once_and_before_the_blob_is_complete(version: Version) {
    let mut warm = Warm::start(version, Options::default()).await;
    let part = part(b"123456", Role::Layer);
    let mut writer = warm.open(&part).await;
    writer.append(Bytes::from_static(b"12")).await.unwrap();
    writer.close().await;
    let mut writer = warm.open(&part).await;
    writer.append(Bytes::from_static(b"3456")).await.unwrap();
    writer.commit().await.unwrap();
    for (first, bytes) in [(0, 2), (2, 4)] {
        let told = Delivery { digest: part.digest, registry: None, first, bytes };
        assert_eq!(warm.deliveries.try_recv().ok(), Some(told));
    }
    assert!(warm.deliveries.try_recv().is_err(), "and nothing else");
}

/// Needs a runtime of one thread, whose clock can be stopped.
pub(crate) async fn a_hung_containerd_hangs_nobody(version: Version) {
    let warm = Warm::start(version, Options::default()).await;
    let (first, second) = (part(b"12", Role::Layer), part(b"34", Role::Layer));
    let mut writer = warm.open(&first).await;
    let other = warm.open(&second).await;
    let pid = Pid::from_raw(warm.node.containerd.pid().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    tokio::time::pause();
    let start = Instant::now();
    let refused = loop {
        if let Err(error) = writer.append(Bytes::from_static(b"1")).await {
            break error;
        }
    };
    assert!(matches!(refused, SinkError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("in time"), "{refused}");
    other.close().await;
    assert!(warm.sink.open(&second).await.is_err());
    assert!(warm.sink.release(&second.image).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(100));
    tokio::time::resume();
    kill_process(pid, Signal::CONT).unwrap();
}
