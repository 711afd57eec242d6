//! An authority for one certificate, both as old as the process.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A certificate, its key, and whom to trust for it.
pub(super) struct Authority {
    config: Arc<ServerConfig>,
    pem: String,
}

// === impl Authority ===

impl Authority {
    /// The authority's own key is gone when this returns: it signs one certificate, for `name`.
    pub(super) fn new(name: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (key, own_key) = (KeyPair::generate()?, KeyPair::generate()?);
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = named("onepull controller authority");
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let mut own = CertificateParams::new([name.to_owned()])?;
        own.distinguished_name = named("onepull controller");
        let own = own.signed_by(&own_key, &issuer)?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], private)?;
        Ok(Self { config: Arc::new(config), pem })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whom to trust.
    pub(super) fn pem(&self) -> String {
        self.pem.clone()
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
