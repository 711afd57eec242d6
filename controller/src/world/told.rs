//! What nodes are told, with this controller's own writes ahead of the watch.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::reflector::Store};
use onepull_api::NodeImageCache;

/// How long a write counts without word of the watch: those are a second late, and an object that
/// somebody else has deleted never comes.
const AHEAD: SignedDuration = SignedDuration::from_secs(30);

/// The watched objects, and those written since.
pub(super) struct Told {
    watched: Store<NodeImageCache>,
    /// As the API server answered, and when, until the watch has caught up.
    written: HashMap<String, (NodeImageCache, Timestamp)>,
}

// === impl Told ===

impl Told {
    pub(super) fn new(watched: Store<NodeImageCache>) -> Self {
        Self { watched, written: HashMap::new() }
    }

    pub(super) async fn is_listed(&self) {
        let _ = self.watched.wait_until_ready().await;
    }

    pub(super) fn note(&mut self, told: NodeImageCache, now: Timestamp) {
        self.written.insert(told.name_any(), (told, now));
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.written.remove(name);
    }

    pub(super) fn state(&mut self, now: Timestamp) -> HashMap<String, Arc<NodeImageCache>> {
        let watched = self.watched.state().into_iter();
        let mut known: HashMap<_, _> = watched.map(|object| (object.name_any(), object)).collect();
        self.written.retain(|name, (written, at)| {
            now < *at + AHEAD && is_ahead(written, known.get(name).map(|object| &**object))
        });
        for (name, (written, _)) in &self.written {
            let newest = merge(written, known.get(name).map(|object| &**object));
            known.insert(name.clone(), Arc::new(newest));
        }
        known
    }
}

/// Whether the watch has yet to bring `written`, or something newer. The generation counts the changes of
/// a spec; another object of the same name begins anew, and has another uid.
fn is_ahead(written: &NodeImageCache, watched: Option<&NodeImageCache>) -> bool {
    let generation = |object: &NodeImageCache| object.metadata.generation;
    watched.is_none_or(|watched| {
        watched.metadata.uid == written.metadata.uid && generation(watched) < generation(written)
    })
}

/// The spec that was written, with the status that was heard last.
fn merge(written: &NodeImageCache, watched: Option<&NodeImageCache>) -> NodeImageCache {
    let mut newest = written.clone();
    if let Some(watched) = watched {
        newest.status.clone_from(&watched.status);
    }
    newest
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector, watcher::Event};
    use onepull_api::{NodeImageCacheSpec, NodeImageCacheStatus};

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn object(uid: &str, generation: i64, zone: &str) -> NodeImageCache {
        let spec = NodeImageCacheSpec { zone: Some(zone.to_owned()), ..Default::default() };
        let mut object = NodeImageCache::new("a", spec);
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.generation = Some(generation);
        object
    }

    fn zone_of(told: &mut Told) -> Option<String> {
        told.state(NOW).get("a").and_then(|object| object.spec.zone.clone())
    }

    #[test]
    fn what_was_written_counts_until_the_watch_has_caught_up() {
        let (store, mut writer) = reflector::store();
        let mut told = Told::new(store);
        told.note(object("1", 1, "new"), NOW);
        assert_eq!(zone_of(&mut told).as_deref(), Some("new"), "not watched yet");
        writer.apply_watcher_event(&Event::Apply(object("1", 1, "seen")));
        assert_eq!(zone_of(&mut told).as_deref(), Some("seen"));
        told.note(object("1", 2, "newer"), NOW);
        assert_eq!(zone_of(&mut told).as_deref(), Some("newer"));
        writer.apply_watcher_event(&Event::Apply(object("2", 1, "another")));
        assert_eq!(zone_of(&mut told).as_deref(), Some("another"), "it was made anew");
    }

    #[test]
    fn an_object_that_somebody_deleted_is_gone_in_the_end() {
        let (store, _writer) = reflector::store();
        let mut told = Told::new(store);
        told.note(object("1", 1, "new"), NOW);
        assert_eq!(told.state(NOW + AHEAD / 2).len(), 1);
        assert!(told.state(NOW + AHEAD).is_empty());
    }

    #[test]
    fn a_status_that_came_meanwhile_is_heard() {
        let (store, mut writer) = reflector::store();
        let mut told = Told::new(store);
        told.note(object("1", 2, "new"), NOW);
        let mut heard = object("1", 1, "old");
        heard.status =
            Some(NodeImageCacheStatus { agent_version: Some("1".into()), ..Default::default() });
        writer.apply_watcher_event(&Event::Apply(heard));
        let state = told.state(NOW);
        assert_eq!(state["a"].spec.zone.as_deref(), Some("new"));
        assert!(state["a"].status.is_some());
    }
}
