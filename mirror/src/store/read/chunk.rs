//! The memory that pieces of files pass through, used again and again.
//!
//! Fresh memory costs a page fault for every 4 KiB, which is dear beside a copy from the page cache;
//! memory that begins just past a page costs more than that (see [`PAGE`]).

use std::{
    fs::File,
    io::{self, IoSliceMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::io::{ReadWriteFlags, pread, preadv2};

use super::{MEMORY, READ_CHUNK};

/// A piece begins at a page, as what it is copied from does. malloc puts a large block 16 bytes past one,
/// and to there some processors copy (`rep movsb`) several times slower: in a loop of `preadv2` an AMD EPYC
/// took 0.34 to 0.43 CPU-s per GB instead of 0.08.
const PAGE: usize = 4096;

/// Blocks of [`READ_CHUNK`] and a page to spare. They never hold more than all streams may.
static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A piece of a file, filled from its start. Its memory goes back when it is dropped.
pub(super) struct Chunk {
    memory: Box<[u8]>,
    /// Where the piece begins in the memory.
    start: usize,
    wanted: usize,
    filled: usize,
}

/// Pieces smaller than that get memory of their own: of a small one little is touched, and among many
/// streams each should hold no more than it needs.
const POOLED: usize = READ_CHUNK / 2;

// === impl Chunk ===

impl Chunk {
    /// Room for `wanted` bytes, at most [`READ_CHUNK`].
    pub(super) fn take(wanted: usize) -> Self {
        let wanted = wanted.min(READ_CHUNK);
        let spare = if wanted >= POOLED { spare().pop() } else { None };
        let fresh = if wanted >= POOLED { READ_CHUNK } else { wanted };
        let memory = spare.unwrap_or_else(|| vec![0; fresh + PAGE].into());
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        Self { memory, start, wanted, filled: 0 }
    }

    /// A copy of `bytes`; `None` when they are more than [`READ_CHUNK`].
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut chunk = Self::take(bytes.len());
        (chunk.wanted == bytes.len()).then(|| {
            chunk.rest().copy_from_slice(bytes);
            chunk.filled = bytes.len();
            chunk
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.wanted
    }

    /// Takes what can be had without waiting; an error shows again to who waits.
    pub(super) fn fill_from_cache(&mut self, file: &File, start: u64) {
        while !self.is_full() {
            let at = start + self.filled as u64;
            let rest = &mut [IoSliceMut::new(self.rest())];
            match preadv2(file, rest, at, ReadWriteFlags::NOWAIT) {
                Ok(read) if read > 0 => self.filled += read,
                _ => return,
            }
        }
    }

    /// Takes the rest, waiting for the disk where it has to.
    pub(super) fn fill(mut self, file: &File, start: u64) -> io::Result<Self> {
        while !self.is_full() {
            let at = start + self.filled as u64;
            match pread(file, self.rest(), at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.filled += read,
            }
        }
        Ok(self)
    }

    /// The room that is left.
    fn rest(&mut self) -> &mut [u8] {
        &mut self.memory[self.start + self.filled..self.start + self.wanted]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.filled]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut spare = spare();
        if self.memory.len() == READ_CHUNK + PAGE && spare.len() < MEMORY / READ_CHUNK {
            spare.push(std::mem::take(&mut self.memory));
        }
    }
}

fn spare() -> MutexGuard<'static, Vec<Box<[u8]>>> {
    // A push and a pop leave the list whole, whatever panicked.
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_piece_of_any_size_begins_at_a_page_and_has_the_bytes_of_its_file() {
        let bytes: Vec<u8> = (0..=250).cycle().take(READ_CHUNK + 9).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for wanted in [1, 4096, 40_000, POOLED - 1, POOLED, READ_CHUNK] {
            // The second one has the first one's memory, where it is used again.
            for start in [0, 9] {
                let mut chunk = Chunk::take(wanted);
                assert_eq!((chunk.rest().as_ptr().addr() % PAGE, chunk.rest().len()), (0, wanted));
                chunk.fill_from_cache(&file, start);
                let chunk = chunk.fill(&file, start).unwrap();
                let start = usize::try_from(start).unwrap();
                assert!(chunk.as_ref() == &bytes[start..start + wanted], "{wanted} from {start}");
            }
        }
    }
}
