//! Tells other nodes what this one holds: follows the store and keeps the router's announcements
//! equal to it.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt;

use crate::{
    Digest, Router, Store,
    store::{StoreEvent, Watch},
};

/// Runs until the store's events end.
///
/// # Cancel safety
/// May be dropped at any time; what was announced stays so until its records expire.
pub async fn announce(store: Arc<dyn Store>, router: Arc<dyn Router>) {
    let mut announced = BTreeSet::new();
    loop {
        let Watch { snapshot, mut events } = store.watch();
        let gone: Vec<_> =
            announced.iter().filter(|digest| !snapshot.contains_key(digest)).copied().collect();
        for digest in gone {
            remove(&router, &mut announced, digest).await;
        }
        for digest in snapshot.into_keys() {
            add(&router, &mut announced, digest).await;
        }
        loop {
            match events.next().await {
                Some(StoreEvent::Added { digest, .. }) => {
                    add(&router, &mut announced, digest).await;
                }
                Some(StoreEvent::Removed { digest }) => {
                    remove(&router, &mut announced, digest).await;
                }
                Some(StoreEvent::Resync) => break,
                None => return,
            }
        }
    }
}

async fn add(router: &Arc<dyn Router>, announced: &mut BTreeSet<Digest>, digest: Digest) {
    if announced.insert(digest) {
        router.announce(&digest).await;
    }
}

async fn remove(router: &Arc<dyn Router>, announced: &mut BTreeSet<Digest>, digest: Digest) {
    if announced.remove(&digest) {
        router.withdraw(&digest).await;
    }
}
