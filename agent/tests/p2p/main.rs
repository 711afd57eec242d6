//! The router over real libp2p swarms on loopback.
#![allow(clippy::panic, clippy::unwrap_used, reason = "test code: a panic is the report")]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use onepull_agent::p2p::P2pConfig;
use onepull_mirror::{Peer, Router, testing};
use tokio::time::{Instant, sleep};

mod nodes;

use nodes::{
    ANY_PORT, LOOPBACK, TestNode, cluster, cluster_of, config, digest, fails, freeze_later,
    joining, latencies, restless, until, until_found, until_sure,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_routers_keep_the_promises_of_a_router() {
    let a = TestNode::start(config()).await;
    let b = TestNode::join(&[&a]).await;
    let c = TestNode::join(&[&b]).await;
    let nodes = [&a, &b, &c];
    until("all know each other", async || nodes.iter().all(|node| node.router.peers() == 2)).await;
    let node = |node: &TestNode| (Arc::new(node.router.clone()) as Arc<dyn Router>, node.endpoint);
    testing::router::conforms(nodes.map(node)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_reaches_the_other_node() {
    let a = TestNode::start(P2pConfig { zone: Some("eu-1a".into()), ..config() }).await;
    let b = TestNode::join(&[&a]).await;
    until("b knows a", async || b.router.peers() == 1).await;
    let mut closest = b.router.closest(&digest("any"));
    closest.retain(|peer| peer.endpoint != b.endpoint);
    let expected = Peer { endpoint: a.endpoint, zone: Some("eu-1a".into()) };
    assert_eq!(closest, [expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_announced_before_joining_is_found_after_the_bootstrap_peer_came_up() {
    let reserved = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let listen = reserved.local_addr().unwrap();
    let early = TestNode::start(P2pConfig { bootstrap: vec![listen.into()], ..config() }).await;
    early.router.announce(&digest("layer")).await;
    assert_eq!(early.finds(&digest("layer")).await, BTreeSet::new());
    assert!(!early.router.ready(), "it has somebody to join and has not");
    drop(reserved);

    let late = TestNode::start(P2pConfig { listen, ..config() }).await;
    until("it joins", async || early.router.ready()).await;
    until_found(&late, &digest("layer"), &[&early]).await;
}

/// In a cluster of more than 20 nodes a walk does not ask everybody, so the announcer itself is
/// often not asked: what is found then are the records that it spread again as the cluster grew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_first_node_announced_is_found_when_the_cluster_has_grown() {
    let first = TestNode::start(config()).await;
    let digests: Vec<_> = (0..20).map(|n| digest(&format!("layer-{n}"))).collect();
    for digest in &digests {
        first.router.announce(digest).await;
    }
    let mut others = Vec::new();
    for _ in 0..23 {
        others.push(TestNode::join(&[&first]).await);
    }
    for digest in &digests {
        until_found(&others[22], digest, &[&first]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_in_its_bootstrap_list_is_ready() {
    let reserved = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let listen = reserved.local_addr().unwrap();
    drop(reserved);
    let node =
        TestNode::start(P2pConfig { listen, bootstrap: vec![listen.into()], ..config() }).await;
    until("it is ready", async || node.router.ready()).await;
    assert_eq!(node.finds(&digest("layer")).await, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_is_found_again_under_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Some(folder.path().join("identity"));
    let a = TestNode::start(config()).await;
    let b = TestNode::join(&[&a]).await;
    let before = P2pConfig { identity, ..joining(&[&a]) };
    let c = TestNode::start(before.clone()).await;
    let after = P2pConfig { listen: c.router.local_addr(), ..before };
    c.router.announce(&digest("layer")).await;
    until_found(&b, &digest("layer"), &[&c]).await;

    c.stop().await;
    until("it is missed", async || a.router.peers() == 1 && b.router.peers() == 1).await;
    assert_eq!(b.finds(&digest("layer")).await, BTreeSet::new(), "its record names nobody alive");

    let c = TestNode::start(after).await;
    c.router.announce(&digest("layer")).await;
    until_found(&b, &digest("layer"), &[&c]).await;
    until_found(&a, &digest("layer"), &[&c]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_first_node_is_joined_again() {
    let a = TestNode::start(config()).await;
    let b = TestNode::join(&[&a]).await;
    until("b joins", async || b.router.peers() == 1).await;
    let again = P2pConfig { listen: a.router.local_addr(), ..config() };
    a.stop().await;
    until("a is missed", async || b.router.peers() == 0).await;
    assert!(!b.router.ready());
    let a = TestNode::start(again).await;
    until("b joins again", async || a.router.peers() == 1 && b.router.ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_record_expires_everywhere_and_a_kept_one_does_not() {
    let ttl = |config| P2pConfig { record_ttl: Duration::from_secs(3), ..config };
    let a = TestNode::start(ttl(config())).await;
    let b = TestNode::start(ttl(joining(&[&a]))).await;
    until("b joins", async || b.router.peers() == 1 && a.router.peers() == 1).await;
    b.router.announce(&digest("kept")).await;
    b.router.announce(&digest("withdrawn")).await;
    until_found(&a, &digest("kept"), &[&b]).await;
    until_found(&a, &digest("withdrawn"), &[&b]).await;
    b.router.withdraw(&digest("withdrawn")).await;
    let start = Instant::now();
    until_found(&a, &digest("withdrawn"), &[]).await;
    while start.elapsed() < Duration::from_secs(5) {
        until_found(&a, &digest("kept"), &[&b]).await;
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_idle_nodes_answer_a_lookup_in_milliseconds() {
    let nodes = cluster(8).await;
    for (n, node) in nodes.iter().enumerate() {
        node.router.announce(&digest(&format!("layer-{n}"))).await;
    }
    until_found(&nodes[0], &digest("layer-7"), &[&nodes[7]]).await;
    let unknown = latencies(&nodes[0], 300, |n| digest(&format!("unknown-{n}")), 0).await;
    let known = latencies(&nodes[0], 300, |n| digest(&format!("layer-{}", 1 + n % 7)), 1).await;
    println!("8 idle nodes: unknown {unknown:?}, known, to the end {known:?}");
    // Unoptimised and beside other tests; a walk that waited for anything would take far longer.
    assert!(unknown.p50 < Duration::from_millis(100), "{unknown:?}");
    assert!(known.p50 < Duration::from_millis(100), "{known:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_nodes_know_whether_anybody_holds_a_digest_but_for_what_newcomers_hold() {
    let mut nodes = cluster_of(4, restless).await;
    assert!(nodes.iter().all(|node| !node.router.knows_of_nobody(&digest("unknown"))));
    until_sure(&nodes).await;
    for (n, holder) in nodes.iter().enumerate() {
        let layer = digest(&format!("layer-{n}"));
        holder.router.announce(&layer).await;
        let others = || nodes.iter().filter(|node| node.endpoint != holder.endpoint);
        until("all others know", async || {
            others().all(|other| !other.router.knows_of_nobody(&layer))
        })
        .await;
        assert!(holder.router.knows_of_nobody(&layer), "of nobody else");
    }
    let newcomer = TestNode::start(restless(joining(&[&nodes[0]]))).await;
    until("nobody is sure", async || {
        nodes.iter().all(|node| !node.router.knows_of_nobody(&digest("unknown")))
    })
    .await;
    nodes.push(newcomer);
    until_sure(&nodes).await;
    assert!(!nodes[4].router.knows_of_nobody(&digest("layer-0")), "it was told too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_and_dead_peers_do_not_make_a_lookup_hang() {
    let nodes = cluster(6).await;
    let frozen = [freeze_later(joining(&[&nodes[0]])), freeze_later(joining(&[&nodes[0]]))];
    until("all know the two", async || nodes.iter().all(|node| node.router.peers() == 7)).await;
    nodes[1].router.announce(&digest("layer")).await;
    until_found(&nodes[0], &digest("layer"), &[&nodes[1]]).await;

    let before = latencies(&nodes[0], 40, |n| digest(&format!("unknown-{n}")), 0).await;
    frozen.iter().for_each(|freeze| freeze.send(()).unwrap());
    sleep(Duration::from_millis(100)).await;
    let unknown = latencies(&nodes[0], 40, |n| digest(&format!("unknown-{n}")), 0).await;
    println!("6 nodes and 2 frozen: unknown {unknown:?}, before {before:?}");
    assert!(unknown.p99 < Duration::from_millis(500), "{unknown:?}");

    // Announcements spread as well: the record is with the others when its owner dies.
    nodes[2].router.announce(&digest("another")).await;
    until_found(&nodes[0], &digest("another"), &[&nodes[2]]).await;

    until("the frozen are given up", async || nodes.iter().all(|node| node.router.peers() == 5))
        .await;
    until("lookups are as fast as before", async || {
        let unknown = latencies(&nodes[0], 20, |n| digest(&format!("unknown-{n}")), 0).await;
        println!("6 nodes, 2 frozen ones given up: unknown {unknown:?}");
        unknown.p50 < before.p50 * 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_peers_leave_at_once() {
    let mut nodes = cluster(6).await;
    for node in nodes.drain(4..) {
        node.stop().await;
    }
    until("they are missed", async || nodes.iter().all(|node| node.router.peers() == 3)).await;
    let unknown = latencies(&nodes[0], 40, |n| digest(&format!("unknown-{n}")), 0).await;
    println!("4 nodes, 2 gone: unknown {unknown:?}");
    assert!(unknown.p99 < Duration::from_millis(250), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_holders_than_one_answer_names_are_all_found_in_time() {
    let nodes = cluster(23).await;
    for node in &nodes[1..] {
        node.router.announce(&digest("popular")).await;
    }
    let holders: BTreeSet<_> = nodes[1..].iter().map(|node| node.endpoint).collect();
    let mut found = BTreeSet::new();
    until("all 22 are found", async || {
        found.extend(nodes[0].finds(&digest("popular")).await);
        found == holders
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_announcements_are_accepted_and_spread() {
    let nodes = cluster(4).await;
    let start = Instant::now();
    for n in 0..2_000 {
        nodes[0].router.announce(&digest(&format!("layer-{n}"))).await;
    }
    println!("2,000 announcements accepted in {:?}", start.elapsed());
    until_found(&nodes[1], &digest("layer-1999"), &[&nodes[0]]).await;
    println!("2,000 announcements spread in {:?}", start.elapsed());
}

#[tokio::test]
async fn mistakes_are_told_with_their_flag() {
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let listen = taken.local_addr().unwrap();
    let a = TestNode::start(config()).await;
    for (config, told) in [
        (P2pConfig { listen, ..config() }, "--p2p-listen"),
        (P2pConfig { listen: a.router.local_addr(), ..config() }, "in use"),
        (P2pConfig { listen: "192.0.2.1:1".parse().unwrap(), ..config() }, "--p2p-listen"),
        (P2pConfig { zone: Some("a zone".into()), ..config() }, "--zone"),
        (P2pConfig { advertise: Ipv4Addr::UNSPECIFIED.into(), ..config() }, "--advertise-ip"),
    ] {
        let error = fails(config).await.to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_unspecified_ipv6_address_takes_ipv4_as_well() {
    let a = TestNode::start(P2pConfig { listen: "[::]:0".parse().unwrap(), ..config() }).await;
    let at = SocketAddr::new(LOOPBACK, a.router.local_addr().port());
    let b = TestNode::start(P2pConfig { bootstrap: vec![at.into()], ..config() }).await;
    until("b joins over IPv4", async || b.router.ready()).await;
}
