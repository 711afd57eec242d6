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

/// Stand-ins at once. Each is [`READ_CHUNK`] of address space, of which nothing is ever resident.
const PLACES: usize = 128;

static STAGE: OnceLock<Stage> = OnceLock::new();

/// Where stand-ins stand.
struct Stage {
    memory: Box<[u8]>,
    meant: Mutex<Vec<Option<Part>>>,
}

/// What is in a file from one byte on.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) file: Arc<File>,
    pub(crate) start: u64,
}

/// One place on the stage, while it is taken.
struct StandIn {
    place: usize,
    length: usize,
}

/// What stands in for `part` of `file`, as long; `None` when it is more than [`READ_CHUNK`] or all places
/// are taken.
pub(crate) fn of(file: &Arc<File>, part: &Range<u64>) -> Option<Bytes> {
    let length =
        usize::try_from(part.end - part.start).ok().filter(|length| *length <= READ_CHUNK)?;
    let stage = STAGE.get_or_init(Stage::new);
    let mut meant = stage.meant();
    let place = meant.iter().position(Option::is_none)?;
    meant[place] = Some(Part { file: Arc::clone(file), start: part.start });
    Some(Bytes::from_owner(StandIn { place, length }))
}

/// The part that is meant where `bytes` begin, if they stand in for one.
pub(crate) fn meant_by(bytes: &[u8]) -> Option<Part> {
    let stage = STAGE.get()?;
    let at = bytes.as_ptr().addr().checked_sub(stage.memory.as_ptr().addr())?;
    let at = Some(at).filter(|at| *at < stage.memory.len())?;
    let Part { file, start } = stage.meant()[at / READ_CHUNK].clone()?;
    Some(Part { file, start: start + (at % READ_CHUNK) as u64 })
}

// === impl Stage ===

impl Stage {
    /// The kernel gives zeros without memory until somebody touches them.
    fn new() -> Self {
        Self { memory: vec![0; PLACES * READ_CHUNK].into(), meant: Mutex::new(vec![None; PLACES]) }
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
        STAGE.get().map_or(&[], |stage| &stage.memory[start..start + self.length])
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(stage) = STAGE.get() {
            stage.meant()[self.place] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_means_its_part_from_wherever_it_is_cut() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let start = |bytes: &[u8]| meant_by(bytes).map(|part| part.start);
        let mut first = of(&file, &(7..107)).unwrap();
        let second = of(&file, &(107..107 + READ_CHUNK as u64)).unwrap();
        assert_eq!((first.len(), second.len()), (100, READ_CHUNK));
        assert_eq!((start(&first), start(&second)), (Some(7), Some(107)));
        let rest = first.split_off(60);
        assert_eq!(
            (start(&first), start(&rest), start(&second[1000..])),
            (Some(7), Some(67), Some(1107))
        );
        assert!(start(&[0; 100]).is_none(), "other memory means nothing");
        assert!(of(&file, &(0..READ_CHUNK as u64 + 1)).is_none());
    }
}
