//! The memory that pieces of files pass through, used again and again.
//!
//! Fresh memory costs a page fault for every 4 KiB, which is dear beside a copy from the page cache.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::io::{ReadWriteFlags, pread, preadv2};

use super::{MEMORY, READ_CHUNK};

/// Blocks of [`READ_CHUNK`] to spare. They never hold more than all streams may.
static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A piece of a file, filled from its start. Its memory goes back when it is dropped.
pub(super) struct Chunk {
    memory: Box<[u8]>,
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
        Self { memory: spare.unwrap_or_else(|| vec![0; fresh].into()), wanted, filled: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.wanted
    }

    /// Takes what can be had without waiting; an error shows again to who waits.
    pub(super) fn fill_from_cache(&mut self, file: &File, start: u64) {
        while !self.is_full() {
            let at = start + self.filled as u64;
            let rest = &mut [IoSliceMut::new(&mut self.memory[self.filled..self.wanted])];
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
            match pread(file, &mut self.memory[self.filled..self.wanted], at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.filled += read,
            }
        }
        Ok(self)
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut spare = spare();
        if self.memory.len() == READ_CHUNK && spare.len() < MEMORY / READ_CHUNK {
            spare.push(std::mem::take(&mut self.memory));
        }
    }
}

fn spare() -> MutexGuard<'static, Vec<Box<[u8]>>> {
    // A push and a pop leave the list whole, whatever panicked.
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}
