//! Reading a blob's file in large chunks without blocking the runtime.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

use super::ByteStream;
use crate::stand_in;

mod chunk;

use chunk::Chunk;

/// Bytes read at a time at most. Every chunk costs its reader and its receiver a wake-up, which is
/// dear in a virtual machine: 1 MiB chunks take a fifth less CPU time for a byte than 256 KiB ones.
pub const READ_CHUNK: usize = 1024 * 1024;

/// Bytes read at a time at least, however many streams are open.
const LEAST_CHUNK: usize = 32 * 1024;

/// What all open streams may hold together before their chunks become smaller. A node that seeds a
/// cluster has hundreds of readers, most of which wait.
const MEMORY: usize = 16 * 1024 * 1024;

/// Chunks that one stream holds: one being read, one read ahead, one being sent.
const HELD: usize = 3;

/// Streams open in this process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a stream as open while it lives.
pub(super) struct Counted;

/// Streams `range` of an open file. One chunk is read ahead while the last one is being sent.
///
/// A file that ends before the range does ends the stream with `UnexpectedEof`.
pub fn read_file(file: impl Into<Arc<File>>, range: Range<u64>) -> ByteStream {
    read_steps(file.into(), steps(range)).boxed()
}

/// The same for a connection on which the kernel sends what it has in the page cache: that is stood in for.
pub(super) fn lend_file(file: Arc<File>, range: Range<u64>) -> ByteStream {
    one_ahead(file, steps(range), lend_step).boxed()
}

/// Reads each of `steps` as soon as it is known, and one ahead of the one being sent.
pub(super) fn read_steps(
    file: Arc<File>,
    steps: impl Stream<Item = io::Result<Range<u64>>> + Send,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    one_ahead(file, steps, read_step)
}

/// `range` in steps, of as many bytes as may be held at the time.
fn steps(range: Range<u64>) -> impl Stream<Item = io::Result<Range<u64>>> + Send {
    stream::unfold((range.start, Counted::new()), move |(at, open)| {
        let end = range.end.min(at + open.chunk());
        std::future::ready((at < end).then_some((Ok(at..end), (end, open))))
    })
}

fn one_ahead<F: Future<Output = io::Result<Bytes>> + Send>(
    file: Arc<File>,
    steps: impl Stream<Item = io::Result<Range<u64>>> + Send,
    get: impl Fn(Arc<File>, Range<u64>) -> F + Copy + Send,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    steps
        .map(move |step| {
            let file = Arc::clone(&file);
            async move { get(file, step?).await }
        })
        .buffered(2)
}

/// Whether `part` can be had without waiting for the disk, as far as its first and last byte tell.
pub(crate) fn is_cached(file: &File, part: &Range<u64>) -> bool {
    let has = |at| {
        let mut byte = [0];
        let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT);
        matches!(read, Ok(1))
    };
    has(part.start) && has(part.end - 1)
}

/// Waits until the page cache has `part`, at most [`READ_CHUNK`] of it, or cannot have it.
pub(crate) fn bring_in(file: &File, part: &Range<u64>) {
    let _ = Chunk::take(length(part)).fill(file, part.start);
}

/// The chunk that keeps `open` streams within [`MEMORY`].
fn chunk(open: usize) -> usize {
    (MEMORY / (HELD * open.max(1))).clamp(LEAST_CHUNK, READ_CHUNK)
}

impl Counted {
    pub(super) fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }

    /// Bytes that this stream may read at a time now.
    #[allow(clippy::unused_self, reason = "only a stream that is counted may ask")]
    pub(super) fn chunk(&self) -> u64 {
        chunk(OPEN.load(Ordering::Relaxed)) as u64
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens `path` and returns it with its length in bytes.
///
/// # Errors
/// What the file system said.
pub async fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let path = path.to_owned();
    spawn_blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    })
    .await?
}

/// Cuts a stream after `length` bytes.
pub(crate) fn limited(
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    length: u64,
) -> ByteStream {
    let cut = bytes.scan(length, |left, chunk| {
        let chunk = chunk.map(|mut chunk| {
            chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= chunk.len() as u64;
            chunk
        });
        let end = matches!(&chunk, Ok(chunk) if chunk.is_empty());
        std::future::ready((!end).then_some(chunk))
    });
    cut.boxed()
}

/// A copy of `bytes` in memory that is used again; of more than [`READ_CHUNK`] in memory of its own.
pub(crate) fn copied(bytes: &[u8]) -> Bytes {
    Chunk::of(bytes).map_or_else(|| Bytes::copy_from_slice(bytes), Bytes::from_owner)
}

/// What stands in for a step that the page cache has; else its bytes.
async fn lend_step(file: Arc<File>, step: Range<u64>) -> io::Result<Bytes> {
    let stand_in = is_cached(&file, &step).then(|| stand_in::of(&file, &step)).flatten();
    match stand_in {
        Some(stand_in) => Ok(stand_in),
        None => read_step(file, step).await,
    }
}

/// Reads what the page cache has at once, and the rest on a thread that may wait for the disk.
async fn read_step(file: Arc<File>, step: Range<u64>) -> io::Result<Bytes> {
    let mut chunk = Chunk::take(length(&step));
    chunk.fill_from_cache(&file, step.start);
    if !chunk.is_full() {
        chunk = spawn_blocking(move || chunk.fill(&file, step.start)).await??;
    }
    Ok(Bytes::from_owner(chunk))
}

fn length(step: &Range<u64>) -> usize {
    usize::try_from(step.end - step.start).unwrap_or(READ_CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_all_bytes_however_many_they_are() {
        for length in [0, 1, READ_CHUNK / 2, READ_CHUNK, READ_CHUNK + 1, 3 * READ_CHUNK] {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert!(copied(&bytes) == bytes, "{length}");
        }
    }

    #[test]
    fn many_streams_share_the_memory_of_a_few() {
        assert_eq!(chunk(0), READ_CHUNK);
        assert_eq!(chunk(4), READ_CHUNK);
        for open in [8, 64, 160] {
            assert!(open * HELD * chunk(open) <= MEMORY, "{open} streams");
        }
        assert_eq!(chunk(100_000), LEAST_CHUNK);
    }
}
