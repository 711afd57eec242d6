//! Counts the bytes that reached containerd from the registry: all that became complete, less what
//! the mirror delivered and the warm path wrote.

use std::sync::Arc;

use futures::StreamExt;
use onepull_mirror::{
    Metrics, Store,
    mirror::Delivery,
    store::{StoreEvent, Watch},
};
use tokio::sync::mpsc;

use crate::containerd::Ledger;

/// The registry of a blob that the mirror was never asked for: it was imported, or pulled past the
/// mirror.
const UNKNOWN: &str = "unknown";

/// Keeps the account of a store that has been listed, until the store's events or the deliveries end.
pub(crate) async fn account(
    store: Arc<dyn Store>,
    mut deliveries: mpsc::Receiver<Delivery>,
    metrics: Metrics,
) {
    let mut ledger = Ledger::default();
    let Watch { mut events, .. } = store.watch();
    loop {
        tokio::select! {
            // A delivery ends before containerd commits what was delivered.
            biased;
            delivery = deliveries.recv() => match delivery {
                Some(delivery) => enter(&mut ledger, &delivery),
                None => return,
            },
            event = events.next() => match event {
                Some(StoreEvent::Added { digest, size }) => {
                    let upstream = ledger.completed(&digest, size);
                    let registry = upstream.registry.as_deref().unwrap_or(UNKNOWN);
                    let label = metrics.of_registry(registry);
                    metrics.upstream.get_or_create(&label).inc_by(upstream.bytes);
                }
                Some(StoreEvent::Removed { .. }) => {}
                // What became complete unseen cannot be told from what was there before.
                Some(StoreEvent::Resync) => events = store.watch().events,
                None => return,
            },
        }
    }
}

fn enter(ledger: &mut Ledger, delivery: &Delivery) {
    let Delivery { digest, registry, first, bytes } = delivery;
    if *first == 0 {
        ledger.restarted(digest);
    }
    match bytes {
        0 => ledger.missed(*digest, registry.as_deref()),
        _ => ledger.delivered(*digest, registry.as_deref(), *bytes),
    }
}
