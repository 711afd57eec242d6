//! How this node proves to its peers that it has the cluster key, and they to it: mutual TLS 1.3.
//!
//! Every node derives one authority from the key (`authority`) and issues itself certificates that
//! count for hours (`own`), all in memory. Nothing is sent but the certificate, and nothing is looked up:
//! a node trusts what that one authority signed.

use std::sync::Arc;

use onepull_mirror::peer::Tls;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::ServerName,
    server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier},
    time_provider::TimeProvider,
    version::TLS13,
};
use thiserror::Error;

use crate::cluster_key::{ClusterKey, Derived};

mod authority;
mod own;
mod validity;

use authority::Authority;
use own::Own;

/// The name in all certificates: peers are known by address, and any of them may hold any digest.
const NAME: &str = "peer.onepull.internal";

/// Why a node cannot prove itself. All of it is in memory, so it is a defect.
#[derive(Debug, Error)]
pub enum PeerTlsError {
    /// The clock tells no time.
    #[error("this node's clock tells no time")]
    NoTime,
    /// A certificate could not be made.
    #[error("cannot make a certificate of the cluster key")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take what was made.
    #[error("cannot set up TLS with the cluster key")]
    Tls(#[from] rustls::Error),
    /// The same, of the verifier.
    #[error("cannot set up whom to trust with the cluster key")]
    Trust(#[from] VerifierBuilderError),
}

/// Both ends of what a node with `key` speaks to its peers. `clock` says what time it is, for its own
/// certificates and those of others.
///
/// # Errors
/// When the clock tells no time.
pub fn peer_tls(key: &ClusterKey, clock: Arc<dyn TimeProvider>) -> Result<Tls, PeerTlsError> {
    let provider = Arc::new(provider());
    let authority = Authority::new(&Derived::from(key).authority)?;
    let mut trusted = RootCertStore::empty();
    trusted.add(authority.certificate().clone())?;
    let trusted = Arc::new(trusted);
    let own = Arc::new(Own::new(authority, Arc::clone(&clock))?);

    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&trusted), Arc::clone(&provider));
    let mut server = ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients.build()?)
        .with_cert_resolver(Arc::clone(&own) as _);
    // Connections live as long as peers have something to say, so there is nothing to resume; and a
    // resumed one would not show its certificate again.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;

    let mut client = ClientConfig::builder_with_details(Arc::clone(&provider), clock)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(trusted)
        .with_client_cert_resolver(own);
    client.resumption = Resumption::disabled();
    client.enable_sni = false;
    let name = ServerName::try_from(NAME).map_err(|_| rustls::Error::General(NAME.into()))?;
    Ok(Tls { server: Arc::new(server), client: Arc::new(client), name })
}

/// One suite and one exchange: both ends are ours. AES is in the CPU of every node, and 128 bits of
/// it cost less than 256.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}
