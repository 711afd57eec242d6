//! What every [`Router`] promises.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{Digest, Router};

/// Records spread within this time, even on a loaded machine.
const SPREAD_DEADLINE: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A node under test: its router and its peer endpoint.
pub type Node = (Arc<dyn Router>, SocketAddr);

/// Runs the whole suite on three joined nodes.
pub async fn conforms(nodes: [Node; 3]) {
    let [a, b, c] = &nodes;
    let digest = Digest::sha256(b"routed");
    wait_until("all nodes are ready", async || nodes.iter().all(|node| node.0.ready())).await;

    assert_eq!(found(a, &digest).await, BTreeSet::new(), "nobody announced it");

    b.0.announce(&digest).await;
    finds(a, &digest, &[b]).await;
    assert_eq!(found(b, &digest).await, BTreeSet::new(), "a node does not find itself");

    c.0.announce(&digest).await;
    finds(a, &digest, &[b, c]).await;
    finds(b, &digest, &[c]).await;
    assert_eq!(found(a, &Digest::sha256(b"another")).await, BTreeSet::new());
    assert!(!a.0.knows_of_nobody(&digest) && !b.0.knows_of_nobody(&digest));

    let coordinators = |node: &Node| -> Vec<_> {
        node.0.closest(&digest).iter().map(|peer| peer.endpoint).collect()
    };
    let everybody = BTreeSet::from([a.1, b.1, c.1]);
    assert_eq!(coordinators(a).into_iter().collect::<BTreeSet<_>>(), everybody);
    assert_eq!(coordinators(a), coordinators(b), "nodes agree on who coordinates");
    assert_eq!(coordinators(a), coordinators(c), "nodes agree on who coordinates");

    // A record may outlive its withdrawal elsewhere, but the node that withdrew hands it out no more.
    b.0.withdraw(&digest).await;
    finds(b, &digest, &[c]).await;
}

async fn finds(node: &Node, digest: &Digest, expected: &[&Node]) {
    let expected: BTreeSet<_> = expected.iter().map(|node| node.1).collect();
    wait_until("the announcement spreads", async || found(node, digest).await == expected).await;
}

async fn found(node: &Node, digest: &Digest) -> BTreeSet<SocketAddr> {
    let search = node.0.find(digest).map(|peer| peer.endpoint).collect();
    timeout(SPREAD_DEADLINE, search).await.expect("the search ends")
}

async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(ASK_AGAIN).await;
        }
    };
    timeout(SPREAD_DEADLINE, wait).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
