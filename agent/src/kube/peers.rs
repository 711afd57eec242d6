//! The other agents, as the EndpointSlices of their service list them.

use std::{fmt, io, net::SocketAddr};

use async_trait::async_trait;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rand::{Rng, seq::SliceRandom};
use tokio::time::{Duration, timeout};

use super::{Link, addresses, slices};
use crate::p2p::{Patience, Rendezvous};

/// The name of the port at which agents speak libp2p.
const PORT: &str = "p2p";

/// For one list. An API server that needs longer is asked again.
const LIMIT: Duration = Duration::from_secs(5);

/// A service of agents.
pub(crate) struct PeerService {
    link: Link,
    namespace: String,
    name: String,
}

// === impl PeerService ===

impl PeerService {
    pub(crate) fn new(link: Link, namespace: &str, name: &str) -> Self {
        Self { link, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

#[async_trait]
impl Rendezvous for PeerService {
    async fn nodes(&self) -> io::Result<Vec<SocketAddr>> {
        let client = self.link.get().cloned().ok_or(io::ErrorKind::NotConnected)?;
        let listed = timeout(LIMIT, slices(client, &self.namespace, &self.name)).await?;
        Ok(in_order(&listed.map_err(io::Error::other)?, &mut rand::rng()))
    }

    /// Each question costs the API server a list of up to 200 KiB. With these, 5,000 nodes that all have
    /// peers ask it some ten times a second, and as many that all have none, 200 times.
    fn patience(&self) -> Patience {
        Patience { lonely: Duration::from_secs(30), joined: Duration::from_secs(15 * 60) }
    }
}

impl fmt::Debug for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerService({}/{})", self.namespace, self.name)
    }
}

/// Agents that have joined first, as they know others. Those that have not count too: when a cluster starts there
/// are no others. Shuffled, so that not all nodes dial the same few.
fn in_order(slices: &[EndpointSlice], random: &mut impl Rng) -> Vec<SocketAddr> {
    // `ready` is true of all: the service publishes them before they are.
    let mut joined = addresses(slices, PORT, |conditions| conditions.serving == Some(true));
    let mut others = addresses(slices, PORT, |conditions| conditions.serving != Some(true));
    joined.shuffle(random);
    others.shuffle(random);
    joined.extend(others);
    joined
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn all_agents_are_found_those_that_have_joined_first() {
        let endpoint = |n: u8| {
            let conditions = json!({"ready": true, "serving": n < 40, "terminating": n >= 60});
            json!({"addresses": [format!("10.0.0.{n}")], "conditions": conditions})
        };
        let slice = json!({
            "metadata": {"name": "a"}, "addressType": "IPv4",
            "endpoints": (0..80).map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "metrics", "port": 29903}, {"name": "p2p", "port": 29902}],
        });
        let slices = [serde_json::from_value(slice).unwrap()];
        let in_order = || in_order(&slices, &mut rand::rng());
        let found = in_order();
        let at = |n: u8| SocketAddr::from(([10, 0, 0, n], 29902));
        let first: BTreeSet<_> = found[..40].iter().copied().collect();
        assert_eq!(first, (0..40).map(at).collect());
        let all: BTreeSet<_> = found.iter().copied().collect();
        assert_eq!(all, (0..80).map(at).collect());
        assert_ne!(found, in_order(), "in another order each time");
    }

    #[tokio::test]
    async fn without_a_way_to_the_api_server_it_is_not_said_that_there_are_no_agents() {
        let service = PeerService::new(Link::default(), "onepull-system", "onepull-agent");
        assert_eq!(service.nodes().await.unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}
