//! Listens to what the mirrors of embedded nodes say about who served whom.
//!
//! A mirror tells of each stretch of bytes that a parent sent it by a tracing event of target
//! `onepull::transfer`. This layer sums them up by child and parent.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

/// The target of the events.
pub const TARGET: &str = "onepull::transfer";

/// Bytes by child and parent, shared with the layer that counts them.
#[derive(Clone, Debug, Default)]
pub struct Transfers(Arc<Mutex<Sums>>);

/// Keyed by the child's name and the parent's address; at most one entry for each pair of nodes.
type Sums = BTreeMap<(String, IpAddr), u64>;

/// What is read from one event.
#[derive(Default)]
struct Transfer {
    node: Option<String>,
    peer: Option<SocketAddr>,
    bytes: Option<u64>,
}

// === impl Transfers ===

impl Transfers {
    /// What was counted since the last call.
    pub fn take(&self) -> Vec<(String, IpAddr, u64)> {
        let sums = std::mem::take(&mut *self.sums());
        sums.into_iter().map(|((node, peer), bytes)| (node, peer, bytes)).collect()
    }

    /// Counts one transfer.
    pub fn add(&self, node: String, peer: IpAddr, bytes: u64) {
        *self.sums().entry((node, peer)).or_default() += bytes;
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Transfers {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut transfer = Transfer::default();
        event.record(&mut transfer);
        if let Transfer { node: Some(node), peer: Some(peer), bytes: Some(bytes) } = transfer {
            self.add(node, peer.ip(), bytes);
        }
    }
}

// === impl Transfer ===

impl Visit for Transfer {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "bytes" {
            self.bytes = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "node" => self.node = Some(value.to_owned()),
            "peer" => self.peer = value.parse().ok(),
            "bytes" => self.bytes = value.parse().ok(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, format!("{value:?}").trim_matches('"'));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn transfers_are_summed_by_child_and_parent_and_other_events_ignored() {
        let transfers = Transfers::default();
        let subscriber = tracing_subscriber::registry().with(transfers.clone());
        let peer: SocketAddr = "127.0.1.1:4000".parse().unwrap();
        tracing::subscriber::with_default(subscriber, || {
            for bytes in [3u64, 4] {
                tracing::info!(target: TARGET, node = "node-2", %peer, bytes);
            }
            tracing::info!(target: TARGET, node = %"node-3", ?peer, bytes = 5u64);
            tracing::info!(target: "another", node = "node-2", %peer, bytes = 100u64);
            tracing::info!(target: TARGET, "without fields");
        });
        let expected = vec![("node-2".into(), peer.ip(), 7), ("node-3".into(), peer.ip(), 5)];
        assert_eq!(transfers.take(), expected);
        assert_eq!(transfers.take(), vec![]);
    }
}
