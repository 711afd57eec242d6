//! What a node makes of peers that it has no TLS in common with.

use std::sync::Arc;

use http::Response;
use prometheus_client::registry::Registry;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{
    Deadlines, Digest, Peer,
    metrics::Handshake,
    peer::{
        client::{PeerClient, PeerError},
        dial::Dialer,
    },
    response::Body,
    server::{Serving, serve},
};

const NAME: &str = "peer.example";

/// A certificate that trusts itself.
struct Own {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Own {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME.to_owned()]).unwrap();
        Self { certificate: cert.der().clone(), key: signing_key.into() }
    }

    fn trusted(&self) -> Arc<RootCertStore> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.certificate.clone()).unwrap();
        Arc::new(trusted)
    }

    /// A server that wants its own certificate back.
    fn server(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let trusted = self.trusted();
        let clients = WebPkiClientVerifier::builder_with_provider(trusted, Arc::clone(&provider));
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_safe_default_protocol_versions().unwrap();
        let server = server.with_client_cert_verifier(clients.build().unwrap());
        let (certificate, key) = (self.certificate.clone(), self.key.clone_key());
        Arc::new(server.with_single_cert(vec![certificate], key).unwrap())
    }

    /// A client that trusts the server of `other`, and shows nothing.
    fn client(other: &Self) -> Tls {
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let client = client.with_safe_default_protocol_versions().unwrap();
        let client = client.with_root_certificates(other.trusted()).with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        Tls { server: other.server(), client: Arc::new(client), name }
    }
}

/// What `tls` gets from an endpoint that speaks `served`, and its counter of refusals.
async fn ask(tls: Tls, served: Option<Arc<ServerConfig>>) -> (PeerError, u64) {
    let metrics = Metrics::register(&mut Registry::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer { endpoint: listener.local_addr().unwrap(), zone: None };
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let serving = Serving::peers(Metrics::register(&mut Registry::default()), served);
    let answer = |_| async { Response::new(Body::default()) };
    tasks.spawn(serve(listener, serving, answer, shutdown.clone()));
    let deadlines = Deadlines::default();
    let dialer = Dialer::tls(tls, deadlines.answer, metrics.clone());
    let client = PeerClient::new(peer.endpoint, dialer, &deadlines);
    let error = client.size(&peer, &Digest::sha256(b"x")).await.unwrap_err();
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    let refused = Handshake { end: End::dialed, why: Failure::refused };
    (error, metrics.handshakes_failed.get_or_create(&refused).get())
}

#[tokio::test]
async fn a_peer_of_another_authority_or_without_tls_cannot_be_reached() {
    let (own, other) = (Own::new(), Own::new());
    let (error, refused) = ask(Own::client(&own), Some(other.server())).await;
    assert!(matches!(error, PeerError::Connect(_)), "{error:?}");
    assert_eq!(refused, 1);
    let (error, _) = ask(Own::client(&own), None).await;
    assert!(matches!(error, PeerError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn a_peer_that_refuses_this_node_only_when_it_asks_cannot_be_reached_either() {
    let own = Own::new();
    let (error, _) = ask(Own::client(&own), Some(own.server())).await;
    assert!(matches!(error, PeerError::Connect(_)), "{error:?}");
}
