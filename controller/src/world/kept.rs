//! What is kept of the objects of one kind, as a watch tells of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::{Resource, ResourceExt, runtime::watcher::Event};
use tokio::sync::watch;

/// Of one object.
type Key = (Option<String>, String);

/// Shared by the watch, which writes, and those who read.
pub(crate) struct Kept<V>(Arc<Shared<V>>);

struct Shared<V> {
    objects: Mutex<Objects<V>>,
    /// Whether all have been listed once.
    listed: watch::Sender<bool>,
}

struct Objects<V> {
    known: BTreeMap<Key, Arc<V>>,
    /// Those of a list that has not come to its end: until then they are not all.
    listing: BTreeMap<Key, Arc<V>>,
}

// === impl Kept ===

impl<V: PartialEq> Kept<V> {
    /// Takes note of an event; `keep` is what is kept of an object. Returns whether anything of that is new: nodes
    /// tell every few minutes that they are there, and of that nothing is kept.
    pub(crate) fn take_in<K: Resource>(&self, event: Event<K>, keep: impl FnOnce(K) -> V) -> bool {
        let mut objects = self.lock();
        match event {
            Event::Init => objects.listing.clear(),
            Event::InitApply(object) => {
                objects.listing.insert(key(&object), Arc::new(keep(object)));
            }
            Event::InitDone => {
                objects.known = std::mem::take(&mut objects.listing);
                self.0.listed.send_replace(true);
                return true;
            }
            Event::Apply(object) => {
                let (key, kept) = (key(&object), keep(object));
                if objects.known.get(&key).is_none_or(|known| **known != kept) {
                    objects.known.insert(key, Arc::new(kept));
                    return true;
                }
            }
            Event::Delete(object) => return objects.known.remove(&key(&object)).is_some(),
        }
        false
    }
}

impl<V> Kept<V> {
    /// All, by their names.
    pub(crate) fn all(&self) -> Vec<Arc<V>> {
        self.lock().known.values().cloned().collect()
    }

    /// Resolves when all have been listed once.
    pub(crate) async fn is_listed(&self) {
        // The sender is here.
        let _ = self.0.listed.subscribe().wait_for(|listed| *listed).await;
    }

    fn lock(&self) -> MutexGuard<'_, Objects<V>> {
        self.0.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        let objects = Mutex::new(Objects { known: BTreeMap::new(), listing: BTreeMap::new() });
        Self(Arc::new(Shared { objects, listed: watch::Sender::new(false) }))
    }
}

impl<V> Clone for Kept<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

fn key(object: &impl Resource) -> Key {
    (object.namespace(), object.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;

    use super::*;

    fn node(name: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_when_it_is_whole() {
        let kept = Kept::default();
        let tell = |event| kept.take_in(event, |node: Node| node.name_any());
        let names = || kept.all().iter().map(ToString::to_string).collect::<Vec<_>>();
        let list = |names: &[&str]| {
            tell(Event::Init);
            for name in names {
                assert!(!tell(Event::InitApply(node(name))), "it is part of a list");
            }
        };
        list(&["a", "b"]);
        assert_eq!(names(), [""; 0], "it is not whole");
        assert!(!*kept.0.listed.borrow());
        tell(Event::InitDone);
        assert!(*kept.0.listed.borrow());
        tell(Event::Apply(node("c")));
        tell(Event::Delete(node("a")));
        assert_eq!(names(), ["b", "c"]);
        list(&["d"]);
        assert_eq!(names(), ["b", "c"]);
        list(&["e"]);
        tell(Event::InitDone);
        assert_eq!(names(), ["e"], "a list that broke off is forgotten");
    }

    #[test]
    fn only_what_differs_from_what_is_kept_is_news_and_the_rest_stays_as_it_is() {
        let kept = Kept::default();
        let tell = |event| kept.take_in(event, |node: Node| node.metadata.labels);
        let labelled = |value: &str| {
            let mut node = node("a");
            node.metadata.labels = Some([("zone".to_owned(), value.to_owned())].into());
            node
        };
        assert!(tell(Event::Apply(labelled("1"))));
        let first = kept.all();
        let mut heartbeat = labelled("1");
        heartbeat.metadata.resource_version = Some("2".into());
        assert!(!tell(Event::Apply(heartbeat)), "nothing of it is kept");
        assert!(Arc::ptr_eq(&first[0], &kept.all()[0]));
        assert!(tell(Event::Apply(labelled("2"))));
        assert_ne!(first, kept.all());
        assert!(!tell(Event::Delete(node("b"))), "nobody knew it");
        assert!(tell(Event::Delete(labelled("2"))));
        assert_eq!(kept.all(), []);
        assert!(!tell(Event::Init));
        assert!(tell(Event::InitDone), "all may be other ones");
    }
}
