//! Nodes that want one blob at once, while the registry is still sending it to the first.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use onepull_mirror::{Digest, router::MemoryNetwork, store::FolderWriter};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Node, QUICK, blob, noise};

/// A pull that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Long beside the nodes' [`Deadlines::pause`](onepull_mirror::Deadlines), and short beside the three
/// seconds after which a lead lapses.
const PAUSE: Duration = Duration::from_secs(2);

/// A registry that sends its blob slowly, to as many as ask, and counts.
struct Registry {
    blob: Vec<u8>,
    digest: Digest,
    sent: AtomicU64,
    /// The node that asks first dies when it has this much.
    kills_at: Option<u64>,
    killed: AtomicBool,
    /// It stops for [`PAUSE`] when it has sent this much.
    pauses_at: Option<u64>,
}

impl Registry {
    fn with(bytes: usize) -> Self {
        let blob = noise(bytes, 7);
        Self {
            digest: Digest::sha256(&blob),
            blob,
            sent: AtomicU64::new(0),
            kills_at: None,
            killed: AtomicBool::new(false),
            pauses_at: None,
        }
    }

    /// Sends what `writer` lacks. Returns whether the node survived.
    async fn send(&self, node: &Node, writer: &mut FolderWriter) -> bool {
        let from = usize::try_from(writer.written()).unwrap();
        for piece in self.blob[from..].chunks(256 * 1024) {
            let pauses = self.pauses_at == Some(writer.written());
            sleep(if pauses { PAUSE } else { Duration::from_millis(20) }).await;
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            writer.append(piece).await.unwrap();
            let deadly = self.kills_at.is_some_and(|at| writer.written() >= at);
            if deadly && !self.killed.swap(true, Ordering::Relaxed) {
                node.die();
                return false;
            }
        }
        true
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Pulls as containerd does: from the mirror, resumed at its byte, and from the registry on 404.
/// Returns whether the node survived.
async fn pull(node: &Node, registry: &Registry) -> bool {
    let size = registry.blob.len() as u64;
    let writer = node.store.write(registry.digest).await.unwrap();
    let mut writer = writer.with_total(size);
    while writer.written() < size {
        if !take_from_mirror(node, &registry.digest, &mut writer).await
            && !registry.send(node, &mut writer).await
        {
            return false;
        }
    }
    writer.commit().await.unwrap();
    true
}

/// Whether the mirror answered.
async fn take_from_mirror(node: &Node, digest: &Digest, writer: &mut FolderWriter) -> bool {
    let request = Request::get(format!("http://{}{}", node.mirror, blob(digest)));
    let request = match writer.written() {
        0 => request,
        at => request.header("range", format!("bytes={at}-")),
    };
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    if response.status() == StatusCode::NOT_FOUND {
        return false;
    }
    let mut body = response.into_body().into_data_stream();
    while let Some(Ok(bytes)) = body.next().await {
        writer.append(&bytes).await.unwrap();
    }
    true
}

async fn nodes(count: usize) -> Vec<Node> {
    let network = MemoryNetwork::default();
    join_all((0..count).map(|_| Node::start(&network))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_nodes_at_once_cost_the_registry_one_blob() {
    let nodes = nodes(8).await;
    let registry = Registry::with(6 << 20);
    let pulls = join_all(nodes.iter().map(|node| pull(node, &registry)));
    timeout(LIMIT, pulls).await.expect("all pulls end");
    assert_eq!(registry.sent(), registry.blob.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_blob_that_its_node_has_dropped() {
    let nodes = nodes(2).await;
    let registry = Registry::with(2 << 20);
    timeout(LIMIT, pull(&nodes[0], &registry)).await.expect("the pull ends");
    // Neither end is told in the same moment.
    let told = || sleep(Duration::from_millis(200));
    told().await;
    nodes[0].store.remove(&registry.digest).unwrap();
    told().await;
    let asked = Instant::now();
    assert_eq!(nodes[1].get_blob(&registry.digest).await.status, StatusCode::NOT_FOUND);
    assert!(asked.elapsed() < QUICK.first_byte, "it waited as long as it may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_blob_is_shared_as_well() {
    let nodes = nodes(4).await;
    let registry = Registry::with(700);
    let pulls = join_all(nodes.iter().map(|node| pull(node, &registry)));
    timeout(LIMIT, pulls).await.expect("all pulls end");
    assert_eq!(registry.sent(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_joins_the_download_under_way() {
    let nodes = nodes(3).await;
    let registry = Registry::with(6 << 20);
    let late = async {
        sleep(Duration::from_millis(250)).await;
        pull(&nodes[2], &registry).await;
    };
    let early = join_all(nodes[..2].iter().map(|node| pull(node, &registry)));
    timeout(LIMIT, async { tokio::join!(early, late) }).await.expect("all pulls end");
    assert_eq!(registry.sent(), registry.blob.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_lead_dies_another_goes_on_from_its_byte() {
    let nodes = nodes(4).await;
    let registry = Registry { kills_at: Some(3 << 20), ..Registry::with(6 << 20) };
    let pulls = join_all(nodes.iter().map(|node| pull(node, &registry)));
    let survived = timeout(LIMIT, pulls).await.expect("all pulls end");
    assert_eq!(survived.iter().filter(|survived| **survived).count(), 3);
    // The others have nearly what the lead had; the one that goes on asks for the rest once.
    let (sent, size) = (registry.sent(), registry.blob.len() as u64);
    assert!(sent * 2 < size * 3, "only one went on from the registry: {sent} of {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_head_pauses_stays_as_it_is() {
    let nodes = nodes(6).await;
    let registry = Registry { pauses_at: Some(3 << 20), ..Registry::with(6 << 20) };
    let pulls = join_all(nodes.iter().map(|node| pull(node, &registry)));
    timeout(LIMIT, pulls).await.expect("all pulls end");
    assert_eq!(registry.sent(), registry.blob.len() as u64);
    let switches: Vec<_> = nodes.iter().map(|node| node.metrics.switches.get()).collect();
    assert_eq!(switches, [0; 6]);
}
