//! Whom to trust for a controller. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// TLS that trusts what controllers published, and nothing else; `None` if that is nothing.
pub(super) fn trust(published: &ConfigMap) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pem in published.data.iter().flatten().map(|(_, pem)| pem) {
        // One that makes no sense does not keep the others.
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).flatten();
        roots.add_parsable_certificates(certificates);
    }
    if roots.is_empty() {
        return None;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().ok()?;
    Some(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_trusted_without_an_authority() {
        assert!(trust(&ConfigMap::default()).is_none());
        let data = [("a.pem".to_owned(), "nothing".to_owned())].into();
        assert!(trust(&ConfigMap { data: Some(data), ..Default::default() }).is_none());
    }
}
