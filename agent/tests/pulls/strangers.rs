//! Real agents with a cluster key, and those who have none or another.

use std::{process::Command, time::Duration};

use onepull_testbed::{Requirement, Shape, deadline::eventually, skip};

use crate::{
    cluster::{Cluster, Node},
    pulling::{NEEDS, VERSIONS},
};

const KEY: &str = "6f1d8a3c5b7e9f02a4c6e8d0b2947f13358ac1ee07d94b26f80c61a57392be4d";
const OTHER: &str = "d00f5ab08c7c4bd1a6f2e9315c0784be2f6a41dd83b7590e1c6d2f48a97be350";

/// What tag lookups and manifests' HEADs cost, beside the blobs.
const SMALL_TALK: u64 = 64 * 1024;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_the_cluster_key_neither_joins_nor_reads() {
    let needs = [NEEDS, &[Requirement::Curl]].concat();
    if skip("who_lacks_the_cluster_key_neither_joins_nor_reads", &needs) {
        return;
    }
    let cluster = Cluster::start().await;
    let registry = cluster.registry.url();
    let seed = with_key(&cluster, "seed", Some(KEY), &[]).await;
    let node = with_key(&cluster, "node", Some(KEY), &[&seed]).await;
    seed.pull(&cluster.by_tag()).await.unwrap();
    seed.announced(&cluster.image).await;

    let before = cluster.egress();
    node.pull(&cluster.by_tag()).await.unwrap();
    cluster.assert_complete(&node).await;
    let egress = cluster.egress() - before;
    assert!(egress < SMALL_TALK, "with the key: the registry sent {egress} bytes again");

    let failed = "onepull_router_handshakes_failed_total";
    for (name, key) in [("keyless", None), ("alien", Some(OTHER))] {
        let mut stranger = cluster.bare_node(name, VERSIONS[1], Shape::OPEN).await;
        stranger.key = key;
        let refused = seed.metric(failed).await;
        stranger.spawn_agent_with(&registry, &[seed.host.ip()], |_| {});
        let turned_away = eventually("the stranger is turned away twice", LIMIT, async || {
            (seed.metric(failed).await >= refused + 2).then_some(())
        });
        turned_away.await.unwrap();

        let before = cluster.egress();
        stranger.pull(&cluster.by_tag()).await.unwrap();
        cluster.assert_complete(&stranger).await;
        let egress = cluster.egress() - before;
        assert!(egress >= cluster.image.bytes(), "{name}: the registry sent only {egress} bytes");
        assert_eq!(stranger.metric("onepull_router_peers").await, 0, "{name}");
        assert_eq!(stranger.metric("onepull_mirror_received_bytes_total").await, 0, "{name}");
        curl_reads_nothing(&cluster, &seed, &stranger);
    }
    assert_eq!(
        seed.metric("onepull_router_peers").await,
        1,
        "the node with the key is still there"
    );
}

async fn with_key(
    cluster: &Cluster,
    name: &str,
    key: Option<&'static str>,
    bootstrap: &[&Node],
) -> Node {
    let mut node = cluster.bare_node(name, VERSIONS[1], Shape::OPEN).await;
    node.key = key;
    let peers: Vec<_> = bootstrap.iter().map(|node| node.host.ip()).collect();
    node.start_agent(&cluster.registry.url(), &peers).await;
    node
}

/// In the clear, with TLS, and with TLS and a certificate that openssl made.
fn curl_reads_nothing(cluster: &Cluster, holder: &Node, stranger: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args("req -x509 -newkey ed25519 -nodes -days 1 -subj /CN=onepull.peer".split(' '))
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let at = format!("{}:29901/peer/v1/blobs/{}", holder.host.ip(), cluster.large_layer().digest);
    for (scheme, flags) in
        [("http", ""), ("https", "-k"), ("https", "-k --cert cert.pem --key key.pem")]
    {
        let mut curl = stranger.host.command("curl");
        curl.args(["-sS", "--max-time", "20"]).args(flags.split_whitespace());
        curl.arg(format!("{scheme}://{at}")).current_dir(folder.path());
        let got = curl.output().unwrap();
        assert!(!got.status.success(), "{scheme} {flags}");
        assert!(got.stdout.len() < 16, "{scheme} {flags}: {} bytes", got.stdout.len());
    }
}
