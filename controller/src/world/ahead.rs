//! What nodes are told, with this controller's own writes ahead of the watch.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::Kept;
use crate::convert::Told;

/// How long a write counts without word of the watch: those are a second late, and an object that
/// somebody else has deleted never comes.
const AHEAD: SignedDuration = SignedDuration::from_secs(30);

/// What is watched, and what was written since.
pub(super) struct Ahead {
    watched: Kept<Told>,
    /// As the API server answered, and when, until the watch has caught up.
    written: HashMap<String, (Told, Timestamp)>,
}

// === impl Ahead ===

impl Ahead {
    pub(super) fn new(watched: Kept<Told>) -> Self {
        Self { watched, written: HashMap::new() }
    }

    pub(super) async fn is_listed(&self) {
        self.watched.is_listed().await;
    }

    pub(super) fn note(&mut self, told: Told, now: Timestamp) {
        self.written.insert(told.name.clone(), (told, now));
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.written.remove(name);
    }

    pub(super) fn state(&mut self, now: Timestamp) -> HashMap<String, Arc<Told>> {
        let watched = self.watched.all().into_iter();
        let mut known: HashMap<_, _> = watched.map(|told| (told.name.clone(), told)).collect();
        self.written.retain(|name, (written, at)| {
            now < *at + AHEAD && is_ahead(written, known.get(name).map(|told| &**told))
        });
        for (name, (written, _)) in &self.written {
            let newest = merge(written, known.get(name).map(|told| &**told));
            known.insert(name.clone(), Arc::new(newest));
        }
        known
    }
}

/// Whether the watch has yet to bring `written`, or something newer. The generation counts the changes of
/// a spec; another object of the same name begins anew, and has another uid.
fn is_ahead(written: &Told, watched: Option<&Told>) -> bool {
    watched
        .is_none_or(|watched| watched.uid == written.uid && watched.generation < written.generation)
}

/// What the node was told last, with what it was heard to say last.
fn merge(written: &Told, watched: Option<&Told>) -> Told {
    let mut newest = written.clone();
    if let Some(watched) = watched {
        newest.said.clone_from(&watched.said);
    }
    newest
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use onepull_api::{NodeImageCache, NodeImageCacheSpec, NodeImageCacheStatus};

    use super::*;
    use crate::convert::Names;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn object(uid: &str, generation: i64, zone: &str) -> NodeImageCache {
        let spec = NodeImageCacheSpec { zone: Some(zone.to_owned()), ..Default::default() };
        let mut object = NodeImageCache::new("a", spec);
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.generation = Some(generation);
        object
    }

    fn read(object: NodeImageCache) -> Told {
        Told::read(&object, &mut Names::default(), NOW)
    }

    fn told(uid: &str, generation: i64, zone: &str) -> Told {
        read(object(uid, generation, zone))
    }

    fn zone_of(ahead: &mut Ahead) -> Option<String> {
        ahead.state(NOW).get("a").and_then(|told| Some(told.zone.as_ref()?.to_string()))
    }

    #[test]
    fn what_was_written_counts_until_the_watch_has_caught_up() {
        let watched = Kept::default();
        let mut ahead = Ahead::new(watched.clone());
        ahead.note(told("1", 1, "new"), NOW);
        assert_eq!(zone_of(&mut ahead).as_deref(), Some("new"), "not watched yet");
        watched.take_in(Event::Apply(object("1", 1, "seen")), read);
        assert_eq!(zone_of(&mut ahead).as_deref(), Some("seen"));
        ahead.note(told("1", 2, "newer"), NOW);
        assert_eq!(zone_of(&mut ahead).as_deref(), Some("newer"));
        watched.take_in(Event::Apply(object("2", 1, "another")), read);
        assert_eq!(zone_of(&mut ahead).as_deref(), Some("another"), "it was made anew");
    }

    #[test]
    fn an_object_that_somebody_deleted_is_gone_in_the_end() {
        let mut ahead = Ahead::new(Kept::default());
        ahead.note(told("1", 1, "new"), NOW);
        assert_eq!(ahead.state(NOW + AHEAD / 2).len(), 1);
        assert!(ahead.state(NOW + AHEAD).is_empty());
    }

    #[test]
    fn a_status_that_came_meanwhile_is_heard() {
        let watched = Kept::default();
        let mut ahead = Ahead::new(watched.clone());
        ahead.note(told("1", 2, "new"), NOW);
        let mut heard = object("1", 1, "old");
        heard.status =
            Some(NodeImageCacheStatus { agent_version: Some("1".into()), ..Default::default() });
        watched.take_in(Event::Apply(heard), read);
        let state = ahead.state(NOW);
        assert_eq!(state["a"].zone.as_deref(), Some("new"));
        assert!(state["a"].said.is_some());
    }
}
