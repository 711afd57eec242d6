//! Parts of files that the kernel sends, and what stands in for them until it does.
//!
//! hyper hands a body to its connection as slices of memory, and has no word for a part of a file. So a body
//! may carry stand-ins: memory as long as the part, which nobody writes or reads, at an address that says
//! which part is meant. They are counted, cut and queued as all bytes are, and a server's connection sends
//! the part in their place ([`crate::server::SendFile`]). Nobody else may be given them.

use std::{
    fs::File,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;

use crate::store::READ_CHUNK;

/// Stand-ins at once, those of some thirty streams. Each is [`READ_CHUNK`] of address space that nobody touches.
const PLACES: usize = 128;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// What is in a file from one byte on.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) file: Arc<File>,
    pub(crate) start: u64,
}

/// Where stand-ins stand.
struct Stage {
    memory: Box<[u8]>,
    meant: Mutex<Vec<Option<Part>>>,
}

/// One place on a stage, while it is taken.
struct StandIn {
    stage: &'static Stage,
    place: usize,
    length: usize,
}

/// What stands in for `part` of `file`, as long. `None` when it is more than [`READ_CHUNK`], or when all places
/// are taken: then the part has to be read.
pub(crate) fn of(file: &Arc<File>, part: &Range<u64>) -> Option<Bytes> {
    STAGE.get_or_init(|| Stage::new(PLACES)).stand_in(file, part)
}

/// Whether `bytes` stand in for a part.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    STAGE.get().is_some_and(|stage| stage.position(bytes).is_some())
}

/// The part that is meant where `bytes` begin, if they stand in for one.
pub(crate) fn meant_by(bytes: &[u8]) -> Option<Part> {
    STAGE.get()?.meant_by(bytes)
}

// === impl Stage ===

impl Stage {
    /// The kernel gives zeros without memory until somebody touches them.
    fn new(places: usize) -> Self {
        Self { memory: vec![0; places * READ_CHUNK].into(), meant: Mutex::new(vec![None; places]) }
    }

    fn stand_in(&'static self, file: &Arc<File>, part: &Range<u64>) -> Option<Bytes> {
        let length = usize::try_from(part.end - part.start).ok()?;
        let place = (length <= READ_CHUNK).then(|| self.take(file, part.start))??;
        Some(Bytes::from_owner(StandIn { stage: self, place, length }))
    }

    fn take(&self, file: &Arc<File>, start: u64) -> Option<usize> {
        let mut meant = self.meant();
        let place = meant.iter().position(Option::is_none)?;
        meant[place] = Some(Part { file: Arc::clone(file), start });
        Some(place)
    }

    fn meant_by(&self, bytes: &[u8]) -> Option<Part> {
        let at = self.position(bytes)?;
        let Part { file, start } = self.meant()[at / READ_CHUNK].clone()?;
        Some(Part { file, start: start + (at % READ_CHUNK) as u64 })
    }

    /// Where on the stage `bytes` begin.
    fn position(&self, bytes: &[u8]) -> Option<usize> {
        let at = bytes.as_ptr().addr().checked_sub(self.memory.as_ptr().addr())?;
        (at < self.memory.len()).then_some(at)
    }

    fn meant(&self) -> MutexGuard<'_, Vec<Option<Part>>> {
        // Each critical section changes one place.
        self.meant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StandIn ===

impl AsRef<[u8]> for StandIn {
    fn as_ref(&self) -> &[u8] {
        let start = self.place * READ_CHUNK;
        &self.stage.memory[start..start + self.length]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // To close a file may take long, so that is done after the lock was let go.
        let part = self.stage.meant()[self.place].take();
        drop(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = READ_CHUNK as u64;

    fn stage(places: usize) -> &'static Stage {
        Box::leak(Box::new(Stage::new(places)))
    }

    fn file() -> Arc<File> {
        Arc::new(tempfile::tempfile().unwrap())
    }

    #[test]
    fn a_stand_in_means_its_part_from_wherever_it_is_cut() {
        let (stage, file) = (stage(2), file());
        let start = |bytes: &[u8]| stage.meant_by(bytes).map(|part| part.start);
        let mut first = stage.stand_in(&file, &(7..107)).unwrap();
        let second = stage.stand_in(&file, &(107..107 + CHUNK)).unwrap();
        assert_eq!((first.len(), second.len()), (100, READ_CHUNK));
        let rest = first.split_off(60);
        assert_eq!((start(&first), start(&rest)), (Some(7), Some(67)));
        assert_eq!((start(&second), start(&second[1000..])), (Some(107), Some(1107)));
        assert_eq!(start(&[0; 100]), None, "other memory means nothing");
    }

    #[test]
    fn a_place_is_free_when_nobody_has_any_of_its_stand_in() {
        let (stage, file) = (stage(1), file());
        let mut first = stage.stand_in(&file, &(0..100)).unwrap();
        let rest = first.split_off(60);
        drop(first);
        assert!(stage.stand_in(&file, &(0..100)).is_none(), "it is taken");
        drop(rest);
        assert_eq!(Arc::strong_count(&file), 1, "its file may be closed");
        assert!(stage.stand_in(&file, &(0..CHUNK + 1)).is_none(), "that is too long");
        assert!(stage.stand_in(&file, &(0..CHUNK)).is_some());
    }
}
