//! What a batch of the kernel's notices asks for. Pure: [`super::arrivals`] carries it out.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::inotify::ReadFlags;

use super::arrival::Look;
use crate::inotify::{Event, WatchId};

/// Everything is asked for once, however many notices there were.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Ingests to look at.
    pub(super) looks: BTreeMap<WatchId, Look>,
    /// Ingests that have ended; they are looked at for the last time before.
    pub(super) gone: BTreeSet<WatchId>,
    /// Names of ingests that were made just now.
    pub(super) fresh: BTreeSet<String>,
    /// Notices were lost: look at all that is there.
    pub(super) rescan: bool,
    /// The ingest folder itself is gone.
    pub(super) ended: bool,
}

// === impl Due ===

impl Due {
    /// Sorts notices; `top` is the watch of the ingest folder.
    pub(super) fn new(events: Vec<Event>, top: WatchId) -> Self {
        let mut due = Self::default();
        for event in events {
            if event.what.contains(ReadFlags::QUEUE_OVERFLOW) {
                due.rescan = true;
            } else if event.watch != top {
                due.enter(&event);
            } else if event.ends_watch() {
                due.ended = true;
            } else if event.what.contains(ReadFlags::ISDIR) {
                due.fresh.extend(event.name);
            }
        }
        due
    }

    fn enter(&mut self, event: &Event) {
        let data = event.name.as_deref() == Some("data");
        let gone = ReadFlags::MOVED_FROM | ReadFlags::DELETE;
        if event.ends_watch() || data && event.what.intersects(gone) {
            self.gone.insert(event.watch);
        }
        let look = if data { Look::Data } else { Look::Everything };
        let due = self.looks.entry(event.watch).or_insert(look);
        *due = look.max(*due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: i32, what: ReadFlags, name: Option<&str>) -> Event {
        Event { watch: WatchId(watch), what, name: name.map(str::to_owned) }
    }

    fn due(events: Vec<Event>) -> Due {
        Due::new(events, WatchId(1))
    }

    #[test]
    fn many_notices_of_one_ingest_are_one_look() {
        let write = || event(2, ReadFlags::MODIFY, Some("data"));
        let looks = [(WatchId(2), Look::Data)].into();
        assert_eq!(due(vec![write(), write()]), Due { looks, ..Due::default() });
        let looks = [(WatchId(2), Look::Everything)].into();
        let label = event(2, ReadFlags::CREATE, Some("total"));
        assert_eq!(due(vec![write(), label, write()]), Due { looks, ..Due::default() });
    }

    #[test]
    fn an_ingest_ends_with_its_data() {
        for what in [ReadFlags::MOVED_FROM, ReadFlags::DELETE] {
            let ended = due(vec![event(2, what, Some("data"))]);
            assert_eq!(ended.gone, [WatchId(2)].into());
            let goes_on = due(vec![event(2, what, Some("updatedat.tmp"))]);
            assert_eq!(goes_on.gone, [].into());
        }
        assert_eq!(due(vec![event(2, ReadFlags::IGNORED, None)]).gone, [WatchId(2)].into());
    }

    #[test]
    fn the_ingest_folder_tells_of_new_ingests_and_of_its_end() {
        let made = event(1, ReadFlags::CREATE | ReadFlags::ISDIR, Some("new"));
        let file = event(1, ReadFlags::CREATE, Some("a file"));
        let fresh = ["new".to_owned()].into();
        assert_eq!(due(vec![made, file]), Due { fresh, ..Due::default() });
        assert!(due(vec![event(1, ReadFlags::DELETE_SELF, None)]).ended);
    }

    #[test]
    fn lost_notices_ask_for_a_look_at_everything() {
        let lost = due(vec![event(-1, ReadFlags::QUEUE_OVERFLOW, None)]);
        assert_eq!(lost, Due { rescan: true, ..Due::default() });
    }
}
