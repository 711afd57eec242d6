//! Whole nodes over folders on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use onepull_agent::{
    cluster_key::ClusterKey,
    node::{Node, NodeConfig},
    peer_tls::peer_tls,
};
use onepull_mirror::{
    Deadlines, Digest, Router,
    metrics::{End, Failure, Handshake},
    store::FolderStore,
};
use onepull_testbed::deadline::eventually;
use prometheus_client::{encoding::text::encode, registry::Registry};
use rustls::time_provider::DefaultTimeProvider;

use crate::{
    KEY, OTHER, key,
    stranger::{client, read_plainly, read_with_tls},
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A loaded machine is slow, but not this slow.
const LIMIT: Duration = Duration::from_secs(60);

struct Peer {
    node: Node,
    store: Arc<FolderStore>,
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Peer {
    async fn start(key: Option<ClusterKey>, bootstrap: &[&Self]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        let anywhere = SocketAddr::new(LOOPBACK, 0);
        let config = NodeConfig {
            name: "test".into(),
            mirror_listen: anywhere,
            peer_listen: anywhere,
            p2p_listen: anywhere,
            advertise_ip: LOOPBACK,
            bootstrap: bootstrap
                .iter()
                .map(|peer| peer.node.router().local_addr().into())
                .collect(),
            rendezvous: None,
            zone: None,
            cluster_key: key,
            identity: None,
            upload: None,
            deadlines: Deadlines::default(),
        };
        let mut registry = Registry::default();
        let (node, _) = Node::start(config, store.clone(), &mut registry).await.unwrap();
        Self { node, store, registry, _folder: folder }
    }

    /// Stores a blob and makes it known.
    async fn hold(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let mut writer = self.store.write(digest).await.unwrap();
        writer.append(bytes).await.unwrap();
        writer.commit().await.unwrap();
        self.node.router().announce(&digest).await;
        digest
    }

    fn refused(&self, end: End) -> u64 {
        let labels = Handshake { end, why: Failure::refused };
        self.node.metrics().handshakes_failed.get_or_create(&labels).get()
    }

    fn metric(&self, name: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, LIMIT, async || holds().then_some(())).await.unwrap();
}

/// Too large for one record, one piece or one buffer.
fn large() -> Vec<u8> {
    (0..3_500_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_the_key_share_what_one_of_them_holds() {
    let holder = Peer::start(Some(key(KEY)), &[]).await;
    let node = Peer::start(Some(key(KEY)), &[&holder]).await;
    let bytes = large();
    let digest = holder.hold(&bytes).await;
    until("they know each other", || node.node.router().peers() == 1).await;
    let path = format!("/v2/team/app/blobs/{digest}?ns=registry.example");
    let got = eventually("the blob", LIMIT, async || {
        let answer = read_plainly(node.node.mirror_addr(), &path).await.unwrap();
        answer.starts_with(b"HTTP/1.1 200").then_some(answer)
    });
    let got = got.await.unwrap();
    assert!(got.ends_with(&bytes), "{} bytes came", got.len());
    for end in [End::accepted, End::dialed] {
        assert_eq!((holder.refused(end), node.refused(end)), (0, 0));
    }
    node.node.stop().await;
    holder.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_without_the_key_do_not_join() {
    let insider = Peer::start(Some(key(KEY)), &[]).await;
    let strangers =
        [Peer::start(None, &[&insider]).await, Peer::start(Some(key(OTHER)), &[&insider]).await];
    let refused = || insider.metric("onepull_router_handshakes_failed_total");
    until("both were turned away, and more than once", || refused() >= 4).await;
    let friend = Peer::start(Some(key(KEY)), &[&insider]).await;
    until("a node with the key joins", || friend.node.router().peers() == 1).await;
    assert_eq!(insider.node.router().peers(), 1);
    for stranger in strangers {
        assert_eq!(stranger.node.router().peers(), 0);
        stranger.node.stop().await;
    }
    friend.node.stop().await;
    insider.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_certificate_of_the_key_reads_no_byte() {
    let insider = Peer::start(Some(key(KEY)), &[]).await;
    let digest = insider.hold(&large()).await;
    let (at, path) = (insider.node.peer_addr(), format!("/peer/v1/blobs/{digest}"));
    let shown = |text| {
        let tls = peer_tls(&key(text), Arc::new(DefaultTimeProvider)).unwrap();
        client(Some(Arc::clone(&tls.client.client_auth_cert_resolver)))
    };

    let plain = read_plainly(at, &path).await.unwrap_or_default();
    assert!(!plain.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&plain));
    assert!(plain.len() < 16, "an alert of TLS is all: {} bytes", plain.len());
    for config in [client(None), shown(OTHER)] {
        let error = read_with_tls(at, config, &path).await.unwrap_err();
        assert!(error.to_string().contains("alert"), "{error}");
    }
    assert_eq!(insider.refused(End::accepted), 3);

    let answer = read_with_tls(at, shown(KEY), &path).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "the key opens");
    insider.node.stop().await;
}
