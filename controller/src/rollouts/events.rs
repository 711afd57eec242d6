//! Events on image caches, for people.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use kube::{
    Client, Resource,
    runtime::events::{Event as Told, EventType, Recorder, Reporter},
};
use onepull_api::ImageCache;
use tokio::time::timeout;
use tracing::{info, warn};

use super::FIELD_MANAGER;
use crate::{
    convert,
    metrics::{Metrics, Written},
    planner::{CacheId, Event, Happening},
};

/// For one event. Nobody waits for it, and what is lost stands in the status as well.
const LIMIT: Duration = Duration::from_secs(5);

/// Events under way at a time.
const AT_ONCE: usize = 16;

/// Tells events to the API server.
pub(super) struct Events {
    client: Client,
    metrics: Metrics,
}

// === impl Events ===

impl Events {
    pub(super) fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
    }

    /// Publishes each event on each cache that it is about.
    pub(super) async fn publish(&self, events: &[Event], caches: &[Arc<ImageCache>]) {
        if events.is_empty() {
            return;
        }
        let caches: HashMap<CacheId, &Arc<ImageCache>> =
            caches.iter().map(|cache| (convert::id(cache), cache)).collect();
        let mut told = Vec::new();
        for event in events {
            info!(reason = event.what.as_str(), "{}", event.what);
            for cache in event.caches.iter().filter_map(|id| caches.get(id)) {
                told.push(self.tell(&event.what, cache).boxed());
            }
        }
        // The next plan waits for them, so a slow API server is asked for several at once.
        stream::iter(told).for_each_concurrent(AT_ONCE, |told| told).await;
    }

    async fn tell(&self, what: &Happening, cache: &ImageCache) {
        let told = Told {
            type_: severity(what),
            reason: what.as_str().to_owned(),
            note: Some(what.to_string()),
            action: "Rollout".to_owned(),
            secondary: None,
        };
        let reference = cache.object_ref(&());
        // One recorder takes all seeds of a cache for the same event, and drops their notes but the first. A
        // plan tells each only once.
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let published = timeout(LIMIT, recorder.publish(&told, &reference)).await;
        self.metrics.wrote(Written::event, matches!(published, Ok(Ok(()))));
        match published {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "an event is lost"),
            Err(_) => warn!("an event is lost: the API server takes too long"),
        }
    }
}

fn severity(what: &Happening) -> EventType {
    match what {
        Happening::SeedMoved { .. } | Happening::Refused { .. } => EventType::Warning,
        Happening::SeedChosen { .. } | Happening::RolloutComplete { .. } => EventType::Normal,
    }
}
