//! A parent that refused a connection, and is there again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use onepull_mirror::{
    Digest, Metrics, Peer,
    claim::{
        Parent, Verdict,
        wire::{Answer, Ask},
    },
    response::Body,
    router::MemoryNetwork,
};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    evil::{absent, answer, whole},
    rigged::{Rigged, Search},
    support::{Node, QUICK, later, listen, noise, serve_on},
};

/// Longer than a coordinator needs to find out that a node is dead.
const A_WHILE: Duration = Duration::from_secs(4);

/// Names `parent` to whoever has not lost it.
async fn coordinate(parent: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    if request.uri().path() != "/peer/v1/claims" {
        return absent();
    }
    let message = request.into_body().collect().await.unwrap().to_bytes();
    let Ask { claim, .. } = Ask::parse(&message).unwrap();
    let peer = Peer { endpoint: parent, zone: None };
    let verdict = match claim.lost.contains(&parent) {
        true => Verdict::Lead,
        false => Verdict::Follow(vec![Parent { peer, have: 1, complete: false }]),
    };
    Response::new(whole(Answer::Verdict(verdict).to_json()))
}

#[tokio::test]
async fn a_named_parent_that_refused_a_connection_is_asked_again_soon() {
    let (metrics, running) =
        (Metrics::register(&mut Registry::default()), CancellationToken::new());
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let parent = reserved.local_addr().unwrap();
    drop(reserved);
    let coordinator = listen(&metrics, &running, move |request| coordinate(parent, request)).await;
    let peer = Peer { endpoint: coordinator, zone: None };
    let rigged = Rigged { coordinators: vec![peer.clone()], search: Search::FindsNobody, peer };
    let network = MemoryNetwork::default();
    let node = Node::start_as(&network, QUICK, |store| store, |_| Arc::new(rigged)).await;
    let blob = Arc::new(noise(2 << 20, 3));
    let digest = Digest::sha256(&blob);
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND, "nobody listens");

    let sends = move |request: Request<Incoming>| {
        let blob = Arc::clone(&blob);
        async move {
            match *request.method() {
                Method::GET => answer(0, blob.len(), whole(blob.to_vec())),
                _ => absent(),
            }
        }
    };
    serve_on(TcpListener::bind(parent).await.unwrap(), &metrics, &running, sends);
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::NOT_FOUND, "it has just refused");
    later(A_WHILE).await;
    assert_eq!(node.get_blob(&digest).await.status, StatusCode::OK);
}
