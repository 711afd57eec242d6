//! Where controllers listen, and whom to trust for that. Pure.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use k8s_openapi::api::{core::v1::ConfigMap, discovery::v1::EndpointSlice};
use onepull_api::logins::PORT;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The addresses of the controllers that are ready.
pub(super) fn addresses(slices: &[EndpointSlice]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten();
        let port = ports.filter(|port| port.name.as_deref() == Some(PORT));
        let port = port.filter_map(|port| u16::try_from(port.port?).ok()).next();
        let Some(port) = port else { continue };
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready) != Some(false)
        });
        let addresses = ready.flat_map(|endpoint| &endpoint.addresses);
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        all.extend(addresses.map(|ip| SocketAddr::new(ip, port)));
    }
    all
}

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
    use serde_json::json;

    use super::*;

    #[test]
    fn controllers_that_are_ready_are_found_at_the_port_for_logins() {
        let slice = |ports: serde_json::Value| -> EndpointSlice {
            let endpoints = json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                {"addresses": ["fd00::1", "no address"], "conditions": {}},
            ]);
            serde_json::from_value(json!({
                "metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            }))
            .unwrap()
        };
        let ports = json!([{"name": "metrics", "port": 1}, {"name": "logins", "port": 29911}]);
        let found = addresses(&[slice(ports), slice(json!([{"name": "metrics", "port": 1}]))]);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:29911", "[fd00::1]:29911"]);
    }

    #[test]
    fn nobody_is_trusted_without_an_authority() {
        assert!(trust(&ConfigMap::default()).is_none());
        let data = [("a.pem".to_owned(), "nothing".to_owned())].into();
        assert!(trust(&ConfigMap { data: Some(data), ..Default::default() }).is_none());
    }
}
