//! Where the pods of a service are, as its EndpointSlices say: so neither cluster DNS nor kube-proxy is
//! needed to reach them.

use std::net::{IpAddr, SocketAddr};

use ::kube::{Api, Client, api::ListParams};
use k8s_openapi::api::discovery::v1::{EndpointConditions, EndpointSlice};

/// The label that says whose an EndpointSlice is.
const OF_SERVICE: &str = "kubernetes.io/service-name";

/// Slices that are read: Kubernetes puts up to 100 pods into one. Of more pods, 800 are as good as all.
const MOST: u32 = 8;

/// The slices of a service, or some of them.
///
/// # Errors
/// What the API server says.
pub(crate) async fn slices(
    client: Client,
    namespace: &str,
    service: &str,
) -> ::kube::Result<Vec<EndpointSlice>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
    let of_service = ListParams::default().labels(&format!("{OF_SERVICE}={service}")).limit(MOST);
    Ok(slices.list(&of_service).await?.items)
}

/// The addresses, at the port of that name, of the pods whose conditions are wanted.
pub(crate) fn addresses(
    slices: &[EndpointSlice],
    port: &str,
    wanted: impl Fn(&EndpointConditions) -> bool,
) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten();
        let port = ports.filter(|one| one.name.as_deref() == Some(port));
        let port = port.filter_map(|port| u16::try_from(port.port?).ok()).next();
        let Some(port) = port else { continue };
        let endpoints = slice.endpoints.iter().flatten().filter(|endpoint| {
            wanted(endpoint.conditions.as_ref().unwrap_or(&EndpointConditions::default()))
        });
        let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        all.extend(addresses.map(|ip| SocketAddr::new(ip, port)));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_found_at_the_port_that_is_asked_for() {
        let slice = |ports: serde_json::Value| -> EndpointSlice {
            let endpoints = json!([
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                {"addresses": ["fd00::1", "no address"], "conditions": {}},
                {"addresses": ["10.0.0.4"]},
            ]);
            serde_json::from_value(json!({
                "metadata": {"name": "a"}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            }))
            .unwrap()
        };
        let ports = json!([{"name": "metrics", "port": 1}, {"name": "logins", "port": 29911}]);
        let slices = [slice(ports), slice(json!([{"name": "metrics", "port": 1}]))];
        let found = addresses(&slices, "logins", |conditions| conditions.ready != Some(false));
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:29911", "[fd00::1]:29911", "10.0.0.4:29911"]);
    }
}
