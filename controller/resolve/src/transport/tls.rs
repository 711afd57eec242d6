//! Whom to trust: the system's authorities and the operator's.

use std::sync::Arc;

use rustls::{
    ClientConfig,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

use crate::BadOptions;

/// TLS by ring, as in the rest of the workspace: a second provider would make rustls panic where
/// neither is named.
pub(super) fn config(ca_pem: &[u8]) -> Result<ClientConfig, BadOptions> {
    let extra: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_pem).collect();
    let extra = extra.map_err(|_| BadOptions::Authority)?;
    if extra.is_empty() && !ca_pem.is_empty() {
        return Err(BadOptions::Authority);
    }
    let provider = Arc::new(ring::default_provider());
    let trusted = Verifier::new_with_extra_roots(extra, provider.clone());
    let trusted = trusted.map_err(BadOptions::NoAuthorities)?;
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(BadOptions::NoAuthorities)?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(trusted));
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        for pem in [&b"nothing"[..], b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"]
        {
            assert!(matches!(config(pem), Err(BadOptions::Authority)));
        }
    }
}
