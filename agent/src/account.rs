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

use crate::{
    containerd::Ledger,
    origins::{Origin, Origins},
};

/// The registry of a blob that the mirror was never asked for: it was imported, or pulled past the
/// mirror.
const UNKNOWN: &str = "unknown";

/// Keeps the account of a store that has been listed, until the store's events or the deliveries end.
pub(crate) async fn account(
    store: Arc<dyn Store>,
    mut deliveries: mpsc::Receiver<Delivery>,
    metrics: Metrics,
    origins: Origins,
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
                    let peers = size.saturating_sub(upstream.bytes);
                    origins.note(digest, Origin { upstream: upstream.bytes, peers });
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

#[cfg(test)]
mod tests {
    use onepull_mirror::{Digest, store::FolderStore};
    use prometheus_client::registry::Registry;
    use tokio::{
        task::yield_now,
        time::{Duration, timeout},
    };

    use super::*;
    use crate::origins::Mark;

    async fn write(store: &FolderStore, bytes: &[u8]) {
        let mut writer = store.write(Digest::sha256(bytes)).await.unwrap();
        writer.append(bytes).await.unwrap();
        writer.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_written_ahead_of_a_pull_is_not_the_registrys() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FolderStore::open_or_create(folder.path()).unwrap());
        let metrics = Metrics::register(&mut Registry::default());
        let origins = Origins::default();
        let (told, deliveries) = mpsc::channel(1);
        let label = metrics.of_registry(UNKNOWN);
        let counted = || metrics.upstream.get_or_create(&label).get();
        let happens = async {
            // The account watches from its first step on.
            yield_now().await;
            let digest = Digest::sha256(b"ours");
            told.send(Delivery { digest, registry: None, first: 0, bytes: 4 }).await.unwrap();
            write(&store, b"ours").await;
            write(&store, b"imported").await;
            while counted() < 8 {
                yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = account(store.clone(), deliveries, metrics.clone(), origins.clone()) => panic!("it goes on"),
            done = timeout(Duration::from_secs(30), happens) => done.unwrap(),
        }
        assert_eq!(counted(), 8);
        let ours = origins.take(&Digest::sha256(b"ours"), Mark::default());
        assert_eq!(ours, Some(Origin { upstream: 0, peers: 4 }));
    }
}
